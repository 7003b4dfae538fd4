"""A site in memory for the terminal UI: its engine, edge, database and logs. Nothing here sleeps or asks anyone."""

from __future__ import annotations

import json
import math
import queue
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

from msgspec.structs import replace

from graasp_local.clock import Interruption
from graasp_local.errors import ConfigurationError, EngineUnreachable, Refused
from graasp_local.images.pins import Pin
from graasp_local.planning.migrations import AppliedMigration, ImageMigration
from graasp_local.planning.rolling_steps import Side
from graasp_local.planning.states import TABLE, Gate, Health, InfraState, ObservedService, ServiceGroup, Status
from graasp_local.ports.checks import EngineFacts
from graasp_local.ports.database import CollationChange, Obstacle
from graasp_local.ports.gate import CoreAnswer, Prober
from graasp_local.ports.handovers import Memory
from graasp_local.ports.images import ImageFact
from graasp_local.ports.live import (
    AvailableVersion,
    AvailableVersions,
    ContainerDetail,
    HealthAnswer,
    Listing,
    ObservedContainer,
    Usage,
)
from graasp_local.ports.migration import MigrationRun
from graasp_local.ports.observation import ObservedServices
from graasp_local.ports.world import World
from graasp_local.site import prepare
from graasp_local.site.create import init_site
from graasp_local.site.site import Site
from graasp_local.version import Version
from tests.unit.fake_data import FakeDatabases, FakeTransfers
from tests.unit.fake_servers import fake_servers

NOW = 1_767_225_600.0
"""1 January 2026, 00:00 UTC: the fakes' time."""

GROUPS = {
    "db": ServiceGroup.DATABASE,
    "umami": ServiceGroup.ADMINISTRATION,
    "redis": ServiceGroup.GRAASP,
    "core": ServiceGroup.GRAASP,
    "workers": ServiceGroup.GRAASP,
    "nginx": ServiceGroup.EDGE,
}
TAGS = {"db": "postgres:16.11", "umami": "umami:3.0.3", "redis": "redis:7.4", "nginx": "nginx:1.28.0"}
MIGRATIONS = {
    "1.0.0": ("0000_init",),
    "1.1.0": ("0000_init", "0001_item_lang"),
    "1.2.0-fails": ("0000_init", "0001_item_lang", "0002_fails"),
}


@dataclass
class FakeSite:
    """What the fakes share: services, gate, versions, and whether the engine answers."""

    services: dict[str, ObservedService] = field(default_factory=dict)
    gate: Gate = Gate.UNKNOWN
    applied: tuple[str, ...] = ()
    selected: str = "1.0.0"
    reachable: bool = True
    logs: dict[str, list[str]] = field(default_factory=dict)
    done: list[str] = field(default_factory=list)
    snapshots: dict[str, tuple[str, ...]] = field(default_factory=dict)
    streams: list[FakeStream] = field(default_factory=list)
    healthy: threading.Event = field(default_factory=threading.Event)
    """While it is not set, what was started is not healthy yet."""
    in_flight: int = 0
    to_come: int | None = None
    """Requests that are being worked on."""
    asked_of_logs: list[tuple[str, int, float | None]] = field(default_factory=list)
    held: threading.Event = field(default_factory=threading.Event)
    """While it is not set, a migration runs and does not end."""
    on_start: Callable[[], object] = lambda: None
    """Called whenever services are started."""

    def __post_init__(self) -> None:
        self.held.set()
        self.healthy.set()
        for name, group in GROUPS.items():
            self.services.setdefault(name, ObservedService(name, group, Status.ABSENT))

    def put_into(self, state: InfraState, version: str = "1.0.0") -> FakeSite:
        """As if the site had been brought into this state."""
        row = TABLE[state]
        for service in self.services.values():
            self.turn(service.name, on=service.group in row.groups_on, version=version)
        self.gate, self.selected, self.applied = row.gate, version, MIGRATIONS[version]
        return self

    def turn(self, name: str, *, on: bool, version: str = "") -> None:
        service = self.services[name]
        carries = version if name in ("core", "workers") else ""
        image = f"graasp:{name}-v{version or self.selected}" if name in ("core", "workers") else TAGS.get(name, "own:1")
        status, health = (Status.RUNNING, Health.HEALTHY) if on else (Status.EXITED, Health.NONE)
        self.services[name] = replace(
            service, status=status, health=health, version=carries or service.version, image=image
        )

    def changed(self) -> None:
        """What the engine would say after something has happened."""
        for stream in self.streams:
            stream.put("start")

    def answer(self) -> None:
        if not self.reachable:
            raise EngineUnreachable(
                "No Docker engine answers at the default socket (no such file).",
                "The state of the site is unknown, and nothing was changed.",
                "Start the engine (systemctl start docker), or set DOCKER_HOST.",
            )


