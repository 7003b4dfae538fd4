"""The one loop that carries a plan out, and the policy for what a failure means.

Yields an event for everything that happens; what to do is up to the plan, how to do it up to the performer. A failure
before the first step that touches the site is a refusal. After that, a deployment is rolled back if there is something
to go back to; if not, or if the rollback fails too, it stops there, the gate stays as it is, and the last event says
what is known and what to type.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator

from msgspec import Struct, field
from msgspec.structs import replace

from graasp_local.clock import Clock, Interruption
from graasp_local.errors import EngineUnreachable, ExitCode, GraaspLocalError, Interrupted, NeedsYou, Refused
from graasp_local.journal.events import (
    Event,
    OperationEnded,
    OperationStarted,
    Outcome,
    RollbackStarted,
    StepEnded,
    StepOutcome,
    StepOutput,
    StepStarted,
)
from graasp_local.operations.progress import Progress
from graasp_local.planning.plan import Plan
from graasp_local.planning.states import Gate, InfraState, ObservedState, classify, is_in, state_name
from graasp_local.planning.steps import (
    CloseGate,
    ProveGate,
    RecordDeployment,
    SelectVersion,
    Step,
    SwapBack,
    UseEarlierSettings,
)
from graasp_local.planning.upgrade_steps import RecordUpgrade, SelectServer
from graasp_local.wording import listed, plain_text

Perform = Callable[[Step, Progress], Generator[str, None, Progress]]
"""Does a step: yields lines for people, returns what holds after it, raises GraaspLocalError if it failed."""
Observe = Callable[[], ObservedState]
Recover = Callable[[tuple[Step, ...], Progress], "Recovery | None"]
"""Given the steps that were tried, what puts the site back; None if there is nothing to go back to."""

_SETTLE_SECONDS = 5.0
_SETTLE_POLL_SECONDS = 0.1

_REFUSING_CODES = frozenset({ExitCode.USAGE, ExitCode.ENGINE_UNREACHABLE, ExitCode.LOCKED, ExitCode.INTERRUPTED})


class Runtime(Struct, frozen=True):
    """What an operation works with besides its plan."""

    perform: Perform
    observe: Observe
    recover: Recover
    clock: Clock
    interruption: Interruption
    is_needed: Callable[[Step, Progress], bool] = lambda _, __: True
    """Asked before each step, given what earlier steps have found: a step with nothing to do is skipped."""
    has_changed: Callable[[Progress], bool] = lambda _: True
    """Asked at the end of a deployment: whether version, images or database differ from before it."""


class Recovery(Struct, frozen=True):
    """The plan that puts the site back, and what it is carried out with, such as the settings from before."""

    plan: Plan
    runtime: Runtime


def execute(started: OperationStarted, before: ObservedState, runtime: Runtime) -> Iterator[Event]:
    """Carry a plan out, from a site that looked like `before`. The last event is always an OperationEnded.

    How long the site was closed is not counted here, since it may have been closed before.
    """
    plan = started.plan
    loop = _Loop(runtime, site_was_open=before.gate is Gate.OPEN)
    began = runtime.clock.monotonic()
    yield started
    error = yield from loop.carry_out(plan.steps)
    if error is None and plan.steps:
        error = _missed_target(plan, runtime)
    outcome, code = _success(plan), ExitCode.DONE
    problem: tuple[str, ...] = ()
    if error is not None:
        _, _, gate = _observed(runtime.observe)
        outcome, code, problem = judge(plan, len(loop.ended), error, gate)
        tried = tuple(step for step, ended in zip(plan.steps, loop.ended, strict=False) if ended.was_needed)
        recovery: Recovery | None = None
        if outcome is not Outcome.REFUSED and _touched(tried):
            try:
                recovery = runtime.recover(tried, loop.progress)
            except Exception as raised:  # the first error must be reported, even if no rollback can be planned
                problem = (*problem, f"The rollback could not be planned: {type(raised).__name__}: {raised}")
        if recovery is not None:
            runtime.interruption.acknowledge()
            yield RollbackStarted(recovery.plan, problem, gate)
            runtime = loop.runtime = recovery.runtime
            loop.progress = loop.progress.without_made()
            second = yield from loop.carry_out(recovery.plan.steps)
            if second is None:
                second = _missed_target(recovery.plan, runtime)
            _, _, gate = _observed(runtime.observe)
            outcome, code, problem = judge_rollback(recovery.plan, error, second, gate)
    # Nothing was done, so what was observed for the plan still holds.
    state, version, gate = _observed(runtime.observe if plan.steps else lambda: before)
    seconds = runtime.clock.monotonic() - began
    kept_open = plan.keeps_open and loop.was_never_closed and gate is Gate.OPEN and outcome is not Outcome.REFUSED
    downtime, ended = 0.0 if kept_open else None, tuple(loop.ended)
    is_deployment = plan.version is not None and plan.restore is None
    nothing_was_done = outcome in (Outcome.REFUSED, Outcome.NOTHING_TO_DO)
    changed = not nothing_was_done and (runtime.has_changed(loop.progress) if is_deployment else True)
    done = OperationEnded(started.operation, outcome, state, version, downtime, seconds, ended, code, problem, gate)
    yield replace(done, changed=changed)


class _Loop(Struct):
    """Does one step after another."""

    runtime: Runtime
    site_was_open: bool
    ended: list[StepEnded] = field(default_factory=list)
    progress: Progress = Progress()
    _told_to_close: bool = False

    @property
    def was_never_closed(self) -> bool:
        return self.site_was_open and not self._told_to_close

    def carry_out(self, steps: tuple[Step, ...]) -> Generator[Event, None, GraaspLocalError | None]:
        """Returns the error that ended it, or None."""
        clock, interruption = self.runtime.clock, self.runtime.interruption
        for step in steps:
            if interruption.requested and not _finishes_anyway(step):
                return Interrupted(f'Interrupted before the step "{step.title}".')
            index = len(self.ended)
            yield StepStarted(index, step.name, step.title, step.cause)
            step_began = clock.monotonic()
            self._told_to_close = self._told_to_close or isinstance(step, CloseGate)
            error: GraaspLocalError | None = None
            needed = self.runtime.is_needed(step, self.progress)
            try:
                if needed:
                    self.progress = yield from _shown(index, self.runtime.perform(step, self.progress))
                else:
                    yield StepOutput(index, "there is nothing to do")
            except GraaspLocalError as raised:
                error = _as_interruption(raised, step, interruption)
            except OSError as raised:  # a full disk, permissions: the machine's fault, not a bug
                about = f"{raised.filename or 'A file'} cannot be used: " if raised.errno is not None else ""
                error = NeedsYou(f"{about}{raised.strerror or raised}.")
            except Exception as raised:  # the journal and the person must hear about bugs as well
                error = GraaspLocalError(f"Unexpected: {type(raised).__name__}: {raised}")
            outcome = StepOutcome.FAILED if error else StepOutcome.DONE
            seconds = clock.monotonic() - step_began
            done = StepEnded(index, step.name, outcome, seconds, error.sentences if error else (), needed)
            self.ended.append(done)
            yield done
            if error is not None:
                return error
        return None


def _shown(index: int, lines: Generator[str, None, Progress]) -> Generator[Event, None, Progress]:
    """The lines of a step as events; returns what the step returns."""
    while True:
        try:
            line = next(lines)
        except StopIteration as done:
            progress: Progress = done.value
            return progress
        yield StepOutput(index, plain_text(line))


def judge(
    plan: Plan, steps_tried: int, error: GraaspLocalError, gate: Gate
) -> tuple[Outcome, ExitCode, tuple[str, ...]]:
    """What an error after that many steps means without a rollback: outcome, exit code, three sentences. Pure."""
    if not _touched(plan.steps[:steps_tried]):
        if isinstance(error, Interrupted):
            return Outcome.INTERRUPTED, ExitCode.INTERRUPTED, (error.what, "Nothing was changed.")
        code = error.exit_code if error.exit_code in _REFUSING_CODES else ExitCode.REFUSED
        return Outcome.REFUSED, code, (error.what, error.meaning or "Nothing was changed.", error.next_step)
    meaning, next_step = _after_touching(plan, steps_tried, gate)
    if isinstance(error, Interrupted):
        return Outcome.INTERRUPTED, ExitCode.INTERRUPTED, (error.what, meaning, next_step)
    if isinstance(error, EngineUnreachable):  # then what brings the engine back comes first
        next_step = f"{error.next_step} Then {next_step[0].lower()}{next_step[1:]}"
    else:
        next_step = error.next_step or next_step
    return Outcome.FAILED, ExitCode.NEEDS_YOU, (error.what, error.meaning or meaning, next_step)


def judge_rollback(
    recovery: Plan, first: GraaspLocalError, second: GraaspLocalError | None, gate: Gate
) -> tuple[Outcome, ExitCode, tuple[str, ...]]:
    """What it means that a deployment failed with `first`, and its rollback with `second`, if it failed. Pure."""
    if second is not None:
        again = "rollback` again" if recovery.can_be_resumed else f"apply {recovery.target}`"
        return (
            Outcome.FAILED,
            ExitCode.NEEDS_YOU,
            (
                f"{first.what} The rollback failed too: {second.what}",
                _what_visitors_see(gate),
                f"Fix the cause, then run `graasp-local {again}. `graasp-local history --last` has the details.",
            ),
        )
    # A refusal that could only be found with the database up is still a refusal, once the site is as before.
    by_kind = {Interrupted: ExitCode.INTERRUPTED, Refused: ExitCode.REFUSED}
    code = by_kind.get(type(first), ExitCode.ROLLED_BACK)
    return (
        Outcome.ROLLED_BACK,
        code,
        (
            first.what,
            f"The site is {recovery.target}{f' with {recovery.subject}' if recovery.subject else ''} as before."
            f"{_kept(recovery)}{_settings_after(recovery)}",
            "`graasp-local history --last` shows what was tried.",
        ),
    )


def _kept(recovery: Plan) -> str:
    """What becomes of data that may have been written to the replaced database."""
    if not any(isinstance(step, SwapBack) and step.written for step in recovery.steps):
        return ""
    return (
        " Something may have been written to the replaced database; the history says how much. It is kept until you "
        "run `graasp-local remove-old-database`."
    )


def _settings_after(recovery: Plan) -> str:
    """What becomes of settings that a person has changed, if the rollback did not use them."""
    changed = next((step.changed for step in recovery.steps if isinstance(step, UseEarlierSettings)), ())
    if not changed:
        return ""
    if recovery.target not in (InfraState.RUNNING, InfraState.RESTRICTED):
        return f" Changed since it was last known to work: {listed(changed)}. Correct or revert that, then try again."
    return (
        f" It runs with the settings from before {listed(changed)} changed. Your change is still in the file, and "
        "the next command will use it: correct or revert it first."
    )


def _missed_target(plan: Plan, runtime: Runtime) -> GraaspLocalError | None:
    """The error if the site is not in the target state although every step succeeded.

    Asks for a while: a stop returns a moment before the engine lists the container as stopped.
    """
    deadline = runtime.clock.monotonic() + _SETTLE_SECONDS
    while True:
        state, there = _observed_in(runtime.observe, plan.target)
        if there:
            return None
        if runtime.clock.monotonic() >= deadline:
            return NeedsYou(f"Every step succeeded, but the site is {state} instead of {plan.target}.")
        runtime.clock.sleep(_SETTLE_POLL_SECONDS)


def _touched(tried: tuple[Step, ...]) -> bool:
    return any(step.touches_site for step in tried)


def _after_touching(plan: Plan, steps_tried: int, gate: Gate) -> tuple[str, str]:
    """What a failed operation leaves behind, and the command that goes on from there."""
    keeps = _what_visitors_see(gate)
    if not plan.can_be_resumed:
        return keeps, f"See `graasp-local status`, then `graasp-local apply {plan.target}` again."
    if any(isinstance(step, SelectVersion) for step in plan.steps[: steps_tried - 1]):
        keeps = f"{keeps} The database belongs to {plan.version} now."
    if any(isinstance(step, SelectServer) for step in plan.steps[: steps_tried - 1]):
        keeps = f"{keeps} The database is on {plan.subject} now."
    return keeps, "`graasp-local resume` tries again from here, `graasp-local rollback` undoes it."


def _what_visitors_see(gate: Gate) -> str:
    return {
        Gate.OPEN: "The gate is open.",
        Gate.CLOSED: "Visitors see the maintenance page.",
        Gate.SEALED: "Visitors see the maintenance page.",
        Gate.UNKNOWN: "What visitors see is unknown: nginx or the Docker engine does not answer.",
    }[gate]


def _success(plan: Plan) -> Outcome:
    if not plan.steps:
        return Outcome.NOTHING_TO_DO
    is_deployment = any(isinstance(step, RecordDeployment) for step in plan.steps)
    return Outcome.HELD if is_deployment and plan.target is InfraState.RESTRICTED else Outcome.DONE


def _finishes_anyway(step: Step) -> bool:
    """Once the gate is open the operation is practically done: what is left takes a moment and is better finished."""
    return isinstance(step, RecordDeployment | RecordUpgrade) or (
        isinstance(step, ProveGate) and step.gate is Gate.OPEN
    )


def _as_interruption(error: GraaspLocalError, step: Step, interruption: Interruption) -> GraaspLocalError:
    """Ctrl-C also reaches running docker commands: if they fail because of that, the site has not failed."""
    if interruption.requested and not isinstance(error, Interrupted):
        return Interrupted(f'Interrupted during the step "{step.title}".')
    return error


def _observed_in(observe: Observe, target: InfraState) -> tuple[str, bool]:
    """The state that the site is in, and whether that is the target."""
    try:
        observed = observe()
    except GraaspLocalError:
        return "unknown", False
    return state_name(classify(observed)), is_in(observed, target)


def _observed(observe: Observe) -> tuple[str, str, Gate]:
    try:
        observed = observe()
    except GraaspLocalError:
        return "unknown", "", Gate.UNKNOWN
    return state_name(classify(observed)), " and ".join(sorted(observed.graasp_versions)), observed.gate
