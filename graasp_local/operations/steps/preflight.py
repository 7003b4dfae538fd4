"""What is checked while visitors are still served. All problems are reported at once, not one by one."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.backup.store import BackupStore
from graasp_local.errors import NeedsYou, Refused
from graasp_local.images.pins import variable_of
from graasp_local.images.recipes import SERVICES_TO_BUILD, what_is_lacking
from graasp_local.planning.plan import Plan
from graasp_local.planning.requirements import (
    FREE_BYTES_FOR_WORK,
    FREE_BYTES_PER_IMAGE,
    OLDEST_COMPOSE,
    OLDEST_ENGINE,
)
from graasp_local.planning.safety_copy import SafetyCopy, copy_on_another_server, copy_that_fits
from graasp_local.planning.search_data import SEARCH_SERVICE, other_search_version
from graasp_local.planning.server import GRAASP_DATABASE, other_major
from graasp_local.planning.states import ServiceGroup, Status
from graasp_local.planning.steps import Preflight
from graasp_local.ports.checks import EngineFacts
from graasp_local.ports.images import IS_NOWHERE, ImageFact
from graasp_local.ports.world import World
from graasp_local.settings import ExternalServer
from graasp_local.settings.table import REPLICAS
from graasp_local.settings.warnings import NO_RECAPTCHA, WITH_RECAPTCHA, needs_recaptcha
from graasp_local.site import proven
from graasp_local.stack.memory import memory_limits, too_many_replicas
from graasp_local.stack.services import one_container_only
from graasp_local.version import Version
from graasp_local.wording import counted, listed

_GIB = 1024**3


class Problem(Struct, frozen=True):
    """A reason to refuse, as a sentence; `check` is the doctor's name for what was checked."""

    check: str
    said: str
    fix: str = ""


class PreflightResult(Struct, frozen=True):
    """What the checks of a version found when all was well."""

    engine: EngineFacts
    images: tuple[ImageFact, ...]
    copy: SafetyCopy
    """Which copy of the database the disk has room for, besides everything else."""

    def described(self) -> str:
        missing = sum(not image.local for image in self.images)
        engine = self.engine
        return (
            f"engine {engine.version}, Compose {engine.compose_version}, {engine.platform}; {missing} image(s) to pull"
        )

    def told_in(self, plan: Plan, settings: Mapping[str, str]) -> Plan:
        """The plan, with the result of its checks: they are not repeated when it is carried out."""
        steps = tuple(
            replace(step, found=(self.described(), *self.warnings(step.version, settings)))
            if isinstance(step, Preflight)
            else step
            for step in plan.steps
        )
        return replace(plan, steps=steps)

    def warnings(self, version: Version, settings: Mapping[str, str]) -> Iterator[str]:
        """What does not prevent a deployment but should be known, a sentence each."""
        yield from image_warnings(self.images, version)
        if needs_recaptcha(version, settings):
            yield f"RECAPTCHA_SECRET_ACCESS_KEY {NO_RECAPTCHA}. {WITH_RECAPTCHA}"


def image_warnings(images: Sequence[ImageFact], version: Version) -> Iterator[str]:
    """What images on this machine lack, as one text."""
    lacking = {image.service: image.lacks for image in images if image.lacks}
    if lacking:
        yield " ".join(what_is_lacking(lacking, str(version)))


def check_preflight(world: World, version: Version) -> PreflightResult:
    """Raises Refused with all problems found."""
    refuse_unusable_database(world)
    found = look(world, version)
    if isinstance(found, PreflightResult):
        return found
    said = " ".join(problem.said for problem in found)
    raise Refused(said, "Nothing was changed.", found[-1].fix)


