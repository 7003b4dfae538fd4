"""The steps of an upgrade of the database server: what is refused before it, how it is copied, what is verified.

Every step but the selection itself leaves the old server and its volume as they are. The plan decides the order of the
steps.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

from graasp_local.errors import Interrupted, NeedsYou, Refused
from graasp_local.files import append_record
from graasp_local.operations.steps.preflight import surroundings_problems
from graasp_local.operations.steps.starting import START_LIMIT_SECONDS
from graasp_local.planning.dump_entries import by_owner
from graasp_local.planning.fingerprint import described, differences, in_short
from graasp_local.planning.requirements import FREE_BYTES_FOR_WORK, FREE_BYTES_PER_IMAGE
from graasp_local.planning.server import Upgrade
from graasp_local.planning.states import Health, ServiceGroup
from graasp_local.planning.upgrade_steps import (
    CheckUpgrade,
    DiscardNewServer,
    DumpServer,
    ProveCopy,
    PullServer,
    RecordUpgrade,
    RestoreServer,
    SelectServer,
    StartNewServer,
    StopNewServer,
    UpgradeStep,
)
from graasp_local.ports.images import ImageFact
from graasp_local.ports.servers import ToolRun
from graasp_local.ports.world import World
from graasp_local.site import prepare
from graasp_local.wording import listed

_POLL_SECONDS = 0.1
_TOLD_EVERY_SECONDS = 10.0
_SAME_DISK_BYTES = 64 * 1024**2
_GIB = 1024**3
_ROLES_FILE = "roles.sql"
_SUPERUSERS_OWN = "postgres"
"""The database that every server has from the start."""


def perform_upgrade(world: World, step: UpgradeStep) -> Iterator[str]:
    """Do one step of an upgrade. Yields lines for people; raises GraaspLocalError if it could not be done."""
    match step:
        case CheckUpgrade(upgrade=upgrade):
            yield from check_upgrade(world, upgrade)
        case PullServer(upgrade=upgrade):
            yield from _pull(world, upgrade)
        case StartNewServer(upgrade=upgrade):
            yield from _start_new(world, upgrade)
        case DumpServer(upgrade=upgrade):
            yield from _dump(world, upgrade)
        case RestoreServer(upgrade=upgrade):
            yield from _restore(world, upgrade)
        case ProveCopy():
            yield from _prove(world)
        case StopNewServer():
            world.servers.containers.stop_new()
        case SelectServer(server=server):
            if world.servers.containers.new_health() is not None:
                raise NeedsYou(
                    "The newer server still runs next to the old one: two servers must never share a volume."
                )
            prepare.select(world.site, server)
        case DiscardNewServer(upgrade=upgrade):
            yield from _discard(world, upgrade)
        case RecordUpgrade(upgrade=upgrade):
            yield from _record(world, upgrade)


def check_upgrade(world: World, upgrade: Upgrade) -> Iterator[str]:
    """Yields what the checks found. Raises Refused with all problems."""
    containers = world.servers.containers
    facts = world.checks.facts()
    image = containers.image_fact(upgrade.target.image)
    problems = [
        *(problem.said for problem in surroundings_problems(world, facts, (image,))),
        *containers.layout_problems(upgrade.target),
    ]
    if image.local:
        problems += _wrong_major(world, upgrade)
    if _database_is_on(world):
        sizes = world.servers.old.sizes()
        problems += [
            *world.servers.old.problems(),
            *_room_problems(world, sum(sizes.values()), facts.free_bytes, image),
        ]
        yield f"to copy: {', '.join(f'{name} {_size(size)}' for name, size in sizes.items())}"
        for thing in world.servers.old.left_behind():
            yield f"not copied: {thing}"
    if problems:
        raise Refused(
            " ".join(problems),
            "Nothing was changed.",
            "Fix this, then start the upgrade again.",
        )


def dump_directory(world: World, upgrade: Upgrade) -> Path:
    """Where the dump of an upgrade is: inside the site, so that it survives the loss of the engine's disk."""
    return world.site.directory / "upgrades" / f"postgres-{upgrade.source_major}-to-{upgrade.target_major}"


