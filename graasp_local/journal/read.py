"""Reads the journal's files back.

Guesses nothing. A last line that was cut off by a crash is not a record: nothing came after it. A file that a crash
could not have left like that is reported as damaged; one without a number is not ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import lru_cache
from itertools import islice
from pathlib import Path
from typing import Any

from msgspec import convert

from graasp_local.errors import ConfigurationError, Refused
from graasp_local.files import json_in
from graasp_local.journal.closings import begins_open, gate_moment
from graasp_local.journal.records import (
    DamagedOperation,
    JournalContents,
    OperationRecord,
    database_is_changed,
    gate_moves,
    version_is_uncertain,
    with_seconds_closed,
)
from graasp_local.journal.write import FORMAT, operation_number
from graasp_local.planning.plan import Strategy
from graasp_local.planning.requests import Deploy, Request, from_record
from graasp_local.planning.restore_steps import Restore
from graasp_local.planning.server import DatabaseServer, Direction, Upgrade
from graasp_local.planning.states import Gate
from graasp_local.planning.timings import range_of

_OUTPUT_MARK = b'"event": "step-output"'
"""Not in any other record: quotation marks inside a text are written with a backslash."""

_EVENTS_OF_FORMAT_1 = {"walk-started": "operation-started", "walk-ended": "operation-ended"}

_KNOWN_FILES = 64
"""How many files' contents are remembered: a command asks several times, for the newest ones."""


def read_journal(directory: Path) -> JournalContents:
    """Everything that the journal holds. Raises OSError if the directory cannot be read."""
    return _in_order(_newest_first(directory))


def read_recent(directory: Path) -> JournalContents:
    """The last deployment that changed the site, and everything since: all that a decision depends on.

    Also earlier operations if the site was already closed then, so that a closing is read from its beginning. This
    takes no longer on a site with a thousand deployments than on a new one. Raises OSError, as `read_journal` does.
    """
    return _in_order(_until_went_through(_newest_first(directory)))


def read_operations(directory: Path, newest: int | None = None) -> tuple[OperationRecord, ...]:
    """The readable operations, oldest first, all or only the `newest`: for showing, not for decisions."""
    readable = (read for read in _newest_first(directory) if isinstance(read, OperationRecord))
    return with_seconds_closed(tuple(islice(readable, newest))[::-1])


def read_since(directory: Path, begin: float) -> tuple[OperationRecord, ...]:
    """The operations that began after that moment, oldest first, and earlier ones whose closing may last into it."""
    return with_seconds_closed(tuple(_until_before(_newest_first(directory), begin))[::-1])


def trusted_operations(directory: Path) -> tuple[OperationRecord, ...]:
    """The recent operations, oldest first, for a decision. Raises Refused if a damaged file could change it."""
    contents = read_recent(directory)
    if contents.in_doubt:
        first = contents.in_doubt[0]
        raise Refused(
            f"The journal is damaged: {first.file.name}: {first.damage}",
            "What that operation did to the database is not known. Nothing was changed.",
            f"If `graasp-local status` shows the site as it should be, move {first.file} away and try again.",
        )
    return contents.operations


class _DamageError(Exception):
    """Says why a file cannot be trusted."""


def _read_operation(file: Path) -> OperationRecord | DamagedOperation | None:
    """None for a file that is not ours, or whose operation was killed before its first record was written."""
    if operation_number(file) == 0:
        return None
    try:
        found = file.stat()
    except OSError as error:
        return DamagedOperation(file, f"It cannot be read ({error.strerror}).")
    return _read_unless_known(file, found.st_ctime_ns, found.st_size)


@lru_cache(maxsize=_KNOWN_FILES)
def _read_unless_known(file: Path, _changed_at: int, _bytes: int) -> OperationRecord | DamagedOperation | None:
    """A file is written once, from beginning to end: it is the same for as long as its time and size are."""
    try:
        with file.open("rb") as lines:
            records = _records(lines)
        return _as_operation(file.stem, records) if records else None
    except OSError as error:
        return DamagedOperation(file, f"It cannot be read ({error.strerror}).")
    except _DamageError as error:
        return DamagedOperation(file, str(error))
    except (ArithmeticError, AttributeError, KeyError, TypeError, ValueError) as error:
        return DamagedOperation(file, f"A record is malformed ({type(error).__name__}: {error}).")


