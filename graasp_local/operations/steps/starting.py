"""Starts services, waits until they are on, and says early when they never will be."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import suppress
from functools import partial

from msgspec.structs import replace

from graasp_local.errors import ConfigurationError, GraaspLocalError, Interrupted, NeedsYou
from graasp_local.files import text_if_there, write_atomically
from graasp_local.operations.progress import Progress
from graasp_local.planning.states import Health, ObservedService, ServiceGroup, Status
from graasp_local.planning.steps import StartServices
from graasp_local.ports.world import World
from graasp_local.version import Version

START_LIMIT_SECONDS = 300.0
"""The longest start period of a health check in compose.yaml."""

OPTIONAL_LIMIT_SECONDS = 30.0
"""How much longer an operation waits for services that Graasp works without, once those it needs are on."""

_POLL_SECONDS = 0.03
_LONGEST_POLL_SECONDS = 0.5
_POLL_SHARE = 0.02
"""The slower a start, the rarer the observations, which take its processor: a wait becomes this much longer at most."""
_CRASHES_THAT_TELL = 3
_LOG_LINES = 12
_RECOVERY_POLL_SECONDS = 2.0
_NOT_SERVING = (Status.EXITED, Status.DEAD, Status.RESTARTING)


def start_services(
    world: World, step: StartServices, version: Version | None, progress: Progress
) -> Generator[str, None, Progress]:
    """Start the services of a step, and wait until they are on. `version` is the one that the operation deploys."""
    services = step.services
    yield from make_missing_databases(world, services)
    if step.group is ServiceGroup.GRAASP:
        world.database.admit()
    if step.group is not ServiceGroup.DATABASE:
        progress = _start_ahead(world, step.ahead, progress)
    progress = _with_containers(world, step, progress)
    if {*services} <= progress.starting:
        progress = replace(progress, starting=progress.starting - {*services})
    else:
        is_made = _is_made(world, step, progress)
        start = world.containers.start_made if is_made else world.containers.start
        yield from start_with_last_words(world, services, partial(start, services, step.first_of))
        if is_made:
            progress = progress.with_started(services)
    if step.ahead and step.group is ServiceGroup.DATABASE and version is not None:
        with suppress(GraaspLocalError):  # the step that needs them reports it
            world.images.image_migrations(version)
    yield from wait_until_on(world, needed(world, services) if step.writers else services, step.first_of)
    if step.group is ServiceGroup.DATABASE:
        progress = _start_ahead(world, step.ahead, progress)
    yield from forget_old_addresses(world, services)
    return progress


def _with_containers(world: World, step: StartServices, progress: Progress) -> Progress:
    """Create the containers of all services that will be started, with one command: Compose takes longer to get going
    than most containers take to start.
    """
    selected = world.site.selected_version
    if selected is None or not step.made_too or progress.made_for == selected:
        return progress
    services = (*step.services, *step.made_too)
    world.containers.make(services, selected)
    return progress.with_made(services, selected)


def _is_made(world: World, step: StartServices, progress: Progress) -> bool:
    """Whether the step's containers were created in this operation. Outside the graasp group a service is the same in
    every version.
    """
    selected = world.site.selected_version
    fits = step.group is not ServiceGroup.GRAASP or (selected is not None and progress.made_for == selected)
    return fits and {*step.services} <= progress.made


def _start_ahead(world: World, services: tuple[str, ...], progress: Progress) -> Progress:
    """Only if this operation created their containers. One that fails is started by its own step, which says why."""
    if services and {*services} <= progress.made:
        with suppress(GraaspLocalError):
            world.containers.start_made(services)
            return replace(progress.with_started(services), starting=progress.starting | {*services})
    return progress


def forget_old_addresses(world: World, services: Sequence[str]) -> Iterator[str]:
    """After core was started under a new address: clear the cached old addresses of files.

    core keeps addresses that it has given out in Redis for an hour, and would go on giving them out.
    """
    if "core" not in services:
        return
    values = world.site.settings.values
    now = f"{values.get('FILE_STORAGE_HOST') or world.site.settings.public_url}\n"
    before = text_if_there(world.site.addresses_file)
    if before != now and world.gate_control.forget_addresses():
        write_atomically(world.site.addresses_file, now, mode=0o600)
        if before:
            yield "cleared the addresses of files that core had cached"


def make_missing_databases(world: World, services: Sequence[str]) -> Iterator[str]:
    """Make sure the database server has the databases that these services need, on an old data directory or a new one.

    A service's label names its database; the password is `NAME_DB_PASSWORD` in `.env`.
    """
    for definition in world.site.services:
        if definition.name in services and definition.database:
            key = f"{definition.database.upper().replace('-', '_')}_DB_PASSWORD"
            password = world.site.settings.values.get(key, "")
            if not password:
                raise ConfigurationError(
                    f"{definition.name} has a database, but {world.site.env_file} has no {key}.",
                    "It was not started.",
                    f"Set {key} to at least 16 letters and digits.",
                )
            if world.database.make_database(definition.database, password):
                yield f"created the database {definition.database}"


def needed(world: World, services: Sequence[str]) -> tuple[str, ...]:
    """Those of the services that Graasp does not work without."""
    optional = {service.name for service in world.containers.observe().services if service.optional}
    return tuple(name for name in services if name not in optional)


def wait_until_on(world: World, services: Sequence[str], first_of: Sequence[str] = ()) -> Iterator[str]:
    """Yields nothing while all goes well. Raises NeedsYou, after showing the log, for a service that will not start.

    An optional service is not a failure: a line says that it did not come up, and the operation goes on. Of those in
    `first_of` one container has to be on.
    """
    began = world.clock.monotonic()
    recovery = _Recovery(world, began)
    given_up: set[str] = set()
    optional_deadline: float | None = None
    # The engine counts restarts over the container's whole life: earlier ones say nothing about now.
    restarts_before = {name: world.containers.restarts(name) for name in services}
    while True:
        observed = [
            service.first if service.name in first_of else service
            for service in world.containers.observe().services
            if service.name in services
        ]
        waiting = [service for service in observed if not service.is_on and service.name not in given_up]
        if not waiting:
            return
        now = world.clock.monotonic()
        if optional_deadline is None and all(service.optional for service in waiting):
            optional_deadline = now + OPTIONAL_LIMIT_SECONDS
        for service in waiting:
            if service.group is ServiceGroup.DATABASE:
                yield from recovery.observe(service.name)
            deadline = (recovery.got_on if service.group is ServiceGroup.DATABASE else began) + START_LIMIT_SECONDS
            if service.optional and optional_deadline is not None:
                deadline = min(deadline, optional_deadline)
            problem = _hopeless(world, service, restarts_before[service.name])
            if service.health is Health.UNHEALTHY and recovery.is_under_way and now < deadline:
                problem = None
            if problem is None and now >= deadline:
                problem = f"{service.name} is {service.described()} after {now - began:.0f} s"
            if problem is None:
                continue
            yield from last_words(world, service.name)
            if not service.optional:
                raise NeedsYou(f"{problem}.")
            yield f"{problem}: Graasp works without it, so the operation continues"
            given_up.add(service.name)
        if world.interruption.requested:
            raise Interrupted(f"Interrupted while {waiting[0].name} was starting.")
        world.clock.sleep(min(max(_POLL_SECONDS, (now - began) * _POLL_SHARE), _LONGEST_POLL_SECONDS))


def start_with_last_words(world: World, services: Sequence[str], start: Callable[[], None]) -> Iterator[str]:
    """Have the engine start services. If it gives up because one of them is unwell, show what that one said last.

    Compose waits for services that others depend on, and only says that they are unhealthy.
    """
    try:
        start()
    except NeedsYou as error:
        observed = [service for service in world.containers.observe().services if service.name in services]
        unwell = [
            service for service in observed if service.health is Health.UNHEALTHY or service.status in _NOT_SERVING
        ]
        for service in unwell:
            yield from last_words(world, service.name)
        if not unwell:
            raise
        told = " and ".join(f"{service.name} is {service.described()}" for service in unwell)
        raise NeedsYou(f"{told}. {error.what}", error.meaning, error.next_step) from error


def last_words(world: World, service: str) -> Iterator[str]:
    """Lines that show what a service that does not come up said last: its health check, and the end of its log."""
    said = world.containers.last_health_check(service)
    if said:
        yield f"the health check of {service} says: {said}"
    yield f"the end of the log of {service} (`graasp-local logs {service}` has all of it):"
    yield from (f"  {line}" for line in world.containers.recent_log(service, _LOG_LINES))


class _Recovery:
    """A recovering database server is waited for as long as it makes progress, which is reported."""

    def __init__(self, world: World, began: float) -> None:
        self._world = world
        self._next_observation = began
        self._progress = ""
        self.got_on = began

    @property
    def is_under_way(self) -> bool:
        return bool(self._progress)

    def observe(self, service: str) -> Iterator[str]:
        now = self._world.clock.monotonic()
        if now < self._next_observation:
            return
        self._next_observation = now + _RECOVERY_POLL_SECONDS
        progress = self._world.containers.recovery_progress(service)
        if progress and progress != self._progress:
            if self._progress or now - self.got_on >= _RECOVERY_POLL_SECONDS:
                yield f"{service} is recovering from a crash: {progress}"
            self.got_on = now
        self._progress = progress


def _hopeless(world: World, service: ObservedService, restarts_before: int) -> str | None:
    if service.health is Health.UNHEALTHY:
        return f"{service.name} runs but does not become healthy"
    if service.status in (Status.EXITED, Status.DEAD):
        return f"{service.name} has exited instead of serving"
    if service.status is Status.RESTARTING:
        crashes = world.containers.restarts(service.name) - restarts_before
        if crashes >= _CRASHES_THAT_TELL:
            return f"{service.name} has crashed {crashes} times in a row"
    return None
