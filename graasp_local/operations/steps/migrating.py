"""The migration: what is refused before it, how its container is run and watched, what is shown when it fails."""

from __future__ import annotations

from collections.abc import Generator, Iterator

from graasp_local.errors import GraaspLocalError, Interrupted, NeedsYou, Refused
from graasp_local.planning.migrations import DatabaseIsNewer, Pending, WouldBeSkipped, compare
from graasp_local.planning.steps import Migrate, ReadMigrations
from graasp_local.ports.migration import MigrationRun
from graasp_local.ports.world import World
from graasp_local.version import Version
from graasp_local.wording import listed

_POLL_SECONDS = 0.03
_ERRORS = ("ERROR:", "FATAL:", "PANIC:")
_TELLING = ("DETAIL:", "HINT:", "STATEMENT:", "CONTEXT:")
_LOG_LINES = 1000
"""How much of Postgres's log is read: the statement that failed may be long."""
_LINES_SHOWN = 8


def read_pending(world: World, version: Version) -> Pending:
    """What deploying the version would apply. Raises Refused if that cannot work."""
    match compare(world.images.image_migrations(version), world.database.applied_migrations()):
        case Pending() as pending:
            return pending
        case DatabaseIsNewer(unknown=unknown):
            raise Refused(
                f"The database is newer than {version}: it has {unknown} migration(s) that this version does not know.",
                "Its migration would report success without doing anything, and its code would then run against "
                "a newer schema.",
                "Deploy the version that the database belongs to, or a newer one: see `graasp-local history`.",
            )
        case WouldBeSkipped(tags=tags):
            raise Refused(
                f"{version} has migrations that are older than the newest applied one: {listed(tags)}.",
                "drizzle would silently skip them and report success.",
                "Deploy a version whose new migrations come after those in the database.",
            )


def check_forecast(world: World, step: ReadMigrations) -> Pending:
    """What is pending now. Raises Refused if it is not what the plan was made for."""
    pending = read_pending(world, step.version)
    if isinstance(step.forecast, Pending) and pending != step.forecast:
        raise Refused("The database has changed since the plan was made.", "", "Start the deployment again.")
    return pending


def run_migration(world: World, step: Migrate) -> Generator[str, None, tuple[str, ...]]:
    """Run the container once, show its output, and kill it and its database sessions at the limit.

    Returns the services whose containers were created while it ran.

    Raises NeedsYou if it fails or takes too long, Interrupted if the person asked to stop. Either way nothing keeps
    running afterwards: all pending migrations are one transaction, which Postgres then rolls back.
    """
    running = world.containers.observe().migrations
    if running:
        raise NeedsYou(f"A migration is running already ({listed(running)}): a second one would collide with it.")
    began = world.clock.now()
    try:
        run = world.migrations.start_migration(step.version)
    except GraaspLocalError:
        # Compose may have been cut off after it created the container.
        yield from end_migrations(world)
        raise
    made: tuple[str, ...] = ()
    try:
        made = _created_during_it(world, step)
        yield from _watch(world, run, step)
        code = run.exit_code()
    except GraaspLocalError:
        yield from _postgres_errors(world, began)
        raise
    finally:
        if run.exit_code() is None:
            run.kill()
            world.database.end_other_sessions()
        run.remove()
    if code != 0:
        cause = yield from _postgres_errors(world, began)
        said = f": {cause.rstrip('.')}" if cause else ""
        raise NeedsYou(f"The migration to {step.version} failed with exit code {code}{said}.")
    return made


def _created_during_it(world: World, step: Migrate) -> tuple[str, ...]:
    """Create the containers of the step's services; if that fails, they are created when started, and fail then."""
    if not step.creates:
        return ()
    try:
        world.containers.make(step.creates, step.version)
    except GraaspLocalError:
        return ()
    return step.creates


def await_migrations(world: World, limit: float) -> Iterator[str]:
    """Wait for migrations that outlived their operation; the next step ends those still running at the limit."""
    deadline = world.clock.monotonic() + limit
    for run in world.migrations.running_migrations():
        while run.exit_code() is None and world.clock.monotonic() < deadline:
            yield from run.output()
            if world.interruption.requested:
                raise Interrupted(f"Interrupted while {run.name} was running.")
            world.clock.sleep(_POLL_SECONDS)
        yield from run.output()
        if run.exit_code() is not None:
            yield f"{run.name} ended with exit code {run.exit_code()}"
            run.remove()


def end_migrations(world: World) -> Iterator[str]:
    """Kill running migrate containers; Postgres rolls their transactions back. Remove those that have ended."""
    for run in world.migrations.running_migrations():
        run.kill()
        run.remove()
        world.database.end_other_sessions()
        yield f"ended the migration {run.name}"
    for name in world.migrations.remove_ended_migrations():
        yield f"removed {name}, which had ended after its operation was killed"


def _watch(world: World, run: MigrationRun, step: Migrate) -> Iterator[str]:
    deadline = world.clock.monotonic() + step.limit_seconds
    while run.exit_code() is None:
        yield from run.output()
        if world.interruption.requested:
            raise Interrupted("Interrupted during the migration, which was stopped and rolled back.")
        if world.clock.monotonic() >= deadline:
            raise NeedsYou(
                f"The migration had not finished after {step.limit_seconds:g} s: it was stopped and rolled back."
            )
        world.clock.sleep(_POLL_SECONDS)
    yield from run.output()


def _postgres_errors(world: World, since: float) -> Generator[str, None, str]:
    """drizzle-kit may hide the cause, but Postgres's own log of that time has it. Returns its last error.

    The error is shown first, however long the statement is that it names.
    """
    lines: list[str] = []
    for line in world.containers.recent_log("db", _LOG_LINES, since):
        if any(word in line for word in _ERRORS):
            lines = [line]
        elif lines and (line.startswith("\t") or any(word in line for word in _TELLING)):
            lines.append(line.expandtabs(2))
    external = world.site.settings.external_database
    if external is not None:
        yield f"the log of the database server at {external.where} says what failed; it cannot be read from here"
    if not lines:
        return ""
    yield "Postgres logged during the migration:"
    yield from (f"  {line}" for line in lines[:_LINES_SHOWN])
    if len(lines) > _LINES_SHOWN:
        yield f"  … {len(lines) - _LINES_SHOWN} more line(s): `graasp-local logs db`"
    word = next(word for word in _ERRORS if word in lines[0])
    return lines[0].partition(word)[2].strip()
