"""Containers and volumes of database servers. Implements graasp_local.ports.servers.ServerContainers.

The newer server is a one-off container of the same service, so it has the settings, limits and networks that the site
gives to its database; only image and volume differ. Refuses to remove the selected volume.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from graasp_local.engine.containers.inside import text_of_file
from graasp_local.engine.containers.of_project import PROJECT_LABEL
from graasp_local.engine.containers.services import DIRECTORY_LABEL, ONE_OFF_LABEL, SERVICE_LABEL
from graasp_local.engine.containers.temporary import temporary_container
from graasp_local.engine.data.streams import entries_of, pass_on_entries, variables_by_name
from graasp_local.engine.data.tool_run import DockerToolRun
from graasp_local.engine.images import facts
from graasp_local.engine.reach.client import engine_errors
from graasp_local.engine.reach.tunnel import postgres_address
from graasp_local.engine.site.docker_engine import DockerEngine
from graasp_local.errors import NeedsYou
from graasp_local.files import chunks_of
from graasp_local.planning.server import FIRST_VOLUME, DatabaseServer, first_volume, major_of_image
from graasp_local.planning.states import Health
from graasp_local.ports.data import EMPTY, OWN_SESSION, Loader
from graasp_local.ports.images import ImageFact
from graasp_local.site import prepare
from graasp_local.site.site import Site

NEW_SERVER_LABEL = "org.graasp.new-server"
DATA_DIRECTORY = "/var/lib/postgresql/data"
_STOP_SECONDS = 60
_LOG_LINES = 12

# The password is taken from the container's own environment, so it is on no command line on either side.
_AS_SUPERUSER = 'export PGPASSWORD="${POSTGRES_PASSWORD:-$(cat "$POSTGRES_PASSWORD_FILE")}" PGUSER=postgres; '
_DUMP = _AS_SUPERUSER + 'exec pg_dump --host="$0" --format=custom --compress=1 --lock-wait-timeout=30000 "$1"'
_DUMP_ROLES = _AS_SUPERUSER + 'exec pg_dumpall --host="$0" --roles-only'
_RESTORE = 'list=$0; "$@"; code=$?; rm -f "$list"; exit $code'
_RESTORE_ROLES = (
    "sed '/^CREATE ROLE postgres;$/d' | exec psql --username=postgres --no-psqlrc --quiet --set=ON_ERROR_STOP=1"
)
_ANALYZE = "exec vacuumdb --username=postgres --all --analyze-only --quiet"
_LOADING_OPTIONS = f"{OWN_SESSION} -c maintenance_work_mem=128MB"


class DockerServers:
    """The servers of one site. Uses the operation's own engine and Compose."""

    def __init__(self, site: Site, engine: DockerEngine) -> None:
        self._site = site
        self._engine = engine

    def data_major(self) -> int | None:
        return self._major_on(self._site.database_server.volume)

    def image_major(self, image: str) -> int | None:
        from docker.errors import ImageNotFound

        with engine_errors():
            try:
                found = self._engine.client.api.inspect_image(image)  # type: ignore[no-untyped-call]
            except ImageNotFound:
                return major_of_image(image)
        variables = dict(entry.partition("=")[::2] for entry in found["Config"].get("Env") or [])
        said = str(variables.get("PG_MAJOR", ""))
        return int(said) if said.isdecimal() else major_of_image(image)

    def running_image(self) -> str | None:
        container = self._service_container()
        if container is None:
            return None
        with engine_errors():
            # The container list has an id here if the tag has since moved to another image.
            return str(self._engine.client.api.inspect_container(container["Id"])["Config"]["Image"])

    def image_fact(self, image: str) -> ImageFact:
        with engine_errors():
            return facts.image_fact(self._engine.client, self._service, image)

    def layout_problems(self, target: DatabaseServer) -> tuple[str, ...]:
        prepare.prepare(self._site)
        return layout_problems(self._engine.compose.config(target), self._service, target)

    def volumes(self) -> Mapping[str, int | None]:
        first = first_volume(self._site.settings.project)
        with engine_errors():
            filters = {"label": f"{PROJECT_LABEL}={self._site.settings.project}"}
            found = self._engine.client.api.volumes(filters=filters)["Volumes"] or []
        names = sorted(volume["Name"] for volume in found)
        return {name: self._major_on(name) for name in names if name == first or name.startswith(f"{first}-")}

    def remove_volume(self, volume: str) -> None:
        from docker.errors import APIError, NotFound

        if volume == self._site.database_server.volume:
            raise ValueError(f"{volume} is the volume in use")
        with engine_errors():
            try:
                self._engine.client.api.remove_volume(volume)
            except NotFound:
                pass
            except APIError as error:
                raise NeedsYou(f"The volume {volume} cannot be removed: {error.explanation}.") from error

    def start_new(self, server: DatabaseServer) -> None:
        self.discard_new(server)
        prepare.prepare(self._site)
        labels = {NEW_SERVER_LABEL: server.volume}
        self._engine.compose.run_detached(self._service, server, labels, publish=[("127.0.0.1:", 5432)])

    def new_health(self) -> Health | None:
        container = self._new_container()
        if container is None or container["State"] != "running":
            return None
        with engine_errors():
            state = self._engine.client.api.inspect_container(container["Id"])["State"]
        return Health(state["Health"]["Status"]) if "Health" in state else Health.NONE

    def new_log(self) -> tuple[str, ...]:
        container = self._new_container()
        if container is None:
            return ()
        with engine_errors():
            text = self._engine.client.api.logs(container["Id"], tail=_LOG_LINES, stream=False)
        return tuple(text.decode(errors="replace").splitlines())

    def new_address(self) -> tuple[str, int]:
        """Where the newer server is reachable from here. Raises NeedsYou."""
        container = self._new_container()
        address = postgres_address(container) if container else None
        if address is not None:
            return address
        raise NeedsYou("The newer database server has no port on the loopback address of the engine's machine.")

    def stop_new(self) -> None:
        for container in self._new_containers():
            with engine_errors():
                self._engine.client.api.stop(container["Id"], timeout=_STOP_SECONDS)
                self._engine.client.api.remove_container(container["Id"], v=True)

    def discard_new(self, server: DatabaseServer) -> None:
        if server.volume == self._site.database_server.volume:
            raise ValueError(f"{server.volume} is the volume in use")
        for container in self._new_containers():
            with engine_errors():
                self._engine.client.api.remove_container(container["Id"], v=True, force=True)
        # The service's own container may still be from a switch that was undone.
        used = self._service_container()
        if used is not None and used["State"] != "running" and _mounts(used, server.volume):
            with engine_errors():
                self._engine.client.api.remove_container(used["Id"], v=True)
        self.remove_volume(server.volume)

    def dump(self, database: str | None, file: Path) -> DockerToolRun:
        script = _DUMP_ROLES if database is None else _DUMP
        environment = {"PGOPTIONS": OWN_SESSION}
        words = [self._service, *([] if database is None else [database])]
        command = self._exec(script, *words, environment=environment)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as output:
            return DockerToolRun(command, stdin=None, stdout=output, environment=environment)

    def contents(self, file: Path) -> tuple[str, ...]:
        return entries_of(self._exec("exec pg_restore --list"), chunks_of(file))

    def restore_roles(self, file: Path) -> DockerToolRun:
        with file.open("rb") as source:
            return DockerToolRun(self._exec(_RESTORE_ROLES), stdin=source, stdout=None)

    def restore(self, database: str, file: Path, entries: Sequence[str], loader: Loader | None) -> DockerToolRun:
        listed = f"/tmp/graasp-local-{uuid.uuid4().hex[:12]}"  # noqa: S108 - inside the container, and new
        pass_on_entries(self._exec('umask 077; set -C; cat > "$0"', listed), entries)
        tool = ["pg_restore", "--exit-on-error", f"--use-list={listed}", f"--dbname={database}"]
        if loader is None:
            tool.append("--username=postgres")
        else:
            tool += [f"--username={loader.role}", f"--role={loader.owner}", "--no-owner"]
        environment = {"PGOPTIONS": _LOADING_OPTIONS, **({"PGPASSWORD": loader.password} if loader else {})}
        with file.open("rb") as source:
            command = self._exec(_RESTORE, listed, *tool, environment=environment)
            return DockerToolRun(command, stdin=source, stdout=None, environment=environment)

    def learn_statistics(self) -> DockerToolRun:
        environment = {"PGOPTIONS": OWN_SESSION}
        return DockerToolRun(
            self._exec(_ANALYZE, environment=environment), stdin=None, stdout=None, environment=environment
        )

    @property
    def _service(self) -> str:
        return self._site.database_service.name

    def _exec(self, script: str, *words: str, environment: Mapping[str, str] = EMPTY) -> list[str]:
        container = self._new_container()
        if container is None:
            raise NeedsYou("The newer database server is gone.")
        variables = variables_by_name(environment)
        return ["docker", "exec", "--interactive", *variables, container["Id"], "sh", "-c", script, *words]

    def _new_containers(self) -> list[dict[str, Any]]:
        return [c for c in self._engine.containers() if NEW_SERVER_LABEL in c["Labels"]]

    def _new_container(self) -> dict[str, Any] | None:
        return next(iter(self._new_containers()), None)

    def _service_container(self) -> dict[str, Any] | None:
        return next(
            (
                container
                for container in self._engine.containers()
                if container["Labels"].get(SERVICE_LABEL) == self._service
                and container["Labels"].get(ONE_OFF_LABEL) != "True"
            ),
            None,
        )

    def _major_on(self, volume: str) -> int | None:
        """The Postgres major version on a volume, read from a container that has it, or from a temporary one."""
        from docker.errors import NotFound

        with engine_errors():
            for container in self._engine.containers():
                for destination in _mounts(container, volume):
                    # The engine resolves every mount of the container; those of a moved site no longer exist.
                    if container["Labels"].get(DIRECTORY_LABEL) == str(self._site.directory):
                        return self._major_in(container["Id"], destination)
            try:
                self._engine.client.api.inspect_volume(volume)
            except NotFound:
                return None
            with self._container_with(volume) as made:
                return self._major_in(made, DATA_DIRECTORY) if made else None

    @contextmanager
    def _container_with(self, volume: str) -> Iterator[str | None]:
        """A container that is never started, of any image on this machine: only its mount is needed."""
        client = self._engine.client
        here = client.api.images(quiet=True)
        if not here:
            yield None
            return
        host = client.api.create_host_config(binds=[f"{volume}:{DATA_DIRECTORY}:ro"])
        with temporary_container(client, here[0], "read-major", command=["true"], host_config=host) as container:
            yield container

    def _major_in(self, container: str, directory: str) -> int | None:
        from docker.errors import NotFound

        for path in (f"{directory}/PG_VERSION", f"{directory}/pgdata/PG_VERSION"):
            with suppress(NotFound):
                chunks, _ = self._engine.client.api.get_archive(container, path)
                major = text_of_file(chunks).partition(".")[0]  # before 10 there were two numbers, such as 9.6
                return int(major) if major.isdecimal() else None
        return None


