"""In-memory worlds: an engine, an edge and a database that do what they are told, or fail where a test says so."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from msgspec.structs import replace

from graasp_local.clock import InterruptionFlag
from graasp_local.errors import EngineUnreachable, NeedsYou
from graasp_local.images.pins import Pin, as_images
from graasp_local.planning.migrations import AppliedMigration, ImageMigration
from graasp_local.planning.rolling_steps import Side
from graasp_local.planning.states import Gate, Health, ObservedService, ObservedState, Replica, ServiceGroup, Status
from graasp_local.ports.checks import EngineFacts
from graasp_local.ports.database import CollationChange, Obstacle
from graasp_local.ports.gate import CoreAnswer, Prober
from graasp_local.ports.images import ImageFact
from graasp_local.ports.migration import MigrationRun
from graasp_local.ports.observation import ObservedServices
from graasp_local.ports.servers import Servers
from graasp_local.ports.world import World
from graasp_local.site import prepare
from graasp_local.site.create import init_site
from graasp_local.site.site import Site
from graasp_local.version import Images, Version
from tests.unit.fake_data import FakeDatabases, FakeTransfers
from tests.unit.fake_handovers import FakeHandovers
from tests.unit.fake_servers import FakeContents, FakeServers
from tests.unit.sites import VERSIONED, new_site

MIGRATIONS = {
    "1.0.0": ("0000_init", "0001_maintenance"),
    "1.1.0": ("0000_init", "0001_maintenance", "0002_item_lang"),
    "1.2.0": ("0000_init", "0001_maintenance", "0002_item_lang"),
    "1.4.0": ("0000_init", "0001_maintenance", "0002_item_lang", "0004_tags"),
    "1.3.0-migration-hangs": ("0000_init", "0001_maintenance", "0002_item_lang", "0003_hangs"),
}


def migrations_of(version: str) -> tuple[ImageMigration, ...]:
    return tuple(ImageMigration(tag, when + 1, f"sha-{tag}") for when, tag in enumerate(MIGRATIONS[version]))


@dataclass
class FakeClock:
    """Time that passes only while the code under test sleeps."""

    seconds: float = 1_000_000.0
    on_sleep: Callable[[], None] = lambda: None

    def now(self) -> float:
        return self.seconds

    def monotonic(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.on_sleep()


@dataclass
class FakeSiteState:
    """What the fakes share: the site as it would be observed, and the migrations that its database has applied."""

    observed: ObservedState = field(default_factory=new_site)
    flag: Gate = Gate.CLOSED
    applied: list[AppliedMigration] = field(default_factory=list)
    selected: Callable[[], Version | None] = lambda: None
    selected_images: Callable[[], Images] = tuple
    calls: list[str] = field(default_factory=list)
    leads_to: Side = Side.SERVICES
    """Where nginx routes visitors."""

    def gate(self) -> Gate:
        edge = self.observed.in_group(ServiceGroup.EDGE)
        return self.flag if all(service.is_on for service in edge) else Gate.UNKNOWN


@dataclass
class FakeMigrationRun:
    """A migration that has ended when it is first checked, unless it hangs."""

    code: int | None
    lines: tuple[str, ...] = ("[✓] migrations applied successfully!",)
    removed: bool = False
    name: str = "site-migrate-run-1"

    def output(self) -> Iterator[str]:
        yield from self.lines
        self.lines = ()

    def exit_code(self) -> int | None:
        return self.code

    def kill(self) -> None:
        self.code = 137

    def remove(self) -> None:
        self.removed = True


@dataclass
class FakeEngine:
    """Does what it is told, to the shared state. `never_on` names services that will not start."""

    state: FakeSiteState
    missing_images: Mapping[str, str] = field(default_factory=dict)
    platforms: tuple[str, ...] = ("linux/amd64",)
    free_bytes: int | None = 100 * 1024**3
    memory: int | None = None
    port: str | None = None
    in_flight: list[int | None] = field(default_factory=list)
    to_come: int | None = None
    never_on: Mapping[str, Health] = field(default_factory=dict)
    never_on_version: str = ""
    migration_code: int | None = 0
    migration_applies: bool = True
    run: FakeMigrationRun | None = None
    failing: dict[str, Exception] = field(default_factory=dict)
    losing_answers_of: set[str] = field(default_factory=set)
    """Calls whose next execution takes effect but gets no answer."""
    engine_version: str = "28.0.0"
    orphans: list[FakeMigrationRun] = field(default_factory=list)
    ended_migrations: tuple[str, ...] = ()
    made_migration: bool = False
    restart_count: int = 0
    created: dict[str, float] = field(default_factory=dict)
    """When the services' containers were created; just now unless it says."""
    made_with_kept: set[str] = field(default_factory=set)
    """Services whose containers a rollback created with the kept files."""
    no_network: str | None = None
    recovery: list[str] = field(default_factory=list)
    """How far the database server has recovered, one value for each time it is asked."""
    no_swarm: str | None = None
    machines: tuple[str, ...] = ()
    """Of its Swarm; none for a site on one machine."""
    no_compose: bool = False
    other_site: str | None = None
    references: set[str] = field(default_factory=set)
    """The images on this machine, by digest or id."""
    pruned: dict[str, str] = field(default_factory=dict)
    """Images that the site's services need and that are not on this machine, by service."""
    refuses_edge: str | None = None
    refuses_stack: str | None = None
    search: tuple[str, str] | None = None
    """The version of Meilisearch that wrote the data, and the volume."""
    tried: list[tuple[tuple[str, ...], str]] = field(default_factory=list)
    builds: dict[str, str] = field(default_factory=dict)
    """The build that a tag points to, if no longer the first one."""
    forgotten: int = 0
    pinned: dict[Version, tuple[Pin, ...]] = field(default_factory=dict)
    lowest: int = 0
    in_no_registry: set[str] = field(default_factory=set)
    """Images that have a digest but are in no registry, as in containerd's image store."""
    kept: dict[str, str] = field(default_factory=dict)
    """Ids of images that are kept by the site's own tags, and the service of each."""

    site: Site | None = None
    """The site whose settings it starts services with."""
    dying_with: str = ""
    """With this text in `.env`, core never becomes healthy."""
    looks: int = 0
    """How often `facts` was called; every check of a version calls it."""
    dying_builds: set[str] = field(default_factory=set)
    """Builds with which core starts but never becomes healthy."""
    migrations_of_builds: dict[str, tuple[str, ...]] = field(default_factory=dict)
    """Migrations of builds that differ from the first build of their version."""

    def _call(self, name: str, *words: str) -> None:
        self.state.calls.append(" ".join([name, *words]))
        if name in self.failing:
            raise self.failing[name]

    def _answer(self, name: str) -> None:
        if name in self.losing_answers_of:
            self.losing_answers_of.remove(name)
            raise EngineUnreachable("The engine has not answered in time.")

    def facts(self) -> EngineFacts:
        self.looks += 1
        return EngineFacts(self.engine_version, "2.40.0", "linux/amd64", self.free_bytes, self.memory)

    def observe(self) -> ObservedServices:
        observed = self.state.observed
        return ObservedServices(observed.services, observed.migrations, observed.handovers, observed.other_networks)

    def make(self, services: Sequence[str], version: Version) -> None:
        self._call("make", *services)
        self.made_for = str(version)
        self.made_migration = self.made_migration or "migrate" in services
        for name in services:
            label = str(version) if name in VERSIONED else ""
            self.state.observed = self.state.observed.with_services((name,), Status.CREATED, Health.NONE, label)
        self.made_of = as_images(self.pins(version))

    def start_made(self, services: Sequence[str], first_of: Sequence[str] = ()) -> None:
        self._start(services, self.made_for, dict(self.made_of), first_of)

    def make_migration(self, version: Version) -> None:
        self._call("make-migration")
        self.made_migration = True

    def remove_made_migrations(self) -> None:
        self.made_migration = False

    def start(self, services: Sequence[str], first_of: Sequence[str] = ()) -> None:
        self._start(services, str(self.state.selected() or ""), dict(self.state.selected_images()), first_of)

    def _start(self, services: Sequence[str], version: str, images: Mapping[str, str], first_of: Sequence[str]) -> None:
        self._call("start", *services)
        for name in services:
            health = self.never_on.get(name, Health.HEALTHY)
            build = images.get(f"{name.upper()}_IMAGE", "").rpartition(":")[2]
            bad = self.site is not None and self.dying_with and self.dying_with in self.site.env_file.read_text()
            if name == "core" and (bad or version == self.never_on_version or build in self.dying_builds):
                health = Health.UNHEALTHY
            self.state.observed = self.state.observed.with_services(
                (name,), Status.RUNNING, health, version if name in VERSIONED else ""
            )
            if name in first_of:
                self._only_the_first(name, health, version)
        self._answer("start")

    def _only_the_first(self, name: str, health: Health, version: str) -> None:
        one = next(service for service in self.state.observed.services if service.name == name)
        others = (Replica(number, Status.CREATED, version=version) for number in range(2, one.wanted + 1))
        replicas = (Replica(1, Status.RUNNING, health, version), *others)
        worst = replace(one, status=Status.CREATED, health=Health.NONE, replicas=replicas)
        services = tuple(worst if service is one else service for service in self.state.observed.services)
        self.state.observed = replace(self.state.observed, services=services)

    def stop(self, services: Sequence[str]) -> None:
        self._call("stop", *services)
        self.state.observed = self.state.observed.with_services(tuple(services), Status.EXITED, Health.NONE)
        self._answer("stop")

    def edge_refusal(self) -> str | None:
        return self.refuses_edge

    def search_data(self, image: str) -> tuple[str, str] | None:
        return self.search

    def stack_refusal(self, services: Sequence[str], version: Version | None) -> str | None:
        self.tried.append((tuple(services), str(version or "")))
        return self.refuses_stack

    def set_gate_flag(self, gate: Gate) -> None:
        self._call(f"flag-{gate}")
        self.state.flag = gate
        self.state.leads_to = Side.SERVICES
        self._answer(f"flag-{gate}")

    def seal_gate(self) -> None:
        self._call("shut")
        self.state.flag = Gate.SEALED
        self._answer("shut")

    def requests_in_flight(self) -> int | None:
        return self.in_flight.pop(0) if self.in_flight else 0

    def upload_bytes_to_come(self) -> int | None:
        return self.to_come

    def forget_addresses(self) -> bool:
        self.forgotten += 1
        return True

    def recent_log(self, service: str, lines: int, since: float | None = None) -> tuple[str, ...]:
        return ("ERROR:  relation does not exist",) if service == "db" else (f"last words of {service}",)

    def last_health_check(self, service: str) -> str:
        return f"health check of {service}: no"

    def recovery_progress(self, service: str) -> str:
        return self.recovery.pop(0) if self.recovery else ""

    def restarts(self, service: str) -> int:
        return self.restart_count

    def created_at(self, service: str) -> float:
        return self.created.get(service, math.inf)

    def files_used_since(self, service: str) -> float:
        return self.created_at(service)

    def made_from(self, service: str, directory: Path) -> bool:
        return service in self.made_with_kept

    def image_facts(self, version: Version) -> tuple[ImageFact, ...]:
        pinned = {pin.service: pin.reference for pin in self.pinned.get(version, ())}
        return tuple(
            ImageFact(
                name,
                pinned.get(name, f"graasp:{name}-v{version}"),
                pinned[name] in self.references if name in pinned else not self.missing_images,
                self.platforms,
                self.missing_images.get(name, ""),
            )
            for name in ("core", "workers", "migrate")
        )

    def has_image(self, reference: str) -> bool:
        return reference in self.references

    def registry_has(self, reference: str) -> bool:
        return reference not in self.in_no_registry

    def share_images(self, version: Version) -> Iterator[str]:
        if self.machines:
            self._call("share-images")
        yield from (f"core: {machine} can run its image" for machine in self.machines)

    def swarm_problem(self) -> str | None:
        return self.no_swarm

    def remake_networks(self) -> None:
        self._call("remake-networks")
        names = tuple(service.name for service in self.state.observed.services)
        self.state.observed = replace(
            self.state.observed.with_services(names, Status.ABSENT, Health.NONE), other_networks=False
        )

    def give_names_back(self) -> None:
        pass

    def lowest_port(self) -> int:
        return self.lowest

    def keep_images(self, version: Version) -> None:
        self.keep_pins(self.pins(version))

    def keep_pins(self, pins: Sequence[Pin]) -> None:
        self.kept.update({pin.image_id: pin.service for pin in pins})

    def release_images(self, version: Version, but: Sequence[Pin]) -> tuple[str, ...]:
        needed = {pin.image_id for pin in (*but, *self.pins(version))}
        gone = tuple(image_id for image_id in self.kept if image_id not in needed)
        for image_id in gone:
            del self.kept[image_id]
        return gone

    def absent_images(self, services: Sequence[str]) -> Mapping[str, str]:
        return {name: image for name, image in self.pruned.items() if name in services}

    def pull_image(self, reference: str) -> Iterator[str]:
        self._call("pull", reference)
        yield f"{reference}: 1 of 2 MB"
        self.missing_images = {}
        self.references.add(reference)

    def pins(self, version: Version) -> tuple[Pin, ...]:
        pinned = {pin.service: pin for pin in self.pinned.get(version, ())}
        return tuple(
            pinned.get(name, self._by_tag(name, f"graasp:{name}-v{version}")) for name in ("core", "workers", "migrate")
        )

    def _by_tag(self, service: str, tag: str) -> Pin:
        build = self.builds.get(tag, "first")
        self.references.add(f"{tag}@sha256:{build}")
        return Pin(service, f"{tag}@sha256:{build}", f"sha256:id-{build}")

    def pin_of(self, service: str, image: str) -> Pin | None:
        build = image if image in {*self.builds.values()} else self.builds.get(image, "first")
        return Pin(service, build, build)

    def use_pins(self, version: Version, pins: Sequence[Pin]) -> None:
        self.pinned[version] = tuple(pins)

    def image_migrations(self, version: Version) -> tuple[ImageMigration, ...]:
        build = next(pin for pin in self.pins(version) if pin.service == "migrate").reference.rpartition(":")[2]
        tags = self.migrations_of_builds.get(build, MIGRATIONS[str(version)])
        return tuple(ImageMigration(tag, when + 1, f"sha-{tag}") for when, tag in enumerate(tags))

    def start_migration(self, version: Version) -> MigrationRun:
        self._call("migrate", str(version))
        if self.migration_applies and self.migration_code == 0:
            self.state.applied[:] = [AppliedMigration(m.when, m.sha256) for m in self.image_migrations(version)]
        self.run = FakeMigrationRun(self.migration_code)
        self.made_migration = False
        self._answer("migrate")
        return self.run

    def running_migrations(self) -> Sequence[MigrationRun]:
        return self.orphans

    def remove_ended_migrations(self) -> tuple[str, ...]:
        names, self.ended_migrations = self.ended_migrations, ()
        return names

    def wait_for_leftovers(self, since: float) -> None:
        self._call("wait-for-leftovers")

    def expect(self, version: Version) -> None:
        pass

    def require_compose(self) -> None:
        if self.no_compose:
            raise EngineUnreachable("Docker has no Compose plugin.")

    def other_directory(self) -> str | None:
        return self.other_site

    def network_problem(self) -> str | None:
        return self.no_network

    def port_problem(self, address: str, port: int) -> str | None:
        return self.port

    def database_address(self) -> tuple[str, int]:
        raise NeedsYou("a fake database has no address")


