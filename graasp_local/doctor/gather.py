"""Gathers what the doctor judges. Each fact is independent: a failure in one question does not affect the others.

Reads the site, the engine and the network; changes nothing. Judges nothing (judge.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from graasp_local.doctor import network
from graasp_local.doctor.facts import (
    AcmeRenewal,
    Fact,
    Facts,
    Known,
    OwnFiles,
    PortUse,
    PostgresMajors,
    Return,
    T,
    Unknown,
)
from graasp_local.errors import ConfigurationError, GraaspLocalError, Refused
from graasp_local.lock import current_holder
from graasp_local.operations.deployments import refusals
from graasp_local.operations.steps.having_images import rollback_images
from graasp_local.planning.states import ServiceGroup
from graasp_local.settings import Settings, Tls
from graasp_local.site import rotate
from graasp_local.site.check import check_configuration
from graasp_local.site.create import newer_maker
from graasp_local.site.site import Site
from graasp_local.stack.memory import memory_limits
from graasp_local.stack.variables import volumes_defined
from graasp_local.tls.attempts import read_renewals
from graasp_local.version import Version

if TYPE_CHECKING:
    from graasp_local.ports.database import CollationChange
    from graasp_local.ports.doctor import Diagnosis
    from graasp_local.ports.world import World

_THREADS = 8


def gather(site: Site, world: Callable[[], World], version: Version | None) -> Facts:
    """Everything that can be determined. `version` is the one whose images are checked; None: the selected one.

    Raises ConfigurationError if there is no `.env` at all.
    """
    configuration = check_configuration(site)
    settings = attempt(lambda: site.settings)
    wanted = version or attempt_or_none(lambda: site.selected_version)
    with ThreadPoolExecutor(_THREADS) as threads:

        def soon(ask: Callable[[Settings], T]) -> Callable[[], Fact[T]]:
            """Start asking at once, in parallel; calling the result waits for the answer."""
            if isinstance(settings, Unknown):
                unknown = Unknown("the settings cannot be used")
                return lambda: unknown
            future = threads.submit(attempt, lambda: ask(settings.value))
            return future.result

        def diagnosed(ask: Callable[[Diagnosis], T]) -> Callable[[], Fact[T]]:
            return soon(lambda known: ask(_diagnosis(known)))

        def flat(ask: Callable[[Settings], Fact[T]]) -> Callable[[], Fact[T]]:
            asked = soon(ask)

            def result() -> Fact[T]:
                answer = asked()
                return answer.value if isinstance(answer, Known) else answer

            return result

        repository = core_repository(settings)
        engine = diagnosed(lambda diagnosis: diagnosis.info())
        compose = threads.submit(attempt, _compose_version)
        images = soon(lambda _: world().engine.image_facts(_some(wanted)))
        registry = diagnosed(lambda diagnosis: diagnosis.registry(f"{repository}:core-v{_some(wanted)}"))
        database_bytes = soon(lambda _: _database_bytes(world()))
        ports = soon(lambda known: _ports(world(), known))
        leftovers = diagnosed(lambda d: d.leftovers({service.name for service in site.services}))
        volumes = diagnosed(lambda d: d.volumes_but(volumes_defined(site.stack_files)))
        postgres = soon(lambda _: _majors(world(), site))
        collations = soon(lambda _: _collations(world(), site))
        refused = soon(lambda _: refusals(world(), _some(wanted)))
        returning = soon(lambda _: _rollback(world(), site))
        names = soon(lambda known: tuple(network.host_name(name, _port(known)) for name in _names(known)))
        certificate = flat(lambda known: network.certificate(known.public_url))
        renewal = soon(lambda known: _renewal(site, known))
        clock = flat(lambda _: network.clock_ahead(_registry_url(repository)))
        mail = flat(lambda known: network.mail_server(known.values["MAILER_CONNECTION"]))
        return Facts(
            configuration=configuration,
            rotation_cut_off=_rotation(site),
            engine=engine(),
            compose=compose.result(),
            version=str(wanted or ""),
            images=images(),
            registry=registry(),
            database_bytes=database_bytes(),
            limits=attempt(lambda: _limits(site)),
            ports=ports(),
            names=names(),
            certificate=certificate(),
            renewal=renewal(),
            clock_ahead_seconds=clock(),
            mail=mail(),
            leftovers=leftovers(),
            volumes=volumes(),
            postgres=postgres(),
            collations=collations(),
            refusals=refused(),
            rollback=returning(),
            unfinished=attempt(lambda: _unfinished(site)),
            holder=current_holder(site.lock_file),
            newer_maker=attempt_or_none(lambda: newer_maker(site.read_env())),
        )


def attempt(ask: Callable[[], T]) -> Fact[T]:
    """The answer, or why there is none."""
    try:
        return Known(ask())
    except GraaspLocalError as error:
        return Unknown(error.what.rstrip("."))
    except Exception as error:  # a defect in one question must not suppress the other answers
        return Unknown(f"{type(error).__name__}: {error}".rstrip("."))


def attempt_or_none(ask: Callable[[], T | None]) -> T | None:
    """The answer, or None if there is none; for the site's own files, which may be damaged."""
    answer = attempt(ask)
    return answer.value if isinstance(answer, Known) else None


