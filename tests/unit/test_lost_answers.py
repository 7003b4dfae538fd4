"""A step that had its effect and whose answer was lost; and what a rollback may discard after it.

What cannot be known counts as done where that is the safe side; whether visitors were let in is what nginx answers.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Generator
from functools import cache
from pathlib import Path

import pytest

import graasp_local
from graasp_local.errors import EngineUnreachable, ExitCode, NeedsYou, Refused
from graasp_local.journal.events import Event, Outcome, RollbackStarted, StepEnded, StepOutput, StepStarted
from graasp_local.journal.read import read_operations
from graasp_local.journal.records import GateMove, gate_after
from graasp_local.operations import upgrades
from graasp_local.operations.deployments import transition_plan
from graasp_local.operations.execute import judge_rollback
from graasp_local.operations.progress import Progress
from graasp_local.operations.resume import resume_plan
from graasp_local.operations.rollback import rollback_plan
from graasp_local.operations.steps import Performer
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_rollback import RollbackRequest, plan_rollback
from graasp_local.planning.requests import OnFailure
from graasp_local.planning.states import Gate, Health, InfraState, ObservedState, Status
from graasp_local.planning.steps import OpenGate, Step
from graasp_local.ports.world import World
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploy, deploying, ended_of, events_of, killed_at, under_way
from tests.unit.sites import site_in

ROLLBACK = OnFailure.ROLLBACK


@pytest.fixture
def losing(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Has the answer of the first step of a name lost, after its effect."""

    def lose(name: str) -> None:
        perform, told = Performer.perform, [name]

        def without_an_answer(self: Performer, step: Step, progress: Progress) -> Generator[str, None, Progress]:
            progress = yield from perform(self, step, progress)
            if step.name in told:
                told.remove(step.name)
                raise EngineUnreachable("The engine has not answered in time.")
            return progress

        monkeypatch.setattr(Performer, "perform", without_an_answer)

    return lose


def started(events: list[Event]) -> list[str]:
    return [event.name for event in events if isinstance(event, StepStarted)]


def rolling_back(fake: FakeWorld, *, discard: bool = False) -> list[Event]:
    return events_of(fake, lambda observed: rollback_plan(fake.world, observed, discard=discard))


def resuming(fake: FakeWorld) -> Callable[[ObservedState], Plan]:
    return lambda observed: resume_plan(fake.world, observed)


def apply(fake: FakeWorld, state: InfraState) -> None:
    events_of(fake, lambda observed: transition_plan(fake.world, observed, state))


def test_an_opening_whose_answer_is_lost_is_what_nginx_says_it_is(running: FakeWorld) -> None:
    running.engine.losing_answers_of = {"flag-open"}
    assert deploy(running, on_failure=ROLLBACK).outcome is Outcome.DONE
    assert "swap-back" not in running.state.calls


def test_a_closing_whose_answer_is_lost_is_what_nginx_says_it_is(running: FakeWorld) -> None:
    running.engine.losing_answers_of = {"flag-closed"}
    assert deploy(running, on_failure=ROLLBACK).outcome is Outcome.DONE


def test_once_visitors_were_let_in_nothing_is_rolled_back_without_consent(
    running: FakeWorld, losing: Callable[[str], None]
) -> None:
    losing("open-gate")
    ended = deploy(running, on_failure=ROLLBACK)
    assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, ExitCode.NEEDS_YOU)
    assert "swap-back" not in running.state.calls
    assert running.state.gate() is Gate.OPEN
    with pytest.raises(Refused, match=r"Everything written since .* would be discarded"):
        rolling_back(running)
    assert ended_of(events_of(running, resuming(running))).outcome is Outcome.DONE


