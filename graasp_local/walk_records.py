"""What the journal tells of earlier walks, and what follows from it for the next command.

Reads what is there and guesses nothing. A last line that was cut off by a crash is no record: nothing came after it.
A file that no crash could have left like that is damaged, and said to be; one without a walk's number is not ours.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from graasp_local.errors import Refused
from graasp_local.journal import FORMAT, walk_number
from graasp_local.planning.restoring import Restore
from graasp_local.planning.server import DatabaseServer, Upgrade, Way
from graasp_local.planning.states import InfraState

_OUTPUT_MARK = b'"event": "step-output"'
"""In no other record: quotation marks inside a text are written with a backslash."""
_READ_ONLY_NAMES = frozenset(
    {"preflight", "pull", "restore-images", "read-migrations", "make-migration"}
    | {"backup", "check-backup", "load-database", "unpack-files", "check-upgrade", "pull-server"}
)

_CHANGING = ("migrate", "put-in-place")
_UNDOING = ("swap-back", "take-out")


@dataclass(frozen=True, slots=True)
class WalkRecord:
    """A walk as its file tells it. `outcome` is None where the walk never came to an end: it was killed."""

    walk: str
    command: str
    at: str
    version: str | None
    outcome: str | None
    state: str
    downtime_seconds: float | None
    seconds: float | None
    started_steps: tuple[str, ...]
    steps: tuple[Mapping[str, Any], ...]
    target: str = ""
    came_from: str = ""
    previous_version: str = ""
    snapshot: str = ""
    problem: tuple[str, ...] = ()
    version_is_uncertain: bool = False
    """It changed the database and did not come to select the version that the database then belongs to."""
    database_is_changed: bool = False
    """It, or an attempt before it, began to migrate, and the snapshot was not put back since."""

    upgrade: Upgrade | None = None
    """The change of the database server that it made, or undid."""
    restore: Restore | None = None
    """The restore that it carried out or undid."""

    @property
    def is_deployment(self) -> bool:
        return self.version is not None

    @property
    def can_be_resumed(self) -> bool:
        return self.is_deployment or self.upgrade is not None

    @property
    def touched(self) -> bool:
        """It did more than look and fetch."""
        return any(name not in _READ_ONLY_NAMES for name in self.started_steps)

    @property
    def is_unfinished(self) -> bool:
        """It neither went through nor was put back: it waits for `resume` or `rollback`."""
        return self.can_be_resumed and self.touched and self.outcome in (None, "failed", "interrupted")

    @property
    def asks_for_a_version(self) -> bool:
        """It was begun as a deployment: it does not go on with one, and does not go back from one."""
        return "deploy" in self.command.split()

    @property
    def is_way_back(self) -> bool:
        """It went to the version from before a deployment, not to a new one."""
        if self.restore is not None:
            return self.restore.way is Way.BACK
        return self.is_deployment and self.version == self.previous_version

    @property
    def is_rolling(self) -> bool:
        """It replaced what serves visitors while they were served."""
        return any(name == "start-handover" or name.startswith("lead-to-") for name in self.started_steps)

    @property
    def gate_was_opened(self) -> bool:
        """Visitors may have written since; there is no silent way back from that."""
        return "open-gate" in self.started_steps

    def as_json(self) -> dict[str, Any]:
        return {
            "walk": self.walk,
            "at": self.at,
            "command": self.command,
            "version": self.version,
            "outcome": self.outcome or "killed",
            "state": self.state,
            "downtime_seconds": self.downtime_seconds,
            "seconds": self.seconds,
            "steps": list(self.steps),
            "problem": list(self.problem),
        }


@dataclass(frozen=True, slots=True)
class DamagedWalk:
    """A walk's file that cannot be trusted; `damage` says why, as a sentence."""

    file: Path
    damage: str