def core_repository(settings: Fact[Settings]) -> str:
    """The repository of core's image, without a tag."""
    from graasp_local.settings import OPTIONS

    default = next(option.default for option in OPTIONS if option.key == "GRAASP_REPOSITORY")
    return (settings.value.values.get("GRAASP_REPOSITORY") if isinstance(settings, Known) else None) or default


def _diagnosis(settings: Settings) -> Diagnosis:
    from graasp_local.engine.site.diagnosis import DockerDiagnosis

    return DockerDiagnosis(settings.project)


def _some(version: Version | None) -> Version:
    if version is None:
        raise Refused("no version has been deployed here yet; `graasp-local doctor --version X` checks those of X")
    return version


def _compose_version() -> str:
    from graasp_local.engine.compose.verbs import compose_version

    return compose_version()


def _database_bytes(world: World) -> int:
    """0 for a database that was never created: then there is nothing to copy."""
    if world.site.settings.external_database is not None:
        return world.database.size_bytes()
    database = [service for service in world.containers.observe().services if service.group is ServiceGroup.DATABASE]
    if all(service.status.value == "absent" for service in database):
        return 0
    return world.database.size_bytes()


def _rollback(world: World, site: Site) -> Return | None:
    served = site.selected_version
    if served is None:
        return None
    found = rollback_images(world, served)
    return Return(str(served), found.lost, found.other_builds)


def _majors(world: World, site: Site) -> PostgresMajors:
    external = site.settings.external_database
    if external is not None:
        major = world.databases.major_version()
        return PostgresMajors(major, world.servers.containers.image_major(site.tools_image) or major, external.where)
    image = site.database_server.image
    data, starts = world.servers.containers.data_major(), world.servers.containers.image_major(image)
    if data is None:
        raise Refused("there is no database yet")
    if starts is None:
        raise Refused(f"the Postgres version of {image} is unknown")
    return PostgresMajors(data, starts)


def _collations(world: World, site: Site) -> tuple[CollationChange, ...]:
    if site.settings.external_database is None and world.servers.containers.data_major() is None:
        raise Refused("there is no database yet")
    return world.database.collation_changes()


def _renewal(site: Site, settings: Settings) -> AcmeRenewal | OwnFiles | None:
    from graasp_local.tls.certificate import own_files, read_certificate

    if settings.tls is Tls.OFF:
        return None
    if not site.certificate_file.exists():
        raise Refused("there is no certificate yet; `graasp-local apply running` or a deployment creates one")
    pem = site.certificate_file.read_text()
    if settings.tls is Tls.FILES:
        return OwnFiles.TAKEN_OVER if own_files(settings) == pem else OwnFiles.CHANGED
    now, found, record = datetime.now(UTC), read_certificate(pem), read_renewals(site.renewals_file)
    by_timer = record.by_timer if record else None
    return AcmeRenewal(
        due=found.due(now, settings.certificate_names),
        problem=record.problem if record else "",
        timer_days_ago=(now - by_timer) / timedelta(days=1) if by_timer else None,
    )


def _ports(world: World, settings: Settings) -> tuple[PortUse, ...]:
    edge = [service for service in world.containers.observe().services if service.group is ServiceGroup.EDGE]
    is_ours = any(not service.is_off for service in edge)
    lowest = 0 if is_ours else world.checks.lowest_port()
    return tuple(
        PortUse(port, None if is_ours else world.checks.port_problem(settings.bind, port), lowest)
        for port in settings.ports
    )


def _names(settings: Settings) -> tuple[str, ...]:
    """The host names to resolve."""
    hosts = (urlsplit(settings.public_url).hostname or "", settings.umami_host)
    return tuple(host for host in hosts if not re.fullmatch(r"[\d.]+|.*:.*", host))


def _port(settings: Settings) -> int:
    """The port that visitors use."""
    parts = urlsplit(settings.public_url)
    return parts.port or (443 if parts.scheme == "https" else 80)


def _registry_url(repository: str) -> str:
    from graasp_local.engine.images.registry import split_repository

    host, _ = split_repository(repository)
    return f"{'http' if host.partition(':')[0] in ('localhost', '127.0.0.1') else 'https'}://{host}/v2/"


def _limits(site: Site) -> dict[str, int]:
    needed = {service.name for service in site.services if service.group is not ServiceGroup.MIGRATION}
    limits = memory_limits(site.stack_files, site.settings.values, needed)
    replicas = site.settings.replicas
    return {name: limit * replicas.get(name, 1) for name, limit in limits.items()}


def _rotation(site: Site) -> tuple[str, ...]:
    try:
        cut_off = rotate.cut_off(site)
    except ConfigurationError:
        return ("secrets",)
    return cut_off.keys if cut_off else ()


def _unfinished(site: Site) -> str | None:
    record = site.history.seems_unfinished
    return record.operation if record else None
