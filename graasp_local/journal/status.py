"""What to type next on a site that is not as it should be: one answer, for `status` and for every screen.

Says nothing while another command is running on the site, since that may be fixing it. Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.journal.records import OperationRecord
from graasp_local.lock import Holder
from graasp_local.planning.states import Absent, Classification, Drifted, InState
from graasp_local.version import Version

UNDER_WAY = "under-way"
"""Instead of an outcome, where there is none yet."""


class NextStep(Struct, frozen=True):
    """A command, its `verb` in the table, and what it does, as the end of a sentence."""

    verb: str
    command: str
    does: str


class Situation(Struct, frozen=True):
    """What the answer depends on: the observed state, the selected version, unfinished work, a running command."""

    classification: Classification
    selected: Version | None
    unfinished: OperationRecord | None
    holder: Holder | None


def next_steps(situation: Situation) -> tuple[NextStep, ...]:
    """Empty if nothing is wrong. Unfinished work comes before differences, since it is the cause of them."""
    if situation.holder is not None:
        return ()
    if situation.unfinished is not None:
        resume = NextStep("resume", "graasp-local resume", "continues it")
        rollback = NextStep("rollback", "graasp-local rollback", "undoes it")
        return (resume, rollback) if situation.unfinished.can_be_undone else (resume,)
    match situation.classification:
        case Absent() if situation.selected is None:
            return (NextStep("deploy", "graasp-local deploy --version X", "starts the site with its first version"),)
        case Absent():
            return (NextStep("apply", "graasp-local apply running", f"starts {situation.selected} again"),)
        case Drifted(nearest=nearest) as drifted:
            return (NextStep("apply", drifted.fixing_command, f"brings the site back to {nearest}"),)
        case InState(lacking=lacking) as lacks if lacking:
            return (NextStep("apply", lacks.fixing_command, "tries to start it again"),)
        case InState():
            return ()


def with_its_state(operations: Sequence[OperationRecord], holder: Holder | None) -> tuple[OperationRecord, ...]:
    """The operations, oldest first, the newest as under way if the holder of the lock is carrying it out."""
    if not operations or holder is None:
        return (*operations,)
    *earlier, newest = operations
    if newest.outcome is not None or newest.command != holder.command:
        return (*operations,)
    return (*earlier, replace(newest, outcome=UNDER_WAY))