@dataclass
class FakeOldConnections:
    """`requests_left` has one answer for each call; `held_open` is what does not end by itself."""

    state: FakeSiteState
    held_open: int = 0
    requests_left: list[int] = field(default_factory=list)
    obeys: bool = True

    def open(self) -> int:
        return self.held_open + (self.requests_left[0] if self.requests_left else 0)

    def set_apart(self) -> bool:
        self.state.calls.append("set-apart")
        return self.obeys

    def requests(self) -> int:
        return self.requests_left.pop(0) if self.requests_left else 0

    def end(self) -> int:
        self.state.calls.append("end-connections")
        ended, self.held_open = self.held_open + sum(self.requests_left[:1]), 0
        return ended


@dataclass
class FakeEdge:
    """Answers from the shared state. `says` is the version that core reports; None: its container's version."""

    state: FakeSiteState
    says: str | None = None
    says_instead: Mapping[str, str] = field(default_factory=dict)
    database_is_usable: bool = True

    def gate(self) -> Gate:
        return self.state.gate()

    def gate_failures(self, gate: Gate) -> tuple[str, ...]:
        return () if self.gate() is gate else (f"nginx reports that the gate is {self.gate().in_words}.",)

    def core(self) -> CoreAnswer | None:
        behind = self.state.leads_to is Side.HANDOVER
        there = self.state.observed.handovers if behind else self.state.observed.services
        return self.said_by(next(service for service in there if service.name == "core"))

    def said_by(self, core: ObservedService) -> CoreAnswer | None:
        said = self.says or self.says_instead.get(core.version, core.version)
        return CoreAnswer(said, self.database_is_usable) if core.first.is_on else None


