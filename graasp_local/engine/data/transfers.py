"""The site's data through the engine. Implements graasp_local.ports.data.Transfers.

The tools are those of the database's own image, so that they match the server. A dump runs inside the database's
container; files are read and written by a helper container of the same image that has only the volume.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property
from typing import Any

from graasp_local.engine.compose import leftovers
from graasp_local.engine.containers.of_project import PROJECT_LABEL
from graasp_local.engine.containers.services import ONE_OFF_LABEL
from graasp_local.engine.containers.temporary import labels_for, reap_orphans
from graasp_local.engine.data import volume_files
from graasp_local.engine.data.streams import (
    answer_of,
    entries_of,
    fed_with,
    output_of,
    pass_on_entries,
    run_to_end,
    variables_by_name,
)
from graasp_local.engine.reach.client import engine_errors
from graasp_local.engine.site.docker_engine import DockerEngine
from graasp_local.errors import NeedsYou
from graasp_local.planning.states import ServiceGroup
from graasp_local.ports.data import DUMP_APPLICATION, LOCK_SECONDS, OWN_SESSION, Loader
from graasp_local.site import prepare
from graasp_local.site.site import Site
from graasp_local.stack.services import GROUP_LABEL, read_backup_contents, read_backup_volumes
from graasp_local.version import Version

_VOLUME_LABEL = "com.docker.compose.volume"
_CHANGED_MEANWHILE = ("file changed as we read it", "File removed before we read it", "file shrank", "socket ignored")


class DockerTransfers:
    """The transfers of one site. `narrate` receives each command that changes something, before it runs."""

    def __init__(self, site: Site, engine: DockerEngine, narrate: Callable[[str], None]) -> None:
        self._site = site
        self._engine = engine
        self._narrate = narrate

    def dump(self, database: str, snapshot: str) -> Iterator[bytes]:
        tool = ["pg_dump", "--username=postgres", "--format=custom", f"--snapshot={snapshot}"]
        tool += [f"--lock-wait-timeout={LOCK_SECONDS}s", database]
        environment = self._for_postgres
        yield from output_of(self._in_database(tool, environment), f"The dump of {database}", environment)

    def contents(self, pieces: Iterable[bytes]) -> tuple[str, ...]:
        return entries_of(self._in_database(["pg_restore", "--list"], {}), pieces)

    def load(self, database: str, loader: Loader, entries: Sequence[str], pieces: Iterable[bytes]) -> Iterator[int]:
        listed = f"/tmp/{helper_name()}"  # noqa: S108 - inside the container, and new
        pass_on_entries(self._in_database(["sh", "-c", 'umask 077; set -C; cat > "$0"', listed], {}), entries)
        tool = ["pg_restore", f"--username={loader.role}", f"--role={loader.owner}", "--no-owner", "--exit-on-error"]
        tool += ["--single-transaction", f"--use-list={listed}", f"--dbname={database}"]
        environment = {"PGAPPNAME": DUMP_APPLICATION, "PGPASSWORD": loader.password, "PGOPTIONS": OWN_SESSION}
        self._narrate(shlex.join(["graasp-local", "compose", "--", "exec", "-T", self._database_service, *tool]))
        script = 'list=$0; "$@"; code=$?; rm -f "$list"; exit $code'
        words = ["sh", "-c", script, listed, *tool]
        yield from fed_with(self._in_database(words, environment), "pg_restore", pieces, environment)

    def read_dump(self, pieces: Iterable[bytes]) -> Iterator[int]:
        tool = ["pg_restore", "--file=/dev/null"]
        if self._database_container() is not None:
            yield from fed_with(self._in_database(tool, {}), "Reading the dump", pieces)
        else:
            yield from self._helper_fed(tool, "Reading the dump", pieces)

    def volumes(self) -> tuple[str, ...]:
        wanted = read_backup_volumes(self._site.compose_files)
        return tuple(name for name in wanted if self._exists(name))

    def volume_bytes(self, volume: str) -> int:
        words = _script(volume_files.MEASURE, *self._content_of(volume))
        told = answer_of(self._helper(words, volume), f"Measuring the volume {volume}")
        return int(told.split()[0]) * 1024

    def pack(self, volume: str, without: Sequence[str] = ()) -> Iterator[bytes]:
        words = _script(volume_files.pack(without), *self._content_of(volume))
        name = helper_name()
        command = self._helper(words, volume, name=name)
        with self._taken_away(name):
            yield from output_of(command, f"Packing the volume {volume}", well=_packed_well)

    def unpack(self, volume: str, number: str, pieces: Iterable[bytes]) -> Iterator[int]:
        self._make_volume(volume)
        words = _script(volume_files.UNPACK, number)
        yield from self._helper_fed(words, f"Unpacking into the volume {volume}", pieces, volume)

    def files_are_swapped(self, volume: str, number: str) -> bool:
        if not self._exists(volume):
            return False
        command = self._helper(_script(volume_files.IS_SWAPPED, number), volume)
        return answer_of(command, f"Reading the files of the volume {volume}") == "yes"

    def swap_files_in(self, volume: str, number: str) -> None:
        self._run_script(volume_files.SWAP_IN, volume, number)

    def swap_files_out(self, volume: str, number: str) -> None:
        if self._exists(volume):
            self._run_script(volume_files.SWAP_OUT, volume, number)

    def drop_kept_files(self, volume: str, but: Sequence[str]) -> None:
        if self._exists(volume):
            self._run_script(volume_files.DROP_KEPT, volume, *but)

    def _content_of(self, volume: str) -> tuple[str, ...]:
        return read_backup_contents(self._site.compose_files).get(volume, ())

    def _run_script(self, script: str, volume: str, *numbers: str) -> None:
        command = self._helper(_script(script, *numbers), volume)
        run_to_end(command, f"Changing the files of the volume {volume}")

    def _in_database(self, tool: list[str], environment: dict[str, str]) -> list[str]:
        container = self._database_container()
        if container is None:
            raise NeedsYou(
                "The database is off.",
                "Its content cannot be read.",
                "Start it with `graasp-local apply db-only` or `graasp-local apply running`.",
            )
        variables = variables_by_name(environment)
        return [*self._docker(), "exec", "--interactive", *variables, container["Id"], *tool]

    def _docker(self) -> list[str]:
        os.environ[leftovers.MARK] = str(self._site.directory)
        return ["docker"]

    def _helper(self, words: list[str], volume: str = "", name: str = "") -> list[str]:
        with engine_errors():
            reap_orphans(self._engine.client)
        program, *arguments = words
        # The engine must not log the output: it is as large as the data.
        command = [
            *self._docker(),
            "run",
            "--rm",
            "--interactive",
            "--network=none",
            "--log-driver=none",
            "--pull=never",
        ]
        command += [f"--label={key}={value}" for key, value in labels_for("backup").items()]
        command += ["--name", name] if name else []
        command += ["--volume", f"{self._volume_name(volume)}:{volume_files.MOUNT}"] if volume else []
        return [*command, "--user=0:0", f"--entrypoint={program}", self._database_image, *arguments]

    def _helper_fed(self, words: list[str], what: str, pieces: Iterable[bytes], volume: str = "") -> Iterator[int]:
        name = helper_name()
        with self._taken_away(name):
            yield from fed_with(self._helper(words, volume, name), what, pieces)

    def _taken_away(self, name: str) -> _TakenAway:
        return _TakenAway(self._engine, name)

    def _database_container(self) -> dict[str, Any] | None:
        return next(
            (
                container
                for container in self._engine.containers()
                if container["Labels"].get(GROUP_LABEL) == ServiceGroup.DATABASE
                and container["Labels"].get(ONE_OFF_LABEL) != "True"
                and container["State"] == "running"
            ),
            None,
        )

    @property
    def _for_postgres(self) -> dict[str, str]:
        return {
            "PGAPPNAME": DUMP_APPLICATION,
            "PGPASSWORD": self._site.settings.postgres_password,
            "PGOPTIONS": OWN_SESSION,
        }

    @cached_property
    def _database_service(self) -> str:
        return next(service.name for service in self._site.services if service.group is ServiceGroup.DATABASE)

    @cached_property
    def _config(self) -> dict[str, Any]:
        # The version does not matter here, but Compose needs one.
        prepare.prepare(self._site)
        return self._engine.compose.config(self._site.selected_version or Version(0, 0, 0))

    @cached_property
    def _database_image(self) -> str:
        service = self._database_service
        return self._engine.image_or_stand_in(service, str(self._config["services"][service]["image"]))

    def _volume_name(self, volume: str) -> str:
        return str(self._config["volumes"][volume]["name"])

    def _exists(self, volume: str) -> bool:
        from docker.errors import NotFound

        with engine_errors():
            try:
                self._engine.client.api.inspect_volume(self._volume_name(volume))
            except NotFound:
                return False
        return True

    def _make_volume(self, volume: str) -> None:
        """With Compose's labels, so that Compose treats the volume as its own afterwards."""
        labels = {PROJECT_LABEL: self._site.settings.project, _VOLUME_LABEL: volume}
        if not self._exists(volume):
            with engine_errors():
                self._engine.client.api.create_volume(self._volume_name(volume), labels=labels)


class _TakenAway:
    """Removes a helper container when its stream is abandoned: otherwise it would keep working."""

    def __init__(self, engine: DockerEngine, name: str) -> None:
        self._engine = engine
        self._name = name

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: object, *_: object) -> None:
        from docker.errors import APIError

        if kind is None:
            return  # it has ended, and the engine removes it
        # Already gone, or the engine is: nothing more can be done.
        with contextlib.suppress(APIError, OSError):
            self._engine.client.api.remove_container(self._name, force=True)


def helper_name() -> str:
    """A new name for a helper container, by which it can be removed."""
    return f"graasp-local-{uuid.uuid4().hex[:12]}"


def _script(script: str, *arguments: str) -> list[str]:
    return ["sh", "-c", script, "sh", *arguments]


def _packed_well(code: int, said: str) -> bool:
    """tar ends with 1 if a file changed while it was read: with a running site that is not a failure."""
    lines = [line for line in said.splitlines() if line.strip() and "exit delayed" not in line]
    return code == 0 or (code == 1 and all(any(words in line for words in _CHANGED_MEANWHILE) for line in lines))