def _wrong_major(world: World, upgrade: Upgrade) -> list[str]:
    found = world.servers.containers.image_major(upgrade.target.image)
    if found == upgrade.target_major:
        return []
    return [f"{upgrade.target.image} is Postgres {found or 'of an unknown major'}, not {upgrade.target_major}."]


def _room_problems(world: World, size: int, engine_free: int | None, image: ImageFact) -> list[str]:
    """Room for a second copy on the engine's disk, and for the dump on the site's, which may be the same one."""
    copy = size + FREE_BYTES_FOR_WORK + (0 if image.local else FREE_BYTES_PER_IMAGE)
    site_free = shutil.disk_usage(world.site.directory).free
    problems = []
    if engine_free is not None and abs(engine_free - site_free) < _SAME_DISK_BYTES:
        copy += size  # a dump is compressed, but how well is not known in advance
    elif site_free < size:
        problems.append(f"The site's disk has {_size(site_free)} free, but the dump may take {_size(size)}.")
    if engine_free is not None and engine_free < copy:
        problems.append(
            f"The engine's disk has {_size(engine_free)} free, but {_size(copy)} are needed for a second copy of all "
            "databases and their dump."
        )
    return problems


def _pull(world: World, upgrade: Upgrade) -> Iterator[str]:
    if not world.servers.containers.image_fact(upgrade.target.image).local:
        yield from world.images.pull_image(upgrade.target.image)
        yield f"pulled {upgrade.target.image}"
    problems = _wrong_major(world, upgrade)
    if problems:
        raise Refused(problems[0], "Nothing was changed.", "Name another image with --image.")


def _start_new(world: World, upgrade: Upgrade) -> Iterator[str]:
    containers = world.servers.containers
    containers.start_new(upgrade.target)
    deadline = world.clock.monotonic() + START_LIMIT_SECONDS
    while (health := containers.new_health()) not in (Health.HEALTHY, Health.NONE):
        if health in (None, Health.UNHEALTHY) or world.clock.monotonic() >= deadline:
            yield "the end of its log:"
            yield from (f"  {line}" for line in containers.new_log())
            raise Refused(f"Postgres {upgrade.target_major} does not start.", "The site is unchanged.")
        if world.interruption.requested:
            raise Interrupted(f"Interrupted while Postgres {upgrade.target_major} was starting.")
        world.clock.sleep(_POLL_SECONDS)
    available = world.servers.new.extensions_available()
    lacking = [
        f"{name} (in {listed(tuple(databases))})"
        for name, databases in sorted(world.servers.old.extensions_in_use().items())
        if name not in available
    ]
    if lacking:
        raise Refused(
            f"This image of Postgres {upgrade.target_major} lacks extensions that are in use: {', '.join(lacking)}.",
            "The site is unchanged.",
            "Name an image that has them with --image, or drop the extensions.",
        )
    world.servers.new.make_empty()


def _dump(world: World, upgrade: Upgrade) -> Iterator[str]:
    directory = dump_directory(world, upgrade)
    if directory.exists():
        shutil.rmtree(directory)  # of an earlier attempt
    # Readable by the owner only: the roles file holds password hashes.
    directory.mkdir(mode=0o700, parents=True)
    for database in (None, *world.servers.old.sizes()):
        file = _file(directory, database)
        run = world.servers.containers.dump(database, file)
        yield from _watch(world, run, f"The dump of {database or 'the roles'}")
        yield f"{database or 'roles'}: {_size(file.stat().st_size)}"
    yield f"the dump is in {directory}"


def _restore(world: World, upgrade: Upgrade) -> Iterator[str]:
    directory = dump_directory(world, upgrade)
    yield from _watch(world, world.servers.containers.restore_roles(_file(directory, None)), "The restore of the roles")
    roles = world.servers.old.roles()
    for database in world.servers.old.sizes():
        yield from _fill(world, database, _file(directory, database), roles)
    yield from _watch(world, world.servers.containers.learn_statistics(), "ANALYZE")


