"""The configuration of a site judged as a whole: `.env`, the compose files it is used with, who can read it.

The rules for `.env` are settings/rules.py, the same that every command goes by. Reads files and changes nothing.
"""

from __future__ import annotations

import stat
from collections.abc import Iterator
from pathlib import Path

from msgspec import Struct

from graasp_local.errors import ConfigurationError
from graasp_local.settings.rules import Problem, Severity, errors, read
from graasp_local.settings.warnings import Surroundings, warnings
from graasp_local.site import Site
from graasp_local.stack import read_services
from graasp_local.stack_variables import profiles_defined, variables_used


class Finding(Struct, frozen=True):
    """Something wrong with the configuration. `said` and `mend` are sentences; `line` is None where there is none."""

    severity: Severity
    file: Path
    key: str
    line: int | None
    said: str
    mend: str


def check_configuration(site: Site) -> tuple[Finding, ...]:
    """Everything that is wrong, errors first, then by line. Raises ConfigurationError where there is no `.env`."""
    reading = read(site.read_env())
    problems = [*errors(reading)]
    findings = [*_compose_problems(site)]
    if not findings:
        surroundings = Surroundings(
            variables_used(site.stack_files), profiles_defined(site.stack_files), site.selected_version
        )
        problems += warnings(reading, surroundings)
    findings += [_about_env(site, problem) for problem in problems]
    findings += [*_writable_by_others(site), *_readable_by_others(site)]
    return tuple(sorted(findings, key=lambda found: (found.severity is not Severity.ERROR, found.line or 0)))


def _about_env(site: Site, problem: Problem) -> Finding:
    where = str(site.env_file)
    said, mend = problem.sentence(where), problem.remedy(where)
    return Finding(problem.severity, site.env_file, problem.key, problem.line, said, mend)


def _compose_problems(site: Site) -> Iterator[Finding]:
    try:
        read_services(site.stack_files)
    except ConfigurationError as error:
        yield Finding(Severity.ERROR, site.override_file, "", None, error.what, error.next_step)


def _writable_by_others(site: Site) -> Iterator[Finding]:
    for stranger in site.strangers():
        yield Finding(Severity.ERROR, stranger.path, "", None, stranger.said, stranger.mend)


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
                f"{file} holds secrets and is open to other users of this machine (mode {mode:04o}).",
                f"`chmod {wanted:o} {file}`",
            )