def _as_operation(name: str, records: Sequence[Mapping[str, Any]]) -> OperationRecord:
    first, last = records[0], records[-1]
    if first["event"] != "operation-started":
        raise _DamageError("It does not begin with the start of an operation.")
    if "\\u0000" in json.dumps(first):
        raise _DamageError("A name in its first line contains a NUL.")
    if first.get("format") not in (1, FORMAT):
        raise _DamageError(f"Its format is {first.get('format')}, but this graasp-local reads formats 1 to {FORMAT}.")
    ended = last if last["event"] == "operation-ended" else {}
    return OperationRecord(
        operation=name,
        command=first["command"],
        at=first["at"],
        version=first["version"],
        outcome=ended.get("outcome"),
        state=ended.get("state", "unknown"),
        downtime_seconds=ended.get("downtime_seconds"),
        seconds=ended.get("seconds"),
        started_steps=tuple(r["name"] for r in records if r["event"] == "step-started"),
        titles=tuple(r.get("title", r["name"]) for r in records if r["event"] == "step-started"),
        steps=tuple(
            {key: r[key] for key in ("name", "outcome", "seconds", *(("needed",) if "needed" in r else ()))}
            for r in records
            if r["event"] == "step-ended"
        ),
        target=first["target"],
        came_from=first.get("came_from", ""),
        request=_request(first, "request"),
        asked=_request(first, "asked"),
        previous_version=first.get("previous_version", ""),
        is_first=bool(first.get("is_first", _is_first(first))),
        previous_images=tuple(first.get("previous_images", {}).items()),
        images=tuple(first.get("images", {}).items()),
        is_rollback=_is_rollback(first),
        changed=bool(ended.get("changed", not _is_repair(first) or database_is_changed(records))),
        snapshot=first.get("snapshot", ""),
        version_is_uncertain=version_is_uncertain(records),
        database_is_changed=database_is_changed(records),
        written_before=bool(first.get("written_before")),
        may_be_written=bool(first.get("may_be_written")),
        gate_moves=gate_moves(records),
        forecast=range_of(first.get("forecast")),
        database_bytes=first.get("database_bytes"),
        gate_moments=tuple(moment for moment in map(gate_moment, records) if moment is not None),
        problem=tuple(ended.get("problem", ())),
        restore=_restore(first.get("restore")),
        upgrade=_as_upgrade(first["upgrade"]) if first.get("upgrade") else None,
    )


def _as_upgrade(told: Mapping[str, Any]) -> Upgrade:
    source, target = told["from"], told["to"]
    return Upgrade(
        DatabaseServer(source["image"], source["volume"]),
        int(source["major"]),
        DatabaseServer(target["image"], target["volume"]),
        int(target["major"]),
        Direction(told["way"]),
    )


def _request(first: Mapping[str, Any], key: str) -> Request | None:
    """graasp-local 0.1.0 only kept the command, with these of a deployment's options."""
    if "request" in first:
        return from_record(first[key]) if first[key] else None
    words = first["command"].split()
    if "deploy" not in words or first["version"] is None:
        return None
    strategy = Strategy(words[words.index("--strategy") + 1]) if "--strategy" in words else None
    return Deploy(first["version"], "--no-backup" in words, strategy, hold="--hold" in words, probe="--probe" in words)


def _is_first(first: Mapping[str, Any]) -> bool:
    """graasp-local 0.1.0 did not record this, nor what a restore over an unfinished one could go back to."""
    return first["version"] is not None and not first.get("previous_version") and not first.get("restore")


def _is_rollback(first: Mapping[str, Any]) -> bool:
    """graasp-local 0.1.0 did not record this: its rollbacks end with the version that they began with."""
    if "goes_back" in first:
        return bool(first["goes_back"])
    if first.get("restore"):
        return bool(first["restore"]["way"] == Direction.BACK)
    return first["version"] is not None and first["version"] == first.get("previous_version") and not _is_repair(first)


