"""Checks the configuration of a site as a whole: `.env`, the compose files used with it, who can read it, and who could
change it.

The rules for `.env` are in settings/rules.py, the same that every command applies. Reads files and changes nothing.
"""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path

from msgspec import Struct

from graasp_local.errors import ConfigurationError
from graasp_local.settings.rules import Problem, Reading, Severity, errors, read
from graasp_local.settings.table import REPLICAS
from graasp_local.settings.warnings import Surroundings, warnings
from graasp_local.site.site import Site
from graasp_local.stack.external import certificates_of
from graasp_local.stack.memory import memory_limits, too_many_replicas
from graasp_local.stack.powers import Power, powers
from graasp_local.stack.services import content_of, one_container_only, read_services, services_in, volumes_in
from graasp_local.stack.variables import profiles_defined, variables_used
from graasp_local.wording import listed


class Finding(Struct, frozen=True):
    """Something wrong with the configuration. `said` and `fix` are sentences; `line` is None if there is none."""

    severity: Severity
    file: Path
    key: str
    line: int | None
    said: str
    fix: str


def check_configuration(site: Site, memory: int | None = None) -> tuple[Finding, ...]:
    """Everything that is wrong, errors first, then by line. Raises ConfigurationError if there is no `.env`.

    `memory` is what the engine's machine has, in bytes; None if unknown.
    """
    reading = read(site.read_env())
    problems = [*errors(reading)]
    findings = [*_compose_problems(site)]
    if not findings:
        findings += [*_powers(site, reading.values), *_limits_said_twice(site), *_volume_options(site)]
        findings += _replicas_without_room(site, reading, memory)
        surroundings = Surroundings(
            variables_used(site.stack_files), profiles_defined(site.stack_files), site.selected_version
        )
        problems += warnings(reading, surroundings)
    findings += _unusable_certificates(site, reading)
    findings += _files_not_read(site, reading)
    findings += [_about_env(site, problem) for problem in problems]
    findings += [*_writable_by_others(site), *_readable_by_others(site)]
    return tuple(sorted(findings, key=lambda found: (found.severity is not Severity.ERROR, found.line or 0)))


def powers_of(site: Site, values: Mapping[str, str]) -> tuple[Power, ...]:
    """What the site's override asks of the machine beyond what the stack needs. Raises ConfigurationError."""
    if not site.override_file.exists():
        return ()
    return powers(content_of(site.override_file), values, str(site.directory))


def told_powers(site: Site) -> tuple[str, ...]:
    """The same in sentences, to show with a plan. Raises ConfigurationError."""
    name = site.override_file.name
    return tuple(f"{name} {power.said}." for power in powers_of(site, site.settings.values))


def _powers(site: Site, values: Mapping[str, str]) -> Iterator[Finding]:
    for power in powers_of(site, values):
        said = f"{site.override_file} {power.said}."
        yield Finding(Severity.WARNING, site.override_file, power.service, None, said, power.fix)


def _unusable_certificates(site: Site, reading: Reading) -> Iterator[Finding]:
    """What every command that prepares the site refuses: an external database whose certificate cannot be checked."""
    if [*errors(reading)] or site.settings.external_database is None:
        return
    try:
        certificates_of(site.settings.external_database)
    except ConfigurationError as error:
        line = reading.lines.get("DATABASE_CA")
        where = f"{site.env_file}, line {line}: {error.what}"
        yield Finding(Severity.ERROR, site.env_file, "DATABASE_CA", line, where, error.next_step)


def _files_not_read(site: Site, reading: Reading) -> Iterator[Finding]:
    """Files that Compose would use by default, but not here, because it is told which files to use."""
    stems = ("compose", "docker-compose", "compose.override", "docker-compose.override")
    for file in (site.directory / f"{stem}{ending}" for stem in stems for ending in (".yaml", ".yml")):
        if file != site.override_file and file.exists():
            said = f"{file} is ignored: only {site.override_file.name} is read."
            fix = f"Move its content to {site.override_file}, or remove it."
            yield Finding(Severity.WARNING, file, "", None, said, fix)
    if reading.values.get("COMPOSE_FILE"):
        line = reading.lines.get("COMPOSE_FILE")
        said = (
            f"COMPOSE_FILE in {site.env_file} is ignored: only the stack's files and {site.override_file.name} "
            "are used."
        )
        fix = f"Remove it, and move the content of those files to {site.override_file}."
        yield Finding(Severity.WARNING, site.env_file, "COMPOSE_FILE", line, said, fix)