def look(world: World, version: Version) -> PreflightResult | tuple[Problem, ...]:
    """What the checks of a version find, or all problems if there are any; these say what to do about it."""
    engine = world.checks.facts()
    images = world.images.image_facts(version)
    _refuse_other_search_data(world, next((fact.image for fact in images if fact.service == SEARCH_SERVICE), ""))
    problems = surroundings_problems(world, engine, images)
    database = _database_bytes(world)
    dump = _expected_dump_bytes(world, database)
    needs = _needed_for_work(images)
    if world.site.settings.external_database is None:
        copy, copied = copy_that_fits(engine.free_bytes, needs, database, dump), min(database, 2 * dump)
    else:
        by_dump = world.site.settings.copies_by_dump
        copy = copy_on_another_server(engine.free_bytes, needs, dump, by_dump=by_dump)
        copied = 2 * dump if by_dump else 0
    if copy is None:
        free, want = (engine.free_bytes or 0) / _GIB, (needs + copied) / _GIB
        problems.append(Problem("disk", f"The engine's disk has {free:.1f} GiB free, but {want:.1f} GiB are needed."))
    if problems or copy is None:
        way_out = _way_out(images, engine, version)
        return tuple(replace(problem, fix=way_out) for problem in problems)
    return PreflightResult(engine, images, copy)


def check_images(world: World, version: Version) -> None:
    """Raises Refused unless every image of a version is available for this engine."""
    facts, images = world.checks.facts(), world.images.image_facts(version)
    if problems := tuple(_image_problems(images, facts)):
        raise Refused(" ".join(problems), "Nothing was changed.", _way_out(images, facts, version))


def surroundings_problems(world: World, facts: EngineFacts, images: Sequence[ImageFact]) -> list[Problem]:
    """What is wrong around the site, no matter which operation is planned."""
    return [
        *_tool_problems(facts),
        *(Problem("swarm", said) for said in _swarm_problems(world)),
        *(Problem("project", said) for said in _directory_problems(world)),
        *(Problem("images", said) for said in _image_problems(images, facts)),
        *(Problem("ports", said) for said in _port_problems(world)),
        *(Problem("ports", said) for said in _inner_port_problems(world, _INNER_PORTS)),
        *(Problem("networks", said) for said in _network_problems(world)),
        *(Problem("memory", said) for said in _replica_problems(world, facts, {})),
    ]


def refuse_unusable_database(world: World) -> None:
    """Raises Refused if the site's database server, its own or an external one, cannot be used as it is."""
    if world.site.settings.external_database is None:
        refuse_other_major(world)
    else:
        _refuse_external(world, world.site.settings.external_database)


def _refuse_external(world: World, server: ExternalServer) -> None:
    found = world.database.obstacles()
    if found:
        raise Refused(
            " ".join(obstacle.said for obstacle in found), "Nothing was changed.", " ".join(o.fix for o in found)
        )
    image, major = world.site.tools_image, world.databases.major_version()
    tools = world.servers.containers.image_major(image)
    if tools is not None and tools < major:
        raise Refused(
            f"The database at {server.where} is Postgres {major}, but the tools in {image} are those of "
            f"Postgres {tools}, which cannot back it up.",
            "Nothing was changed.",
            f"Set DB_IMAGE in .env to an image of Postgres {major}; it is used for its tools only.",
        )


_WITHOUT_SUBSCRIPTION = (
    "in that database and for each of them: ALTER SUBSCRIPTION … DISABLE; ALTER SUBSCRIPTION … SET (slot_name = NONE); "
    "DROP SUBSCRIPTION …; the publisher keeps the slot."
)


def refuse_subscriptions(world: World) -> None:
    """Raises Refused if Graasp's database subscribes to another one: a copy of it would not have the subscription.

    A rollback to the copy would leave the subscription with the database that is set aside, which could then not be
    removed any more.
    """
    found = world.database.subscriptions()
    if found:
        raise Refused(
            f"{_having(found)}, which a rollback would leave behind with the database that failed.",
            "Nothing was changed.",
            f"Before the deployment, {_WITHOUT_SUBSCRIPTION} Afterwards: CREATE SUBSCRIPTION … WITH (create_slot = "
            "false, copy_data = false, slot_name = …), which misses nothing.",
        )


def refuse_to_replace_subscriptions(world: World) -> None:
    """Raises Refused if a restore would set aside a database of Graasp's with subscriptions, which then keep it."""
    found = world.database.subscriptions()
    if found:
        raise Refused(
            f"{_having(found)}, which a restore would leave behind with the database that it replaces.",
            "Nothing was changed.",
            f"Before the restore, {_WITHOUT_SUBSCRIPTION} Afterwards, create the subscription again; what the backup "
            "lacks of the publisher's rows has to be copied.",
        )