def readings(site: FakeSite, rounds: int) -> Iterator[dict[str, Usage]]:
    """Rounds of readings five seconds apart, with a use that goes up and down."""
    busy = (0.02, 0.05, 0.04, 0.11, 0.07, 0.03, 0.26, 0.14)
    spent = dict.fromkeys(site.services, 0.0)
    for number in range(rounds):
        for place, name in enumerate(spent):
            spent[name] += busy[(number + 3 * place) % len(busy)] * (1 + place % 3)
        on = {name: seconds for name, seconds in spent.items() if site.services[name].status is Status.RUNNING}
        yield {
            name: Usage(seconds, 23_000_000 * len(name) + 400_000 * (number % 5), number * 5.0)
            for name, seconds in on.items()
        }


class FakeStream:
    """Words until it is closed."""

    def __init__(self) -> None:
        self._words: queue.Queue[str | None] = queue.Queue()

    def put(self, word: str) -> None:
        self._words.put(word)

    def __iter__(self) -> Iterator[str]:
        while (word := self._words.get()) is not None:
            yield word

    def close(self) -> None:
        self._words.put(None)


class FakeLog:
    """A log that has been written already, and then stays open."""

    def __init__(self, chunks: Sequence[bytes]) -> None:
        self._chunks = chunks
        self._closed = threading.Event()

    def __iter__(self) -> Iterator[bytes]:
        for chunk in self._chunks:
            if self._closed.is_set():
                return
            yield chunk
        self._closed.wait()

    def close(self) -> None:
        self._closed.set()


class FakeLive:
    """The engine as screens see it."""

    def __init__(self, site: FakeSite) -> None:
        self._site = site

    def listing(self) -> Listing:
        self._site.answer()
        seen = tuple(self._site.services.values())
        present = [service for service in seen if service.status is not Status.ABSENT]
        containers = tuple(
            ObservedContainer(f"id-{s.name}", s.name, NOW - 7500 if s.status is Status.RUNNING else None, 0)
            for s in present
        )
        return Listing(ObservedServices(seen, ()), containers)

    def changes(self) -> FakeStream:
        self._site.answer()
        stream = FakeStream()
        self._site.streams.append(stream)
        return stream

    def usage(self, container: str) -> Usage | None:
        """None, so that when it is read makes no difference to a picture: tests tell the app what `readings` makes."""
        return None

    def detail(self, container: str) -> ContainerDetail | None:
        name = container.removeprefix("id-")
        service = self._site.services[name]
        said = "connect ECONNREFUSED 127.0.0.1:3000" if not service.is_on else "ok"
        return ContainerDetail(
            service=name,
            image=service.image,
            digest="sha256:3f1c0d5e8a7b",
            status=service.status.value,
            health=service.health.value,
            started_at=NOW if service.health is Health.STARTING else NOW - 7500,
            restarts=0,
            failing_streak=0 if service.is_on else 3,
            retries=40,
            start_seconds=300.0,
            answers=(HealthAnswer(0 if service.is_on else 1, said, "2025-12-31T23:59:58.000000000Z"),),
            memory_limit=512_000_000,
            environment=(
                ("JWT_SECRET", "••••••"),
                ("NODE_ENV", "production"),
                ("PUBLIC_URL", "https://school.example"),
            ),
            mounts=(f"school_{name} → /data",),
            networks=("school_inside 172.18.0.4",),
        )

    def log(self, container: str, lines: int, since: float | None) -> FakeLog:
        """Lines that say their own time in front keep it."""
        self._site.asked_of_logs.append((container.removeprefix("id-"), lines, since))
        name = container.removeprefix("id-")
        said = self._site.logs.get(name, [f"{name} is ready"])
        stamped = [
            line if line.startswith(("2026-01-01T", "2025-12-31T")) else f"2026-01-01T00:00:00.000000000Z {line}"
            for line in said
        ]
        return FakeLog([f"{line}\n".encode() for line in stamped])

    def restart(self, service: str) -> None:
        self._site.done.append(f"restart {service}")

    def shell_command(self, service: str) -> tuple[str, ...]:
        raise Refused(f"{service} is a fake.", "", "")

    def versions(self) -> AvailableVersions:
        found = [AvailableVersion(Version.parse(text), True, text != "1.2.0-fails") for text in MIGRATIONS]
        return AvailableVersions(tuple(sorted(found, key=lambda entry: entry.version, reverse=True)))


