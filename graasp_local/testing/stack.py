"""A complete Graasp for a test: a site of its own, created, migrated and gated, then removed again.

    with GraaspStack().with_version("1.1.0") as stack:
        requests.get(f"{stack.get_url()}/api/items")

It is used like a testcontainers container. Everything it does to a site is one of graasp-local's own operations; this
module decides nothing about them. It refuses invalid requests before anything is started, and leaves nothing behind.
"""

from __future__ import annotations

import atexit
import os
import shutil
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from enum import StrEnum
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self, TypeVar

from msgspec.structs import replace

from graasp_local import __version__
from graasp_local.engine.compose.belongings import (
    free_port,
    free_subnets,
    image_ids,
    network_labels,
    run_in,
    sdk_container,
)
from graasp_local.engine.containers.services import ONE_OFF_LABEL
from graasp_local.engine.reach.addresses import engine_address, engine_host, is_on_this_machine
from graasp_local.errors import ConfigurationError, GraaspLocalError, Refused, UsageError
from graasp_local.planning.plan import DRAIN_SECONDS, Strategy
from graasp_local.planning.requests import MIGRATION_SECONDS, ChangeState, Deploy, OnFailure, Rollback
from graasp_local.planning.states import InfraState, ObservedService, classify, state_name
from graasp_local.ports.world import World
from graasp_local.site.answers import MAIL_CATCHER, MAIL_CATCHER_ADDRESS
from graasp_local.site.create import DEMO_SETTINGS, REAL_SETTINGS, init_site
from graasp_local.site.site import Site
from graasp_local.stack.services import read_services, stack_digest, stack_directory
from graasp_local.stack.variables import profiles_defined
from graasp_local.testing import ports, report, session, snapshots
from graasp_local.testing.claims import Claim, Claims, Left, Record
from graasp_local.testing.cleaning import remove_orphans, remove_stack
from graasp_local.testing.operations import Operation, carry_out, environment_kept, explained, world_of
from graasp_local.testing.recipe import (
    CLAIM_LABEL,
    Recipe,
    Source,
    as_yaml,
    image_variable,
    override_of,
    ports_of,
    read_override,
    refuse_names,
    refuse_settings,
)
from graasp_local.version import Version
from graasp_local.wording import listed

PROJECT_PREFIX = "gltest-"
_OWNERS = {"graasp": "GRAASP_DB_PASSWORD", "umami": "UMAMI_DB_PASSWORD", "etherpad": "ETHERPAD_DB_PASSWORD"}
"""Databases whose owner has the same name, and the setting that holds the owner's password."""


class ExecResult(NamedTuple):
    """The result of a command in a container, in the shape of testcontainers' `exec`."""

    exit_code: int
    output: bytes