def _having(subscriptions: tuple[str, ...]) -> str:
    return f"Database {GRAASP_DATABASE} has {counted(len(subscriptions), 'subscription')} ({listed(subscriptions)})"


def refuse_other_major(world: World) -> None:
    """Raises Refused if the database's image is of another major than its files: Postgres would only crash."""
    containers, image = world.servers.containers, world.site.database_server.image
    wrong = other_major(containers.data_major(), containers.image_major(image), image)
    if wrong is not None:
        raise Refused(wrong.sentence, "Nothing was changed: Postgres would only crash in a loop.", wrong.fix)


def _refuse_other_search_data(world: World, image: str) -> None:
    """Raises Refused if Meilisearch would only crash again and again, and core with it."""
    found = world.checks.search_data(image)
    said = other_search_version(found[0], image) if found else None
    if found and said:
        raise Refused(
            said,
            "Nothing was changed: Meilisearch would only crash again and again.",
            f"Set MEILISEARCH_IMAGE in .env back, or let it start with an empty index: `graasp-local apply stopped`, "
            f"`graasp-local compose -- rm --force {SEARCH_SERVICE}`, `docker volume rm {found[1]}`, then try again. "
            "docs/operate.md, under Change the version of Meilisearch, says how Graasp fills it.",
        )


def check_transition(world: World, services: Sequence[str]) -> None:
    """Check what a change of state that starts these services needs; nothing is changed.

    Raises Refused, or EngineUnreachable without Compose.
    """
    world.checks.require_compose()
    if services or world.site.settings.external_database is None:
        # An external server that is away need not keep anything from being stopped.
        refuse_unusable_database(world)
    _refuse_absent_images(world, services)
    if {*services} & {*world.site.settings.replicas}:
        refuse_too_many(world, {})
    if SEARCH_SERVICE in services:
        _refuse_other_search_data(world, world.site.named_images.get(variable_of(SEARCH_SERVICE), ""))
    edge = {service.name for service in world.containers.observe().services if service.group is ServiceGroup.EDGE}
    ports = _port_problems(world) if edge & {*services} else ()  # stopping needs no ports
    inner = _inner_port_problems(world, services)
    problems = [*_swarm_problems(world), *_directory_problems(world), *ports, *inner, *_network_problems(world)]
    if problems:
        raise Refused(" ".join(problems), "Nothing was changed.", "Fix this, then try again.")


def refuse_too_many(world: World, wanted: Mapping[str, int]) -> None:
    """Raises Refused if the machine cannot hold the containers that `wanted`, or else the site's settings, ask for."""
    problems = [*_replica_problems(world, world.checks.facts(), wanted)]
    if problems:
        raise Refused(
            " ".join(problems),
            "Nothing was changed.",
            "Choose a smaller number, or lower `mem_limit` in compose.override.yaml.",
        )


def _replica_problems(world: World, facts: EngineFacts, wanted: Mapping[str, int]) -> Iterator[str]:
    site = world.site
    replicas = {**dict.fromkeys(REPLICAS, 1), **site.settings.replicas, **wanted}
    if all(number == 1 for number in replicas.values()):
        return
    yield from one_container_only(site.stack_files, [name for name, number in replicas.items() if number > 1])
    if facts.memory_bytes is not None:
        limits = memory_limits(site.stack_files, site.settings.values, REPLICAS)
        said = too_many_replicas(limits, replicas, facts.memory_bytes)
        if said:
            yield said


def check_edge(world: World) -> Iterator[str]:
    """Raises Refused, in nginx's own words, if it would not start with the configuration that results from `.env`.

    If nginx cannot be asked, that is only reported: starting it will show.
    """
    try:
        refusal = world.checks.edge_refusal()
    except NeedsYou as error:
        yield f"could not be checked: {error.what}"
        return
    if refusal is not None:
        raise Refused(
            f"nginx refuses its configuration: {refusal}",
            "Nothing was changed: a running nginx keeps its configuration.",
            "Change the setting that it names in .env; `graasp-local config check` says what else is wrong there.",
        )


