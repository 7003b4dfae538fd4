"""Events as JSON and as lines, and what a failure means."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest

from graasp_local.errors import (
    ConfigurationError,
    EngineUnreachable,
    ExitCode,
    GraaspLocalError,
    Interrupted,
    Locked,
    NeedsYou,
    Refused,
    UsageError,
)
from graasp_local.journal.closings import Closing
from graasp_local.journal.events import (
    OperationEnded,
    OperationStarted,
    Outcome,
    StepEnded,
    StepOutcome,
    StepOutput,
    StepStarted,
    as_json,
    as_lines,
    summary,
)
from graasp_local.operations.execute import judge
from graasp_local.planning.estimate import estimate_downtime
from graasp_local.planning.migrations import Pending
from graasp_local.planning.plan_deploy import DeployRequest, plan_deploy
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.states import Gate, InfraState
from graasp_local.planning.timings import Range, Run
from graasp_local.version import Version
from tests.unit.sites import site_in

PLAN = plan_deploy(site_in(InfraState.RUNNING), DeployRequest(Version(1, 1, 0)), Pending(("0002_x",)))
NAMES = [step.name for step in PLAN.steps]
BEGAN = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC).timestamp()
ENDED = OperationEnded(
    "w",
    Outcome.DONE,
    "running",
    "1.1.0",
    2.34567,
    3.0,
    (StepEnded(0, "preflight", StepOutcome.DONE, 0.12345),),
    gate=Gate.OPEN,
    closing=Closing(BEGAN, BEGAN + 2.346, "w", "graasp-local deploy", "w"),
    forecast=Range(2.0, 4.5),
)


def test_the_last_json_line_has_what_scripts_read() -> None:
    told = json.loads(json.dumps(as_json(ENDED)))
    assert told == {
        "event": "operation-ended",
        "operation": "w",
        "outcome": "done",
        "state": "running",
        "gate": "open",
        "version": "1.1.0",
        "downtime_seconds": 2.346,
        "closing": {
            "since": "2026-01-02T03:04:05.000+00:00",
            "until": "2026-01-02T03:04:07.346+00:00",
            "seconds": 2.346,
            "operation": "w",
            "command": "graasp-local deploy",
            "opened_by": "w",
        },
        "forecast": {"low_seconds": 2.0, "high_seconds": 4.5},
        "seconds": 3.0,
        "steps": [{"name": "preflight", "outcome": "done", "seconds": 0.123}],
        "exit_code": 0,
        "changed": True,
        "problem": [],
    }


def test_the_first_json_line_has_the_plan() -> None:
    told = as_json(OperationStarted("w", "graasp-local deploy", PLAN))
    assert [step["name"] for step in told["plan"]] == NAMES
    assert [step["name"] for step in told["plan"] if step["closed"]] == NAMES[5:19]


@pytest.mark.parametrize(
    "event",
    [
        OperationStarted("w", "c", PLAN),
        StepStarted(0, "pull", "have the images", "why"),
        StepOutput(0, "a line"),
        StepEnded(0, "pull", StepOutcome.FAILED, 1.0, ("broken",)),
        ENDED,
    ],
)
def test_every_event_is_json_and_lines(event: object) -> None:
    assert json.dumps(as_json(event))  # type: ignore[arg-type]
    assert all(isinstance(line, str) for line in as_lines(event))  # type: ignore[arg-type]


@pytest.mark.parametrize("outcome", Outcome)
def test_every_outcome_is_a_sentence(outcome: Outcome) -> None:
    said = summary(OperationEnded("w", outcome, "running", "1.1.0", None, 1.0, ()))
    assert said.endswith(".")


@pytest.mark.parametrize("count", range(1, len(NAMES) + 1))
def test_a_failure_is_a_refusal_until_the_gate_closes_and_needs_a_person_after(count: int) -> None:
    outcome, code, problem = judge(PLAN, count, NeedsYou("It broke."), Gate.CLOSED)
    if NAMES[count - 1] in ("preflight", "pull", "read-migrations", "backup", "make-migration"):
        assert (outcome, code) == (Outcome.REFUSED, ExitCode.REFUSED)
    else:
        assert (outcome, code) == (Outcome.FAILED, ExitCode.NEEDS_YOU)
    assert problem[0] == "It broke."
    assert problem[1]


@pytest.mark.parametrize(
    ("gate", "sentence"),
    [
        (Gate.CLOSED, "maintenance page"),
        (Gate.OPEN, "The gate is open."),
        (Gate.UNKNOWN, "nginx or the Docker engine does not answer"),
    ],
)
def test_what_a_failure_leaves_is_what_was_observed(gate: Gate, sentence: str) -> None:
    _, _, problem = judge(PLAN, 8, NeedsYou("It broke."), gate)
    assert sentence in problem[1]


def test_a_change_of_state_that_failed_says_what_to_type() -> None:
    plan = plan_transition(site_in(InfraState.RUNNING), InfraState.STOPPED)
    _, _, problem = judge(plan, 3, NeedsYou("It broke."), Gate.CLOSED)
    assert "graasp-local apply stopped" in problem[2]


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (GraaspLocalError, 1),
        (UsageError, 2),
        (ConfigurationError, 2),
        (EngineUnreachable, 3),
        (Refused, 10),
        (Locked, 11),
        (NeedsYou, 21),
        (Interrupted, 130),
    ],
)
def test_every_error_owns_its_exit_code(error: type[GraaspLocalError], code: int) -> None:
    assert error.exit_code == code
    assert error("a", "", "c").sentences == ("a", "c")


def test_an_estimate_from_this_sites_history_is_the_sum_of_medians() -> None:
    closed = {NAMES[index]: [Run(0.1), Run(1.0), Run(11.0)] for index in PLAN.closed_span}
    estimate = estimate_downtime(PLAN, closed)
    assert estimate is not None
    assert (estimate.seconds, estimate.measured) == (float(len(closed)), True)
    assert estimate.range.low == pytest.approx(0.1 * len(closed))
    assert estimate.range.high == pytest.approx(11.0 * len(closed))


def test_an_estimate_without_history_says_so() -> None:
    estimate = estimate_downtime(PLAN, {})
    assert estimate is not None
    assert "partly estimated" in estimate.described()
    assert all("estimated" in part.reason for part in estimate.parts)


def test_a_plan_that_does_not_open_the_gate_again_has_no_downtime() -> None:
    assert estimate_downtime(plan_transition(site_in(InfraState.RUNNING), InfraState.STOPPED), {}) is None