class GraaspStack:
    """A stack in the style of testcontainers: configure it with `with_…`, then use `start()` or a `with` block."""

    def __init__(self) -> None:
        self._recipe = Recipe()
        self._directory: Path | None = None
        self._engine = ""
        self._reuses = False
        self._is_as_made = True
        self._may_be_kept = False
        self._claims = Claims()
        self._claim: Claim | None = None
        self._site: Site | None = None
        self._read: tuple[tuple[int, int], ...] = ()
        self._observing: World | None = None
        self._waiting: list[Any] = []

    # Configuration.

    def with_version(self, version: str) -> Self:
        """Deploy this version of Graasp. Default: the newest release whose images are on the engine."""
        with explained():
            return self._with(version=str(Version.parse(version)))

    def with_state(self, state: str) -> Self:
        """Finish `start` in this state: running, restricted, db-only or stopped. The database is always migrated."""
        with explained():
            return self._with(state=_state(state))

    def with_env(self, key: str, value: str) -> Self:
        """Set a key of the site's `.env`."""
        return self._with(settings={**self._recipe.settings, key: str(value)})

    def with_envs(self, **settings: str) -> Self:
        """Set several keys of the site's `.env`."""
        return self._with(settings={**self._recipe.settings, **{key: str(value) for key, value in settings.items()}})

    def with_override(self, override: Mapping[str, Any] | str | Path) -> Self:
        """Merge a compose file, or a mapping like one, over the stack's own files. Can be called more than once."""
        with explained():
            return self._with(overrides=(*self._recipe.overrides, read_override(override)))

    def with_images(self, source: str | None = None, *, repository: str = "", **images: str) -> Self:
        """Use the images of `demo` (the default) or `registry`, and the given image for each service named here.

        `repository` replaces the repository of core, workers and migrate; its tags look like `core-v1.1.0`.
        """
        with explained():
            chosen = self._recipe.source if source is None else _source(source)
            return self._with(
                source=chosen,
                repository=repository or self._recipe.repository,
                images={**self._recipe.images, **images},
            )

    def with_profiles(self, *profiles: str) -> Self:
        """Enable optional parts: admin, client, etherpad, files, iframely, mailpit, nudenet."""
        return self._with(profiles=tuple(dict.fromkeys((*self._recipe.profiles, *profiles))))

    def with_site(self, directory: str | Path) -> Self:
        """Create the site in this directory, and keep the directory and its journal after the stack is gone."""
        self._refuse_started()
        self._directory = Path(directory).resolve()
        return self

    def with_engine(self, address: str) -> Self:
        """Use the Docker engine at this address, in the form of DOCKER_HOST, instead of the docker command's."""
        self._refuse_started()
        self._engine = address
        return self

    def with_network(self, network: Any) -> Self:
        """Join nginx, core and workers to a testcontainers network, where others reach the stack as `graasp`."""
        return self._with(network=str(getattr(network, "name", network)))

    def with_reuse(self) -> Self:
        """Reuse an idle stack of an earlier run with the same version, settings and images; leave one at the end.

        A reused stack is reset first. One that stays unused for twelve hours is removed by the next run.
        """
        self._refuse_started()
        self._reuses = True
        return self

    def with_keeping(self) -> Self:
        """Create a stack that `keep` can leave running: testcontainers' reaper will not remove it."""
        self._refuse_started()
        self._may_be_kept = True
        return self

    def waiting_for(self, strategy: Any) -> Self:
        """Also wait for this testcontainers strategy once the stack is ready."""
        self._refuse_started()
        self._waiting.append(strategy)
        return self

    def with_recipe(self, recipe: Recipe) -> Self:
        """Set the whole configuration as one value."""
        self._refuse_started()
        self._recipe = recipe
        return self

    def _with(self, **changes: Any) -> Self:
        self._refuse_started()
        self._recipe = replace(self._recipe, **changes)
        return self

    def _refuse_started(self) -> None:
        if self._claim is not None:
            raise UsageError("The stack has already been started, so it can no longer be configured.")

    # Lifecycle.

    def start(self) -> Self:
        """Create the site and deploy to it. Raises GraaspLocalError, after removing everything that was created."""
        self._refuse_started()
        with self._removed_on_failure():
            self._start()
        for strategy in self._waiting:
            try:
                strategy.wait_until_ready(self)
            except BaseException:
                self.stop()
                raise
        return self

    def create(self) -> Self:
        """Create the site and deploy nothing to it: for a test that does so itself. `stop` removes it as usual."""
        self._refuse_started()
        with self._removed_on_failure():
            remove_orphans(self._claims)
            self._create(self._checked(), fingerprint="")
        return self

    @contextmanager
    def _removed_on_failure(self) -> Iterator[None]:
        with self._here():
            # From now on it stays on this engine, even if DOCKER_HOST changes before it is removed.
            self._engine = engine_address()
            try:
                yield
            except BaseException as error:
                if self._site is not None and self._all_containers_or_none():
                    error.add_note(self.describe())
                with suppress(GraaspLocalError):
                    self._remove()
                raise
        atexit.register(self.stop)

    def _start(self) -> None:
        remove_orphans(self._claims)  # raises EngineUnreachable before anything else
        recipe = _with_a_version(self._checked())
        fingerprint = recipe.fingerprint(stack_digest(), __version__)
        if self._reuses and self._taken_over(fingerprint):
            return
        version = Version.parse(recipe.version)
        claim = self._create(recipe, fingerprint)
        end = recipe.state if recipe.state is InfraState.RUNNING else InfraState.RESTRICTED
        try:
            self.deploy(str(version), hold=end is InfraState.RESTRICTED)
        except (ConfigurationError, Refused) as error:
            raise _in_terms_of_a_stack(error, recipe, version) from error
        if recipe.state is not end:
            self.apply(recipe.state)
        if self._reuses and recipe.state is not InfraState.STOPPED:
            self.snapshot()
            claim.note(replace(claim.record, images=self._images(version)))

    def _create(self, recipe: Recipe, fingerprint: str) -> Claim:
        session.require_testcontainers()
        project = f"{PROJECT_PREFIX}{uuid.uuid4().hex[:12]}"
        directory = self._directory or self._claims.directory_of(project) / "site"
        _make_room(directory, self._claims)
        session.start_reaper()
        record = Record(project, engine_address(), str(directory), session.session_id(), fingerprint=fingerprint)
        self._claim = claim = self._claims.make(record)
        self._site = self._made_site(recipe, project, directory)
        return claim

    def _taken_over(self, fingerprint: str) -> bool:
        """Whether an idle stack was taken over. An idle stack that is no longer usable is removed."""
        for claim in self._claims.idle(engine_address(), fingerprint):
            claim.note(replace(claim.record, left=Left.IN_USE))  # an orphan if this process is killed now
            self._claim, self._site = claim, Site(Path(claim.record.site))
            images = claim.record.images
            try:
                if image_ids(list(images)) == images:
                    self.reset()
                    return True
            except GraaspLocalError:
                pass
            self._remove()
        return False

    def _images(self, version: Version) -> dict[str, str]:
        """The images of the stack, with their ids."""
        from graasp_local.engine.site.docker_engine import engine_for

        return image_ids(sorted({*engine_for(self.site).images_of(version).values()}))

    def _checked(self) -> Recipe:
        """The recipe. Raises UsageError for names that the compose files do not define."""
        recipe = self._recipe
        files = (stack_directory() / "compose" / "compose.yaml",)
        refuse_settings(recipe.settings, recipe.overrides)
        theirs = {str(name) for override in recipe.overrides for name in override.get("services") or {}}
        services = {service.name for service in read_services(files, profiles_defined(files))} | theirs
        refuse_names("service", recipe.images, services)
        own_profiles = {
            str(profile)
            for override in recipe.overrides
            for definition in (override.get("services") or {}).values()
            for profile in (definition or {}).get("profiles") or ()
        }
        refuse_names("profile", recipe.profiles, profiles_defined(files) | own_profiles)
        _refuse_network(recipe.network)
        return recipe

    def _made_site(self, recipe: Recipe, project: str, directory: Path) -> Site:
        claim = self._claims.directory_of(project)
        labels = session.labels_of(claim, outlives=self._reuses or self._may_be_kept)
        defaults = DEMO_SETTINGS if recipe.source is Source.DEMO else {}
        images = {image_variable(name): image for name, image in recipe.images.items()}
        host = engine_host()
        profiles = recipe.profiles or _usual_profiles(recipe.source)
        nginx = images.get("NGINX_IMAGE") or defaults.get("NGINX_IMAGE", "")
        if is_on_this_machine():
            ports.refuse_too_few(len(ports_of(profiles)))
        port = recipe.settings.get("HTTP_PORT") or str(_free_port(nginx, labels))
        override = as_yaml(_override(recipe, labels))
        chosen = {
            "COMPOSE_PROJECT_NAME": project,
            "HTTP_BIND": "127.0.0.1" if is_on_this_machine() else "0.0.0.0",  # noqa: S104 - unreachable otherwise
            "HTTP_PORT": port,
            "PUBLIC_URL": f"http://{host}:{port}",
            "COOKIE_DOMAIN": host,
            **images,
            **({"GRAASP_REPOSITORY": recipe.repository} if recipe.repository else {}),
            **({"COMPOSE_PROFILES": ",".join(profiles)} if profiles else {}),
            **({"MAILER_CONNECTION": MAIL_CATCHER_ADDRESS} if MAIL_CATCHER in profiles else {}),
            **recipe.settings,
        }
        try:
            directory.mkdir(mode=0o700, parents=True, exist_ok=True)
            (directory / "compose.override.yaml").write_text(override)
            return init_site(directory, chosen, demo=recipe.source is Source.DEMO)
        except OSError as error:
            raise Refused(
                f"{directory} cannot be written: {error.strerror or error}.",
                "Nothing was started.",
                "Free some space, or set TMPDIR to a writable directory.",
            ) from error

    def stop(self) -> None:
        """Remove everything: containers, volumes, networks, and the site unless with_site keeps it.

        A stack with_reuse is left for the next run instead, unless a test took a snapshot of its own.
        """
        if self._claim is None:
            return
        record = self._claim.record
        if self._reuses and self._is_as_made and record.snapshot and record.fingerprint:
            self._leave(Left.IDLE)
        else:
            with self._here():
                self._remove()

    def keep(self) -> str:
        """Leave the stack running for inspection, whatever happens next. Returns the command to inspect it with.

        `python -m graasp_local.testing --clean` removes it.
        """
        directory = self.site.directory
        self._leave(Left.KEPT)
        return f"graasp-local --site {directory} status"

    def _leave(self, left: Left) -> None:
        atexit.unregister(self.stop)
        if self._claim is not None:
            self._claim.note(replace(self._claim.record, left=left, left_at=time.time()))
            self._claim.release()
        self._claim = self._observing = None

    def _remove(self) -> None:
        atexit.unregister(self.stop)
        claim, self._claim, self._observing = self._claim, None, None
        if claim is not None:
            remove_stack(claim)

    def __enter__(self) -> Self:
        return self if self.is_started else self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # Access.

    @property
    def site(self) -> Site:
        """The site, for everything else that graasp-local can do with it, with its files as they are now.

        Raises UsageError before the start.
        """
        if self._claim is None or self._site is None:
            raise _not_started()
        read = _stamps(self._site)
        if read != self._read:
            self._site, self._read, self._observing = Site(self._site.directory), read, None
        return self._site

    @property
    def has_snapshot(self) -> bool:
        """Whether there is a snapshot to reset to."""
        return self._claim is not None and bool(self._claim.record.snapshot)

    @property
    def is_started(self) -> bool:
        """Whether the stack is started and owned by this process."""
        return self._claim is not None and self._site is not None

    def get_url(self) -> str:
        """Graasp's public URL, through the gate, without a trailing slash."""
        return f"http://{self.get_container_host_ip()}:{self.site.settings.port}"

    def get_bypass_headers(self) -> dict[str, str]:
        """The header that passes a closed gate."""
        settings = self.site.settings
        return {settings.header_name: settings.header_secret}

    def get_database_url(self, name: str = "graasp", *, superuser: bool = False) -> str:
        """A postgresql:// URL for one of the stack's databases, as its owner, or as superuser for other databases.

        The port changes when the database is stopped and started. Raises NeedsYou while the database is off.
        """
        with self._here():
            host, port = self._world.containers.database_address()
            values = self.site.settings.values
            owned = name in _OWNERS and not superuser
            user, key = (name, _OWNERS[name]) if owned else ("postgres", "POSTGRES_PASSWORD")
            return f"postgresql://{user}:{values[key]}@{host}:{port}/{name}"

    def get_service_url(self, service: str) -> str:
        """The URL of a service that publishes a port, bypassing nginx: umami, etherpad, mailpit and others.

        Raises UsageError for a service that publishes none.
        """
        with self._here():
            for container in self._containers(service):
                for port in container["Ports"]:
                    if port.get("PublicPort"):
                        return f"http://{engine_host()}:{port['PublicPort']}"
            reachable = tuple(
                sorted({str(c["Labels"][_SERVICE]) for c in self._all_containers() if _published(c)} - {"db", "nginx"})
            )
            raise UsageError(
                f"{service} publishes no port.",
                "",
                f"These services do: {listed(reachable)}." if reachable else "No service does while it is off.",
            )

    @property
    def state(self) -> str:
        """The current state: one of the four states, `drifted` or `absent`."""
        with self._here():
            return state_name(classify(self._world.observe()))

    @property
    def version(self) -> str:
        """The deployed version of Graasp."""
        return str(self.site.selected_version or "")

    @property
    def services(self) -> Mapping[str, ObservedService]:
        """Every service by name, as currently observed."""
        with self._here():
            return {service.name: service for service in self._world.observe().services}

    def describe(self) -> str:
        """The state, the last operation and the ends of the relevant logs, for the report of a failed test."""
        with self._here():
            return report.described(self._world)

    # Operations.

    def apply(self, state: str) -> Operation:
        """Bring the stack into a state. Raises OperationFailed or Refused."""
        with self._working():
            return carry_out(self.site, ChangeState(_state(state)))

    def deploy(
        self,
        version: str,
        *,
        hold: bool = False,
        backup: bool = False,
        strategy: str = "closed",
        on_failure: str = "rollback",
        drain_limit: float = DRAIN_SECONDS,
        migration_limit: float = MIGRATION_SECONDS,
    ) -> Operation:
        """Deploy a version, with the options of `graasp-local deploy`. Limits are in seconds.

        Returns the operation's events and outcome. Raises OperationFailed, with the last lines of the journal, or
        Refused.
        """
        with self._working():
            self._dump_tables()
            request = Deploy(
                str(Version.parse(version)),
                not backup,
                _choice(Strategy, strategy, "strategy"),
                hold,
                _choice(OnFailure, on_failure, "on_failure"),
                drain_limit,
                migration_limit,
            )
            return carry_out(self.site, request)

    def rollback(self, *, discard_written_since: bool = True) -> Operation:
        """Undo the last deployment. Data written since then is discarded unless `discard_written_since` is False."""
        with self._working():
            self._dump_tables()
            return carry_out(self.site, Rollback(discard_written_since=discard_written_since))

    def snapshot(self) -> None:
        """Record the stack's data, state and version for `reset`. Uploaded files and the search index are not included.

        Raises UsageError while the database is off.
        """
        with self._working() as claim:
            self._is_as_made = not claim.record.snapshot
            noted = snapshots.take(self._world, self.state, self.version, _dump(claim))
            claim.note(replace(claim.record, snapshot=noted))

    def reset(self) -> None:
        """Restore the data, state and version of the snapshot; fast if no version was deployed since.

        Raises UsageError if there is no snapshot, NeedsYou if anything but `deploy` and `rollback` changed the tables.
        """
        with self._working() as claim:
            snapshots.put_back(self._world, _Unwatched(self), claim.record.snapshot, _dump(claim))

    def logs(self, service: str, lines: int = 200) -> str:
        """The last lines of a service's log. Raises UsageError for a service that the stack does not have."""
        with self._here():
            self._refuse_unknown(service)
            return "\n".join(self._world.containers.recent_log(service, lines))

    def exec(self, service: str, command: str | Sequence[str], *, user: str = "") -> ExecResult:
        """Run a command in a service's container, as its usual user or as `user`.

        Raises UsageError if it is not running, NeedsYou if the engine refuses.
        """
        with self._here():
            self._refuse_unknown(service)
            for container in self._containers(service):
                if container["State"] == "running":
                    return ExecResult(*run_in(container["Id"], command, user))
            raise UsageError(f"{service} is not running.", "", "Call apply() with a state in which it is on.")

    # What testcontainers' wait strategies call.

    def get_container_host_ip(self) -> str:
        with self._here():
            return engine_host()

    def get_exposed_port(self, port: int) -> int:
        """The published port for a container port, of whichever service has it; 80 is nginx's."""
        if port == 80:
            return self.site.settings.port
        with self._here():
            for container in self._all_containers():
                for published in container["Ports"]:
                    if published["PrivatePort"] == port and published.get("PublicPort"):
                        return int(published["PublicPort"])
        raise UsageError(f"No service of the stack publishes its port {port}.")

    def get_wrapped_container(self) -> Any:
        """core's container, as a docker SDK object."""
        with self._here():
            return sdk_container(self._containers("core")[0]["Id"])

    def get_logs(self) -> tuple[bytes, bytes]:
        """core's log, with stdout and stderr combined."""
        return self.logs("core", 10_000).encode(), b""

    def reload(self) -> None:
        """Does nothing: no state is cached that could be stale."""

    @property
    def status(self) -> str:
        """The engine's status for core's container."""
        return str(self.services["core"].status)

    # Internals.

    @contextmanager
    def _here(self) -> Iterator[None]:
        """For anything that asks the engine: it is the stack's own, errors are explained, the environment is kept."""
        with explained(), environment_kept():
            if self._engine and self._engine != engine_address():
                os.environ["DOCKER_HOST"] = self._engine
            yield

    @contextmanager
    def _working(self) -> Iterator[Claim]:
        with self._here():
            if self._claim is None or self._site is None:
                raise _not_started()
            yield self._claim

    def _dump_tables(self) -> None:
        if self._claim is not None and self._claim.record.snapshot:
            snapshots.before_tables_change(self._world, _dump(self._claim))

    @property
    def _world(self) -> World:
        site = self.site
        if self._observing is None:
            self._observing = world_of(site)
        return self._observing

    def _all_containers(self) -> list[dict[str, Any]]:
        from graasp_local.engine.containers.of_project import containers_of

        return containers_of(self.site.settings.project)

    def _all_containers_or_none(self) -> list[dict[str, Any]]:
        try:
            return self._all_containers()
        except GraaspLocalError:
            return []

    def _containers(self, service: str) -> list[dict[str, Any]]:
        ours = [c for c in self._all_containers() if c["Labels"].get(_SERVICE) == service]
        return [c for c in ours if c["Labels"].get(ONE_OFF_LABEL) != "True"]  # not a newer server that is being filled

    def _refuse_unknown(self, service: str) -> None:
        refuse_names("service", [service], [definition.name for definition in self.site.services])


