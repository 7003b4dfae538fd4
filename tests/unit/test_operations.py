"""Whole operations in a fake world: what is done in which order, and what every kind of failure means."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest
from msgspec.structs import replace

from graasp_local.errors import EngineUnreachable, ExitCode, Locked, NeedsYou, Refused
from graasp_local.images.deployed import record_deployment
from graasp_local.images.pins import Pin
from graasp_local.journal.events import Event, OperationEnded, OperationStarted, Outcome, RollbackStarted, StepOutput
from graasp_local.journal.read import read_operations
from graasp_local.journal.records import uncertain_migration, unfinished_operation
from graasp_local.lock import held_lock
from graasp_local.operations import run
from graasp_local.operations.deployments import transition_plan
from graasp_local.operations.execute import Recovery, Runtime, execute
from graasp_local.operations.plans import running_requests, shown_plan
from graasp_local.operations.progress import Progress
from graasp_local.operations.resume import resume_plan
from graasp_local.operations.rollback import rollback_plan
from graasp_local.operations.steps import Performer
from graasp_local.planning.migrations import AppliedMigration, NotKnownYet
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_deploy import DeployRequest, plan_deploy
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.requests import ChangeState, Deploy, OnFailure
from graasp_local.planning.states import Gate, Health, InfraState, ObservedState, Status
from graasp_local.planning.steps import CloseGate, MakeMigration, Step
from graasp_local.ports.images import ImageFact
from graasp_local.ports.world import World
from graasp_local.site import prepare
from graasp_local.version import Version
from tests.unit.fakes import FakeMigrationRun, FakeWorld
from tests.unit.operating import deploy, deploying, ended_of, events_of, killed_at, under_way
from tests.unit.sites import site_in


def apply(fake: FakeWorld, state: InfraState) -> OperationEnded:
    return ended_of(events_of(fake, lambda observed: transition_plan(fake.world, observed, state)))


def test_a_deployment_does_things_in_this_order(running: FakeWorld) -> None:
    ended = deploy(running)
    assert ended.outcome is Outcome.DONE
    assert (ended.state, ended.version, ended.exit_code) == ("running", "1.1.0", ExitCode.DONE)
    assert running.state.calls == [
        "dump graasp",
        "make-migration",
        "flag-closed",
        "shut",
        "stop redis core workers",
        "end-sessions",
        "snapshot",
        "migrate 1.1.0",
        "make redis core workers",
        "start redis core",
        "start workers",
        "flag-open",
    ]
    assert running.world.site.selected_version == Version(1, 1, 0)


def test_a_new_site_is_deployed_to(fake: FakeWorld) -> None:
    ended = deploy(fake, "1.0.0")
    assert (ended.outcome, ended.state) == (Outcome.DONE, "running")
    assert ended.closing is not None  # its visitors waited from when it first kept them out
    everything = "db umami redis core workers nginx migrate"
    assert fake.state.calls[:6] == [
        f"make {everything}",
        "flag-closed",
        "start db",
        "start nginx",
        "shut",
        "start umami",
    ]
    made_or_started = [call for call in fake.state.calls if call.startswith(("make", "start"))]
    assert made_or_started[4:] == ["start redis core", "start workers"]  # once each


def test_what_could_not_be_started_ahead_fails_in_its_own_step(fake: FakeWorld) -> None:
    fake.engine.never_on = {"db": Health.UNHEALTHY}
    ended = deploy(fake, "1.0.0")
    assert (ended.outcome, ended.steps[-1].name) == (Outcome.FAILED, "start-database")
    assert ended.problem[0] == "db runs but does not become healthy."


@pytest.mark.parametrize("call", ["make", "start"])
def test_a_new_site_whose_containers_cannot_be_made_at_once_is_left_for_another_try(fake: FakeWorld, call: str) -> None:
    fake.engine.failing[call] = NeedsYou("no")
    ended = deploy(fake, "1.0.0")
    assert ended.outcome is (Outcome.DONE if call == "make" else Outcome.FAILED)
    fake.engine.failing.clear()
    assert deploy(fake, "1.0.0").state == "running"


def test_a_plan_says_what_it_would_cut_before_it_is_agreed_to(running: FakeWorld) -> None:
    stopping = plan_transition(running.world.observe(), InfraState.DB_ONLY, drain_limit=30)
    assert running_requests(running.world, stopping) == ""
    running.engine.in_flight = [1, 2, 1]
    assert running_requests(running.world, stopping).startswith(
        "1 request is running now, how much of the uploads is still to come is unknown. What takes longer than 30 s"
    )
    running.engine.to_come = 1_200_000_000
    assert "2 requests are running now, about 1.2 GB of uploads are still to come." in running_requests(
        running.world, stopping
    )
    running.engine.to_come = 0
    assert "1 request is running now, no upload among them." in running_requests(running.world, stopping)
    mending = plan_transition(running.world.observe(), InfraState.RUNNING)
    running.engine.in_flight = [3]
    assert running_requests(running.world, mending) == ""  # it cuts nothing off


def test_downtime_runs_from_closing_the_gate_to_its_opening(running: FakeWorld) -> None:
    running.engine.in_flight = [2, 0, 1]
    ended = deploy(running)
    drained = next(step.seconds for step in ended.steps if step.name == "drain")
    assert drained == pytest.approx(0.2)  # four looks were needed: the one at 0.05 s saw nothing yet
    assert ended.downtime_seconds == pytest.approx(0.2)


def test_requests_that_outlast_the_limit_are_reported_as_cut(running: FakeWorld) -> None:
    running.engine.in_flight = [1] * 1000
    events = events_of(running, deploying(running, drain_limit=1.0))
    lines = [event.text for event in events if isinstance(event, StepOutput)]
    assert "1 request(s) still running after 1 s: they will be cut off" in lines


def test_unknown_connections_are_waited_for_as_requests_are(running: FakeWorld) -> None:
    running.engine.in_flight = [None] * 1000
    events = events_of(running, deploying(running, drain_limit=1.0))
    lines = [event.text for event in events if isinstance(event, StepOutput)]
    assert "after 1 s nginx's connections still cannot be read: running requests will be cut off" in lines


def test_a_second_deployment_of_the_same_version_changes_nothing(running: FakeWorld) -> None:
    deploy(running)
    running.state.calls.clear()
    ended = deploy(running)
    assert (ended.outcome, running.state.calls) == (Outcome.NOTHING_TO_DO, [])
    assert not ended.changed


def test_hold_leaves_the_new_version_behind_the_gate(running: FakeWorld) -> None:
    ended = deploy(running, end=InfraState.RESTRICTED)
    assert (ended.outcome, ended.state, ended.version) == (Outcome.HELD, "restricted", "1.1.0")
    assert "flag-open" not in running.state.calls


def image_missing(fake: FakeWorld) -> None:
    fake.engine.missing_images = {"core": "graasp:core does not exist."}


def wrong_architecture(fake: FakeWorld) -> None:
    fake.engine.platforms = ("linux/arm64",)


def disk_full(fake: FakeWorld) -> None:
    fake.engine.free_bytes = 1000


def old_engine(fake: FakeWorld) -> None:
    fake.engine.engine_version = "20.10.24+dfsg1"


def other_site(fake: FakeWorld) -> None:
    fake.engine.other_site = "/srv/other"


def no_network(fake: FakeWorld) -> None:
    fake.state.observed = fake.state.observed.with_services(("workers",), Status.ABSENT, Health.NONE)
    fake.engine.no_network = (
        "The engine cannot create the network front: all predefined address pools have been fully subnetted."
    )


@pytest.mark.parametrize(
    ("spoil", "sentence"),
    [
        (image_missing, "does not exist"),
        (wrong_architecture, "Made for linux/arm64, but this engine is linux/amd64"),
        (disk_full, "GiB free"),
        (old_engine, "Docker Engine 20.10.24+dfsg1 is too old"),
        (other_site, "belongs to the site in /srv/other"),
        (no_network, "all predefined address pools have been fully subnetted. `docker network prune`"),
    ],
)
def test_what_preflight_finds_is_refused_with_nothing_changed(
    running: FakeWorld, spoil: Callable[[FakeWorld], None], sentence: str
) -> None:
    spoil(running)
    with pytest.raises(Refused) as refused:
        deploy(running)
    assert sentence in refused.value.what
    assert running.state.calls == []
    assert running.state.gate() is Gate.OPEN


def test_preflight_says_all_that_is_wrong_at_once(running: FakeWorld) -> None:
    wrong_architecture(running)
    disk_full(running)
    with pytest.raises(Refused) as refused:
        deploy(running)
    assert "arm64" in refused.value.what
    assert "GiB" in refused.value.what


def test_a_port_in_use_is_refused_on_a_site_whose_nginx_is_not_up(fake: FakeWorld) -> None:
    fake.engine.port = "is in use by apache2 (process 17)"
    with pytest.raises(Refused, match="Port 80 is in use by apache2"):
        deploy(fake)


def test_a_version_older_than_the_database_is_refused_with_nothing_changed(running: FakeWorld) -> None:
    deploy(running)
    running.state.calls.clear()
    with pytest.raises(Refused, match=r"The database is newer than 1\.0\.0"):
        deploy(running, "1.0.0")
    assert running.state.calls == []


def test_a_subscription_that_a_rollback_would_lose_is_refused_before_the_gate_closes(running: FakeWorld) -> None:
    running.database.subscribed = ("from_elsewhere",)
    with pytest.raises(Refused, match=r"has 1 subscription \(from_elsewhere\)") as refused:
        deploy(running)
    assert "slot_name = NONE" in refused.value.next_step
    assert running.state.calls == []


def test_a_subscription_found_only_once_the_database_is_on_is_not_lost(fake: FakeWorld) -> None:
    fake.become(site_in(InfraState.STOPPED))
    fake.database.subscribed = ("from_elsewhere",)
    ended = deploy(fake, on_failure=OnFailure.ROLLBACK)
    assert ended.outcome is Outcome.ROLLED_BACK
    assert "has 1 subscription (from_elsewhere)" in ended.problem[0]
    assert not {"snapshot", "migrate 1.1.0", "swap-back"} & set(fake.state.calls)


def test_without_a_migration_a_subscription_is_not_in_the_way(running: FakeWorld) -> None:
    deploy(running)
    running.database.subscribed = ("from_elsewhere",)
    assert deploy(running, "1.2.0").outcome is Outcome.DONE


def test_a_failed_migration_leaves_the_gate_closed_and_shows_what_postgres_said(running: FakeWorld) -> None:
    running.engine.migration_code = 1
    events = events_of(running, deploying(running))
    ended = ended_of(events)
    assert (ended.outcome, ended.exit_code, ended.state) == (Outcome.FAILED, ExitCode.NEEDS_YOU, "db-only")
    assert running.state.gate() is Gate.SEALED
    assert any("relation does not exist" in event.text for event in events if isinstance(event, StepOutput))
    assert running.engine.run is not None
    assert running.engine.run.removed
    assert running.world.site.selected_version == Version(1, 0, 0)


def test_a_defect_in_the_rollback_does_not_hide_what_failed(running: FakeWorld) -> None:
    def no_rollback(tried: tuple[Step, ...], progress: Progress) -> Recovery | None:
        raise KeyError("a defect")

    plan = Plan(InfraState.RESTRICTED, (CloseGate("to try"), MakeMigration(Version(1, 1, 0), "to fail")))
    running.engine.failing["make-migration"] = NeedsYou("The disk is full.")
    started = OperationStarted("0001", "apply", plan, snapshot="graasp_snapshot_x")
    performer = Performer(running.world, started)
    world = running.world
    runtime = Runtime(performer.perform, world.observe, no_rollback, world.clock, world.interruption)
    ended = ended_of(list(execute(started, world.observe(), runtime)))
    assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, ExitCode.NEEDS_YOU)
    assert ended.problem[0] == "The disk is full."
    assert "could not be planned: KeyError" in ended.problem[-1]


def test_with_nothing_to_do_the_observed_site_is_kept(running: FakeWorld) -> None:
    def restarted_since() -> ObservedState:
        raise NeedsYou("A health check is late.")

    started = OperationStarted("0001", "apply", Plan(InfraState.RUNNING, ()))
    performer = Performer(running.world, started)
    runtime = Runtime(
        performer.perform, restarted_since, lambda *_: None, running.world.clock, running.world.interruption
    )
    ended = ended_of(list(execute(started, running.world.observe(), runtime)))
    assert (ended.outcome, ended.state, ended.gate) == (Outcome.NOTHING_TO_DO, "running", Gate.OPEN)


def test_a_migration_that_reports_false_success_is_caught(running: FakeWorld) -> None:
    running.engine.migration_applies = False
    ended = deploy(running)
    assert ended.exit_code is ExitCode.NEEDS_YOU
    assert "Migration 0002_item_lang is not in the database." in ended.problem[0]
    assert running.world.site.selected_version == Version(1, 0, 0)


def test_a_migration_past_its_limit_is_ended_with_its_sessions(running: FakeWorld) -> None:
    running.engine.migration_code = None
    ended = deploy(running, migration_limit=5.0)
    assert ended.exit_code is ExitCode.NEEDS_YOU
    assert "not finished after 5 s" in ended.problem[0]
    assert running.state.calls[-2:] == ["make redis core workers", "end-sessions"]


def test_a_core_that_never_gets_healthy_is_reported_with_its_last_lines(running: FakeWorld) -> None:
    running.engine.never_on = {"core": Health.UNHEALTHY}
    ended = deploy(running)
    assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, ExitCode.NEEDS_YOU)
    assert ended.problem[0] == "core runs but does not become healthy."
    assert "The database belongs to 1.1.0 now." in ended.problem[1]
    assert running.state.gate() is Gate.SEALED


def test_a_core_that_is_another_version_is_not_shown_to_visitors(running: FakeWorld) -> None:
    running.edge.says = "0.0.1"
    ended = deploy(running)
    assert ended.exit_code is ExitCode.NEEDS_YOU
    assert "Core says that it is version 0.0.1, not 1.1.0." in ended.problem[0]
    assert running.state.gate() is Gate.SEALED


STEP_NAMES = [
    step.name for step in plan_deploy(site_in(InfraState.RUNNING), DeployRequest(Version(1, 1, 0)), NotKnownYet()).steps
]


@pytest.mark.parametrize("broken", ["flag-closed", "stop", "migrate", "start", "flag-open"])
def test_whatever_fails_after_the_gate_closed_fails_closed_and_can_be_repeated(running: FakeWorld, broken: str) -> None:
    running.engine.failing[broken] = NeedsYou("Compose failed: no reason given")
    ended = deploy(running)
    assert ended.exit_code is (ExitCode.NEEDS_YOU)
    assert len(ended.problem) == 3
    assert all(ended.problem)
    if broken != "flag-closed":
        assert running.state.gate() is Gate.SEALED
    running.engine.failing.clear()
    assert deploy(running).outcome is Outcome.DONE
    assert running.state.gate() is Gate.OPEN


def test_a_defect_ends_the_operation_like_any_failure(running: FakeWorld) -> None:
    running.engine.failing["stop"] = ZeroDivisionError("a defect")
    ended = deploy(running)
    assert ended.exit_code is ExitCode.NEEDS_YOU
    assert "ZeroDivisionError: a defect" in ended.problem[0]


def test_an_engine_that_goes_away_while_the_site_is_open_is_a_refusal(running: FakeWorld) -> None:
    running.engine.failing["pull"] = EngineUnreachable("No Docker engine answers.")
    running.engine.missing_images = {"none": ""}
    prepare.select(running.world.site, Version(1, 0, 0))
    ended = deploy(running)
    assert (ended.outcome, ended.exit_code) == (Outcome.REFUSED, ExitCode.ENGINE_UNREACHABLE)
    assert running.state.gate() is Gate.OPEN


def test_an_engine_that_goes_away_behind_the_gate_leaves_both_ways_open(running: FakeWorld) -> None:
    """First what brings the engine back, then the commands that end the operation."""
    running.engine.failing["stop"] = EngineUnreachable("No Docker engine answers.", "", "Start the engine.")
    ended = deploy(running)
    assert ended.exit_code is ExitCode.NEEDS_YOU
    assert ended.problem[-1] == (
        "Start the engine. Then `graasp-local resume` tries again from here, `graasp-local rollback` undoes it."
    )


@pytest.mark.parametrize("name", STEP_NAMES)
def test_an_interruption_before_any_step_stops_there(running: FakeWorld, name: str) -> None:
    events: list[Event] = []
    for event in under_way(running, deploying(running)):
        events.append(event)
        step = getattr(event, "name", "")
        position = STEP_NAMES.index(name)
        previous = STEP_NAMES[position - 1] if position else None
        if (previous is None and isinstance(event, OperationStarted)) or (
            step == previous and type(event).__name__ == "StepEnded"
        ):
            running.interruption.request()
    ended = ended_of(events)
    if name in ("prove-open", "record"):
        assert ended.outcome is Outcome.DONE
    else:
        assert (ended.outcome, ended.exit_code) == (Outcome.INTERRUPTED, ExitCode.INTERRUPTED)
        assert ended.problem[0]
    touched = "flag-closed" in running.state.calls
    left = Gate.SEALED if "shut" in running.state.calls else Gate.CLOSED
    assert running.state.gate() is (left if touched and ended.outcome is not Outcome.DONE else Gate.OPEN)


def test_an_interruption_during_a_migration_ends_it(running: FakeWorld) -> None:
    running.engine.migration_code = None
    running.clock.on_sleep = lambda: running.interruption.request() if running.engine.run else None
    ended = deploy(running)
    assert ended.exit_code is ExitCode.INTERRUPTED
    assert running.engine.run is not None
    assert running.engine.run.removed
    assert "end-sessions" in running.state.calls


def test_a_second_operation_is_refused_and_the_running_one_named(running: FakeWorld) -> None:
    with (
        held_lock(running.world.site.lock_file, "graasp-local deploy --version 9.9.9"),
        pytest.raises(Locked, match=r"graasp-local deploy --version 9\.9\.9"),
    ):
        deploy(running)
    assert running.state.calls == []


def test_a_plan_that_was_agreed_to_is_not_exchanged_for_another(running: FakeWorld) -> None:
    shown = shown_plan(running.world, ChangeState(InfraState.STOPPED))
    running.state.observed = running.state.observed.with_services(("umami",), Status.EXITED, Health.NONE)
    with pytest.raises(Refused, match="changed since the plan was shown"):
        list(run.run(running.world, ChangeState(InfraState.STOPPED), run.RunOptions(shown)))


def test_a_plan_that_was_agreed_to_is_executed_without_being_checked_again(running: FakeWorld) -> None:
    shown = shown_plan(running.world, Deploy("1.1.0"))
    looks = running.engine.looks
    ended = list(run.run(running.world, Deploy("1.1.0"), run.RunOptions(shown)))[-1]
    assert isinstance(ended, OperationEnded)
    assert (ended.outcome, running.engine.looks) == (Outcome.DONE, looks)


def test_a_plan_that_was_agreed_to_long_ago_is_checked_again(running: FakeWorld) -> None:
    shown = shown_plan(running.world, Deploy("1.1.0"))
    running.clock.seconds += 3600
    running.engine.free_bytes = 1000
    with pytest.raises(Refused, match="GiB free"):
        list(run.run(running.world, Deploy("1.1.0"), run.RunOptions(shown)))


@pytest.mark.parametrize("state", InfraState)
def test_apply(running: FakeWorld, state: InfraState) -> None:
    assert apply(running, state).state == state
    assert apply(running, InfraState.RUNNING).state == "running"


@pytest.mark.parametrize("state", [InfraState.RUNNING, InfraState.RESTRICTED])
def test_a_site_without_a_version_cannot_be_started(fake: FakeWorld, state: InfraState) -> None:
    with pytest.raises(Refused, match="needs a version to run, but none has been deployed"):
        apply(fake, state)
    assert apply(fake, InfraState.DB_ONLY).state == "db-only"


def test_old_code_is_not_started_on_a_database_that_may_be_migrated(running: FakeWorld) -> None:
    running.engine.migration_applies = False
    deploy(running)
    assert uncertain_migration(read_operations(running.world.site.journal_directory)) is not None
    with pytest.raises(Refused, match=r"ended during a migration to 1\.1\.0"):
        apply(running, InfraState.RUNNING)
    assert deploy(running, "1.0.0").outcome is Outcome.DONE
    assert apply(running, InfraState.RESTRICTED).outcome is Outcome.DONE


def test_the_journal_has_the_operation_and_no_secret(running: FakeWorld) -> None:
    deploy(running)
    (file,) = running.world.site.journal_directory.glob("*.jsonl")
    records = [json.loads(line) for line in file.read_text().splitlines()]
    assert records[0]["event"] == "operation-started"
    assert records[-1]["outcome"] == "done"
    settings = running.world.site.settings
    for key, value in settings.values.items():
        if "SECRET" in key or "PASSWORD" in key or "KEY" in key:
            assert value not in file.read_text()


def test_a_step_is_in_the_journal_before_it_has_an_effect(running: FakeWorld) -> None:
    def look(services: Sequence[str]) -> None:
        (file,) = running.world.site.journal_directory.glob("*.jsonl")
        last = json.loads(file.read_text().splitlines()[-1])
        assert (last["event"], last["name"]) == ("step-started", "stop-graasp")
        raise NeedsYou("seen")

    running.engine.stop = look  # type: ignore[method-assign]
    assert deploy(running).problem[0] == "seen"


ROLLBACK = OnFailure.ROLLBACK


def as_before(fake: FakeWorld) -> bool:
    """Running 1.0.0 on the database of 1.0.0, behind an open gate."""
    return (
        fake.state.gate() is Gate.OPEN
        and fake.world.site.selected_version == Version(1, 0, 0)
        and fake.world.observe().graasp_versions == {"1.0.0"}
        and len(fake.state.applied) == 2
    )


def migration_fails(fake: FakeWorld) -> None:
    fake.engine.migration_code = 1


def migration_reports_false_success(fake: FakeWorld) -> None:
    fake.engine.migration_applies = False


def core_never_healthy(fake: FakeWorld) -> None:
    fake.engine.never_on_version = "1.1.0"


def wrong_version(fake: FakeWorld) -> None:
    fake.edge.says_instead = {"1.1.0": "0.0.1"}


def no_room_for_a_snapshot(fake: FakeWorld) -> None:
    fake.database.snapshot_fails = True


def migrated_elsewhere(fake: FakeWorld) -> None:
    fake.database.lock_held_elsewhere = True


@pytest.mark.parametrize(
    "spoil",
    [
        migration_fails,
        migration_reports_false_success,
        core_never_healthy,
        wrong_version,
        no_room_for_a_snapshot,
        migrated_elsewhere,
    ],
)
def test_a_failed_deployment_costs_downtime_only(running: FakeWorld, spoil: Callable[[FakeWorld], None]) -> None:
    spoil(running)
    events = events_of(running, deploying(running), on_failure=ROLLBACK)
    ended = ended_of(events)
    assert (ended.outcome, ended.exit_code, ended.state) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK, "running")
    assert as_before(running)
    assert any(isinstance(event, RollbackStarted) for event in events)
    assert ended.downtime_seconds is not None
    assert len(ended.problem) == 3
    assert unfinished_operation(read_operations(running.world.site.journal_directory)) is None


def test_the_database_of_a_failed_deployment_is_kept_under_another_name(running: FakeWorld) -> None:
    core_never_healthy(running)
    deploy(running, on_failure=ROLLBACK)
    ((name, kept),) = running.database.failed.items()
    assert name.startswith("graasp_failed_")
    assert len(kept) == 3


@pytest.mark.parametrize("state", [InfraState.RESTRICTED, InfraState.DB_ONLY, InfraState.STOPPED])
def test_a_rollback_ends_in_the_state_it_came_from(fake: FakeWorld, state: InfraState) -> None:
    fake.become(site_in(state))
    migration_fails(fake)
    ended = deploy(fake, on_failure=ROLLBACK)
    assert (ended.outcome, ended.state) == (Outcome.ROLLED_BACK, state.value)


def roll_back(fake: FakeWorld) -> OperationEnded:
    return ended_of(events_of(fake, lambda observed: rollback_plan(fake.world, observed)))


def nothing_is_deployed(fake: FakeWorld) -> bool:
    """Graasp is off and has no version, the database is as before, and nothing waits for a command."""
    left = unfinished_operation(read_operations(fake.world.site.journal_directory))
    is_off = all(service.is_off for service in fake.world.observe().services)
    return (fake.world.site.selected_version, fake.state.applied, left, is_off) == (None, [], None, True)


def test_a_first_deployment_that_fails_leaves_a_site_with_nothing_deployed(fake: FakeWorld) -> None:
    migration_fails(fake)
    ended = deploy(fake, "1.0.0", on_failure=ROLLBACK)
    assert (ended.outcome, ended.exit_code, ended.state) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK, "stopped")
    assert ended.problem[1] == "The site is stopped as before."
    assert fake.world.site.selected_version is None
    with pytest.raises(Refused, match=r"of 1\.0\.0, has already been rolled back") as refused:
        rollback_plan(fake.world, fake.world.observe())
    assert refused.value.meaning == (
        "Nothing was changed: no version is deployed to the site, as before that deployment."
    )


def test_a_first_deployment_after_which_the_database_was_on_leaves_it_on(fake: FakeWorld) -> None:
    events_of(fake, lambda observed: plan_transition(observed, InfraState.DB_ONLY))
    fake.engine.failing["start"] = NeedsYou("Compose failed: no reason given")
    ended = deploy(fake, "1.0.0", on_failure=ROLLBACK)
    assert (ended.outcome, ended.state) == (Outcome.ROLLED_BACK, "db-only")
    assert fake.world.site.selected_version is None


def test_a_held_first_deployment_stays_as_it_is(fake: FakeWorld) -> None:
    migration_fails(fake)
    ended = deploy(fake, "1.0.0", on_failure=OnFailure.HOLD)
    assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, ExitCode.NEEDS_YOU)
    assert fake.state.gate() is Gate.SEALED


def test_a_first_deployment_whose_rollback_fails_says_what_to_type(fake: FakeWorld) -> None:
    migration_fails(fake)
    fake.engine.failing["stop"] = NeedsYou("The engine refused: no reason given")
    ended = deploy(fake, "1.0.0", on_failure=ROLLBACK)
    assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, ExitCode.NEEDS_YOU)
    assert ended.problem[2].startswith("Fix the cause, then run `graasp-local rollback` again.")
    fake.engine.failing.clear()
    assert roll_back(fake).outcome is Outcome.DONE
    assert nothing_is_deployed(fake)


@pytest.mark.parametrize("name", ["start-database", "migrate", "select-version", "start-graasp", "verify-core"])
def test_a_first_deployment_that_is_killed_can_be_rolled_back(fake: FakeWorld, name: str) -> None:
    killed_at(fake, name, deploying(fake, "1.0.0"))
    assert roll_back(fake).outcome is Outcome.DONE
    assert nothing_is_deployed(fake)
    assert deploy(fake, "1.0.0").outcome is Outcome.DONE


@pytest.mark.parametrize("name", ["swap-back", "deselect-version", "stop-database"])
@pytest.mark.parametrize("again", [resume_plan, rollback_plan])
def test_its_rollback_killed_in_turn_is_finished(
    fake: FakeWorld, name: str, again: Callable[[World, ObservedState], Plan]
) -> None:
    killed_at(fake, "verify-core", deploying(fake, "1.0.0"))
    killed_at(fake, name, lambda observed: rollback_plan(fake.world, observed))
    assert ended_of(events_of(fake, lambda observed: again(fake.world, observed))).outcome is Outcome.DONE
    assert nothing_is_deployed(fake)


def test_a_first_deployment_that_let_visitors_in_asks_before_it_is_rolled_back(fake: FakeWorld) -> None:
    killed_at(fake, "record", deploying(fake, "1.0.0"))
    with pytest.raises(Refused, match=r"Everything written since .* would be discarded"):
        rollback_plan(fake.world, fake.world.observe())
    ended = ended_of(events_of(fake, lambda observed: rollback_plan(fake.world, observed, discard=True)))
    assert (ended.outcome, nothing_is_deployed(fake)) == (Outcome.DONE, True)


def test_a_rollback_that_fails_stops_there_and_can_be_tried_again(running: FakeWorld) -> None:
    running.engine.failing["start"] = NeedsYou("Compose failed: no reason given")
    ended = deploy(running, on_failure=ROLLBACK)
    assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, ExitCode.NEEDS_YOU)
    assert "The rollback failed too" in ended.problem[0]
    assert running.state.gate() is Gate.SEALED
    running.engine.failing.clear()
    again = ended_of(events_of(running, lambda observed: rollback_plan(running.world, observed)))
    assert again.outcome is Outcome.DONE
    assert as_before(running)


def test_an_interruption_is_rolled_back_too(running: FakeWorld) -> None:
    running.engine.migration_code = None
    running.clock.on_sleep = running.interruption.request
    ended = deploy(running, on_failure=ROLLBACK)
    assert (ended.outcome, ended.exit_code) == (Outcome.ROLLED_BACK, ExitCode.INTERRUPTED)
    assert as_before(running)


TOUCHING = [
    name for name in STEP_NAMES if name not in ("preflight", "pull", "read-migrations", "backup", "make-migration")
]


def test_after_a_kill_the_docker_commands_that_it_left_running_are_waited_for_first(running: FakeWorld) -> None:
    killed_at(running, "start-graasp")
    assert "wait-for-leftovers" not in running.state.calls
    running.state.calls.clear()
    deploy(running)
    assert running.state.calls[0] == "wait-for-leftovers"


def test_a_migrate_container_that_ended_after_its_operation_was_killed_is_removed(running: FakeWorld) -> None:
    running.engine.ended_migrations = ("graasp-migrate-run-1",)
    events = events_of(running, deploying(running))
    assert "removed graasp-migrate-run-1, which had ended after its operation was killed" in [
        event.text for event in events if isinstance(event, StepOutput)
    ]
    assert not running.engine.ended_migrations


def test_a_migrate_container_that_a_cut_off_operation_made_is_not_used(running: FakeWorld) -> None:
    running.engine.made_migration = True
    running.engine.failing["make-migration"] = NeedsYou("The engine refuses.")
    assert deploy(running).outcome is Outcome.REFUSED
    assert not running.engine.made_migration


@pytest.mark.parametrize("name", TOUCHING)
def test_a_killed_operation_is_resumed_from_any_step(running: FakeWorld, name: str) -> None:
    killed_at(running, name)
    ended = ended_of(events_of(running, lambda observed: resume_plan(running.world, observed), on_failure=ROLLBACK))
    assert ended.exit_code is ExitCode.DONE
    assert (ended.state, ended.version) == ("running", "1.1.0")
    assert unfinished_operation(read_operations(running.world.site.journal_directory)) is None


@pytest.mark.parametrize("name", TOUCHING)
def test_a_killed_operation_is_rolled_back_from_any_step_before_the_gate_opened(running: FakeWorld, name: str) -> None:
    killed_at(running, name)
    if name in ("prove-open", "record"):
        with pytest.raises(Refused, match=r"Everything written since .* would be discarded"):
            rollback_plan(running.world, running.world.observe())
        return
    ended = ended_of(events_of(running, lambda observed: rollback_plan(running.world, observed)))
    assert ended.exit_code is ExitCode.DONE
    assert as_before(running)
    assert not running.engine.made_migration


@pytest.mark.parametrize("name", TOUCHING)
def test_a_resumed_operation_that_fails_is_rolled_back_to_before_the_first(running: FakeWorld, name: str) -> None:
    killed_at(running, name)
    if name in ("open-gate", "prove-open", "record"):
        return
    core_never_healthy(running)
    ended = ended_of(events_of(running, lambda observed: resume_plan(running.world, observed), on_failure=ROLLBACK))
    assert ended.outcome is Outcome.ROLLED_BACK, ended.problem
    assert as_before(running)


def test_a_snapshot_is_kept_until_the_next_deployment_succeeded(running: FakeWorld) -> None:
    deploy(running)
    (first,) = running.database.snapshots
    deploy(running, "1.2.0")
    assert first not in running.database.snapshots


def test_no_state_is_changed_under_a_running_migration(running: FakeWorld) -> None:
    running.state.observed = replace(running.state.observed, migrations=("site-migrate-run-9",))
    for state in InfraState:
        with pytest.raises(Refused, match="A migration is running"):
            apply(running, state)


def test_a_migration_that_outlived_its_operation_is_waited_for_and_not_doubled(running: FakeWorld) -> None:
    killed_at(running, "migrate")
    orphan = FakeMigrationRun(None)
    running.engine.orphans = [orphan]
    running.state.observed = replace(running.state.observed, migrations=(orphan.name,))

    def end() -> None:
        orphan.code = 0
        running.engine.orphans = []
        running.state.observed = replace(running.state.observed, migrations=())

    running.clock.on_sleep = end
    ended = ended_of(events_of(running, lambda observed: resume_plan(running.world, observed)))
    assert ended.outcome is Outcome.DONE
    assert orphan.removed


@pytest.mark.parametrize("state", [InfraState.RESTRICTED, InfraState.STOPPED])
def test_a_change_of_state_without_compose_changes_nothing(running: FakeWorld, state: InfraState) -> None:
    running.engine.no_compose = True
    with pytest.raises(EngineUnreachable):
        apply(running, state)
    assert running.state.calls == []


@pytest.mark.parametrize(
    ("image", "way"),
    [
        ("redis:7.4", "`graasp-local compose -- pull redis` fetches"),
        ("sha256:0123", "Build or load redis again, as before; then `graasp-local deploy --version 1.0.0`"),
    ],
)
def test_a_missing_image_is_noticed_before_anything_is_changed(running: FakeWorld, image: str, way: str) -> None:
    apply(running, InfraState.DB_ONLY)
    running.state.calls.clear()
    running.engine.pruned = {"redis": image}
    with pytest.raises(Refused) as refused:
        apply(running, InfraState.RUNNING)
    assert f"the image of redis ({image})" in refused.value.what
    assert way in refused.value.next_step
    assert running.state.calls == []


def test_a_version_that_could_not_be_restored_is_refused_while_visitors_are_served(running: FakeWorld) -> None:
    gone = Pin("core", "sha256:gone", "sha256:gone")
    record_deployment(running.world.site.deployments_file, Version(1, 0, 0), 0.0, [gone])

    def facts(version: Version) -> tuple[ImageFact, ...]:
        problem = "it is gone" if version == Version(1, 0, 0) else ""
        return (ImageFact("core", f"graasp:core-v{version}", local=not problem, platforms=(), problem=problem),)

    running.engine.image_facts = facts  # type: ignore[method-assign]
    with pytest.raises(Refused, match="cannot be restored: the image of core is neither"):
        deploy(running, needs_rollback=True)
    assert running.state.calls == []
    assert deploy(running).outcome is Outcome.DONE


def test_every_missing_image_that_a_build_makes_is_named_as_built(running: FakeWorld) -> None:
    def facts(version: Version) -> tuple[ImageFact, ...]:
        silent = "it is not on the engine, and the registry did not answer"
        return tuple(
            ImageFact(name, f"graasp:{name}-v{version}", local=False, platforms=(), problem=silent)
            for name in ("client", "core", "workers")
        )

    running.engine.image_facts = facts  # type: ignore[method-assign]
    with pytest.raises(Refused) as refused:
        deploy(running)
    assert "`graasp-local build --version 1.1.0` builds client, core and workers" in refused.value.next_step


def test_the_images_of_what_is_served_and_of_what_was_before_are_kept_and_no_others(running: FakeWorld) -> None:
    for version, build in (("1.0.0", "a"), ("1.1.0", "b"), ("1.2.0", "c")):
        running.engine.builds.update({f"graasp:{name}-v{version}": build for name in ("core", "workers", "migrate")})
    deploy(running, "1.1.0")
    running.engine.builds["graasp:core-v1.1.0"] = "moved"
    deploy(running, "1.2.0")
    assert set(running.engine.kept) == {"sha256:id-b", "sha256:id-c"}


def test_an_image_that_is_gone_matters_only_where_it_is_to_be_started(running: FakeWorld) -> None:
    running.engine.pruned = {"redis": "redis:7.4"}
    assert apply(running, InfraState.STOPPED).outcome is Outcome.DONE


def test_an_operation_that_does_not_end_in_its_target_has_failed(running: FakeWorld) -> None:
    def pretend(services: Sequence[str]) -> None:
        """Say that it is done and do nothing."""

    running.engine.stop = pretend  # type: ignore[method-assign]
    ended = apply(running, InfraState.DB_ONLY)
    assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, ExitCode.NEEDS_YOU)
    assert "the site is restricted instead of db-only" in ended.problem[0]


def test_a_password_that_the_database_refuses_is_a_refusal(running: FakeWorld) -> None:
    def refuse() -> tuple[AppliedMigration, ...]:
        raise NeedsYou("The database does not answer: password authentication failed.")

    running.database.applied_migrations = refuse  # type: ignore[method-assign]
    with pytest.raises(Refused, match="password authentication failed"):
        deploy(running)


def test_a_version_older_than_the_database_of_a_stopped_site_is_refused_and_the_site_stays_stopped(
    fake: FakeWorld,
) -> None:
    fake.become(site_in(InfraState.STOPPED, "1.1.0"), applied="1.1.0")
    ended = deploy(fake, "1.0.0", on_failure=ROLLBACK)
    assert (ended.exit_code, ended.state) == (ExitCode.REFUSED, "stopped")
    assert "The database is newer than 1.0.0" in ended.problem[0]


@pytest.mark.parametrize("state", [InfraState.STOPPED, InfraState.DB_ONLY])
@pytest.mark.parametrize("spoil", [migration_fails, migration_reports_false_success, core_never_healthy])
def test_a_failed_deployment_to_a_site_that_was_off_leaves_nothing_of_its_version(
    fake: FakeWorld, state: InfraState, spoil: Callable[[FakeWorld], None]
) -> None:
    fake.become(site_in(state, "1.0.0"), applied="1.0.0")
    spoil(fake)
    ended = ended_of(events_of(fake, deploying(fake), on_failure=ROLLBACK))
    assert (ended.outcome, ended.state, ended.version) == (Outcome.ROLLED_BACK, state.value, "1.0.0")
    assert ended.problem[1] == f"The site is {state} with 1.0.0 as before."


def test_containers_that_cannot_be_made_yet_keep_no_rollback_from_its_end(fake: FakeWorld) -> None:
    fake.become(site_in(InfraState.STOPPED, "1.0.0"), applied="1.0.0")
    core_never_healthy(fake)
    fake.engine.failing["make"] = NeedsYou("Compose failed: no space left on device")
    events = events_of(fake, deploying(fake), on_failure=ROLLBACK)
    assert (ended_of(events).outcome, ended_of(events).state) == (Outcome.ROLLED_BACK, "stopped")
    lines = [event.text for event in events if isinstance(event, StepOutput)]
    assert any(line.startswith("core could not be created yet: Compose failed") for line in lines)


def test_a_rollback_that_does_not_end_where_it_should_has_failed_too(running: FakeWorld) -> None:
    migration_fails(running)
    really = running.engine.set_gate_flag

    def pretend(gate: Gate) -> None:
        if gate is Gate.CLOSED:
            really(gate)

    running.engine.set_gate_flag = pretend  # type: ignore[method-assign]
    running.edge.gate_failures = lambda gate: ()  # type: ignore[method-assign]
    ended = deploy(running, on_failure=ROLLBACK)
    assert (ended.outcome, ended.exit_code) == (Outcome.FAILED, ExitCode.NEEDS_YOU)
    assert "The rollback failed too: Every step succeeded, but the site is drifted" in ended.problem[0]


def test_what_turns_out_to_need_no_migration_runs_none(fake: FakeWorld) -> None:
    fake.become(site_in(InfraState.STOPPED, "1.1.0"), applied="1.1.0")
    ended = deploy(fake, "1.2.0")
    assert (ended.outcome, ended.state) == (Outcome.DONE, "running")
    assert "migrate 1.2.0" not in fake.state.calls
    (record,) = read_operations(fake.world.site.journal_directory)
    assert [step for step in record.steps if "needed" in step] == [
        {"name": "migrate", "outcome": "done", "seconds": 0.0, "needed": False}
    ]


def password_refused(fake: FakeWorld) -> None:
    def refuse() -> tuple[AppliedMigration, ...]:
        raise NeedsYou("The database does not answer: password authentication failed.")

    fake.database.applied_migrations = refuse  # type: ignore[method-assign]


def database_never_healthy(fake: FakeWorld) -> None:
    fake.engine.never_on = {"db": Health.UNHEALTHY}


def nginx_never_healthy(fake: FakeWorld) -> None:
    fake.engine.never_on = {"nginx": Health.UNHEALTHY}


@pytest.mark.parametrize("spoil", [password_refused, database_never_healthy, nginx_never_healthy])
def test_a_stopped_site_of_which_something_does_not_come_up_is_stopped_again(
    fake: FakeWorld, spoil: Callable[[FakeWorld], None]
) -> None:
    fake.become(site_in(InfraState.STOPPED, "1.0.0"), applied="1.0.0")
    spoil(fake)
    ended = deploy(fake, on_failure=ROLLBACK)
    assert (ended.outcome, ended.exit_code) == (Outcome.ROLLED_BACK, ExitCode.ROLLED_BACK)
    assert (ended.state, ended.version) == ("stopped", "1.0.0")
