"""What can go wrong, as one tree, and the exit code of each kind.

    GraaspLocalError            1   unexpected
    ├── UsageError              2   the command does not make sense as typed
    ├── ConfigurationError      2   .env or an override file is missing, malformed or contradictory
    ├── EngineUnreachable       3   no Docker engine, or no Compose v2, answers
    ├── Refused                10   a check before the gate closes failed: nothing was changed
    ├── Locked                 11   another operation is running
    ├── NeedsYou               21   the operation failed after it had changed the site, and was not rolled back
    └── Interrupted           130   ended by Ctrl-C or SIGTERM

Every error is three short sentences: what happened, what it means for the site, what to type next.
Pure.
"""

from __future__ import annotations

from enum import IntEnum
from typing import ClassVar, TypeGuard

from graasp_local.wording import plain_text


class ExitCode(IntEnum):
    """The exit code of the process; scripts rely on these numbers."""

    DONE = 0
    UNEXPECTED = 1
    USAGE = 2
    ENGINE_UNREACHABLE = 3
    REFUSED = 10
    LOCKED = 11
    ROLLED_BACK = 20
    NEEDS_YOU = 21
    INTERRUPTED = 130


class GraaspLocalError(Exception):
    """An error for a person to read: `what` happened, its `meaning` for the site, and the `next_step` to type."""

    exit_code: ClassVar[ExitCode] = ExitCode.UNEXPECTED

    def __init__(self, what: str, meaning: str = "", next_step: str = "") -> None:
        super().__init__(what)
        # Text from registries, databases and containers can be part of them.
        self.what = plain_text(what)
        self.meaning = plain_text(meaning)
        self.next_step = plain_text(next_step)

    @property
    def sentences(self) -> tuple[str, ...]:
        """The sentences that are not empty, in reading order."""
        return tuple(sentence for sentence in (self.what, self.meaning, self.next_step) if sentence)


def sentences_of(error: Exception) -> tuple[str, ...]:
    """What to tell a person about any error: what happened, and what to type."""
    if isinstance(error, GraaspLocalError):
        return error.sentences
    if _is_about_a_file(error):
        file = plain_text(str(error.filename or "A file"))
        said = f"{file} cannot be used: {error.strerror or error}."
        return said, "Fix its permissions or its location, then try again."
    return (
        plain_text(f"Unexpected error: {type(error).__name__}: {error}"),
        "`graasp-local status` says where the site stands; GRAASP_LOCAL_DEBUG=1 shows the details.",
    )


def exit_code_of(error: Exception) -> ExitCode:
    """The exit code for any error."""
    if isinstance(error, GraaspLocalError):
        return error.exit_code
    return ExitCode.USAGE if _is_about_a_file(error) else ExitCode.UNEXPECTED


def _is_about_a_file(error: Exception) -> TypeGuard[OSError]:
    """Whether the system could not use a file; the docker SDK and requests raise OSErrors of other kinds."""
    return isinstance(error, OSError) and error.errno is not None


class UsageError(GraaspLocalError):
    exit_code = ExitCode.USAGE


class ConfigurationError(GraaspLocalError):
    exit_code = ExitCode.USAGE


class EngineUnreachable(GraaspLocalError):
    exit_code = ExitCode.ENGINE_UNREACHABLE


class Refused(GraaspLocalError):
    exit_code = ExitCode.REFUSED


class Locked(GraaspLocalError):
    exit_code = ExitCode.LOCKED


class NeedsYou(GraaspLocalError):
    exit_code = ExitCode.NEEDS_YOU


class Interrupted(GraaspLocalError):
    exit_code = ExitCode.INTERRUPTED