@dataclass
class FakeDatabase:
    state: FakeSiteState
    bytes: int = 10_000_000
    snapshots: dict[str, list[AppliedMigration]] = field(default_factory=dict)
    failed: dict[str, list[AppliedMigration]] = field(default_factory=dict)
    kept: list[str] = field(default_factory=list)
    """Names of failed databases that stay until the user removes them."""
    snapshot_fails: bool = False
    lock_held_elsewhere: bool = False
    others: set[str] = field(default_factory=lambda: {"umami"})
    newer_rows: int | None = 3
    missing: list[str] = field(default_factory=list)
    """What an external server has yet to be given."""
    in_the_way: tuple[Obstacle, ...] = ()
    subscribed: tuple[str, ...] = ()
    is_shut: bool = False
    """Graasp cannot connect: an external server was asked to keep it out."""

    def obstacles(self) -> tuple[Obstacle, ...]:
        return self.in_the_way

    def missing_databases(self) -> tuple[str, ...]:
        return tuple(self.missing)

    def admit(self) -> None:
        self.is_shut = False

    def applied_migrations(self) -> tuple[AppliedMigration, ...]:
        return tuple(self.state.applied)

    def size_bytes(self) -> int:
        return self.bytes

    def collation_changes(self) -> tuple[CollationChange, ...]:
        return ()

    def subscriptions(self) -> tuple[str, ...]:
        return self.subscribed

    def take_snapshot(self, name: str) -> None:
        self.state.calls.append("snapshot")
        if self.snapshot_fails:
            raise NeedsYou("No space left on device.")
        self.snapshots[name] = list(self.state.applied)

    def has_snapshot(self, name: str) -> bool:
        return name in self.snapshots

    def make_database(self, name: str, password: str) -> bool:
        self.state.calls.append(f"make-database {name}")
        missing = name not in self.others or name in self.missing
        self.others.add(name)
        self.missing = [other for other in self.missing if other != name]
        return missing

    def swap_back(self, snapshot: str, *, until_removed: bool = False) -> str:
        self.state.calls.append("swap-back")
        failed = snapshot.replace("snapshot", "failed")
        if snapshot in self.snapshots:
            self.failed[failed] = list(self.state.applied)
            if until_removed:
                self.kept.append(failed)
            self.state.applied[:] = self.snapshots.pop(snapshot)
        elif failed not in self.failed:
            raise NeedsYou(f"There is no snapshot {snapshot} on the database server.")
        return failed

    def kept_until_removed(self) -> tuple[str, ...]:
        return tuple(self.kept)

    def remove_kept(self, name: str) -> None:
        self.kept.remove(name)

    def rows_added_since(self, snapshot: str) -> int | None:
        return self.newer_rows

    def drop_snapshots_but(self, name: str) -> tuple[str, ...]:
        old = tuple(other for other in self.snapshots if other != name)
        for other in old:
            del self.snapshots[other]
        return old

    @contextmanager
    def migration_lock(self) -> Iterator[None]:
        if self.lock_held_elsewhere:
            raise NeedsYou("Another graasp-local is migrating this database, possibly on another machine.")
        yield

    def end_other_sessions(self) -> int:
        self.state.calls.append("end-sessions")
        self.is_shut = True
        return 1


