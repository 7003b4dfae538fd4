"""What the doctor reports: a verdict on one thing, and the command that fixes it. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

from graasp_local.doctor.facts import Unknown
from graasp_local.errors import ExitCode


class Verdict(StrEnum):
    """`fails`: a deployment would be refused or would fail. `unknown`: it could not be checked, which is not `ok`."""

    FAILS = "fails"
    WARNING = "warning"
    UNKNOWN = "unknown"
    OK = "ok"


class Finding(Struct, frozen=True):
    """One thing that was checked: `said` is a sentence, `fix` what to do about it, empty if it is ok."""

    check: str
    verdict: Verdict
    said: str
    fix: str = ""


def ok(check: str, said: str) -> Finding:
    """It was checked, and it is ok."""
    return Finding(check, Verdict.OK, said)


def not_known(check: str, what: str, fact: Unknown) -> Finding:
    """It could not be checked."""
    return Finding(check, Verdict.UNKNOWN, f"{what} could not be checked: {fact.why}.")


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """10 if something would make a deployment fail, else 0."""
    fails = any(finding.verdict is Verdict.FAILS for finding in findings)
    return ExitCode.REFUSED if fails else ExitCode.DONE