def layout_problems(config: Mapping[str, Any], service: str, target: DatabaseServer) -> tuple[str, ...]:
    """Why these compose files could not replace the old server with `target`, one sentence each. Pure.

    `config` is Compose's rendering of them with `target` selected.
    """
    definition = config["services"][service]
    if definition.get("image") != target.image:
        return (f"compose.override.yaml sets the image of {service}: remove that, and set DB_IMAGE in .env instead.",)
    mounts: list[dict[str, Any]] = definition.get("volumes", [])
    mount = next((m for m in mounts if m.get("target") == DATA_DIRECTORY), {})
    volume = config.get("volumes", {}).get(mount.get("source", ""), {}) if mount.get("type") == "volume" else {}
    if volume.get("name") != target.volume:
        return (
            f"compose.override.yaml gives {service} a volume other than {FIRST_VOLUME}: an upgrade cannot replace it.",
        )
    if volume.get("driver", "local") != "local" or volume.get("driver_opts") or volume.get("external"):
        return (
            (
                f"compose.override.yaml says where {FIRST_VOLUME} is stored: a new volume would be stored in the same "
                "place."
            ),
        )
    return ()


def _mounts(container: Mapping[str, Any], volume: str) -> tuple[str, ...]:
    """The paths at which a container mounts the volume."""
    return tuple(mount["Destination"] for mount in container["Mounts"] if mount.get("Name") == volume)
