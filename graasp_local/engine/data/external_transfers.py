"""The site's data through the engine where the database is external. Implements graasp_local.ports.data.Transfers.

The tools run in a helper container, which connects to the server as graasp-local does, at the same address. Everything
else is as on any other site.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

from graasp_local.engine.containers.temporary import labels_for, reap_orphans
from graasp_local.engine.data.streams import entries_of, fed_with, output_of, variables_by_name
from graasp_local.engine.data.transfers import DockerTransfers, helper_name
from graasp_local.engine.reach.client import engine_errors
from graasp_local.engine.site.docker_engine import DockerEngine
from graasp_local.ports.data import DUMP_APPLICATION, LOCK_SECONDS, OWN_SESSION, Loader
from graasp_local.settings.parse import ExternalServer
from graasp_local.site import prepare
from graasp_local.site.site import Site
from graasp_local.stack.external import CA_FILE

_CA_INSIDE = "/run/database-ca"

# The list of entries comes first on stdin, in a known number of bytes; `dd` reads those, and none of the dump after
# them.
_WITH_LIST = (
    'bytes=$0; umask 077; list=$(mktemp); dd bs=1 count="$bytes" of="$list" 2>/dev/null; exec "$@" --use-list="$list"'
)


class ExternalTransfers(DockerTransfers):
    """The transfers of one site. `address` says where graasp-local itself is connected."""

    def __init__(
        self,
        site: Site,
        engine: DockerEngine,
        narrate: Callable[[str], None],
        server: ExternalServer,
        address: Callable[[], str],
    ) -> None:
        super().__init__(site, engine, narrate)
        self._server = server
        self._address = address

    def dump(self, database: str, snapshot: str) -> Iterator[bytes]:
        tool = ["pg_dump", "--format=custom", f"--snapshot={snapshot}"]
        tool += [f"--lock-wait-timeout={LOCK_SECONDS}s", database]
        environment = self._connecting(self._server.user, self._server.password)
        name = helper_name()
        with self._taken_away(name):
            yield from output_of(self._tool(tool, environment, name), f"The dump of {database}", environment)

    def contents(self, pieces: Iterable[bytes]) -> tuple[str, ...]:
        return entries_of(self._helper(["pg_restore", "--list"]), pieces)

    def load(self, database: str, loader: Loader, entries: Sequence[str], pieces: Iterable[bytes]) -> Iterator[int]:
        listing = "\n".join([*entries, ""]).encode()
        tool = ["pg_restore", f"--role={loader.owner}", "--no-owner", "--exit-on-error"]
        tool += ["--single-transaction", f"--dbname={database}"]
        environment = self._connecting(loader.role, loader.password)
        self._narrate(shlex.join([*tool[:1], f"--host={self._server.host}", f"--username={loader.role}", *tool[1:]]))
        words = ["sh", "-c", _WITH_LIST, str(len(listing)), *tool]
        name = helper_name()

        def given() -> Iterator[bytes]:
            yield listing
            yield from pieces

        with self._taken_away(name):
            fed = fed_with(self._tool(words, environment, name), "pg_restore", given(), environment)
            ahead = len(listing)
            for count in fed:
                of_list = min(ahead, count)
                ahead -= of_list
                yield count - of_list

    def read_dump(self, pieces: Iterable[bytes]) -> Iterator[int]:
        yield from self._helper_fed(["pg_restore", "--file=/dev/null"], "Reading the dump", pieces)

    def _tool(self, words: Sequence[str], environment: dict[str, str], name: str) -> list[str]:
        """The command of a tool that connects to the server."""
        prepare.prepare(self._site)
        with engine_errors():
            reap_orphans(self._engine.client)
        program, *arguments = words
        command = [
            *self._docker(),
            "run",
            "--rm",
            "--interactive",
            "--log-driver=none",
            "--pull=never",
            f"--name={name}",
        ]
        command += [f"--label={key}={value}" for key, value in labels_for("backup").items()]
        command += variables_by_name(environment)
        if self._server.ca:
            command += ["--volume", f"{self._site.secrets_directory / CA_FILE}:{_CA_INSIDE}:ro"]
        return [*command, f"--entrypoint={program}", self._database_image, *arguments]

    def _connecting(self, user: str, password: str) -> dict[str, str]:
        server = self._server
        return {
            "PGHOST": server.host,
            # Only this one server knows the snapshot that is dumped, and its name may have several addresses.
            "PGHOSTADDR": self._address(),
            "PGPORT": str(server.port),
            "PGUSER": user,
            "PGPASSWORD": password,
            "PGSSLMODE": server.ssl_mode,
            **({"PGSSLROOTCERT": _CA_INSIDE} if server.ca else {}),
            "PGAPPNAME": DUMP_APPLICATION,
            "PGOPTIONS": OWN_SESSION,
        }

    @cached_property
    def _database_image(self) -> str:
        return self._engine.image_or_stand_in("db", self._site.tools_image)