@dataclass(frozen=True, slots=True)
class JournalContents:
    """All walks of a site, oldest first, and the files that should be walks but cannot be read as such."""

    walks: tuple[WalkRecord, ...]
    damaged: tuple[DamagedWalk, ...]

    @property
    def in_doubt(self) -> tuple[DamagedWalk, ...]:
        """Damaged files that could tell of a deployment or an upgrade later than any that can be read."""
        deployments = [walk for walk in self.walks if walk.can_be_resumed and walk.touched]
        last = walk_number(Path(deployments[-1].walk)) if deployments else 0
        return tuple(damaged for damaged in self.damaged if walk_number(damaged.file) > last)


def read_journal(directory: Path) -> JournalContents:
    """Everything that the journal holds. Raises OSError if the directory cannot be read."""
    walks, damaged = [], []
    for file in sorted(directory.glob("*.jsonl"), key=walk_number):
        match _read_walk(file):
            case WalkRecord() as walk:
                walks.append(walk)
            case DamagedWalk() as damage:
                damaged.append(damage)
            case None:
                pass
    return JournalContents(tuple(walks), tuple(damaged))


def read_walks(directory: Path) -> tuple[WalkRecord, ...]:
    """The walks that can be read, oldest first: for showing them, not for deciding on them."""
    return read_journal(directory).walks


def trusted_walks(directory: Path) -> tuple[WalkRecord, ...]:
    """The walks, oldest first, for a decision. Raises Refused where a damaged file could change it."""
    contents = read_journal(directory)
    if contents.in_doubt:
        first = contents.in_doubt[0]
        raise Refused(
            f"The journal is damaged: {first.file.name}: {first.damage}",
            "What that walk did to the database is not known, so nothing was decided and nothing was touched.",
            f"If `graasp-local status` shows the site as it should be, move {first.file} away and try again.",
        )
    return contents.walks


def seconds_by_step(walks: Sequence[WalkRecord]) -> dict[str, list[float]]:
    """How long each kind of step took when it succeeded, for estimates; the last ten walks count."""
    seen: dict[str, list[float]] = {}
    for walk in walks[-10:]:
        for step in walk.steps:
            if step["outcome"] == "done":
                seen.setdefault(step["name"], []).append(float(step["seconds"]))
    return seen


def state_left(walks: Sequence[WalkRecord]) -> InfraState | None:
    """The state in which the last walk that changed anything left the site; None where it came to none of the four."""
    lasting = [walk for walk in walks if walk.touched or walk.outcome == "nothing-to-do"]
    return {state.value: state for state in InfraState}.get(lasting[-1].state) if lasting else None


def unfinished_walk(walks: Sequence[WalkRecord]) -> WalkRecord | None:
    """The last deployment or upgrade that touched the site, if it neither went through nor was put back."""
    # A later one that found nothing left to do has proven that the site is where it should be.
    touching = [w for w in walks if w.can_be_resumed and (w.touched or w.outcome == "nothing-to-do")]
    return touching[-1] if touching and touching[-1].is_unfinished else None


def last_success(walks: Sequence[WalkRecord]) -> WalkRecord | None:
    """The last deployment that touched the site, if it went through."""
    touching = [walk for walk in walks if walk.is_deployment and walk.touched]
    return touching[-1] if touching and touching[-1].outcome in ("done", "held") else None


def was_restored_before(walks: Sequence[WalkRecord]) -> bool:
    """Whether a restore, since the last deployment that went through, may have left something to tidy up."""
    for walk in reversed(walks):
        if walk.restore is not None:
            return True
        if walk.is_deployment and walk.outcome in ("done", "held"):
            return False
    return False


def uncertain_migration(walks: Sequence[WalkRecord]) -> WalkRecord | None:
    """The same, if it moreover left open which version the database belongs to."""
    unfinished = unfinished_walk(walks)
    return unfinished if unfinished and unfinished.version_is_uncertain else None


class _DamageError(Exception):
    """Says why a file cannot be trusted."""