def check_stack(world: World, services: Sequence[str], version: Version | None) -> Iterator[str]:
    """Raises Refused, in the engine's own words, if it would not start these services as they are configured.

    If they cannot be tried, that is only reported: starting them will show.
    """
    try:
        refusal = world.checks.stack_refusal(services, version)
    except NeedsYou as error:
        yield f"could not be tried: {error.what}"
        return
    if refusal is not None:
        raise Refused(
            refusal,
            "Nothing was changed.",
            f"Change it in {world.site.override_file}, then try again.",
        )


def _refuse_absent_images(world: World, services: Sequence[str]) -> None:
    """A change of state pulls nothing, and Compose starts nothing without its image, not even an existing container."""
    absent = world.images.absent_images(services) if services else {}
    if not absent:
        return
    made_here = tuple(name for name, image in absent.items() if image.startswith("sha256:"))
    version = world.site.selected_version
    if "client" in absent:
        way = f"`graasp-local build --version {version} --only client` builds it; then try again."
    elif made_here:
        way = f"Build or load {listed(made_here)} again, as before; then `graasp-local deploy --version {version}`."
    else:
        way = f"`graasp-local compose -- pull {' '.join(absent)}` fetches what is missing; then try again."
    raise Refused(
        f"Not on the engine: the image of {listed(tuple(absent))} ({listed(tuple(dict.fromkeys(absent.values())))}).",
        "Nothing was changed.",
        way,
    )


def _tool_problems(facts: EngineFacts) -> Iterator[Problem]:
    if numbers(facts.version) < OLDEST_ENGINE:
        yield Problem("engine", f"Docker Engine {facts.version} is too old: {OLDEST_ENGINE[0]} or newer is needed.")
    if numbers(facts.compose_version) < OLDEST_COMPOSE:
        yield Problem(
            "compose",
            f"Compose {facts.compose_version} is too old: {OLDEST_COMPOSE[0]}.{OLDEST_COMPOSE[1]} or newer is needed.",
        )


def _swarm_problems(world: World) -> Iterator[str]:
    problem = world.checks.swarm_problem()
    if problem:
        yield problem


def _directory_problems(world: World) -> Iterator[str]:
    other = world.checks.other_directory()
    if other is not None:
        yield (
            f"The project name {world.site.settings.project} belongs to the site in {other}: "
            "set another COMPOSE_PROJECT_NAME."
        )


def _image_problems(images: Sequence[ImageFact], facts: EngineFacts) -> Iterator[str]:
    """Images with the same problem are named together: a version's three images usually share one."""
    unavailable: dict[str, list[str]] = {}
    elsewhere: dict[tuple[str, ...], list[str]] = {}
    for image in images:
        if image.problem:
            unavailable.setdefault(image.problem, []).append(image.image)
        elif _is_for_another_platform(image, facts):
            elsewhere.setdefault(image.platforms, []).append(image.image)
    for platforms, names in elsewhere.items():
        yield f"Made for {listed(platforms)}, but this engine is {facts.platform}: {listed(tuple(names))}."
    for reason, names in unavailable.items():
        yield f"Not available: {listed(tuple(names))} ({reason})."


def _is_for_another_platform(image: ImageFact, facts: EngineFacts) -> bool:
    return bool(image.platforms) and not any(platform.startswith(facts.platform) for platform in image.platforms)


def _is_nowhere(image: ImageFact) -> bool:
    """The client is not published anywhere; of the others, some versions are not."""
    return bool(image.problem) and (image.service == "client" or IS_NOWHERE in image.problem)


def _way_out(images: tuple[ImageFact, ...], facts: EngineFacts, version: Version) -> str:
    """What to type next: a build if images of Graasp itself exist only for other platforms, or not at all.

    A build makes all of them, so every one that is missing is named, even one that a registry might still have.
    """
    ours = [image for image in images if image.service in SERVICES_TO_BUILD]
    if any(_is_for_another_platform(image, facts) or _is_nowhere(image) for image in ours):
        built = tuple(image.service for image in ours if image.problem or _is_for_another_platform(image, facts))
        return f"`graasp-local build --version {version}` builds {listed(built)} for this engine; then deploy again."
    if any(image.problem for image in images if image.service in SERVICES_TO_BUILD):
        return "Fix this, then deploy again. `graasp-local versions` lists what is available."
    return "Fix this, then deploy again."


