"""Compose's verbs for one site; those that change its containers go through python-on-whales.

Shows every command before it runs, so that it can be repeated by hand. Never passes an empty list of services, which
Compose can take as all of them.
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from graasp_local.engine.compose import leftovers, site_files
from graasp_local.engine.reach.addresses import engine_address, lacks_leader, unreachable, without_leader
from graasp_local.errors import EngineUnreachable, GraaspLocalError, NeedsYou
from graasp_local.files import current_directory
from graasp_local.planning.requirements import OLDEST_COMPOSE
from graasp_local.planning.server import DatabaseServer
from graasp_local.site import prepare
from graasp_local.site.selection import Release
from graasp_local.site.site import Site
from graasp_local.version import Version

if TYPE_CHECKING:
    from python_on_whales import DockerClient
    from python_on_whales.components.container.cli_wrapper import Container

MIGRATION_PROFILE = "migration"

_UP = ("--no-deps", "--no-build", "--pull", "never")

Candidate = Version | DatabaseServer | None
"""What a command is for, if not for what is selected."""


def without_inactive(services: Mapping[str, Any], profiles: Sequence[str]) -> dict[str, Any]:
    """Rendered services without those of inactive profiles, which Compose 2.24 lists too."""
    active = {*profiles}
    return {
        name: service
        for name, service in services.items()
        if not service.get("profiles") or active.intersection(service["profiles"])
    }


class Compose:
    """Compose for one site. `narrate` receives each command as one line before it runs."""

    def __init__(self, site: Site, narrate: Callable[[str], None]) -> None:
        self._site = site
        self._narrate = narrate
        self._releases: dict[Version, Release] = {}

    @cached_property
    def version(self) -> str:
        """The version of the Compose plugin. Raises EngineUnreachable as `compose_version` does."""
        return compose_version()

    def use_release(self, release: Release) -> None:
        """From here on use this release's images for its version, instead of the version's tags."""
        self._releases[release.version] = release

    def arguments(self, candidate: Candidate = None) -> list[str]:
        """The arguments between `docker compose` and the verb, for the candidate if one is given."""
        site = self._site
        words = ["--project-directory", str(site.directory), "--project-name", site.settings.project]
        for file in site.compose_files:
            words += ["--file", str(file)]
        for file in self._env_files(candidate):
            words += ["--env-file", str(file)]
        for profile in self._profiles(candidate):
            words += ["--profile", profile]
        return words

    def _replicas(self, services: Sequence[str]) -> dict[str, int]:
        """The number of replicas of those for which `.env` sets it; Compose takes the others from its files."""
        return {name: number for name, number in self._site.settings.replicas.items() if name in services}

    def up(self, services: Sequence[str], *, recreate: bool = False, keep: bool = False) -> None:
        """Create or recreate and start exactly these services, without their dependencies and without pulling.

        `recreate` recreates them even if Compose sees no difference, `keep` leaves them even if it sees one.
        """
        self._refuse_empty(services)
        replicas = self._replicas(services)
        kept = ("--no-recreate",) if keep else _recreating(recreate)
        self._say("up", "--detach", *_UP, *kept, *_scaled(replicas), *services)
        self._run(
            lambda compose: compose.up(
                list(services),
                detach=True,
                dependencies=False,
                no_build=True,
                pull="never",
                quiet=True,
                force_recreate=recreate,
                recreate=not keep,
                scales=replicas,
            )
        )

    def create(self, services: Sequence[str], version: Version | None = None, *, recreate: bool = False) -> None:
        """Create or recreate these services' containers without starting them; `recreate` as in `up`."""
        self._refuse_empty(services)
        replicas = self._replicas(services)
        self._say("up", "--no-start", *_UP, *_recreating(recreate), *_scaled(replicas), *services, candidate=version)
        self._run(
            lambda compose: compose.up(
                list(services),
                start=False,
                dependencies=False,
                no_build=True,
                pull="never",
                quiet=True,
                force_recreate=recreate,
                scales=replicas,
            ),
            version,
        )

    def run_detached(
        self,
        service: str,
        candidate: Version | DatabaseServer,
        labels: dict[str, str],
        publish: Sequence[tuple[str, int]] = (),
        name: str = "",
    ) -> str:
        """Start a one-off container and return its id; it keeps running when this process ends.

        `publish` lists pairs: an address of this machine, which ends in `:` for any free port, and the container's
        port. Compose chooses a name if none is given.
        """
        published = [f"--publish={address}:{port}" for address, port in publish]
        named = ["--name", name] if name else []
        self._say("run", "--detach", "--no-deps", *published, *named, service, candidate=candidate)

        def start(compose: Any) -> Container:
            container: Container = compose.run(
                service,
                detach=True,
                dependencies=False,
                tty=False,
                labels=labels,
                publish=[*publish],
                name=name or None,
            )
            return container

        return str(self._run(start, candidate).id)

    def run_once(self, service: str, command: Sequence[str], environment: Sequence[str]) -> tuple[int, str]:
        """Run a command in a temporary container like the service's, then remove it; returns exit code and output.

        Publishes no port. 126 and 127: the command or its entrypoint is not in the image. Raises NeedsYou if no
        container can be run.
        """
        self._see_to_environment()
        site_files.send(self._site)
        words = [*docker_words(), "compose", *self.arguments(), "run", "--rm", "--no-deps", "--no-TTY"]
        words += [*(f"--env={value}" for value in environment), service, *command]
        answer = subprocess.run(words, capture_output=True, text=True, stdin=subprocess.DEVNULL)
        said = answer.stdout + answer.stderr
        if answer.returncode == 125:
            raise compose_failed(said, answer.returncode)
        return answer.returncode, said

    def config(self, candidate: Candidate) -> dict[str, Any]:
        """The compose files as Compose understands them, with every variable filled in: it contains secrets."""
        self._see_to_environment()
        # Without python-on-whales: a plan needs this first, and importing that takes longer than the answer.
        words = [*docker_words(), "compose", *self.arguments(candidate), "config", "--format", "json"]
        try:
            answer = subprocess.run(words, capture_output=True, text=True)
        except FileNotFoundError:
            compose_version()  # raises the error that says what is missing
            raise
        if answer.returncode:
            raise compose_failed(answer.stderr, answer.returncode)
        config: dict[str, Any] = json.loads(answer.stdout)
        return {**config, "services": without_inactive(config["services"], self._profiles(candidate))}

    def refusal_of(self, project: Mapping[str, Any]) -> str | None:
        """Start a project that is already rendered and named, and return why it was refused; None if it was not.

        Raises NeedsYou if Compose cannot read what it has rendered itself, which says nothing about the services.
        """
        self._see_to_environment()
        site_files.send(self._site)
        words = [*docker_words(), "compose", "--project-directory", str(self._site.directory), "--file", "-"]
        words += ["--project-name", str(project["name"]), "--env-file", os.devnull, "up", "--detach", *_UP]
        answer = subprocess.run(words, capture_output=True, text=True, input=json.dumps(project))
        if answer.returncode == 0:
            return None
        error = compose_failed(answer.stderr, answer.returncode)
        if isinstance(error, EngineUnreachable) or "validating -" in answer.stderr:
            raise error
        return error.what.removeprefix("Compose failed: ").removeprefix("Error response from daemon: ")

    def _env_files(self, candidate: Candidate | Release) -> list[Path]:
        if candidate is None and self._site.kept is None:
            return [self._site.env_file, self._site.version_file]
        if isinstance(candidate, Version):
            candidate = self._releases.get(candidate, candidate)
        return [self._site.env_file, prepare.candidate_file(self._site, candidate)]

    def _profiles(self, candidate: Candidate) -> list[str]:
        # --profile on the command line replaces COMPOSE_PROFILES, so both are given. The migration profile is on for
        # work on a version, and off for everything that a state change does.
        profiles = self._site.profiles
        return [*profiles, MIGRATION_PROFILE] if isinstance(candidate, Version) else [*profiles]

    def _client(self, candidate: Candidate) -> DockerClient:
        from python_on_whales import DockerClient

        site = self._site
        return DockerClient(
            client_call=docker_words(),
            compose_files=[*site.compose_files],
            compose_env_files=[*self._env_files(candidate)],
            compose_project_directory=site.directory,
            compose_project_name=site.settings.project,
            compose_profiles=self._profiles(candidate),
        )

    def _run(self, verb: Callable[[Any], Any], candidate: Candidate = None) -> Any:
        from python_on_whales.client_config import ClientNotFoundError
        from python_on_whales.exceptions import DockerException

        self._see_to_environment()
        site_files.send(self._site)
        try:
            return verb(self._client(candidate).compose)
        except ClientNotFoundError:
            compose_version()  # raises the error that says what is missing
            raise
        except DockerException as error:
            raise compose_failed(error.stderr or "", error.return_code) from error

    def _see_to_environment(self) -> None:
        if current_directory() is None:  # programs started there would refuse to run
            os.chdir(self._site.directory)
        see_to_variables(self._site)
        os.environ[leftovers.MARK] = str(self._site.directory)

    def _say(self, *words: str, candidate: Candidate = None) -> None:
        site = self._site.directory
        here = current_directory()
        at_site = [] if here is not None and here.is_relative_to(site) else ["--site", str(site)]
        match candidate:
            case Version():
                given = ["--for-version", str(candidate)]
            case DatabaseServer(image=image, volume=volume):
                given = ["--for-database", image, volume]
            case None:
                given = []
        self._narrate(shlex.join(["graasp-local", *at_site, "compose", *given, "--", *words]))

    @staticmethod
    def _refuse_empty(services: Sequence[str]) -> None:
        if not services:
            raise ValueError("a Compose verb needs at least one service")