class _Unwatched:
    """The stack during `reset`: its `deploy` dumps nothing first."""

    def __init__(self, stack: GraaspStack) -> None:
        self._stack = stack

    @property
    def state(self) -> str:
        return self._stack.state

    def apply(self, state: str) -> Operation:
        return self._stack.apply(state)

    def deploy(self, version: str, *, hold: bool = False) -> Operation:
        with self._stack._working():
            request = Deploy(version, no_backup=True, strategy=Strategy.CLOSED, hold=hold)
            return carry_out(self._stack.site, request)


_SERVICE = "com.docker.compose.service"


def _stamps(site: Site) -> tuple[tuple[int, int], ...]:
    """Changes whenever a file that says what the site is made of is written."""
    files = [path.stat() for path in (site.env_file, site.override_file) if path.exists()]
    return tuple((file.st_mtime_ns, file.st_ino) for file in files)


def _not_started() -> UsageError:
    return UsageError("The stack is not started.", "", "Call start(), or use it in a `with` block.")


def _dump(claim: Claim) -> Path:
    """The dump of Graasp's database as it was at the snapshot; exists once a deployment followed the snapshot."""
    return claim.directory / "graasp.dump"


def _published(container: Mapping[str, Any]) -> bool:
    return any(port.get("PublicPort") for port in container["Ports"])


