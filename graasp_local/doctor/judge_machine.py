"""The machine: engine, Compose, images, registry, disk, memory. `fails` means that a deployment refuses it. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from graasp_local.doctor.facts import Fact, Facts, Known, Return, Unknown
from graasp_local.doctor.findings import Finding, Verdict, not_known, ok
from graasp_local.images.recipes import SERVICES_TO_BUILD, what_is_lacking
from graasp_local.operations.steps.preflight import numbers
from graasp_local.planning.requirements import (
    FREE_BYTES_FOR_WORK,
    FREE_BYTES_PER_IMAGE,
    OLDEST_COMPOSE,
    OLDEST_ENGINE,
)
from graasp_local.ports.doctor import Registry
from graasp_local.ports.images import ImageFact
from graasp_local.wording import listed

LEAST_MEMORY_BYTES = 710 * 1024**2
"""Core and workers alone: 545 MiB and 165 MiB, as measured with real images of Graasp 2.13."""

_GIB = 1024**3


def _way_to_an_engine(why: str) -> str:
    if "permission denied" in why:
        return "Add your user to the group that owns the engine's socket, usually `docker`, and log in again."
    if "graasp-local needs" in why:
        return "Install Docker Engine (docs.docker.com/engine/install), or set DOCKER_HOST to one."
    if "refuses" in why:
        return (
            "Check the engine's log (`journalctl --unit docker`), or the log of the proxy if its socket is behind one."
        )
    return "`systemctl start docker`, or `scripts/ensure-engine` in a checkout."


def engine(facts: Facts) -> Iterator[Finding]:
    match facts.engine:
        case Unknown() as unknown:
            told = any(word in unknown.why for word in ("Docker engine", "graasp-local needs"))
            said = f"{unknown.why}." if told else f"No Docker engine answers: {unknown.why}."
            yield Finding("engine", Verdict.FAILS, said, _way_to_an_engine(unknown.why))
        case Known(engine) if numbers(engine.version) < OLDEST_ENGINE:
            yield Finding(
                "engine",
                Verdict.FAILS,
                f"Docker Engine {engine.version} is too old: {OLDEST_ENGINE[0]} or newer is needed.",
                "Upgrade the package docker-ce, or docker.io.",
            )
        case Known(engine):
            yield ok("engine", f"Docker Engine {engine.version} on {engine.platform}.")
            if engine.lowest_port:
                yield ok(
                    "engine",
                    f"The engine is rootless and can publish port {engine.lowest_port} and higher ones. With "
                    "rootlesskit's default port driver, nginx and core see the same address for every visitor.",
                )
            if engine.ends_with_session_of:
                user = engine.ends_with_session_of
                said = f"The rootless engine stops when {user} logs out, and does not start with the machine."
                yield Finding("engine", Verdict.WARNING, said, f"`loginctl enable-linger {user}`")


def compose(compose: Fact[str]) -> Iterator[Finding]:
    oldest = ".".join(map(str, OLDEST_COMPOSE))
    match compose:
        case Unknown(why):
            said = f"Compose {oldest} or newer is not available: {why}."
            yield Finding("compose", Verdict.FAILS, said, "Install the package docker-compose-plugin.")
        case Known(version) if numbers(version) < OLDEST_COMPOSE:
            said = f"Compose {version} is too old: {oldest} or newer is needed."
            yield Finding("compose", Verdict.FAILS, said, "Upgrade the package docker-compose-plugin.")
        case Known(version):
            yield ok("compose", f"Compose {version}.")


def images(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.images, Unknown):
        yield not_known("images", "The images", facts.images)
        return
    platform = facts.engine.value.platform if isinstance(facts.engine, Known) else ""
    bad = False
    for image in facts.images.value:
        if image.problem:
            bad = True
            said = f"{image.image} is not available: {image.problem}."
            yield Finding("images", Verdict.FAILS, said, _missing(image, facts.version))
        elif image.platforms and not any(name.startswith(platform) for name in image.platforms):
            bad = True
            said = f"{image.image} is made for {listed(image.platforms)}, but this engine is {platform}."
            yield Finding("images", Verdict.FAILS, said, _other_platform(image.service, facts.version))
    lacking = {image.service: image.lacks for image in facts.images.value if image.lacks}
    if lacking:
        said, fix = what_is_lacking(lacking, facts.version)
        yield Finding("images", Verdict.WARNING, said, fix)
    if not bad:
        missing = sum(not image.local for image in facts.images.value)
        have = "has" if missing == 1 else "have"
        where = f"{missing} of them still {have} to be pulled" if missing else "all of them are on the engine"
        yield ok("images", f"{len(facts.images.value)} images for {platform}; {where}.")


def _missing(image: ImageFact, version: str) -> str:
    if image.service == "client":  # it is published nowhere: the site's address is built into it
        return _built(image.service, version)
    return f"`docker pull {image.image}` shows more."


def _other_platform(service: str, version: str) -> str:
    if service not in SERVICES_TO_BUILD:
        return f"Set {service.upper()}_IMAGE in .env to an image for this platform."
    return _built(service, version)


def _built(service: str, version: str) -> str:
    return f"`graasp-local build --version {version} --only {service}` builds it from Graasp's sources."


def rollback(found: Fact[Return | None]) -> Iterator[Finding]:
    match found:
        case Unknown() as unknown:
            yield not_known("rollback", "Whether a failed deployment can be rolled back", unknown)
        case Known(Return(version, lost=lost)) if lost:
            yield Finding(
                "rollback",
                Verdict.FAILS,
                f"If the next deployment fails, it cannot be rolled back to {version}: the "
                f"{'image' if len(lost) == 1 else 'images'} of {listed(lost)} {'is' if len(lost) == 1 else 'are'} no "
                "longer on the engine or in the registry.",
                f"Build or load the images of {version} again, or deploy with `--on-failure hold`, which does not "
                "roll back.",
            )
        case Known(Return(version, other_builds=others)) if others:
            yield Finding(
                "rollback",
                Verdict.WARNING,
                f"If the next deployment fails, {version} would be restored with another build of {listed(others)}: "
                f"{'the one' if len(others) == 1 else 'those'} running now {'is' if len(others) == 1 else 'are'} no "
                "longer on the engine or in the registry.",
                f"`graasp-local deploy --version {version}` deploys the build that its tags point to.",
            )
        case Known(Return(version)):
            yield ok(
                "rollback", f"If the next deployment fails, {version} can be restored: its images are still available."
            )
        case _:
            yield ok("rollback", "Nothing has been deployed here yet, so there is nothing to go back to.")


def registry(registry: Fact[Registry]) -> Iterator[Finding]:
    match registry:
        case Unknown() as unknown:
            yield not_known("registry", "The registry login", unknown)
        case Known(Registry(host, refuses=True)):
            said = (
                f"{host} refuses this user (403). Registries do this when a login has expired, even for public images."
            )
            yield Finding("registry", Verdict.FAILS, said, f"`docker logout {host}`")
        case Known(Registry(host)):
            yield ok("registry", f"{host} does not refuse this user.")


def disk(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.engine, Unknown):
        yield not_known("disk", "The disk", facts.engine)
        return
    free = facts.engine.value.free_bytes
    if free is None:
        yield not_known(
            "disk",
            "The disk",
            Unknown("this user may not read it, and no running container on the engine's machine could be asked"),
        )
        return
    pulls = sum(not image.local for image in facts.images.value) if isinstance(facts.images, Known) else 0
    database = facts.database_bytes.value if isinstance(facts.database_bytes, Known) else 0
    needed = FREE_BYTES_FOR_WORK + FREE_BYTES_PER_IMAGE * pulls + database
    said = f"The engine's disk has {free / _GIB:.1f} GiB free"
    if free < needed:
        fix = "`docker image prune` removes images that nothing uses; `docker system df` shows what takes up space."
        yield Finding("disk", Verdict.FAILS, f"{said}, but a deployment needs {needed / _GIB:.1f} GiB.", fix)
    elif isinstance(facts.database_bytes, Unknown):
        unknown = f"the size of the database is unknown: {facts.database_bytes.why}"
        said = f"{said}; a deployment needs at least {needed / _GIB:.1f} GiB; {unknown}."
        yield Finding("disk", Verdict.UNKNOWN, said)
    else:
        yield ok("disk", f"{said}; a deployment needs {needed / _GIB:.1f} GiB.")


def memory(facts: Facts) -> Iterator[Finding]:
    if isinstance(facts.engine, Unknown):
        yield not_known("memory", "The memory", facts.engine)
        return
    there = facts.engine.value.memory_bytes
    said = f"The engine's machine has {there / _GIB:.1f} GiB of memory"
    if there < LEAST_MEMORY_BYTES:
        said = f"{said}: core and workers alone need {LEAST_MEMORY_BYTES / _GIB:.1f} GiB."
        yield Finding("memory", Verdict.FAILS, said, "Give the machine more memory.")
        return
    if isinstance(facts.limits, Unknown):
        yield not_known("memory", f"{said}. How much the stack may use", facts.limits)
        return
    limits = facts.limits.value
    if limits and not facts.engine.value.limits_memory:
        said = f"{said}, but the engine does not enforce memory limits (`mem_limit`): one service can use all of it."
        fix = "A rootless engine needs cgroup v2 with the memory controller delegated to its user, and systemd."
        yield Finding("memory", Verdict.WARNING, said, fix)
        return
    if not limits:
        yield not_known("memory", f"{said}. Whether that is enough", Unknown("no service has a limit (mem_limit)"))
        return
    may_take = sum(limits.values())
    if may_take > there:
        large = sorted(limits, key=lambda name: -limits[name])[:3]
        fix = f"Lower `mem_limit` in compose.override.yaml ({listed(tuple(large))} have the largest), or add memory."
        yield Finding(
            "memory",
            Verdict.WARNING,
            f"{said}, but its services together may use {may_take / _GIB:.1f} GiB: under load some of them would "
            "be killed.",
            fix,
        )
    else:
        yield ok("memory", f"{said}; the services together may use {may_take / _GIB:.1f} GiB.")