class FakeMigration:
    """Applies what the version brings, unless its name says that it fails."""

    name = "tui-migrate-run"

    def __init__(self, site: FakeSite, version: Version) -> None:
        self._site, self._version = site, str(version)
        self._lines = [f"applying {MIGRATIONS[self._version][-1]}"]

    def output(self) -> Iterator[str]:
        lines, self._lines = self._lines, []
        yield from lines

    def exit_code(self) -> int | None:
        if not self._site.held.is_set():
            return None
        if "fails" in self._version:
            return 1
        self._site.applied = MIGRATIONS[self._version]
        return 0

    def kill(self) -> None:
        self._site.held.set()

    def remove(self, and_stop: Sequence[str] = ()) -> None:
        return


class FakeEngine:
    """The engine as an operation sees it."""

    def __init__(self, site: FakeSite, place: Site, narrate: Callable[[str], None]) -> None:
        self._site, self._place, self._narrate = site, place, narrate

    def facts(self) -> EngineFacts:
        self._site.answer()
        return EngineFacts("26.1.5", "2.26.1", "linux/amd64", None)

    def observe(self) -> ObservedServices:
        self._site.answer()
        if self._site.healthy.is_set():
            for service in self._site.services.values():
                if service.health is Health.STARTING:
                    self._site.services[service.name] = replace(service, health=Health.HEALTHY)
        return ObservedServices(tuple(self._site.services.values()), ())

    def pin_of(self, service: str, image: str) -> Pin | None:
        return None

    def make(self, services: Sequence[str], version: Version) -> None: ...

    def start_made(self, services: Sequence[str], first_of: Sequence[str] = ()) -> None:
        self.start(services)

    def make_migration(self, version: Version) -> None: ...

    def remove_made_migrations(self) -> None: ...

    def start(self, services: Sequence[str], first_of: Sequence[str] = ()) -> None:
        self._narrate(f"graasp-local compose -- up --detach {' '.join(services)}")
        self._site.on_start()
        for name in services:
            self._site.turn(name, on=True, version=str(self._place.selected_version or ""))
            if not self._site.healthy.is_set():
                self._site.services[name] = replace(self._site.services[name], health=Health.STARTING)
        self._site.changed()

    def stop(self, services: Sequence[str]) -> None:
        self._narrate(f"graasp-local compose -- stop {' '.join(services)}")
        for name in services:
            self._site.turn(name, on=False)

    def edge_refusal(self) -> str | None:
        return None

    def search_data(self, image: str) -> tuple[str, str] | None:
        return None

    def stack_refusal(self, services: Sequence[str], version: Version | None) -> str | None:
        return None

    def set_gate_flag(self, gate: Gate) -> None:
        self._site.gate = gate

    def seal_gate(self) -> None: ...

    def requests_in_flight(self) -> int:
        return self._site.in_flight

    def upload_bytes_to_come(self) -> int | None:
        return self._site.to_come

    def forget_addresses(self) -> bool:
        return True

    def recent_log(self, service: str, lines: int, since: float | None = None) -> tuple[str, ...]:
        if not self._site.healthy.is_set():
            return tuple(self._site.logs.get(service, ()))
        return ('ERROR:  relation "no_such_table" does not exist',) if service == "db" else ()

    def last_health_check(self, service: str) -> str:
        return f"health check of {service}: no"

    def recovery_progress(self, service: str) -> str:
        return ""

    def restarts(self, service: str) -> int:
        return 0

    def created_at(self, service: str) -> float:
        return math.inf

    def files_used_since(self, service: str) -> float:
        return math.inf

    def made_from(self, service: str, directory: Path) -> bool:
        return False

    def image_facts(self, version: Version) -> tuple[ImageFact, ...]:
        self._site.answer()
        known = str(version) in MIGRATIONS
        problem = "" if known else f"There is no image core-v{version}."
        return tuple(ImageFact(name, f"graasp:{name}-v{version}", known, (), problem) for name in ("core", "migrate"))

    def has_image(self, reference: str) -> bool:
        return True

    def absent_images(self, services: Sequence[str]) -> Mapping[str, str]:
        return {}

    def registry_has(self, reference: str) -> bool:
        return True

    def lowest_port(self) -> int:
        return 0

    def share_images(self, version: Version) -> Iterator[str]:
        yield from ()

    def swarm_problem(self) -> str | None:
        return None

    def remake_networks(self) -> None: ...

    def give_names_back(self) -> None: ...

    def keep_images(self, version: Version) -> None: ...

    def keep_pins(self, pins: Sequence[Pin]) -> None: ...

    def release_images(self, version: Version, but: Sequence[Pin]) -> tuple[str, ...]:
        return ()

    def pull_image(self, reference: str) -> Iterator[str]:
        yield f"{reference}: 1 of 2 MB"

    def pins(self, version: Version) -> tuple[Pin, ...]:
        return (Pin("core", f"graasp:core-v{version}@sha256:0123", "sha256:0123"),)

    def use_pins(self, version: Version, pins: Sequence[Pin]) -> None:
        return

    def image_migrations(self, version: Version) -> tuple[ImageMigration, ...]:
        return tuple(ImageMigration(tag, int(tag[:4]) + 1, tag) for tag in MIGRATIONS[str(version)])

    def running_migrations(self) -> Sequence[MigrationRun]:
        return ()

    def remove_ended_migrations(self) -> tuple[str, ...]:
        return ()

    def wait_for_leftovers(self, since: float) -> None:
        return

    def expect(self, version: Version) -> None:
        pass

    def require_compose(self) -> None:
        self._site.answer()

    def other_directory(self) -> str | None:
        return None

    def start_migration(self, version: Version) -> FakeMigration:
        return FakeMigration(self._site, version)

    def network_problem(self) -> str | None:
        return None

    def port_problem(self, address: str, port: int) -> str | None:
        return None

    def database_address(self) -> tuple[str, int]:
        return "127.0.0.1", 5432