def _state(text: str) -> InfraState:
    return _choice(InfraState, str(text), "state")


def _source(text: str) -> Source:
    return _choice(Source, text, "source of images")


Chosen = TypeVar("Chosen", bound=StrEnum)


def _choice(kind: type[Chosen], text: str, what: str) -> Chosen:
    """Raises UsageError for a word that is not one of `kind`."""
    try:
        return kind(text)
    except ValueError:
        raise UsageError(
            f"{text!r} is not a {what}.", "Nothing was started.", f"Use one of {listed(tuple(map(str, kind)))}."
        ) from None


def _with_a_version(recipe: Recipe) -> Recipe:
    """The recipe with the newest version on the engine, unless it names one. Raises UsageError if there is none."""
    if recipe.version:
        return recipe
    repository, releases = _releases_here(recipe)
    if not releases:
        raise UsageError(
            f"No version of {repository} is on the engine, and none was named.",
            "Nothing was started.",
            "Name one with with_version, or build the demo images: scripts/build-demo-images in a checkout.",
        )
    return replace(recipe, version=str(releases[-1]))


def _releases_here(recipe: Recipe) -> tuple[str, tuple[Version, ...]]:
    """The repository of the recipe, and the releases of it on the engine."""
    from graasp_local.engine.images.versions import DEFAULT_REPOSITORY, releases_here

    demo = DEMO_SETTINGS["GRAASP_REPOSITORY"] if recipe.source is Source.DEMO else ""
    repository = recipe.repository or demo or DEFAULT_REPOSITORY
    return repository, releases_here(repository)


