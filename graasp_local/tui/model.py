"""Frozen snapshots of a site for the screens, and what follows from them: rows, notices, next steps.

Decides what the user is told about a site, from the observation and the journal. Pure.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct
from msgspec.structs import replace

from graasp_local.journal.records import (
    JournalContents,
    OperationRecord,
    last_deployed,
    state_left,
    unfinished_operation,
)
from graasp_local.journal.status import NextStep, Situation, next_steps
from graasp_local.lock import Holder
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.states import (
    Absent,
    Classification,
    Drifted,
    Gate,
    Health,
    InfraState,
    InState,
    ObservedService,
    ObservedState,
    ServiceGroup,
    Status,
    classify,
)
from graasp_local.planning.steps import CloseGate, OpenGate, StartServices, StopServices
from graasp_local.ports.live import Listing, ObservedContainer
from graasp_local.version import Version
from graasp_local.wording import in_a_sentence

GROUP_ORDER = (ServiceGroup.DATABASE, ServiceGroup.ADMINISTRATION, ServiceGroup.GRAASP, ServiceGroup.EDGE)


class Service(Struct, frozen=True):
    """One service as a row: its observed state, and its container if it has one."""

    observed: ObservedService
    container: ObservedContainer | None

    @property
    def name(self) -> str:
        return self.observed.name

    @property
    def runs(self) -> bool:
        return self.observed.serves or self.observed.status in (Status.RUNNING, Status.PAUSED, Status.RESTARTING)

    @property
    def image_tag(self) -> str:
        """The image's tag without a leading service name, or the version if the image is pinned by id only."""
        image = self.container.image if self.container is not None and self.container.image else self.observed.image
        name = image.partition("@")[0]
        if name.startswith("sha256:") and self.observed.version:
            return f"v{self.observed.version}"
        tag = name.rpartition(":")[2] if ":" in name else ""
        return tag.removeprefix(f"{self.name}-")

    @property
    def mark(self) -> str:
        """One character that says the same as the color."""
        if self.observed.is_on:
            return "✓"
        if self.observed.is_off:
            return "·"
        return "✗" if self.observed.is_stuck or self.observed.status is Status.RESTARTING else "…"

    @property
    def state_word(self) -> str:
        if self.observed.replicas and not self.observed.is_off:
            return f"{self.observed.healthy}/{self.observed.wanted}"
        if self.observed.status is Status.RUNNING:
            return "running" if self.observed.health is Health.NONE else self.observed.health.value
        return "stopped" if self.observed.status is Status.EXITED else self.observed.status.value


class Reception(StrEnum):
    """What visitors of the site get now."""

    SERVED = "visitors get in"
    PAGE = "visitors wait"
    ERRORS = "only errors"
    NOTHING = "no answer"


class SiteView(Struct, frozen=True):
    """A site at one moment."""

    project: str
    directory: str
    url: str
    selected: Version | None
    observed: ObservedState
    services: tuple[Service, ...]
    journal: JournalContents
    """Back to the last successful deployment."""
    holder: Holder | None = None
    core_answers: bool | None = None
    """Whether core answered through the open gate; None if it was not asked."""

    @property
    def operations(self) -> tuple[OperationRecord, ...]:
        """The last successful deployment and everything after it, oldest first."""
        return self.journal.operations

    @property
    def last_deployment(self) -> OperationRecord | None:
        """The last operation that left a version deployed."""
        return last_deployed(self.operations)

    @property
    def unfinished(self) -> OperationRecord | None:
        return unfinished_operation(self.operations) if self.holder is None else None

    @property
    def damaged_operations(self) -> tuple[str, ...]:
        """A sentence for each damaged file of the journal."""
        return tuple(f"{damaged.file.name}: {damaged.damage}" for damaged in self.journal.damaged)

    @property
    def classification(self) -> Classification:
        return classify(self.observed, state_left(self.operations))

    @property
    def state(self) -> InfraState | None:
        """The state the site is in, or the nearest one; None for a site without containers."""
        match self.classification:
            case InState(state=state) | Drifted(nearest=state):
                return state
            case _:
                return None

    @property
    def observed_now(self) -> InState | Absent | Drifted:
        """The classification by observation alone, whatever state a running operation aims for.

        A sealed gate counts as closed here.
        """
        gate = Gate.CLOSED if self.observed.gate is Gate.SEALED else self.observed.gate
        return classify(replace(self.observed, gate=gate))

    @property
    def reception(self) -> Reception:
        match self.observed.gate:
            case Gate.UNKNOWN:
                return Reception.NOTHING
            case Gate.OPEN:
                return Reception.ERRORS if self.core_answers is False else Reception.SERVED
            case _:
                return Reception.PAGE

    @property
    def drift(self) -> Drifted | None:
        found = self.classification
        return found if isinstance(found, Drifted) else None

    @property
    def version(self) -> str:
        """The running version, otherwise the selected one, otherwise empty."""
        return " and ".join(sorted(self.observed.graasp_versions)) or (str(self.selected) if self.selected else "")

    @property
    def next_steps(self) -> tuple[NextStep, ...]:
        """What to type if something is wrong; empty while an operation is running."""
        return next_steps(Situation(self.classification, self.selected, self.unfinished, self.holder))

    def service(self, name: str | None) -> Service | None:
        return next((service for service in self.services if service.name == name), None)


def services_of(listing: Listing, observed: ObservedState) -> tuple[Service, ...]:
    """The services by group, each with its container."""
    containers = {container.service: container for container in listing.containers}
    return tuple(
        Service(service, containers.get(service.name))
        for group in GROUP_ORDER
        for service in sorted(observed.in_group(group), key=lambda service: service.name)
    )


def change_in_words(view: SiteView, target: InfraState) -> str:
    """What a change to this state would do, in one sentence."""
    return plan_in_words(plan_transition(view.observed, target), view.state is target)


def plan_in_words(plan: Plan, is_here: bool) -> str:
    """A plan in one sentence, without its checks."""
    doing = [in_a_sentence(step.title) for step in plan.steps if not step.name.startswith(("prove-", "verify-"))]
    if not doing:
        return "Already in this state; nothing to do." if is_here else "Nothing would change."
    return f"It would {' → '.join(doing)}".replace(" and wait until healthy", "")


def change_in_few_words(view: SiteView, target: InfraState, room: int) -> str:
    """What a change would do, in a few words such as `closes the gate`; fewer if there is less room."""
    plan = plan_transition(view.observed, target)
    gate = ""
    if any(isinstance(step, CloseGate) for step in plan.steps):
        gate = "closes"
    if any(isinstance(step, OpenGate) for step in plan.steps):
        gate = "opens"
    stops = sum(len(step.services) for step in plan.steps if isinstance(step, StopServices))
    starts = sum(len(step.services) for step in plan.steps if isinstance(step, StartServices))
    moved = [f"{word} {count}" for word, count in (("stops", stops), ("starts", starts)) if count]
    if not moved:
        return f"{gate} the gate" if gate else ""
    said = ", ".join([*([gate] if gate else []), *moved])
    whose = "start" if not stops else "stop" if not starts else "change"
    shorter = ", ".join([*([gate] if gate else []), f"{stops + starts} {whose}"])
    return next((words for words in (said, shorter) if len(words) <= room), f"{gate} and more" if gate else "more")
