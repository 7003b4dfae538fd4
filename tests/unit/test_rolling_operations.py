"""Deployments without closing, in a fake world: who serves at every moment, what is refused, how failures end."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from graasp_local.errors import ExitCode, NeedsYou, Refused
from graasp_local.journal.events import Event, OperationEnded, Outcome, StepOutput, StepStarted, summary
from graasp_local.journal.read import read_operations
from graasp_local.operations.deployments import transition_plan
from graasp_local.operations.resume import resume_plan
from graasp_local.operations.rollback import rollback_plan
from graasp_local.planning.plan import Plan, Strategy, render
from graasp_local.planning.requests import OnFailure
from graasp_local.planning.rolling_steps import Side
from graasp_local.planning.states import Gate, Health, InfraState, InState, ObservedState, Status, classify
from graasp_local.ports.handovers import Memory
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploying, ended_of, events_of, under_way
from tests.unit.sites import site_in

Planner = Callable[[ObservedState], Plan]


@pytest.fixture
def open_site(fake: FakeWorld) -> FakeWorld:
    """Open with 1.1.0, whose migrations are those of 1.2.0."""
    fake.become(site_in(InfraState.RUNNING, "1.1.0"), "1.1.0")
    return fake


def rolling(fake: FakeWorld, version: str = "1.2.0", strategy: Strategy = Strategy.ROLLING) -> Planner:
    return deploying(fake, version, strategy=strategy)


def served(fake: FakeWorld) -> bool:
    """Whether a visitor would be answered just now."""
    there = fake.state.observed.handovers if fake.state.leads_to is Side.HANDOVER else fake.state.observed.services
    return fake.state.gate() is Gate.OPEN and any(service.name == "core" and service.is_on for service in there)


def carried_out(fake: FakeWorld, planner: Planner) -> list[Event]:
    """Operation to the end, as a visitor who looks all the time."""
    events = []
    for event in under_way(fake, planner, OnFailure.ROLLBACK):
        assert served(fake), event
        events.append(event)
    return events


def cut_off_at(fake: FakeWorld, index: int) -> str:
    """Operation until the step of this index has started, then be gone; returns its name."""
    for event in under_way(fake, rolling(fake)):
        if isinstance(event, StepStarted) and event.index == index:
            return event.name
    raise AssertionError("the operation has fewer steps")


def is_one_core_of(fake: FakeWorld, version: str) -> None:
    assert classify(fake.world.observe()) == InState(InfraState.RUNNING)
    assert fake.state.observed.graasp_versions == {version}
    assert fake.world.site.selected_version == Version.parse(version)
    assert fake.state.leads_to is Side.SERVICES


def test_a_version_takes_over_while_visitors_are_served(open_site: FakeWorld) -> None:
    ended = ended_of(carried_out(open_site, rolling(open_site)))
    assert (ended.outcome, ended.exit_code, ended.downtime_seconds) == (Outcome.DONE, ExitCode.DONE, 0.0)
    assert "Visitors were served all the time." in summary(ended)
    is_one_core_of(open_site, "1.2.0")
    assert "flag-closed" not in open_site.state.calls
    assert read_operations(open_site.world.site.journal_directory)[-1].is_rolling


@pytest.mark.parametrize("health", [Health.UNHEALTHY, Health.STARTING])
def test_a_version_that_never_gets_healthy_leaves_the_old_one_alone(open_site: FakeWorld, health: Health) -> None:
    open_site.handovers.health = health
    events = carried_out(open_site, rolling(open_site))
    ended = ended_of(events)
    assert (ended.outcome, ended.exit_code, ended.downtime_seconds) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK, 0.0)
    assert any(isinstance(event, StepOutput) and "last words of the second core" in event.text for event in events)
    assert not [call for call in open_site.state.calls if call.startswith(("stop", "start "))]
    is_one_core_of(open_site, "1.1.0")


def test_a_second_core_of_another_version_than_it_should_be_meets_no_visitor(open_site: FakeWorld) -> None:
    open_site.handovers.says = "0.0.1"
    ended = ended_of(carried_out(open_site, rolling(open_site)))
    assert ended.exit_code is ExitCode.ROLLED_BACK
    assert "0.0.1" in ended.problem[0]
    assert "lead-to-handover" not in open_site.state.calls
    is_one_core_of(open_site, "1.1.0")


def test_a_core_that_does_not_start_again_is_rolled_back_while_the_second_one_serves(
    open_site: FakeWorld,
) -> None:
    open_site.engine.never_on_version = "1.2.0"
    ended = ended_of(carried_out(open_site, rolling(open_site)))
    assert (ended.outcome, ended.downtime_seconds) == (Outcome.ROLLED_BACK, 0.0)
    is_one_core_of(open_site, "1.1.0")


def test_a_swarm_replaces_one_after_the_other(open_site: FakeWorld) -> None:
    open_site.handovers.in_turn, open_site.handovers.to_replace = ("core",), [2, 2, 1, 1]
    events = carried_out(open_site, rolling(open_site))
    assert ended_of(events).outcome is Outcome.DONE
    told = [event.text for event in events if isinstance(event, StepOutput) and "to go" in event.text]
    assert told == ["2 container(s) to go", "1 container(s) to go"]
    assert open_site.handovers.to_replace == []
    is_one_core_of(open_site, "1.2.0")


def test_what_a_swarm_has_undone_is_the_version_from_before(open_site: FakeWorld) -> None:
    open_site.handovers.in_turn = ("core",)
    failure = NeedsYou("core failed on a machine, and the Swarm put the old containers back.")
    open_site.handovers.to_replace = [2, 1, failure]
    ended = ended_of(carried_out(open_site, rolling(open_site)))
    assert (ended.outcome, ended.downtime_seconds) == (Outcome.ROLLED_BACK, 0.0)
    assert "put the old containers back" in ended.problem[0]
    is_one_core_of(open_site, "1.1.0")


def test_what_a_swarm_never_replaces_is_rolled_back(open_site: FakeWorld) -> None:
    open_site.handovers.in_turn, open_site.handovers.to_replace = ("core",), [2] * 100_000
    ended = ended_of(carried_out(open_site, rolling(open_site)))
    assert "No container of core was replaced for 300 s" in ended.problem[0]
    is_one_core_of(open_site, "1.1.0")


def test_once_the_new_core_itself_serves_a_failure_is_not_rolled_back(open_site: FakeWorld) -> None:
    open_site.handovers.failing["remove-second"] = NeedsYou("The engine refuses.")
    ended = ended_of(carried_out(open_site, rolling(open_site)))
    assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, ExitCode.NEEDS_YOU)
    assert "resume" in ended.problem[2]
    open_site.handovers.failing.clear()
    assert ended_of(carried_out(open_site, lambda o: resume_plan(open_site.world, o))).outcome is Outcome.DONE
    is_one_core_of(open_site, "1.2.0")


def test_requests_are_waited_for_until_it_has_been_quiet_for_a_moment(open_site: FakeWorld) -> None:
    open_site.handovers.in_flight = [2, 0, None, 1, 0]
    assert ended_of(carried_out(open_site, rolling(open_site))).outcome is Outcome.DONE
    assert open_site.handovers.in_flight == []


STEPS = range(4, 19)


@pytest.mark.parametrize("index", STEPS)
def test_killed_at_any_step_resume_continues_without_downtime(open_site: FakeWorld, index: int) -> None:
    cut_off_at(open_site, index)
    ended = ended_of(carried_out(open_site, lambda o: resume_plan(open_site.world, o)))
    assert ended.outcome in (Outcome.DONE, Outcome.NOTHING_TO_DO)
    is_one_core_of(open_site, "1.2.0")


@pytest.mark.parametrize("index", STEPS[:-1])
def test_killed_at_any_step_rollback_works_without_downtime(open_site: FakeWorld, index: int) -> None:
    cut_off_at(open_site, index)
    ended = ended_of(carried_out(open_site, lambda o: rollback_plan(open_site.world, o)))
    assert ended.outcome is Outcome.DONE
    is_one_core_of(open_site, "1.1.0")


@pytest.mark.parametrize("index", STEPS)
def test_killed_at_any_step_apply_running_ends_with_the_core_that_is_selected(open_site: FakeWorld, index: int) -> None:
    cut_off_at(open_site, index)
    selected = open_site.world.site.selected_version
    carried_out(open_site, lambda o: transition_plan(open_site.world, o, InfraState.RUNNING))
    is_one_core_of(open_site, str(selected))


@pytest.mark.parametrize("index", STEPS)
def test_killed_at_any_step_every_state_is_reached_without_a_second_core(open_site: FakeWorld, index: int) -> None:
    target = (InfraState.RESTRICTED, InfraState.DB_ONLY, InfraState.STOPPED)[index % 3]
    cut_off_at(open_site, index)
    events_of(open_site, lambda o: transition_plan(open_site.world, o, target))
    assert classify(open_site.world.observe()) == InState(target)
    assert open_site.state.leads_to is Side.SERVICES


@pytest.mark.parametrize("index", STEPS)
def test_killed_at_any_step_an_ordinary_deployment_is_possible(open_site: FakeWorld, index: int) -> None:
    cut_off_at(open_site, index)
    ended = ended_of(events_of(open_site, deploying(open_site, "1.2.0")))
    assert ended.outcome in (Outcome.DONE, Outcome.NOTHING_TO_DO)
    is_one_core_of(open_site, "1.2.0")


def refusal(fake: FakeWorld, version: str = "1.2.0") -> Refused:
    with pytest.raises(Refused) as refused:
        rolling(fake, version)(fake.world.observe())
    assert fake.state.calls == []
    return refused.value


def test_what_has_to_migrate_is_refused_by_name_with_the_command_that_does_it(running: FakeWorld) -> None:
    refused = refusal(running, "1.1.0")
    assert refused.what == "1.1.0 has to migrate the database (pending: 0002_item_lang)."
    assert "`graasp-local deploy --version 1.1.0 --strategy closed`" in refused.next_step
    assert refused.exit_code is ExitCode.REFUSED


@pytest.mark.parametrize("state", [InfraState.RESTRICTED, InfraState.DB_ONLY, InfraState.STOPPED])
def test_a_site_that_serves_no_visitors_is_refused(fake: FakeWorld, state: InfraState) -> None:
    fake.become(site_in(state, "1.1.0"), "1.1.0")
    why = "nginx does not answer" if state is InfraState.STOPPED else "gate is closed"
    assert why in refusal(fake).what


def test_images_that_are_not_here_yet_are_refused_with_what_fetches_them(open_site: FakeWorld) -> None:
    images = [fact.image for fact in open_site.engine.image_facts(Version(1, 2, 0))]
    open_site.engine.missing_images = {"x": ""} if images else {}
    assert "graasp-local images pull 1.2.0" in refusal(open_site).next_step


def test_an_nginx_of_an_older_graasp_local_is_refused(open_site: FakeWorld) -> None:
    open_site.handovers.knows = False
    assert "older graasp-local" in refusal(open_site).what


def test_too_little_memory_for_two_cores_is_refused(open_site: FakeWorld) -> None:
    open_site.handovers.room = Memory(in_use=600 * 1024**2, free=500 * 1024**2)
    assert "600 MiB" in refusal(open_site).what


def test_the_plan_says_what_memory_a_second_core_may_take(open_site: FakeWorld) -> None:
    shown = render(rolling(open_site)(open_site.world.observe()))
    assert shown.endswith("During the change a second core may take up to 2.0 GiB of memory.")


def test_the_operation_says_where_closing_could_be_spared(open_site: FakeWorld) -> None:
    plan = deploying(open_site, "1.2.0")(open_site.world.observe())
    assert "close-gate" in [step.name for step in plan.steps]
    assert "`graasp-local deploy --version 1.2.0 --strategy rolling`" in render(plan)


def test_a_rollback_does_not_say_that_another_deployment_could_spare_it(open_site: FakeWorld) -> None:
    carried_out(open_site, rolling(open_site))
    plan = rollback_plan(open_site.world, open_site.world.observe())
    assert (str(plan.version), plan.keeps_open, plan.hint, plan.alternative) == ("1.1.0", False, "", None)


def test_the_operation_says_nothing_where_it_could_not(running: FakeWorld) -> None:
    assert deploying(running, "1.1.0")(running.world.observe()).hint == ""


def test_if_possible_is_the_operation_where_it_is_not_and_says_why(running: FakeWorld) -> None:
    plan = rolling(running, "1.1.0", Strategy.ROLLING_IF_POSSIBLE)(running.world.observe())
    assert "close-gate" in [step.name for step in plan.steps]
    assert "0002_item_lang" in plan.hint


def test_if_possible_is_rolling_where_it_is(open_site: FakeWorld) -> None:
    assert rolling(open_site, strategy=Strategy.ROLLING_IF_POSSIBLE)(open_site.world.observe()).keeps_open


def test_a_rollback_of_a_success_follows_the_sites_setting(open_site: FakeWorld) -> None:
    carried_out(open_site, rolling(open_site))
    env = open_site.world.site.env_file
    for strategy, keeps_open in (("closed", False), ("walk", False), ("rolling-if-possible", True)):
        lines = [line for line in env.read_text().splitlines() if not line.startswith("DEPLOY_STRATEGY=")]
        env.write_text("\n".join([*lines, f"DEPLOY_STRATEGY={strategy}"]) + "\n")
        open_site.world.site.__dict__.pop("settings", None)
        plan = rollback_plan(open_site.world, open_site.world.observe())
        assert (str(plan.version), plan.keeps_open) == ("1.1.0", keeps_open)


def test_the_version_that_runs_already_is_nothing_to_do(open_site: FakeWorld) -> None:
    assert rolling(open_site, "1.1.0")(open_site.world.observe()).steps == ()


def test_an_interruption_rolls_back_without_downtime(open_site: FakeWorld) -> None:
    def interrupt() -> None:
        if "lead-to-handover" in open_site.state.calls and "remove-second" not in open_site.state.calls:
            open_site.clock.on_sleep = lambda: None
            open_site.interruption.request()

    open_site.clock.on_sleep = interrupt
    ended = ended_of(carried_out(open_site, rolling(open_site)))
    assert isinstance(ended, OperationEnded)
    assert (ended.outcome, ended.exit_code) == (Outcome.ROLLED_BACK, ExitCode.INTERRUPTED)
    is_one_core_of(open_site, "1.1.0")


def test_a_core_that_crashes_during_it_is_started_again(open_site: FakeWorld) -> None:
    cut_off_at(open_site, 9)
    open_site.state.observed = open_site.state.observed.with_services(("core",), Status.EXITED, Health.NONE)
    carried_out(open_site, lambda o: transition_plan(open_site.world, o, InfraState.RUNNING))
    is_one_core_of(open_site, "1.1.0")
