"""How long a plan will keep the site closed: a range, with a reason for each part of it.

Based on what each step took on this site: for starts and migrations, on runs of the same version if there are any; for
a snapshot, on the size of the database then and now. A step that has not run here gets a wide range around a reference
figure, and the reason says so. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.errors import Refused
from graasp_local.planning.plan import Plan
from graasp_local.planning.steps import Drain, EndConnections, Migrate, Snapshot, StartServices, Step
from graasp_local.planning.timings import Range, Run
from graasp_local.planning.upgrade_steps import DumpServer, ProveCopy, RestoreServer
from graasp_local.wording import seconds_in_words, size_in_words

_FEW = 3
"""With fewer runs than this to go by, the range is wider than what they took."""

_SHOWN_SHARE = 0.04
"""A step that takes a smaller share of the total than this is summed up with the others."""

_SCALED_FROM = 1.1
"""If the database has grown by at least this factor, the time that a snapshot took is scaled."""


_NOTICED_WITHIN = 1.0
"""At the limit for requests in flight, it takes up to this many seconds to notice it and to end what is left."""


class Part(Struct, frozen=True):
    """What one step takes at least, usually and at most, in seconds; `reason` says where the figures come from."""

    name: str
    title: str
    low: float
    usual: float
    high: float
    reason: str
    measured: bool


class Estimate(Struct, frozen=True):
    """How many seconds a plan keeps the site closed: a part for each closed step, in order; none if it stays open."""

    parts: tuple[Part, ...] = ()
    database_bytes: int | None = None
    """The size of Graasp's database, if it was taken into account."""

    @property
    def range(self) -> Range:
        return Range(sum(part.low for part in self.parts), sum(part.high for part in self.parts))

    @property
    def seconds(self) -> float:
        """The most likely total."""
        return sum(part.usual for part in self.parts)

    @property
    def measured(self) -> bool:
        """Every closed step has run on this site before."""
        return all(part.measured for part in self.parts)

    def described(self) -> str:
        """The end of a sentence that begins "The site is closed for"; only for a time that is not zero."""
        basis = (
            "from earlier operations on this site"
            if self.measured
            else "partly estimated: some steps have not run on this site yet"
        )
        return f"{self.range.in_words()} ({basis})"

    @property
    def counting(self) -> tuple[Part, ...]:
        """The steps that make a difference."""
        return tuple(part for part in self.parts if part.high >= _SHOWN_SHARE * self.range.high)

    def reasons(self) -> dict[str, str]:
        """How long each step that counts takes and where that figure comes from, by the step's name."""
        return {part.name: f"{_of(part)}, {part.reason}" for part in self.counting}

    def lines(self) -> tuple[str, ...]:
        """A line for each step that counts, with its reason, and one for all the others."""
        counting = self.counting
        others = [part for part in self.parts if part not in counting]
        told = [(_of(part), part.title, part.reason) for part in counting]
        if others:
            low, high = sum(part.low for part in others), sum(part.high for part in others)
            told.append((f"{low:.1f} to {high:.1f} s", f"{len(others)} other steps", ""))
        widths = [max(len(row[column]) for row in told) for column in (0, 1)] if told else [0, 0]
        return tuple(f"  {how:>{widths[0]}}  {what:<{widths[1]}}  {why}".rstrip() for how, what, why in told)

    def as_json(self) -> dict[str, Any]:
        return {
            **self.range.as_json(),
            "measured": self.measured,
            "parts": [
                {
                    "name": part.name,
                    "low_seconds": round(part.low, 2),
                    "high_seconds": round(part.high, 2),
                    "reason": part.reason,
                }
                for part in self.parts
            ],
        }


def estimate_downtime(
    plan: Plan, earlier: Mapping[str, Sequence[Run]], database_bytes: int | None = None, upload_bytes: int = 0
) -> Estimate | None:
    """How long the site is closed between closing the gate and opening it; None if the plan does not do both; no
    parts if it replaces what serves visitors without closing.

    `earlier` has, by step name, earlier runs on this site; `database_bytes` is the size of Graasp's database now, and
    `upload_bytes` is what is still to come of the uploads that are running now.
    """
    if plan.keeps_open:
        return Estimate()
    closed = [plan.steps[index] for index in plan.closed_span]
    if not any(step.name == "open-gate" for step in closed):
        return None
    version = str(plan.version or "")
    parts = (_part(step, earlier.get(step.name, ()), version, database_bytes) for step in closed)
    waiting = (_waiting(step, part, upload_bytes) for step, part in zip(closed, parts, strict=True))
    return Estimate(tuple(waiting), database_bytes)