def _no_prober() -> Prober:
    raise AssertionError("nothing here needs a prober")


@dataclass
class FakeWorld:
    """A real site directory with everything else fake; `world` is what the code under test gets."""

    directory: Path
    state: FakeSiteState = field(default_factory=FakeSiteState)

    def __post_init__(self) -> None:
        site = init_site(self.directory, {}, demo=False)
        self.state.selected = lambda: site.selected_version
        self.state.selected_images = lambda: site.selection.images
        self.engine = FakeEngine(self.state, site=site)
        self.edge = FakeEdge(self.state)
        self.handovers = FakeHandovers(self.state, core_itself=self.edge.said_by)
        self.old_connections = FakeOldConnections(self.state)
        self.database = FakeDatabase(self.state)
        self.clock = FakeClock()
        self.interruption = InterruptionFlag()
        self.servers = FakeServers(
            lambda: site.database_server, self.state.calls, "postgres:16.11", {"graasp_db-data": 16}
        )
        self.old_server, self.new_server = FakeContents(), FakeContents()
        servers = Servers(self.servers, self.old_server, self.new_server, FakeDatabases())
        self.databases = FakeDatabases(self.state.applied, self.state.calls, snapshots=self.database.snapshots)
        self.transfers = FakeTransfers(self.databases)
        self.world = World(
            site,
            self.engine,
            self.edge,
            self.database,
            self.clock,
            self.interruption,
            self.databases,
            self.transfers,
            servers,
            self.handovers,
            self.old_connections,
            prober=_no_prober,
            with_site=self._with_site,
        )

    def _with_site(self, site: Site) -> World:
        """Give the fake engine the site; it reads only what a test asks it to read."""
        self.engine.site = site
        return replace(self.world, site=site)

    def forget_pins(self) -> None:
        """Be like the next command: it only knows the images that tags point to."""
        self.engine.pinned.clear()

    def dumps(self) -> list[Path]:
        """Return the directories with the dumps of upgrades."""
        return sorted(self.directory.glob("upgrades/postgres-*"))

    def become(self, observed: ObservedState, applied: str = "1.0.0") -> None:
        """Become a site in this state, with the migrations of a version applied and that version selected."""
        self.state.observed = replace(observed, gate=Gate.UNKNOWN)
        self.state.flag = observed.gate if observed.gate is not Gate.UNKNOWN else Gate.CLOSED
        self.state.applied[:] = [AppliedMigration(m.when, m.sha256) for m in migrations_of(applied)]
        prepare.select(self.world.site, Version.parse(applied))