class FakeEdge:
    """nginx as a visitor sees it."""

    def __init__(self, site: FakeSite) -> None:
        self._site = site

    def gate(self) -> Gate:
        return self._site.gate

    def gate_failures(self, gate: Gate) -> tuple[str, ...]:
        return () if gate is self._site.gate else (f"The gate is {self._site.gate}.",)

    def core(self) -> CoreAnswer | None:
        core = self._site.services["core"]
        return CoreAnswer(core.version, database_is_usable=True) if core.is_on else None


class FakeDatabase:
    """Which migrations are applied."""

    def __init__(self, site: FakeSite) -> None:
        self._site = site

    def obstacles(self) -> tuple[Obstacle, ...]:
        return ()

    def missing_databases(self) -> tuple[str, ...]:
        return ()

    def admit(self) -> None: ...

    def applied_migrations(self) -> tuple[AppliedMigration, ...]:
        return tuple(AppliedMigration(int(tag[:4]) + 1, tag) for tag in self._site.applied)

    def collation_changes(self) -> tuple[CollationChange, ...]:
        return ()

    def subscriptions(self) -> tuple[str, ...]:
        return ()

    def size_bytes(self) -> int:
        return 1_000_000

    def take_snapshot(self, name: str) -> None:
        self._site.snapshots[name] = self._site.applied

    def swap_back(self, snapshot: str, *, until_removed: bool = False) -> str:
        self._site.applied = self._site.snapshots.pop(snapshot)
        return "graasp_failed"

    def make_database(self, name: str, password: str) -> bool:
        return False

    def has_snapshot(self, name: str) -> bool:
        return name in self._site.snapshots

    def rows_added_since(self, snapshot: str) -> int | None:
        return 12

    def kept_until_removed(self) -> tuple[str, ...]:
        return ()

    def remove_kept(self, name: str) -> None: ...

    def drop_snapshots_but(self, name: str) -> tuple[str, ...]:
        return ()

    def migration_lock(self) -> AbstractContextManager[None]:
        return nullcontext()

    def end_other_sessions(self) -> int:
        return 0


