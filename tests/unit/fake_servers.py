"""Database servers in memory: the old one, and a newer one that does what it is told or fails where a test says so."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from graasp_local.planning.fingerprint import DatabaseFingerprint, ServerFingerprint
from graasp_local.planning.server import DatabaseServer, major_of_image
from graasp_local.planning.states import Health
from graasp_local.ports.data import Loader
from graasp_local.ports.images import ImageFact
from graasp_local.ports.servers import Servers
from tests.unit.fake_data import FakeDatabases


@dataclass
class FakeToolRun:
    """Has ended at the first look, unless it hangs (None)."""

    code: int | None = 0
    said: str = "pg_restore: error: out of luck"
    killed: bool = False

    def exit_code(self) -> int | None:
        return self.code

    def bytes_done(self) -> int:
        return 1_000_000

    def complaint(self) -> str:
        return self.said

    def kill(self) -> None:
        self.killed = True


@dataclass
class FakeServers:
    """`majors` has every volume with the major of its files; `failing` names calls, and what they end with."""

    selected: Callable[[], DatabaseServer]
    calls: list[str] = field(default_factory=list)
    image: str = "postgres:15.8"
    majors: dict[str, int | None] = field(default_factory=dict)
    image_majors: dict[str, int] = field(default_factory=dict)
    fact: ImageFact | None = None
    layout: tuple[str, ...] = ()
    health: Health | None = None
    starts_as: Health | None = Health.HEALTHY
    runs: dict[str, FakeToolRun] = field(default_factory=dict)
    failing: dict[str, Exception] = field(default_factory=dict)

    def _call(self, *words: str) -> None:
        self.calls.append(" ".join(words))
        if words[0] in self.failing:
            raise self.failing[words[0]]

    def data_major(self) -> int | None:
        return self.majors.get(self.selected().volume)

    def image_major(self, image: str) -> int | None:
        return self.image_majors.get(image, major_of_image(image))

    def running_image(self) -> str | None:
        return self.image

    def image_fact(self, image: str) -> ImageFact:
        return self.fact or ImageFact("db", image, local=True, platforms=("linux/amd64",))

    def layout_problems(self, target: DatabaseServer) -> tuple[str, ...]:
        return self.layout

    def volumes(self) -> Mapping[str, int | None]:
        return self.majors

    def remove_volume(self, volume: str) -> None:
        self._call("remove-volume", volume)
        del self.majors[volume]

    def start_new(self, server: DatabaseServer) -> None:
        self._call("start-new", server.image, server.volume)
        self.majors[server.volume] = self.image_major(server.image)
        self.health = self.starts_as

    def new_health(self) -> Health | None:
        return self.health

    def new_log(self) -> tuple[str, ...]:
        return ("FATAL: last words",)

    def stop_new(self) -> None:
        self._call("stop-new")
        self.health = None

    def discard_new(self, server: DatabaseServer) -> None:
        if server.volume == self.selected().volume:
            raise ValueError(server.volume)
        self._call("discard-new", server.volume)
        self.health = None
        self.majors.pop(server.volume, None)

    def dump(self, database: str | None, file: Path) -> FakeToolRun:
        self._call("dump", database or "roles")
        file.write_text("a dump")
        return self._run("dump")

    def contents(self, file: Path) -> tuple[str, ...]:
        return ("219; 1259 16603 TABLE public item graasp",)

    def restore_roles(self, file: Path) -> FakeToolRun:
        self._call("restore", "roles")
        return self._run("restore")

    def restore(self, database: str, file: Path, entries: Sequence[str], loader: Loader | None) -> FakeToolRun:
        self._call("restore", database)
        return self._run("restore")

    def learn_statistics(self) -> FakeToolRun:
        self._call("analyze")
        return self._run("analyze")

    def _run(self, name: str) -> FakeToolRun:
        return self.runs.get(name, FakeToolRun())


def contents(rows: int = 100) -> ServerFingerprint:
    """A server with one database, as its fingerprint."""
    facts = {"content of public.item": f"{rows} row(s), checksum {rows * 7}", "table public.item": "owner graasp"}
    return ServerFingerprint({"graasp": "login"}, {"graasp": DatabaseFingerprint(facts, {"ltree": "1.2"}, 1, rows)})


@dataclass
class FakeContents:
    """What is in one server."""

    holds: ServerFingerprint = field(default_factory=contents)
    databases: dict[str, int] = field(default_factory=lambda: {"graasp": 10_000_000, "umami": 5_000_000})
    found: tuple[str, ...] = ()
    stays: tuple[str, ...] = ()
    used: dict[str, tuple[str, ...]] = field(default_factory=lambda: {"ltree": ("graasp",)})
    available: frozenset[str] = frozenset({"ltree", "citext"})

    def sizes(self) -> Mapping[str, int]:
        return self.databases

    def left_behind(self) -> tuple[str, ...]:
        return self.stays

    def problems(self) -> tuple[str, ...]:
        return self.found

    def extensions_in_use(self) -> Mapping[str, Sequence[str]]:
        return self.used

    def extensions_available(self) -> frozenset[str]:
        return self.available

    def make_empty(self) -> None: ...

    def roles(self) -> Mapping[str, bool]:
        return {"graasp": False, "umami": False, "postgres": True}

    def fingerprint(self) -> ServerFingerprint:
        return self.holds


def fake_servers(selected: Callable[[], DatabaseServer], calls: list[str]) -> Servers:
    """An old server with files of the major of the image that is selected, and a newer one."""
    server = selected()
    return Servers(
        FakeServers(selected, calls, server.image, {server.volume: major_of_image(server.image)}),
        FakeContents(),
        FakeContents(),
        FakeDatabases(),
    )