def _is_repair(first: Mapping[str, Any]) -> bool:
    """What 0.1.0 did when asked for the version that was already deployed."""
    is_asked_for = "deploy" in first["command"].split() and not first.get("migrated_before")
    return is_asked_for and first["version"] == first.get("previous_version")


def _restore(told: Mapping[str, Any] | None) -> Restore | None:
    if told is None:
        return None
    return convert(told, Restore)


def output_of(file: Path) -> Iterator[str]:
    """What the steps of an operation printed, line by line: a migration may have printed more than fits in memory."""
    with file.open("rb") as lines:
        for line in lines:
            record = _record(line) if _OUTPUT_MARK in line else None
            if record is not None:
                yield str(record["text"])


def _records(lines: Iterator[bytes]) -> list[dict[str, Any]]:
    """The records of a file, except output. Raises _DamageError for a complete line that is not a record."""
    records = []
    for number, line in enumerate(lines, start=1):
        if _OUTPUT_MARK in line and line.endswith(b"}\n"):
            continue
        record = _record(line)
        if record is not None:
            records.append(record)
        elif line.endswith(b"\n"):
            raise _DamageError(f"Line {number} is not a record.")
        # The last line may lack its end of line, but counts only if nothing else of it is missing.
    return records


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json_in(line)
    except ValueError:
        return None
    return in_current_words(record) if isinstance(record, dict) and "event" in record else None


def in_current_words(record: dict[str, Any]) -> dict[str, Any]:
    """A record as it is written now: format 1 had other words for an operation and for a sealed gate."""
    if record.get("format") == FORMAT:
        return record
    if record["event"] in _EVENTS_OF_FORMAT_1:
        record["event"] = _EVENTS_OF_FORMAT_1[record["event"]]
    if record.get("gate") == "shut":
        record["gate"] = Gate.SEALED.value
    for told in (record, record.get("closing")):
        if isinstance(told, dict) and "walk" in told:
            told["operation"] = told.pop("walk")
    return record


def refuse_unreachable(directory: Path) -> None:
    """Raises ConfigurationError for a broken link, which is not the same as a site without operations."""
    if directory.is_symlink() and not directory.exists():
        raise ConfigurationError(
            f"{directory} is a link to {directory.readlink()}, which does not exist.",
            "Its disk may not be mounted. Without the journal it is not known what was done to the site. "
            "Nothing was changed.",
            "Mount the disk, or point the link to a directory that exists.",
        )


def _newest_first(directory: Path) -> Iterator[OperationRecord | DamagedOperation]:
    refuse_unreachable(directory)
    try:
        # `glob` would find nothing in a directory that cannot be read.
        files = [file for file in directory.iterdir() if file.suffix == ".jsonl"]
    except FileNotFoundError:
        return
    for file in sorted(files, key=lambda file: (operation_number(file), file.name), reverse=True):
        read = _read_operation(file)
        if read is not None:
            yield read


def _until_before(
    newest_first: Iterable[OperationRecord | DamagedOperation], begin: float
) -> Iterator[OperationRecord]:
    for read in newest_first:
        if isinstance(read, OperationRecord):
            yield read
            if datetime.fromisoformat(read.at).timestamp() < begin and begins_open(read):
                return


def _until_went_through(
    newest_first: Iterable[OperationRecord | DamagedOperation],
) -> Iterator[OperationRecord | DamagedOperation]:
    went_through = False
    for read in newest_first:
        yield read
        if isinstance(read, OperationRecord):
            went_through = went_through or read.is_change
            if went_through and begins_open(read):
                return


def _in_order(newest_first: Iterable[OperationRecord | DamagedOperation]) -> JournalContents:
    read = [*newest_first][::-1]
    return JournalContents(
        with_seconds_closed(tuple(operation for operation in read if isinstance(operation, OperationRecord))),
        tuple(damage for damage in read if isinstance(damage, DamagedOperation)),
    )