def _in_terms_of_a_stack(error: GraaspLocalError, recipe: Recipe, version: Version) -> GraaspLocalError:
    """A refusal of the first deployment, with what to do about it in a test, which has no site to inspect."""
    way = error.next_step
    if isinstance(error, ConfigurationError):
        way = "Correct what with_override and with_env were given."
    elif "Not available" in error.what:
        repository, releases = _releases_here(recipe)
        there = listed(tuple(map(str, releases)))
        if version not in releases:
            way = f"The engine has no version of {repository}. Pull or build the images."
            if there:
                way = f"The engine has {there} of {repository}. Use one of these, or pull or build the images."
    return type(error)(error.what, "Nothing was started.", way)


def _override(recipe: Recipe, labels: Mapping[str, str]) -> dict[str, Any]:
    base = stack_directory() / "compose"
    files = read_override(base / "compose.yaml")
    demo = read_override(base / "demo.override.yaml")
    names = tuple(files["networks"])
    networks = dict(zip(names, free_subnets(len(names)) or [""] * len(names), strict=True))
    return override_of(recipe, demo, labels, files["services"], files["volumes"], networks)


def _usual_profiles(source: Source) -> tuple[str, ...]:
    usual = {} if source is Source.DEMO else REAL_SETTINGS
    return tuple(filter(None, usual.get("COMPOSE_PROFILES", "").split(",")))


