"""What the doctor says: a verdict on one thing, and the command that mends it. Pure."""

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
    """One thing that was looked at: `said` is a sentence, `mend` what to do about it, empty if it is well."""

    check: str
    verdict: Verdict
    said: str
    mend: str = ""


def ok(check: str, said: str) -> Finding:
    """It was looked at, and it is well."""
    return Finding(check, Verdict.OK, said)


def not_known(check: str, what: str, fact: Unknown) -> Finding:
    """It could not be looked at."""
    return Finding(check, Verdict.UNKNOWN, f"{what} could not be checked: {fact.why}.")


def exit_code(findings: Iterable[Finding]) -> ExitCode:
    """10 where something would make a deployment fail, else 0."""
    fails = any(finding.verdict is Verdict.FAILS for finding in findings)
    return ExitCode.REFUSED if fails else ExitCode.DONE