def _recreating(wanted: bool) -> tuple[str, ...]:
    return ("--force-recreate",) if wanted else ()


def _scaled(replicas: Mapping[str, int]) -> list[str]:
    return [word for service, number in replicas.items() for word in ("--scale", f"{service}={number}")]


def docker_words() -> list[str]:
    """The docker command, in a session of its own if the machine has setsid (util-linux).

    A terminal sends Ctrl-C and its hang-up to every process in its session. Only graasp-local should get them, and stop
    at a safe point; a Compose that got them too would abort in the middle of a step or of a rollback.
    """
    own_session = ["setsid"] if shutil.which("setsid") and shutil.which("docker") else []
    return [*own_session, "docker"]


def forget_shell_overrides(site: Site) -> None:
    """Remove variables that the site's files set or use from this process's environment.

    Compose prefers the shell's variables to an env file; what graasp-local read and what Compose does would differ.
    """
    mentioned = re.findall(r"\$\{?([A-Z][A-Z0-9_]*)", "".join(file.read_text() for file in site.compose_files))
    for key in {*site.settings.values, *mentioned} - {"COMPOSE_PROFILES", "PATH", "HOME"}:
        os.environ.pop(key, None)


def see_to_variables(site: Site) -> None:
    """Give Compose the variables that it needs in this process's environment, and no others that it would obey."""
    engine_address()  # an engine behind ssh: the docker command is to use the same connection
    forget_shell_overrides(site)
    os.environ.update(site_files.where_mounted_from(site))