def test_where_nginx_does_not_answer_visitors_may_have_been_let_in(
    running: FakeWorld, losing: Callable[[str], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    losing("open-gate")
    perform = Performer.perform

    def and_nginx_dies(self: Performer, step: Step, progress: Progress) -> Generator[str, None, Progress]:
        try:
            return (yield from perform(self, step, progress))
        finally:
            if isinstance(step, OpenGate):
                running.engine.stop(("nginx",))

    monkeypatch.setattr(Performer, "perform", and_nginx_dies)
    assert deploy(running, on_failure=ROLLBACK).outcome is Outcome.FAILED
    assert "swap-back" not in running.state.calls
    with pytest.raises(Refused, match=r"Everything written since .* would be discarded"):
        rolling_back(running)


def test_an_opening_that_had_no_effect_is_rolled_back_behind_a_closed_gate(
    running: FakeWorld,
) -> None:
    running.engine.failing["flag-open"] = NeedsYou("The engine refused: no space left on device.")
    events = events_of(running, deploying(running), on_failure=ROLLBACK)
    back = next(event.plan for event in events if isinstance(event, RollbackStarted))
    assert [step.name for step in back.steps][:3] == ["restore-images", "close-gate", "prove-closed"]
    assert len(running.state.applied) == 2
    assert len(running.database.kept) == 1  # its workers ran already


def test_after_an_opening_that_had_no_effect_a_rollback_asks_for_no_consent(running: FakeWorld) -> None:
    running.engine.failing["flag-open"] = NeedsYou("The engine refused: no space left on device.")
    assert deploy(running).outcome is Outcome.FAILED
    running.engine.failing.clear()
    assert ended_of(rolling_back(running)).version == "1.0.0"


def test_nor_where_the_rollback_of_the_same_operation_did_not_come_to_its_end(running: FakeWorld) -> None:
    running.engine.failing["flag-open"] = NeedsYou("The engine refused: no space left on device.")
    running.engine.failing["stop"] = NeedsYou("The engine refused.")
    fails_later = running.engine.failing.pop("stop")

    def on_start(event: Event) -> None:
        if isinstance(event, RollbackStarted):
            running.engine.failing["stop"] = fails_later

    for event in under_way(running, deploying(running), ROLLBACK):
        on_start(event)
    assert ended_of([event]).outcome is Outcome.FAILED
    running.engine.failing.clear()
    assert ended_of(rolling_back(running)).version == "1.0.0"


def test_what_workers_may_have_written_is_counted_reported_and_kept_until_it_is_removed(running: FakeWorld) -> None:
    running.engine.never_on = {"workers": Health.UNHEALTHY}
    events = []
    for event in under_way(running, deploying(running), ROLLBACK):
        events.append(event)
        if isinstance(event, RollbackStarted):
            running.engine.never_on = {}
    ended = ended_of(events)
    assert ended.outcome is Outcome.ROLLED_BACK
    assert "It is kept until you run `graasp-local remove-old-database`" in ended.problem[1]
    lines = [event.text for event in events if isinstance(event, StepOutput)]
    assert any(line.startswith("something may have been written since the snapshot (3 new row(s)") for line in lines)
    assert running.database.kept == [*running.database.failed]


def test_what_could_not_have_been_written_is_not_kept_forever(running: FakeWorld) -> None:
    running.edge.says_instead = {"1.1.0": "0.0.1"}
    ended = deploy(running, on_failure=ROLLBACK)
    assert (ended.outcome, running.database.kept) == (Outcome.ROLLED_BACK, [])


@pytest.mark.parametrize("name", ["start-writers", "open-gate"])
def test_a_rollback_after_a_kill_keeps_what_workers_may_have_written(running: FakeWorld, name: str) -> None:
    killed_at(running, name)
    killed_at(running, "end-sessions", lambda observed: rollback_plan(running.world, observed))
    assert ended_of(rolling_back(running)).version == "1.0.0"
    assert len(running.database.kept) == 1


def test_a_rollback_keeps_what_was_written_behind_an_unsealed_gate(running: FakeWorld) -> None:
    killed_at(running, "verify-core")
    apply(running, InfraState.RESTRICTED)
    assert ended_of(rolling_back(running)).version == "1.0.0"
    assert len(running.database.kept) == 1


def test_no_request_passes_the_gate_while_core_is_not_verified(running: FakeWorld) -> None:
    unverified = ("stop-graasp", "start-graasp", "verify-core")
    gates = [
        running.state.gate()
        for event in under_way(running, deploying(running))
        if isinstance(event, StepEnded) and event.name in unverified
    ]
    assert gates == [Gate.SEALED] * 3


@pytest.mark.parametrize("way", [resume_plan, rollback_plan])
@pytest.mark.parametrize("step", ["stop-graasp", "start-graasp", "verify-core"])
def test_an_nginx_that_stopped_before_core_was_verified_starts_sealed(
    running: FakeWorld, step: str, way: Callable[[World, ObservedState], Plan]
) -> None:
    killed_at(running, step)
    running.engine.stop(("nginx",))
    gates = []
    for event in under_way(running, lambda observed: way(running.world, observed)):
        if isinstance(event, StepEnded):
            gates.append(running.state.gate())
            if event.name == "verify-core":
                break
    assert {*gates} == {Gate.UNKNOWN, Gate.SEALED}


def test_what_may_have_been_written_outlives_the_next_deployment_until_it_is_removed(running: FakeWorld) -> None:
    killed_at(running, "verify-core")
    apply(running, InfraState.RESTRICTED)
    rolling_back(running)
    (kept,) = running.database.kept
    assert deploy(running).outcome is Outcome.DONE
    assert running.database.kept == [kept]
    list(upgrades.remove_old(running.world, {}, "graasp-local remove-old-database", (kept,)))
    assert running.database.kept == []


def test_no_sentence_says_that_nothing_is_lost_unless_it_was_checked() -> None:
    """A rollback says what it has discarded; whether anything was written to that is counted only where it can be."""
    promise = re.compile(r"\bno(thing|ne|t?\b).{0,40}\blost\b|\ball data\b|\bdata is safe\b", re.IGNORECASE | re.DOTALL)
    files = sorted(Path(graasp_local.__file__).parent.rglob("*.py"))
    said = [
        (file.name, node.value)
        for file in files
        for node in ast.walk(ast.parse(file.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and node.value not in _docstrings(file)
    ]
    assert len(said) > 1000
    assert [found for found in said if promise.search(found[1])] == []


@cache
def _docstrings(file: Path) -> frozenset[str]:
    """What only readers of the code see: strings that stand alone."""
    nodes = ast.walk(ast.parse(file.read_text()))
    alone = (node.value for node in nodes if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant))
    return frozenset(each.value for each in alone if isinstance(each.value, str))


@pytest.mark.parametrize("written", [True, False])
def test_a_rollback_says_what_happens_to_the_database_that_it_replaces(written: bool) -> None:
    observed = site_in(InfraState.RESTRICTED, "1.1.0")
    back = plan_rollback(
        observed,
        RollbackRequest(Version(1, 0, 0), InfraState.RUNNING, snapshot="graasp_snapshot_x", written=written),
    )
    _, _, problem = judge_rollback(back, NeedsYou("It failed."), None, Gate.OPEN)
    assert problem[1].startswith("The site is running with 1.0.0 as before.")
    assert ("Something may have been written" in problem[1]) is written
    assert "lost" not in " ".join(problem)


def test_a_gate_that_was_closed_since_may_have_been_open_before(running: FakeWorld) -> None:
    killed_at(running, "open-gate")
    running.state.flag = Gate.OPEN
    apply(running, InfraState.RESTRICTED)
    assert running.state.gate() is Gate.CLOSED
    with pytest.raises(Refused, match=r"Everything written since .* would be discarded"):
        rolling_back(running)


def test_visitors_whom_another_command_let_in_are_counted_too(running: FakeWorld) -> None:
    killed_at(running, "verify-core")
    apply(running, InfraState.RUNNING)
    with pytest.raises(Refused, match=r"Everything written since .* would be discarded"):
        rolling_back(running)


def test_what_visitors_wrote_before_a_resume_is_not_discarded_when_it_fails(running: FakeWorld) -> None:
    killed_at(running, "prove-open")
    running.state.observed = running.state.observed.with_services(("core",), Status.EXITED, Health.NONE)
    running.edge.says = "0.0.1"
    running.state.calls.clear()
    ended = ended_of(events_of(running, resuming(running), on_failure=ROLLBACK))
    assert ended.outcome is Outcome.FAILED
    assert "swap-back" not in running.state.calls
    with pytest.raises(Refused, match=r"Everything written since .* would be discarded"):
        rolling_back(running)


def test_what_visitors_wrote_is_not_discarded_when_the_next_version_fails(running: FakeWorld) -> None:
    killed_at(running, "prove-open")
    running.engine.never_on_version = "1.2.0"
    ended = deploy(running, "1.2.0", on_failure=ROLLBACK)
    assert (ended.outcome, ended.version) == (Outcome.ROLLED_BACK, "1.1.0")
    assert "swap-back" not in running.state.calls


STEPS = [
    "close-gate", "prove-closed", "seal-gate", "drain", "stop-graasp", "end-sessions", "snapshot", "migrate",
    "prove-migrations", "select-version", "start-graasp", "verify-core", "start-writers",
]  # fmt: skip


@pytest.mark.parametrize("name", STEPS)
def test_any_other_answer_that_is_lost_is_rolled_back(
    running: FakeWorld, losing: Callable[[str], None], name: str
) -> None:
    losing(name)
    ended = deploy(running, on_failure=ROLLBACK)
    assert (ended.outcome, ended.state, ended.version) == (Outcome.ROLLED_BACK, "running", "1.0.0")
    assert len(running.state.applied) == 2
    assert running.world.site.selected_version == Version(1, 0, 0)


BACK = [
    "drain", "stop-graasp", "end-sessions", "swap-back", "prove-migrations", "select-version", "start-graasp",
    "verify-core", "start-writers", "open-gate", "prove-open",
]  # fmt: skip


@pytest.mark.parametrize("name", BACK)
def test_a_rollback_that_loses_an_answer_is_done_by_the_next_one(
    running: FakeWorld, losing: Callable[[str], None], name: str
) -> None:
    running.edge.says_instead = {"1.1.0": "0.0.1"}
    deploy(running)
    losing(name)
    assert name in started(rolling_back(running))
    assert ended_of(rolling_back(running)).exit_code is ExitCode.DONE
    assert (len(running.state.applied), running.state.gate()) == (2, Gate.OPEN)


@pytest.mark.parametrize("name", ["prove-open", "record"])
def test_a_deployment_that_was_cut_off_at_its_end_is_recorded_by_a_resume(running: FakeWorld, name: str) -> None:
    killed_at(running, name)
    events = events_of(running, resuming(running))
    assert ended_of(events).outcome is Outcome.DONE
    assert [event.name for event in events if isinstance(event, StepEnded)] == ["record"]
    assert ended_of(rolling_back(running, discard=True)).version == "1.0.0"
    assert len(running.state.applied) == 2


AFTER_MIGRATING = [
    "migrate", "prove-migrations", "select-version", "start-graasp", "verify-core", "open-gate", "prove-open", "record",
]  # fmt: skip


@pytest.mark.parametrize("name", AFTER_MIGRATING)
def test_after_a_resume_one_rollback_brings_the_data_from_before(running: FakeWorld, name: str) -> None:
    killed_at(running, name)
    assert ended_of(events_of(running, resuming(running))).outcome is Outcome.DONE
    ended = ended_of(rolling_back(running, discard=True))
    assert (ended.outcome, ended.version, len(running.state.applied)) == (Outcome.DONE, "1.0.0", 2)


def test_a_snapshot_from_before_the_first_attempt_is_not_taken_again_by_the_second(running: FakeWorld) -> None:
    running.engine.migration_code = 1
    deploy(running)
    running.engine.migration_code = 0
    running.state.calls.clear()
    assert ended_of(events_of(running, resuming(running))).outcome is Outcome.DONE
    assert "snapshot" not in running.state.calls
    first, second = read_operations(running.world.site.journal_directory)
    assert first.snapshot == second.snapshot


OPENING, OPENED, CLOSING, FOUND_CLOSED = GateMove


@pytest.mark.parametrize(
    ("moves", "known"),
    [
        ((), None),
        ((CLOSING,), None),
        ((OPENING,), OPENING),
        ((OPENING, OPENED), OPENED),
        ((OPENING, OPENED, CLOSING, FOUND_CLOSED), OPENED),
        ((OPENING, FOUND_CLOSED), None),
        ((OPENING, FOUND_CLOSED, CLOSING, OPENING), OPENING),
        ((OPENING, CLOSING), OPENED),
    ],
)
def test_what_the_journal_knows_of_the_gate(moves: tuple[GateMove, ...], known: GateMove | None) -> None:
    assert gate_after(moves) is known


def stopping(fake: FakeWorld, target: InfraState = InfraState.STOPPED) -> Callable[[ObservedState], Plan]:
    return lambda observed: transition_plan(fake.world, observed, target)


STOPPING = [
    "close-gate", "prove-closed", "drain", "stop-graasp", "stop-administration", "stop-database", "stop-edge",
]  # fmt: skip


@pytest.mark.parametrize("name", STOPPING)
@pytest.mark.parametrize("is_killed", [True, False], ids=["killed", "answer-lost"])
def test_a_stop_that_was_cut_off_is_completed_by_the_next_stop_and_undone_by_a_start(
    running: FakeWorld, losing: Callable[[str], None], name: str, *, is_killed: bool
) -> None:
    for target in (InfraState.STOPPED, InfraState.RUNNING):
        if is_killed:
            killed_at(running, name, stopping(running))
        else:
            losing(name)
            assert name in started(events_of(running, stopping(running)))
        ended = ended_of(events_of(running, stopping(running, target)))
        assert (ended.exit_code, ended.state) == (ExitCode.DONE, target.value)
        assert events_of(running, stopping(running, InfraState.RUNNING))


def test_a_site_stops_though_its_nginx_has_lost_its_port_to_another(running: FakeWorld) -> None:
    running.state.observed = running.state.observed.with_services(("nginx",), Status.EXITED, Health.NONE)
    running.engine.port = "is in use by apache2"
    with pytest.raises(Refused, match="in use by apache2"):
        apply(running, InfraState.RUNNING)
    assert ended_of(events_of(running, stopping(running))).state == "stopped"


def test_an_opening_that_had_no_effect_lets_no_visitor_in_though_the_site_was_stopped_since(running: FakeWorld) -> None:
    killed_at(running, "open-gate")
    assert ended_of(events_of(running, stopping(running))).state == "stopped"
    assert running.state.gate() is Gate.UNKNOWN
    events_of(running, stopping(running, InfraState.DB_ONLY))
    assert ended_of(rolling_back(running)).outcome is Outcome.DONE  # without consent


def test_a_database_that_has_just_begun_to_start_does_not_end_a_rollback(
    running: FakeWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After a power cut it counts as on for a moment, and does not answer yet."""
    killed_at(running, "verify-core")
    asked, answers = type(running.database).has_snapshot, [NeedsYou("The database does not answer.")]

    def not_at_first(self: object, name: str) -> bool:
        if answers:
            raise answers.pop()
        return asked(self, name)  # type: ignore[arg-type]

    monkeypatch.setattr(type(running.database), "has_snapshot", not_at_first)
    assert ended_of(rolling_back(running)).outcome is Outcome.DONE
    assert running.state.gate() is Gate.OPEN
