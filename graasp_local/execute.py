"""The one loop that carries a plan out, and the policy for what a failure means.

Yields an event for everything that happens; decides nothing about what to do, which is the plan's, nor about how,
which is the performer's. Before the first step that touches the site a failure is a refusal. After it the walk fails
closed: it stops where it is, the gate stays as it is, and the last event says what is known and what to type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

from graasp_local.errors import ExitCode, GraaspLocalError, Interrupted
from graasp_local.events import Event, Outcome, StepEnded, StepOutcome, StepOutput, StepStarted, WalkEnded, WalkStarted
from graasp_local.plan import Plan
from graasp_local.ports import Clock, Interruption
from graasp_local.states import Gate, InfraState, ObservedState, classify, state_name
from graasp_local.steps import (
    CloseGate,
    OpenGate,
    ProveGate,
    RecordDeployment,
    SelectVersion,
    Step,
    step_name,
    title,
)

Perform = Callable[[Step], Iterator[str]]
Observe = Callable[[], ObservedState]

_REFUSING_CODES = frozenset({ExitCode.USAGE, ExitCode.ENGINE_UNREACHABLE, ExitCode.LOCKED, ExitCode.INTERRUPTED})


def execute(
    walk: str,
    command: str,
    plan: Plan,
    before: ObservedState,
    perform: Perform,
    observe: Observe,
    clock: Clock,
    interruption: Interruption,
) -> Iterator[Event]:
    """Carry `plan` out, from a site that looked like `before`. The last event is always a WalkEnded."""
    began = clock.monotonic()
    ended: list[StepEnded] = []
    closed_at: float | None = None
    downtime: float | None = None
    error: GraaspLocalError | None = None
    yield WalkStarted(walk, command, plan)
    for index, step in enumerate(plan.steps):
        if interruption.requested and not _finishes_anyway(step):
            error = Interrupted(f"Interrupted before the step: {title(step)}.")
            break
        yield StepStarted(index, step_name(step), title(step), step.cause)
        step_began = clock.monotonic()
        if isinstance(step, CloseGate) and before.gate is Gate.OPEN:
            closed_at = step_began
        try:
            for line in perform(step):
                yield StepOutput(index, line)
        except GraaspLocalError as raised:
            error = _as_interruption(raised, interruption)
        except Exception as raised:  # the journal and the person must hear of a defect as well
            error = GraaspLocalError(f"Unexpected: {type(raised).__name__}: {raised}")
        if error is None and isinstance(step, OpenGate) and closed_at is not None:
            downtime = clock.monotonic() - closed_at
        done = StepEnded(
            index,
            step_name(step),
            StepOutcome.FAILED if error else StepOutcome.DONE,
            clock.monotonic() - step_began,
            error.sentences if error else (),
        )
        ended.append(done)
        yield done
        if error is not None:
            break
    state, version, gate = _look(observe)
    seconds = clock.monotonic() - began
    if error is None:
        outcome = _success(plan)
        yield WalkEnded(walk, outcome, state, version, downtime, seconds, tuple(ended))
        return
    outcome, code, problem = judge(plan, len(ended), error, gate)
    yield WalkEnded(walk, outcome, state, version, downtime, seconds, tuple(ended), code, problem)


def judge(
    plan: Plan, steps_tried: int, error: GraaspLocalError, gate: Gate
) -> tuple[Outcome, ExitCode, tuple[str, ...]]:
    """What an error after so many steps means: the outcome, the exit code, three sentences. Pure."""
    if steps_tried <= plan.first_touching:
        if isinstance(error, Interrupted):
            return Outcome.INTERRUPTED, ExitCode.INTERRUPTED, (error.what, "Nothing was touched.")
        code = error.exit_code if error.exit_code in _REFUSING_CODES else ExitCode.REFUSED
        return Outcome.REFUSED, code, (error.what, error.meaning or "Nothing was touched.", error.next_step)
    meaning, next_step = _after_touching(plan, steps_tried, gate)
    if isinstance(error, Interrupted):
        return Outcome.INTERRUPTED, ExitCode.INTERRUPTED, (error.what, meaning, next_step)
    return Outcome.FAILED, ExitCode.NEEDS_YOU, (error.what, error.meaning or meaning, error.next_step or next_step)


def _after_touching(plan: Plan, steps_tried: int, gate: Gate) -> tuple[str, str]:
    """What a failed walk leaves behind, and the command that goes on from there."""
    tried = plan.steps[:steps_tried]
    keeps = {
        Gate.OPEN: "The gate is open.",
        Gate.CLOSED: "Visitors see the maintenance page; nothing in the database is lost.",
        Gate.UNKNOWN: "nginx does not answer, so visitors reach nothing; nothing in the database is lost.",
    }[gate]
    if plan.version is None:
        return keeps, f"See `graasp-local status`, then `graasp-local apply {plan.target}` again."
    if any(isinstance(step, SelectVersion) for step in tried[:-1]):
        return (
            f"{keeps} The database belongs to {plan.version} now.",
            f"See `graasp-local logs core`, then `graasp-local deploy --version {plan.version}` again or a mended one.",
        )
    return (
        keeps,
        f"`graasp-local deploy --version X`: the version from before brings it back, {plan.version} tries again.",
    )


def _success(plan: Plan) -> Outcome:
    if not plan.steps:
        return Outcome.NOTHING_TO_DO
    return Outcome.HELD if plan.version and plan.target is InfraState.RESTRICTED else Outcome.DONE


def _finishes_anyway(step: Step) -> bool:
    """Once the gate is open the walk is through: what is left takes a moment and is better done than left."""
    return isinstance(step, RecordDeployment) or (isinstance(step, ProveGate) and step.gate is Gate.OPEN)


def _as_interruption(error: GraaspLocalError, interruption: Interruption) -> GraaspLocalError:
    """A ctrl-C reaches the docker commands that are running too: their failure then is no failure of the site."""
    if interruption.requested and not isinstance(error, Interrupted):
        return Interrupted(f"Interrupted: {error.what}")
    return error


def _look(observe: Observe) -> tuple[str, str, Gate]:
    try:
        observed = observe()
    except GraaspLocalError:
        return "unknown", "", Gate.UNKNOWN
    return state_name(classify(observed)), " and ".join(sorted(observed.graasp_versions)), observed.gate