@dataclass
class FakeClock:
    """A second goes by with each look; sleeping takes none."""

    at: float = NOW

    def now(self) -> float:
        return self.at

    def monotonic(self) -> float:
        self.at += 0.25
        return self.at

    def sleep(self, seconds: float) -> None:
        # A real pause of no length lets other threads go on.
        threading.Event().wait(0.002)


class FakeOldConnections:
    """Nothing is ever open here."""

    def open(self) -> int:
        return 0

    def set_apart(self) -> bool:
        return True

    def requests(self) -> int:
        return 0

    def end(self) -> int:
        return 0


class FakeHandovers:
    """No second core is ever started here; core itself is asked while the gate is sealed."""

    def __init__(self, site: FakeSite) -> None:
        self._site = site

    def visited(self) -> tuple[str, ...]:
        return ("core",)

    def replaced_in_turn(self) -> tuple[str, ...]:
        return ()

    def edge_can_route(self) -> bool:
        return True

    def memory(self) -> Memory:
        return Memory(0, None)

    def start(self, version: Version, services: Sequence[str]) -> None:
        raise NotImplementedError

    def core(self, side: Side) -> CoreAnswer | None:
        return FakeEdge(self._site).core()

    def replicas_of_core(self) -> Mapping[str, CoreAnswer | None]:
        return {}

    def route_visitors(self, to: Side) -> None: ...

    def requests_in_flight(self, side: Side) -> int:
        return 0

    def replace_in_turn(self, version: Version, services: Sequence[str]) -> None:
        raise NotImplementedError

    def not_replaced(self, services: Sequence[str]) -> int:
        raise NotImplementedError

    def recent_log(self, service: str, lines: int) -> tuple[str, ...]:
        return ()

    def remove(self, and_stop: Sequence[str] = ()) -> None: ...


def _no_prober() -> Prober:
    raise AssertionError("nothing here needs a prober")


class FakeAccess:
    """Reaches a fake site whose files are in a directory of the test's own."""

    def __init__(
        self, directory: Path, fake: FakeSite | None = None, *, with_site: bool = True, project: str = "school"
    ) -> None:
        self.project = project
        self.directory = directory
        self.fake = fake or FakeSite().put_into(InfraState.RUNNING)
        self.others: dict[Path, FakeAccess] = {}
        """Other sites, by their directories."""
        if with_site:
            self.init()

    def at(self, directory: Path, *, read_only: bool) -> FakeAccess:
        return self.others[directory]

    def site(self) -> Site:
        if not self.directory.is_dir():
            raise ConfigurationError(f"There is no site in {self.directory}.", "Nothing was changed.", "Make one.")
        return Site(self.directory)

    def world(self, site: Site, interruption: Interruption, narrate: Callable[[str], None]) -> World:
        engine = FakeEngine(self.fake, site, narrate)
        databases = FakeDatabases()
        return World(
            site,
            engine,
            FakeEdge(self.fake),
            FakeDatabase(self.fake),
            FakeClock(),
            interruption,
            databases,
            FakeTransfers(databases),
            fake_servers(lambda: site.database_server, []),
            FakeHandovers(self.fake),
            FakeOldConnections(),
            prober=_no_prober,
            with_site=lambda other: self.world(other, interruption, narrate),
        )

    def live(self, site: Site) -> FakeLive:
        return FakeLive(self.fake)

    def new_site_directory(self) -> Path:
        return self.directory

    def command(self, verb: str, arguments: Sequence[str]) -> tuple[str, ...]:
        return ("true", verb, *arguments)

    def init(self) -> Site:
        host = "graasp.school.example"
        chosen = {"COMPOSE_PROJECT_NAME": self.project, "PUBLIC_URL": f"https://{host}", "COOKIE_DOMAIN": host}
        site = init_site(self.directory, chosen, demo=False)
        prepare.prepare(site)
        prepare.select(site, Version.parse(self.fake.selected))
        return site