def refuse_longer(plan: Plan, estimate: Estimate | None, limit: float | None) -> None:
    """Raises Refused if the site may be closed for longer than `limit` seconds (None: any), or would be left closed.

    A site that is already closed has no visitors to keep waiting: nothing is refused there.
    """
    if limit is None:
        return
    if estimate is None:
        if not len(plan.closed_span):
            return
        raise Refused(
            f"The site would stay closed, but --max-downtime allows only {_exactly(limit)}.",
            "Nothing was changed.",
            "Leave out --max-downtime, or the option that keeps the site closed at the end, such as --hold.",
        )
    if estimate.range.high <= limit:
        return
    longest = max(estimate.parts, key=lambda part: part.high)
    raise Refused(
        f"The site would be closed for {estimate.described()}, but --max-downtime allows only {_exactly(limit)}.",
        "Nothing was changed.",
        "Allow more, or leave out --max-downtime. "
        f'The longest step is "{longest.title}": {_of(longest)}, {longest.reason}.',
    )


def _exactly(seconds: float) -> str:
    return seconds_in_words(seconds) if seconds >= 119.95 else f"{seconds:g} s"


def _of(part: Part) -> str:
    return f"{part.low:.1f} to {part.high:.1f} s" if part.high < 119.5 else Range(part.low, part.high).in_words()


def _part(step: Step, runs: Sequence[Run], version: str, database_bytes: int | None) -> Part:
    if isinstance(step, DumpServer | RestoreServer | ProveCopy) and step.size_bytes is not None:
        # How long copying takes depends on size, whatever it took with less data.
        usual = step.typical_seconds + step.size_bytes / step.bytes_per_second
        return _by_reference(step, usual, f"estimated for {size_in_words(step.size_bytes)}")
    if not runs:
        usual = step.typical_seconds
        if isinstance(step, Snapshot) and database_bytes is not None:
            usual += database_bytes / step.bytes_per_second
            return _by_reference(step, usual, f"estimated for {size_in_words(database_bytes)}")
        return _by_reference(step, usual, "estimated: it has not run here yet")
    about = ""
    if isinstance(step, StartServices | Migrate) and version:
        same = [run for run in runs if run.version == version]
        about = f" of {version}" if same else ", of other versions"
        runs = same or runs
    seconds = [run.seconds for run in runs]
    if isinstance(step, Snapshot) and database_bytes is not None:
        seconds = [run.seconds * _growth(run, database_bytes) for run in runs]
        about = f", scaled to {size_in_words(database_bytes)}" if seconds != [run.seconds for run in runs] else ""
    few = len(seconds) < _FEW
    count = "one earlier run" if len(seconds) == 1 else f"{len(seconds)} earlier runs"
    low, high = min(seconds) * (0.75 if few else 1.0), max(seconds) * (1.5 if few else 1.0)
    return Part(step.name, step.title, low, median(seconds), high, f"from {count} here{about}", measured=True)


def _waiting(step: Step, part: Part, upload_bytes: int) -> Part:
    """The part of a step, except that waiting for requests takes hardly any time if there are none, and the time that
    they are given at most. How fast running uploads come is up to the visitors' connections.
    """
    if not isinstance(step, Drain | EndConnections):
        return part
    most = step.limit_seconds + _NOTICED_WITHIN
    low = min(part.low, step.typical_seconds / 2)
    high = most if upload_bytes else max(low, min(part.high, most))
    reason = f"{size_in_words(upload_bytes)} of uploads are still to come; they get {step.limit_seconds:g} s"
    return replace(
        part, low=low, usual=max(low, min(part.usual, high)), high=high, reason=reason if upload_bytes else part.reason
    )


def _by_reference(step: Step, usual: float, reason: str) -> Part:
    """A reference figure is from another machine, so the range is from half of it to double."""
    return Part(step.name, step.title, usual / 2, usual, usual * 2, reason, measured=False)


def _growth(run: Run, now: int) -> float:
    """The factor by which the data to copy has grown; 1 if it is not known, or small."""
    growth = now / run.database_bytes if run.database_bytes else 1.0
    return growth if growth >= _SCALED_FROM else 1.0