def _read_walk(file: Path) -> WalkRecord | DamagedWalk | None:
    """None for a file that is not ours, or whose walk was killed before its first record was written."""
    if walk_number(file) == 0:
        return None
    try:
        with file.open("rb") as lines:
            records = _records(lines)
        return _as_walk(file.stem, records) if records else None
    except OSError as error:
        return DamagedWalk(file, f"It cannot be read ({error.strerror}).")
    except _DamageError as error:
        return DamagedWalk(file, str(error))
    except (KeyError, TypeError, ValueError) as error:
        return DamagedWalk(file, f"A record is not as it was written ({type(error).__name__}: {error}).")


def _as_walk(name: str, records: Sequence[Mapping[str, Any]]) -> WalkRecord:
    first, last = records[0], records[-1]
    if first["event"] != "walk-started":
        raise _DamageError("It does not begin as a walk does.")
    if first.get("format") != FORMAT:
        raise _DamageError(f"It is of format {first.get('format')}; this graasp-local reads format {FORMAT}.")
    ended = last if last["event"] == "walk-ended" else {}
    return WalkRecord(
        walk=name,
        command=first["command"],
        at=first["at"],
        version=first["version"],
        outcome=ended.get("outcome"),
        state=ended.get("state", "unknown"),
        downtime_seconds=ended.get("downtime_seconds"),
        seconds=ended.get("seconds"),
        started_steps=tuple(r["name"] for r in records if r["event"] == "step-started"),
        steps=tuple(
            {key: r[key] for key in ("name", "outcome", "seconds")} for r in records if r["event"] == "step-ended"
        ),
        target=first["target"],
        came_from=first.get("came_from", ""),
        previous_version=first.get("previous_version", ""),
        snapshot=first.get("snapshot", ""),
        version_is_uncertain=_version_is_uncertain(records),
        database_is_changed=_database_is_changed(records),
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
        Way(told["way"]),
    )


def _restore(told: Mapping[str, Any] | None) -> Restore | None:
    if told is None:
        return None
    return Restore(told["backup"], told["number"], tuple(told["databases"]), tuple(told["volumes"]), Way(told["way"]))


def _version_is_uncertain(records: Sequence[Mapping[str, Any]]) -> bool:
    uncertain = bool(records[0].get("migrated_before"))
    for record in records:
        if record["event"] == "step-started" and record["name"] in _CHANGING + _UNDOING:
            uncertain = True
        if record["event"] == "step-ended" and record["name"] == "select-version" and record["outcome"] == "done":
            uncertain = False
    return uncertain


def _database_is_changed(records: Sequence[Mapping[str, Any]]) -> bool:
    changed = bool(records[0].get("migrated_before"))
    for record in records:
        if record["event"] == "step-started" and record["name"] in _CHANGING:
            changed = True
        if record["event"] == "step-ended" and record["name"] in _UNDOING and record["outcome"] == "done":
            changed = False
    return changed


def output_of(file: Path) -> Iterator[str]:
    """What the steps of a walk said, line by line: a migration may have said more than fits into memory."""
    with file.open("rb") as lines:
        for line in lines:
            record = _record(line) if _OUTPUT_MARK in line else None
            if record is not None:
                yield str(record["text"])


def _records(lines: Iterator[bytes]) -> list[dict[str, Any]]:
    """The records of a file but those of output. Raises _DamageError for a complete line that is none."""
    records = []
    for number, line in enumerate(lines, start=1):
        if _OUTPUT_MARK in line and line.endswith(b"}\n"):
            continue
        record = _record(line)
        if record is not None:
            records.append(record)
        elif line.endswith(b"\n"):
            raise _DamageError(f"Line {number} is no record.")
        # Without its end of line the last one counts only if nothing else of it is missing.
    return records


def _record(line: bytes) -> dict[str, Any] | None:
    try:
        record = json.loads(line)
    except ValueError:
        return None
    return record if isinstance(record, dict) and "event" in record else None