def nginx_lines() -> list[str]:
    """Some ten requests a second in the half minute before midnight; then a gate that is closed, and two errors."""
    lines = []
    for second in range(30, 60):
        at = f"2025-12-31T23:59:{second:02}"
        lines += [f"{at}.{number:09}Z {_request(200)}" for number in range(5 + second * 7 % 11)]
    midnight = "2026-01-01T00:00:00"
    lines += [f"{midnight}.{number:09}Z {_request(503)}" for number in range(4)]
    lines += [f"{midnight}.{number:09}Z {_request(502)}" for number in range(4, 6)]
    return [*lines, f"{midnight}.000000009Z 2026/01/01 00:00:00 [error] 31#31: upstream timed out"]


def lines_of_a_closed_site(begin: float, requests: Sequence[int]) -> list[str]:
    """So many requests in each of the seconds from then on, which the gate answers."""
    return [
        f"{datetime.fromtimestamp(begin + second, UTC):%Y-%m-%dT%H:%M:%S}.{100 + number:09}Z {_request(503)}"
        for second, count in enumerate(requests)
        for number in range(count)
    ]


def _request(status: int) -> str:
    return f'192.0.2.7 [01/Jan/2026:00:00:00 +0000] "GET /items?q=" 200 " HTTP/1.1" {status} 512 0.004 gate=open'


TITLES = {
    "preflight": "Check that {version} can be deployed here",
    "pull": "Pull the images of {version}",
    "close-gate": "Close the gate",
    "migrate": "Run migrations of {version} (limit 1800 s)",
    "open-gate": "Open the gate",
}


def write_deployment(
    access: FakeAccess,
    days_ago: float,
    version: str,
    outcome: str,
    closed: float,
    took: Mapping[str, float] | None = None,
) -> None:
    """A deployment in the journal that closed the site for so many seconds; `took` has the seconds of each step."""
    began = NOW - days_ago * 86_400
    name = f"{datetime.fromtimestamp(began, UTC):%Y%m%d-%H%M%S}-deploy-{version}"
    steps = [
        ("preflight", began, began + 1),
        ("close-gate", began + 1, began + 1),
        ("migrate", began + 1, began + 1 + closed / 2),
        ("open-gate", began + 1 + closed, began + 1 + closed),
    ]
    if took:
        ends = [began + sum([*took.values()][: number + 1]) for number in range(len(took))]
        steps = [(name, end - took[name], end) for name, end in zip(took, ends, strict=True)]
    titles = {step: TITLES.get(step, step).format(version=version) for step, *_ in steps}
    plan = [{"name": step, "title": titles[step], "cause": "test", "closed": False} for step, *_ in steps]
    command = f"graasp-local deploy --version {version}"
    what = {"target": "running", "version": version, "previous_version": "0.8.0"}
    first = {"event": "operation-started", "operation": name, "command": command, **what}
    records: list[tuple[float, dict[str, object]]] = [(began, {**first, "plan": plan, "gate": "open"})]
    for index, (step, start, end) in enumerate(steps):
        told: dict[str, object] = {"index": index, "name": step}
        begun = {"event": "step-started", **told, "title": titles[step], "cause": "test", "closed": False}
        records.append((start, begun))
        records.append((end, {"event": "step-ended", **told, "outcome": "done", "seconds": end - start}))
    last = {"event": "operation-ended", "operation": name, "outcome": outcome, "state": "running", "version": version}
    told_last = {"downtime_seconds": closed, "seconds": closed + 1, "steps": [], "exit_code": 0, "problem": []}
    records.append((began + 1 + closed, {**last, **told_last, "gate": "open"}))
    lines = [
        {"at": datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds"), "format": 1, "pid": 1, **record}
        for at, record in records
    ]
    file = access.site().journal_directory / f"{name}.jsonl"
    file.write_text("".join(f"{json.dumps(line)}\n" for line in lines))