def _fill(world: World, database: str, file: Path, roles: Mapping[str, bool]) -> Iterator[str]:
    """Load one database, each object in it with the rights of the role that owns it.

    A role's code may run during the load, in a constraint or an index: it must not run as any other role.
    """
    containers, filling = world.servers.containers, world.servers.filling
    listing = containers.contents(file)
    properties = world.databases.properties(database)
    made: Mapping[str, str] = {}
    if database != _SUPERUSERS_OWN:
        made = world.databases.superuser_extensions(database)
        filling.create(database, properties.owner, made, properties.locale)
    schemas = {*made.values()} - {"public", "pg_catalog"}
    for owner, entries in by_owner(listing, properties.owner, roles, made, schemas):
        if roles.get(owner):
            run = containers.restore(database, file, entries, None)
            yield from _watch(world, run, f"The restore of {database}")
        else:
            with filling.loader(database, owner) as loader:
                run = containers.restore(database, file, entries, loader)
                yield from _watch(world, run, f"The restore of {database}")
    for phrase in filling.give(database, properties, trusted=properties):
        yield f"{database}: not copied: {phrase}"


def _prove(world: World) -> Iterator[str]:
    with ThreadPoolExecutor(max_workers=2) as both:
        before, after = both.map(lambda server: server.fingerprint(), (world.servers.old, world.servers.new))
    found = differences(before, after)
    if found:
        raise NeedsYou(f"The newer server does not hold the same data as the old one. {in_short(found)}")
    yield from described(before, after)


def _discard(world: World, upgrade: Upgrade) -> Iterator[str]:
    """A failed removal does not stop the rollback."""
    try:
        world.servers.containers.discard_new(upgrade.target)
    except NeedsYou as error:
        yield f"{error.what} Remove the volume later: `docker volume rm {upgrade.target.volume}`."
    shutil.rmtree(dump_directory(world, upgrade), ignore_errors=True)


def _record(world: World, upgrade: Upgrade) -> Iterator[str]:
    record = {
        "at": datetime.fromtimestamp(world.clock.now(), UTC).isoformat(timespec="seconds"),
        "from": {"major": upgrade.source_major, "image": upgrade.source.image, "volume": upgrade.source.volume},
        "to": {"major": upgrade.target_major, "image": upgrade.target.image, "volume": upgrade.target.volume},
    }
    append_record(world.site.upgrades_file, record)
    yield f"the old volume {upgrade.source.volume} is kept as it was; `graasp-local remove-old-database` removes it"


def _watch(world: World, run: ToolRun, what: str) -> Iterator[str]:
    """Wait until it has ended, reporting progress now and then. Raises NeedsYou if it failed, and Interrupted."""
    told = world.clock.monotonic()
    while (code := run.exit_code()) is None:
        if world.interruption.requested:
            run.kill()
            raise Interrupted(f"Interrupted: {what[0].lower()}{what[1:]} was stopped.")
        if world.clock.monotonic() - told >= _TOLD_EVERY_SECONDS:
            told = world.clock.monotonic()
            yield f"{what} continues" + (f": {_size(done)} so far" if (done := run.bytes_done()) else "")
        world.clock.sleep(_POLL_SECONDS)
    if code != 0:
        raise NeedsYou(f"{what} failed: {run.complaint()}")


def _database_is_on(world: World) -> bool:
    database = [service for service in world.containers.observe().services if service.group is ServiceGroup.DATABASE]
    return bool(database) and all(service.is_on for service in database)


def _file(directory: Path, database: str | None) -> Path:
    # A database may have any name, including one with a /.
    return directory / (_ROLES_FILE if database is None else f"{database.replace('/', '%2F')}.dump")


def _size(size: int) -> str:
    return f"{size / _GIB:.1f} GiB" if size >= _GIB else f"{size / 1024**2:.1f} MiB"