def compose_version() -> str:
    """The version of the Compose plugin. Raises EngineUnreachable if there is none, or only the old v1."""
    try:
        answer = subprocess.run(["docker", "compose", "version", "--short"], capture_output=True, text=True, timeout=30)
    except FileNotFoundError:
        raise EngineUnreachable(
            "The docker command is not installed.",
            "Nothing was changed.",
            "Install Docker with the Compose plugin, or run scripts/ensure-engine in a checkout.",
        ) from None
    version = answer.stdout.strip().removeprefix("v")
    major = version.partition(".")[0]
    if answer.returncode != 0 or not major.isdigit() or int(major) < 2:
        found = (
            f"Compose {version} is too old" if version and answer.returncode == 0 else "Docker has no Compose plugin"
        )
        raise EngineUnreachable(
            f"{found}: Compose {OLDEST_COMPOSE[0]}.{OLDEST_COMPOSE[1]} or newer is needed.",
            "Nothing was changed.",
            "Install the package docker-compose-plugin, or run scripts/ensure-engine in a checkout.",
        )
    return version


def compose_failed(stderr: str, exit_code: int) -> GraaspLocalError:
    """An error with Compose's own reason, without its progress lines, or with the signal that ended it."""
    lines = [line.strip() for line in stderr.splitlines() if line.strip()]
    telling = [line for line in lines if "rror" in line or "failed" in line or "cannot" in line.lower()] or lines
    if "Cannot connect to the Docker daemon" in stderr:
        return unreachable(stderr)
    if lacks_leader(stderr):
        return without_leader()
    if exit_code < 0:
        return NeedsYou(f"Compose failed: it was killed by the signal {_signal_name(-exit_code)}.")
    reason = telling[-1] if telling else f"exit code {exit_code}, without a reason."
    return NeedsYou(f"Compose failed: {reason}")


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return str(number)