def _replicas_without_room(site: Site, reading: Reading, memory: int | None) -> Iterator[Finding]:
    """What `deploy`, `apply` and `scale` refuse, since they would have to start it."""
    said = {service: reading.values.get(key, "") for service, key in REPLICAS.items()}
    replicas = {service: int(number) if number.isdecimal() else 1 for service, number in said.items()}
    several = [service for service, number in replicas.items() if number > 1]
    for sentence in one_container_only(site.stack_files, several):
        fix = "Remove that from the override, or set the number of replicas to 1."
        yield Finding(Severity.WARNING, site.override_file, "", None, sentence, fix)
    limits = memory_limits(site.stack_files, reading.values, REPLICAS)
    too_many = None if memory is None else too_many_replicas(limits, replicas, memory)
    if too_many:
        key = REPLICAS[several[0]]
        where = f"{site.env_file}, line {reading.lines[key]}: {key} is too large for this machine: {too_many}"
        fix = "Choose a smaller number, or lower `mem_limit` in compose.override.yaml."
        yield Finding(Severity.WARNING, site.env_file, key, reading.lines[key], where, fix)


_LIMITS = {"mem_limit": "memory", "pids_limit": "pids", "cpus": "cpus"}


def _limits_said_twice(site: Site) -> Iterator[Finding]:
    """Compose rejects a project that states a service's limits in both ways, unless they are all the same."""
    if not site.override_file.exists():
        return
    stack, own = services_in(site.stack_files[0]), services_in(site.override_file)
    for name, definition in own.items():
        found: object = definition
        for key in ("deploy", "resources", "limits"):
            found = found.get(key) if isinstance(found, Mapping) else None
        if not isinstance(found, Mapping) or not found:
            continue
        merged = {**stack.get(name, {}), **definition}
        said = [key for key in _LIMITS if key in merged]
        if any(str(merged[key]) != str(found.get(_LIMITS[key])) for key in said):
            wanted = ", ".join(f"{key}: {found[theirs]}" for key, theirs in _LIMITS.items() if theirs in found)
            yield Finding(
                Severity.ERROR,
                site.override_file,
                name,
                None,
                f"{site.override_file} limits {name} with deploy.resources.limits, but {name} also has "
                f"{listed(tuple(said))}: Compose does not accept both.",
                f"Replace deploy.resources.limits of {name} with {wanted}.",
            )


def _volume_options(site: Site) -> Iterator[Finding]:
    """Volume options only count when a volume is created, and graasp-local finds its volumes by their names."""
    if not site.override_file.exists():
        return
    own, stack = content_of(site.override_file).get("volumes") or {}, volumes_in(site.stack_files[0])
    for name, options in own.items() if isinstance(own, Mapping) else ():
        if name not in stack or not isinstance(options, Mapping):
            continue
        elsewhere = [key for key in ("name", "external") if options.get(key)]
        made_once = [key for key in ("driver", "driver_opts", "labels") if options.get(key)]
        if elsewhere:
            said = f"{site.override_file} sets {elsewhere[0]} for the volume {name}."
            fix = "Remove it: backups, restores and upgrades look for the volume under the name that Compose gives it."
            yield Finding(Severity.WARNING, site.override_file, str(name), None, said, fix)
        elif made_once and site.selected_version is not None:
            said = (
                f"{site.override_file} sets {listed(tuple(made_once))} for the volume {name}. This takes effect only "
                "when the volume is created; an existing volume does not change."
            )
            fix = (
                "To recreate it: back up the site, stop it, remove its containers and the volume (`graasp-local "
                f"compose -- rm --force`, `docker volume rm {site.settings.project}_{name}`), deploy, and restore the "
                "backup."
            )
            yield Finding(Severity.WARNING, site.override_file, str(name), None, said, fix)


def _about_env(site: Site, problem: Problem) -> Finding:
    where = str(site.env_file)
    said, fix = problem.sentence(where), problem.remedy(where)
    return Finding(problem.severity, site.env_file, problem.key, problem.line, said, fix)


def _compose_problems(site: Site) -> Iterator[Finding]:
    try:
        read_services(site.stack_files)
    except ConfigurationError as error:
        yield Finding(Severity.ERROR, site.override_file, "", None, error.what, error.next_step)


def _writable_by_others(site: Site) -> Iterator[Finding]:
    for stranger in site.strangers():
        yield Finding(Severity.ERROR, stranger.path, "", None, stranger.said, stranger.fix)


def _readable_by_others(site: Site) -> Iterator[Finding]:
    for file in site.files_with_secrets:
        mode = stat.S_IMODE(file.stat().st_mode) if file.exists() else 0
        if mode & (stat.S_IRWXG | stat.S_IRWXO):
            wanted = 0o700 if file.is_dir() else 0o600
            yield Finding(
                Severity.WARNING,
                file,
                "",
                None,
                f"{file} contains secrets and is accessible to other users of this machine (mode {mode:04o}).",
                f"`chmod {wanted:o} {shlex.quote(str(file))}`",
            )
