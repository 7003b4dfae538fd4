"""A plan: the steps from the site as observed to the site as it should be.

`render` turns it into text; the plan that is printed is the value that is executed. Pure.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct

from graasp_local.planning.restore_steps import Restore
from graasp_local.planning.rolling_steps import LeadVisitors
from graasp_local.planning.server import Upgrade
from graasp_local.planning.states import InfraState
from graasp_local.planning.steps import CloseGate, OpenGate, StartServices, Step
from graasp_local.version import Version

DRAIN_SECONDS = 10.0
"""How long requests in flight may take to finish, unless the request says otherwise."""


class Strategy(StrEnum):
    """How a version takes over: behind a closed gate, or while visitors are served, if nothing has to be migrated."""

    CLOSED = "closed"
    ROLLING = "rolling"
    ROLLING_IF_POSSIBLE = "rolling-if-possible"

    @classmethod
    def _missing_(cls, value: object) -> Strategy | None:
        """graasp-local 0.1.0's name for it is still in commands, in `.env` and in journals."""
        return cls.CLOSED if value == "walk" else None


class Plan(Struct, frozen=True):
    """Steps in order, and the state they end in. Without steps: the site is already there."""

    target: InfraState
    steps: tuple[Step, ...]
    version: Version | None = None
    upgrade: Upgrade | None = None
    restore: Restore | None = None
    """The restore that the plan carries out or undoes."""
    goes_back: bool = False
    """It undoes a deployment, so it cannot itself be rolled back; without a version, it undoes a site's first one."""
    hint: str = ""
    """A sentence for the person, for instance about another way to do the same; empty if there is none."""
    alternative: Strategy | None = None
    """The strategy of that other way, if it can be chosen instead."""

    @property
    def can_be_resumed(self) -> bool:
        """It deploys, upgrades Postgres or undoes that: if cut off, it waits for `resume` or `rollback`."""
        return self.version is not None or self.upgrade is not None or self.goes_back

    @property
    def subject(self) -> str:
        """What the plan is about, for use in a sentence: a version or a major of Postgres; empty for a state change."""
        if self.upgrade is not None:
            return f"Postgres {self.upgrade.goal_major}"
        return str(self.version or "")

    @property
    def keeps_open(self) -> bool:
        """Whether it replaces what serves visitors without closing the gate."""
        return not self.closed_span and any(isinstance(step, LeadVisitors) for step in self.steps)

    @property
    def services_started(self) -> tuple[str, ...]:
        """What its steps start, in order."""
        return tuple(name for step in self.steps if isinstance(step, StartServices) for name in step.services)

    @property
    def closed_span(self) -> range:
        """Indexes of the steps during which the gate is closed by this plan; empty if it does not close it."""
        closing = [index for index, step in enumerate(self.steps) if isinstance(step, CloseGate)]
        if not closing:
            return range(0)
        opening = [index for index, step in enumerate(self.steps) if isinstance(step, OpenGate)]
        return range(closing[0], opening[-1] + 1 if opening else len(self.steps))


def render(plan: Plan) -> str:
    """The plan as text, a line per step: whether the gate is closed, what is done, and why."""
    if not plan.steps:
        deployed = f"{plan.version} is deployed and " if plan.version else ""
        return f"Nothing to do: {deployed}the site is already {plan.target}."
    width = max(len(step.title) for step in plan.steps)
    lines = []
    for number, step in enumerate(plan.steps, start=1):
        mark = "closed" if number - 1 in plan.closed_span else ""
        lines.append(f"{number:>2}  {mark:<6}  {step.title:<{width}}  because {step.cause}")
    if plan.hint:
        lines.append(plan.hint)
    return "\n".join(lines)