def _expected_dump_bytes(world: World, database: int) -> int:
    """About how large a dump of a database of this size will be: 1.5 times the last dump, at most the given size."""
    try:
        usable = BackupStore.of(world.site).usable()
    except Refused:
        usable = ()  # taking a backup reports this; a deployment without one goes on
    dumped = [
        part.stored.bytes for backup in usable for part in backup.manifest.databases if part.name == GRAASP_DATABASE
    ]
    return min(database, dumped[-1] * 3 // 2) if dumped else database


def _needed_for_work(images: Sequence[ImageFact]) -> int:
    return FREE_BYTES_FOR_WORK + FREE_BYTES_PER_IMAGE * sum(not image.local for image in images)


def _database_bytes(world: World) -> int:
    """0 while the database is off and cannot be asked."""
    if world.site.settings.external_database is not None:
        return world.database.size_bytes()
    database = [s for s in world.containers.observe().services if s.group is ServiceGroup.DATABASE]
    return world.database.size_bytes() if database and all(service.is_on for service in database) else 0


def _network_problems(world: World) -> Iterator[str]:
    if any(service.status is Status.ABSENT for service in world.containers.observe().services):
        # Without the Swarm, its networks cannot even be tried.
        problem = world.checks.network_problem() if world.checks.swarm_problem() is None else None
        if problem and world.site.settings.swarm is not None:
            yield problem
        elif problem:
            yield f"{problem} `docker network prune` removes unused networks; daemon.json can name more address pools."


def _port_problems(world: World) -> Iterator[str]:
    settings = world.site.settings
    edge = [service for service in world.containers.observe().services if service.group is ServiceGroup.EDGE]
    ours: tuple[int, ...] = ()
    if any(not service.is_off for service in edge):
        kept = proven.as_proven(world.site)
        ours = kept.settings.ports if kept is not None else settings.ports
    lowest = world.checks.lowest_port()
    for port in (port for port in settings.ports if port not in ours):
        if port < lowest:
            yield too_low(port, lowest)
        problem = world.checks.port_problem(settings.bind, port)
        if problem:
            yield f"Port {port} {problem}."


_INNER_PORTS = {"db": "DB_PORT", "mailpit": "MAILPIT_PORT"}
"""Services that publish a port on 127.0.0.1 for the machine's own use, if the setting names one."""


def _inner_port_problems(world: World, services: Collection[str]) -> Iterator[str]:
    """What is wrong with the ports of these services, unless they have them already."""
    wanted, defined = world.site.settings.values, {service.name for service in world.site.services}
    ports = {name: wanted.get(key, "") for name, key in _INNER_PORTS.items() if name in defined and name in services}
    if not any(ports.values()):
        return
    kept, on = proven.as_proven(world.site), {s.name for s in world.containers.observe().services if not s.is_off}
    before = (kept.settings if kept is not None else world.site.settings).values
    for service, port in ports.items():
        key = _INNER_PORTS[service]
        if not port or (service in on and before.get(key) == port):
            continue
        problem = world.checks.port_problem("127.0.0.1", int(port))
        if problem:
            yield f"Port {port} ({key}) {problem}."


def too_low(port: int, lowest: int) -> str:
    """The sentence for a port that a rootless engine may not publish. Pure."""
    return (
        f"Port {port} is below {lowest}, so a rootless engine cannot publish it: run "
        f"`sysctl net.ipv4.ip_unprivileged_port_start={port}`, or set another port in .env."
    )


def numbers(version: str) -> tuple[int, int]:
    parts = [int("".join(filter(str.isdigit, part)) or 0) for part in version.split("-")[0].split(".")[:2]]
    return (parts[0], parts[1] if len(parts) > 1 else 0)
