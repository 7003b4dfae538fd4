"""How long a plan will keep the site closed, from how long its steps took before.

Decides by the median of what each step took on this site. Refuses to pretend: where a step was never seen here, it
falls back to a reference figure and says so. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

from msgspec import Struct

from graasp_local.planning.plan import Plan
from graasp_local.planning.steps import Step
from graasp_local.planning.upgrade_steps import DumpServer, ProveCopy, RestoreServer

REFERENCE_SECONDS: Mapping[str, float] = {
    # As reported of Graasp 2.13 on two processors with little data, and not measured here: stop 0.5 s, migrate 3.1 s,
    # core and workers healthy 9.5 s.
    "close-gate": 0.1,
    "prove-closed": 0.1,
    "seal-gate": 0.1,
    "drain": 0.2,
    "end-connections": 0.3,
    "stop-graasp": 0.6,
    "stop-administration": 0.6,
    "stop-database": 1.0,
    "start-edge": 1.0,
    "start-database": 3.0,
    "start-administration": 4.0,
    "read-migrations": 0.5,
    "migrate": 4.0,
    "prove-migrations": 0.1,
    "select-version": 0.0,
    "start-graasp": 10.0,
    "verify-core": 0.3,
    "start-writers": 1.0,
    "open-gate": 0.1,
    "start-new-server": 3.0,
    "dump-server": 1.0,
    "restore-server": 2.0,
    "prove-copy": 0.5,
    "stop-new-server": 1.0,
    "select-server": 0.0,
}

_UNKNOWN_SECONDS = 0.5
"""For a step that has no figure at all."""

BYTES_PER_SECOND: Mapping[str, float] = {
    # Per byte of the databases as they lie on the disk. 652 MB on two cores were dumped at 93 MB/s, and restored at
    # 34 MB/s by two jobs; less is taken here, with one job and other disks. Comparing is a guess: not measured yet.
    "dump-server": 60e6,
    "restore-server": 20e6,
    "prove-copy": 40e6,
}


class Estimate(Struct, frozen=True):
    """`seconds` closed; `measured` is True when every closed step has been timed on this site before."""

    seconds: float
    measured: bool

    def described(self) -> str:
        """The end of a sentence that begins with what is closed; for a time that is not zero."""
        basis = (
            "from earlier walks on this site"
            if self.measured
            else "partly from reference figures: not every step was walked here before"
        )
        return f"about {max(1, round(self.seconds))} s ({basis})"


def estimate_downtime(plan: Plan, seen: Mapping[str, Sequence[float]]) -> Estimate | None:
    """Seconds between gate closed and gate open; None where the plan does not close and open it again; 0.0 where it
    replaces what serves visitors without closing it.

    `seen` has, per step name, the seconds it took in earlier walks.
    """
    if plan.keeps_open:
        return Estimate(0.0, measured=True)
    closed = [plan.steps[index] for index in plan.closed_span]
    names = [step.name for step in closed]
    if "open-gate" not in names:
        return None
    return Estimate(sum(_seconds(step, seen) for step in closed), all(seen.get(name) for name in names))


def _seconds(step: Step, seen: Mapping[str, Sequence[float]]) -> float:
    """How long copying takes is a question of size, whatever it took with less data."""
    name = step.name
    if isinstance(step, DumpServer | RestoreServer | ProveCopy) and step.size_bytes is not None:
        return REFERENCE_SECONDS[name] + step.size_bytes / BYTES_PER_SECOND[name]
    return median(seen[name]) if seen.get(name) else REFERENCE_SECONDS.get(name, _UNKNOWN_SECONDS)