def _free_port(image: str, labels: Mapping[str, str]) -> int:
    """A free port for nginx. Raises Refused if there is none."""
    if is_on_this_machine():
        return ports.free_port()
    # Only the engine knows. If it has no image to try with, a port that is free here is as good as any other.
    return (free_port([image], labels) if image else None) or ports.free_port()


def _refuse_network(name: str) -> None:
    """Raises UsageError for a network that the engine does not have, or that another stack has joined.

    Both cores would have the same name there, so that each nginx could reach the wrong one.
    """
    if not name:
        return
    labels = network_labels(name)
    if labels is None:
        raise UsageError(
            f"The engine has no network {name}.", "Nothing was started.", "Enter the network's `with` block first."
        )
    if any(CLAIM_LABEL in label for label in labels):
        raise UsageError(
            f"Another stack is in the network {name}.",
            "Nothing was started: each stack could reach the other's core instead of its own.",
            "Give each stack a network of its own.",
        )


def _make_room(directory: Path, claims: Claims) -> None:
    """Remove the site that an earlier stack left in this directory. Raises ConfigurationError for any other site."""
    from dotenv import dotenv_values

    site = Site(directory)
    if not site.env_file.exists():
        return
    project = dotenv_values(site.env_file).get("COMPOSE_PROJECT_NAME") or ""
    ours = project.startswith(PROJECT_PREFIX) and CLAIM_LABEL in site.override_file.read_text()
    if not ours or claims.directory_of(project).exists():
        raise ConfigurationError(
            f"{directory} is already a site{', of a stack that is running' if ours else ''}.",
            "It was not changed, and nothing was started.",
            "Pass a directory that is not a site, or one that does not exist.",
        )
    for left in (site.env_file, site.old_env_file, site.override_file):
        left.unlink(missing_ok=True)
    for left in (site.own_directory, site.journal_directory, directory / "backups"):
        shutil.rmtree(left, ignore_errors=True)
