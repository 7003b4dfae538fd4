"""Several containers of a service: how they are counted, asked, and had more or fewer of."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from msgspec.structs import replace

from graasp_local.cli import operating
from graasp_local.cli.main import cli
from graasp_local.engine.containers.services import observed
from graasp_local.errors import ExitCode, Refused
from graasp_local.journal.events import Event, Outcome, StepStarted
from graasp_local.operations import plans, run
from graasp_local.operations.deployments import scale_plan
from graasp_local.operations.plans import Shown
from graasp_local.planning.plan import Plan, Strategy
from graasp_local.planning.plan_scale import with_replicas
from graasp_local.planning.requests import ChangeState, Deploy, Resume, Scale
from graasp_local.planning.rolling_steps import LeadVisitors, Side
from graasp_local.planning.states import (
    Drifted,
    Gate,
    Health,
    InfraState,
    InState,
    ObservedService,
    ObservedState,
    Replica,
    ServiceGroup,
    Status,
    classify,
)
from graasp_local.planning.steps import StartServices, StopServices
from graasp_local.ports.gate import CoreAnswer
from graasp_local.settings.rotation import with_options
from graasp_local.site.affected import outdated
from graasp_local.site.check import check_configuration
from graasp_local.site.site import Site
from graasp_local.stack.memory import too_many_replicas
from graasp_local.stack.services import ServiceDefinition, one_container_only, read_services
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploy, deploying, ended_of, events_of
from tests.unit.sites import new_site, site_in

GIB = 1024**3
CORE = ServiceDefinition("core", ServiceGroup.GRAASP)
UP = "Up 3 minutes (healthy)"


def container(number: int, status: str = "running", text: str = UP, version: str = "1.0.0") -> dict[str, Any]:
    labels = {
        "com.docker.compose.service": "core",
        "com.docker.compose.container-number": str(number),
        "org.graasp.group": "graasp",
        "org.graasp.version": version,
    }
    return {"Names": [f"/site-core-{number}"], "State": status, "Status": text, "Image": "core:1", "Labels": labels}


def core_of(containers: list[dict[str, Any]], wanted: int) -> ObservedService:
    return observed(containers, [CORE], {}, version="1.1.0", replicas={"core": wanted}).services[0]


def running_with(core: ObservedService) -> ObservedState:
    site = site_in(InfraState.RUNNING)
    return replace(site, services=tuple(core if s.name == "core" else s for s in site.services))


def two(*statuses: tuple[Status, Health], wanted: int = 2, version: str = "1.0.0") -> ObservedService:
    """A core with these containers."""
    texts = {Health.HEALTHY: UP, Health.UNHEALTHY: "Up (unhealthy)", Health.STARTING: "Up (health: starting)"}
    found = [
        container(number, status.value, texts.get(health, ""), version)
        for number, (status, health) in enumerate(statuses, start=1)
    ]
    return core_of(found, wanted)


ON = (Status.RUNNING, Health.HEALTHY)
SICK = (Status.RUNNING, Health.UNHEALTHY)
OFF = (Status.EXITED, Health.NONE)


def test_one_that_is_wanted_and_there_is_shown_as_before() -> None:
    core = core_of([container(1)], 1)
    assert (core.wanted, core.replicas, core.healthy, core.unwell) == (1, (), 1, ())


@pytest.mark.parametrize(
    ("core", "healthy", "on", "off", "stuck", "said"),
    [
        (two(ON, ON), 2, True, False, False, ()),
        (two(ON, OFF), 1, False, False, False, ("core-2 is stopped",)),
        (two(SICK, ON), 1, False, False, False, ("core-1 is unhealthy",)),
        (two(SICK, OFF), 0, False, False, True, ("core-1 is unhealthy", "core-2 is stopped")),
        (two(OFF, OFF), 0, False, True, False, ("core-1 is stopped", "core-2 is stopped")),
        (two(ON), 1, False, False, False, ("1 missing",)),
        (two(ON, ON, wanted=1), 2, False, False, False, ()),
        (two(wanted=2), 0, False, True, False, ()),
    ],
)
def test_it_is_on_with_as_many_as_are_wanted_and_off_with_none(
    core: ObservedService, healthy: int, on: bool, off: bool, stuck: bool, said: tuple[str, ...]
) -> None:
    assert (core.healthy, core.is_on, core.is_off, core.is_stuck, core.unwell) == (healthy, on, off, stuck, said)


@pytest.mark.parametrize(
    ("core", "sentence"),
    [
        (two(ON, OFF), "core is running 1 of 2 replicas (core-2 is stopped)."),
        (two(ON), "core is running 1 of 2 replicas (1 missing)."),
        (two(ON, ON, wanted=1), "core is present in 2 containers instead of 1."),
        (two(OFF, OFF), "core is stopped, but should be on in the state running."),
    ],
)
def test_what_is_missing_or_too_many_is_drift(core: ObservedService, sentence: str) -> None:
    found = classify(running_with(core), InfraState.RUNNING)
    assert found == Drifted(InfraState.RUNNING, (sentence,))


def test_several_that_are_all_on_are_no_drift() -> None:
    assert classify(running_with(two(ON, ON))) == InState(InfraState.RUNNING)


def test_one_of_another_version_is_reported_and_is_not_a_core_of_the_selected_one() -> None:
    core = core_of([container(1, version="1.1.0"), container(2, version="1.0.0")], 2)
    assert core.version == "1.0.0"
    assert running_with(core).graasp_versions == {"1.0.0", "1.1.0"}


def test_a_service_of_an_override_is_wanted_as_often_as_that_says(tmp_path: Path) -> None:
    file = tmp_path / "compose.override.yaml"
    labels = "labels: { org.graasp.group: graasp }"
    file.write_text(
        f"services:\n  a: {{ {labels}, scale: 3 }}\n  b: {{ {labels}, deploy: {{ replicas: 2 }} }}\n"
        f"  c: {{ {labels}, scale: '${{C}}' }}\n  d: {{ {labels} }}\n"
    )
    assert [service.replicas for service in read_services([file])] == [3, 2, None, 1]


def test_two_containers_of_a_service_whose_number_is_not_known_are_as_many_as_are_wanted() -> None:
    core = observed([container(1), container(2)], [replace(CORE, replicas=None)], {}).services[0]
    assert core.is_on


# Operations


@pytest.fixture
def open_site(fake: FakeWorld) -> FakeWorld:
    """Open with 1.1.0, with two cores."""
    site = with_replicas(site_in(InfraState.RUNNING, "1.1.0"), {"core": 2})
    fake.become(site.with_services(("core",), Status.RUNNING, Health.HEALTHY), "1.1.0")
    return fake


def test_what_is_missing_is_started_and_the_gate_stays_open(fake: FakeWorld) -> None:
    fake.become(running_with(two(ON, OFF)))
    events = list(run.run(fake.world, ChangeState(InfraState.RUNNING)))
    assert [event.name for event in events if isinstance(event, StepStarted)] == ["start-graasp", "verify-core"]
    assert ended_of(events).outcome is Outcome.DONE
    assert "stop core" not in fake.state.calls


def names_of(events: list[Event]) -> list[str]:
    return [event.name for event in events if isinstance(event, StepStarted)]


def test_visitors_wait_for_one_core_only(open_site: FakeWorld) -> None:
    events = events_of(open_site, deploying(open_site, "1.2.0"))
    names = names_of(events)
    first = names.index("start-graasp")
    assert names[first:] == [
        "start-graasp",
        "verify-core",
        "start-writers",
        "open-gate",
        "prove-open",
        "start-replicas",
        "verify-replicas",
        "record",
    ]
    titles = [event.title for event in events if isinstance(event, StepStarted)]
    assert "core (one container)" in titles[first]
    assert "Start the other containers of core and wait until healthy" in titles
    assert ended_of(events).outcome is Outcome.DONE


def test_all_cores_are_verified_if_the_gate_stays_closed_for_a_test(open_site: FakeWorld) -> None:
    names = names_of(events_of(open_site, deploying(open_site, "1.2.0", end=InfraState.RESTRICTED)))
    assert "start-replicas" not in names
    open_site.handovers.replicas_say["core-2"] = None
    assert deploy(open_site, "1.1.0", end=InfraState.RESTRICTED).outcome is not Outcome.HELD


def test_a_first_core_that_does_not_come_up_is_rolled_back_before_visitors_meet_it(open_site: FakeWorld) -> None:
    open_site.engine.never_on_version = "1.2.0"
    events = list(run.run(open_site.world, Deploy("1.2.0")))
    ended = ended_of(events)
    assert (ended.outcome, ended.state, ended.version) == (Outcome.ROLLED_BACK, InfraState.RUNNING, "1.1.0")
    assert names_of(events)[-5:] == ["start-writers", "open-gate", "prove-open", "start-replicas", "verify-replicas"]


def test_a_second_core_that_does_not_come_up_leaves_the_site_open_and_can_be_resumed(open_site: FakeWorld) -> None:
    open_site.handovers.replicas_say["core-2"] = None
    ended = deploy(open_site, "1.2.0")
    assert (ended.outcome, ended.exit_code, ended.gate) == (Outcome.FAILED, ExitCode.NEEDS_YOU, Gate.OPEN)
    open_site.handovers.replicas_say.clear()
    events = list(run.run(open_site.world, Resume()))
    assert names_of(events) == ["record"]
    assert ended_of(events).outcome is Outcome.DONE


def test_what_was_cut_off_before_the_second_core_is_finished_with_the_gate_open(open_site: FakeWorld) -> None:
    for event in run.run(open_site.world, Deploy("1.2.0")):
        if isinstance(event, StepStarted) and event.name == "start-replicas":
            break
    assert open_site.state.gate() is Gate.OPEN
    events = list(run.run(open_site.world, Resume()))
    assert names_of(events) == ["start-graasp", "verify-core", "record"]
    assert ended_of(events).outcome is Outcome.DONE
    assert "flag-closed" not in open_site.state.calls[open_site.state.calls.index("flag-open") :]


def test_a_site_that_comes_up_opens_with_one_core(fake: FakeWorld) -> None:
    site = with_replicas(site_in(InfraState.DB_ONLY, "1.1.0"), {"core": 2, "workers": 2})
    fake.become(site, "1.1.0")
    events = list(run.run(fake.world, ChangeState(InfraState.RUNNING)))
    assert names_of(events) == [
        "start-graasp",
        "verify-core",
        "open-gate",
        "prove-open",
        "start-replicas",
        "verify-replicas",
    ]
    assert ended_of(events).outcome is Outcome.DONE
    assert "Start the other containers of core and workers" in " ".join(
        event.title for event in events if isinstance(event, StepStarted)
    )


@pytest.mark.parametrize(
    ("replicas", "is_on", "described"),
    [
        ((SICK, OFF), False, "unhealthy"),
        ((OFF, OFF), False, "stopped"),
        ((ON, OFF), True, "running"),
        ((OFF, ON), True, "running"),
    ],
)
def test_the_first_is_judged_alone(replicas: tuple[tuple[Status, Health], ...], is_on: bool, described: str) -> None:
    first = two(*replicas).first
    assert (first.is_on, first.described()) == (is_on, described)


@pytest.mark.parametrize("says", [None, CoreAnswer("1.0.0", database_is_usable=True), CoreAnswer("1.2.0", False)])
@pytest.mark.parametrize("strategy", [Strategy.CLOSED, Strategy.ROLLING])
def test_a_version_is_proven_on_each_core_and_not_on_whichever_answers(
    open_site: FakeWorld, says: CoreAnswer | None, strategy: Strategy
) -> None:
    open_site.handovers.replicas_say["core-2"] = says
    ended = deploy(open_site, "1.2.0", strategy=strategy)
    assert ended.outcome is Outcome.FAILED
    assert "core-2 " in " ".join(ended.problem)
    open_site.handovers.replicas_say.clear()


@pytest.mark.parametrize("strategy", [Strategy.CLOSED, Strategy.ROLLING])
def test_a_version_that_each_core_has_is_deployed(open_site: FakeWorld, strategy: Strategy) -> None:
    assert deploy(open_site, "1.2.0", strategy=strategy).outcome is Outcome.DONE


def test_a_version_takes_over_under_visitors_where_one_of_two_cores_serves(fake: FakeWorld) -> None:
    fake.become(running_with(two(ON, OFF, version="1.1.0")), "1.1.0")
    fake.state.observed = fake.state.observed.with_services(("workers",), *ON, "1.1.0")
    events = events_of(fake, deploying(fake, "1.2.0", strategy=Strategy.ROLLING))
    assert ended_of(events).outcome is Outcome.DONE


def scaled(fake: FakeWorld, **wanted: int) -> Plan:
    return scale_plan(fake.world, fake.world.observe(), wanted)


def test_more_are_only_started(fake: FakeWorld) -> None:
    fake.become(site_in(InfraState.RUNNING))
    plan = scaled(fake, core=3)
    assert [step.name for step in plan.steps] == ["start-graasp", "verify-core"]
    assert plan.hint == "core: 3 containers instead of 1."


@pytest.mark.parametrize("wanted", [1, 2])
def test_cores_are_removed_only_while_another_one_serves(fake: FakeWorld, wanted: int) -> None:
    fake.become(running_with(two(ON, ON, ON, wanted=3)))
    plan = scaled(fake, core=wanted)
    led = [index for index, step in enumerate(plan.steps) if isinstance(step, LeadVisitors)]
    started = next(index for index, step in enumerate(plan.steps) if isinstance(step, StartServices))
    assert led[0] < started < led[1]
    assert not any(isinstance(step, StopServices) for step in plan.steps)
    assert not plan.closed_span
    ended = ended_of(list(run.run(fake.world, Scale((f"core={wanted}",)))))
    assert (ended.outcome, ended.state) == (Outcome.DONE, InfraState.RUNNING)
    assert fake.state.leads_to is Side.SERVICES


def test_fewer_workers_need_no_second_core(fake: FakeWorld) -> None:
    site = with_replicas(site_in(InfraState.RUNNING), {"workers": 2})
    fake.become(site.with_services(("workers",), *ON))
    three = tuple(Replica(n, *ON, "1.0.0") for n in (1, 2))
    services = (replace(s, replicas=three) if s.name == "workers" else s for s in fake.state.observed.services)
    fake.state.observed = replace(fake.state.observed, services=tuple(services))
    assert [step.name for step in scaled(fake, workers=1).steps] == ["start-graasp", "verify-core"]


def test_an_unhealthy_one_does_not_prevent_having_fewer(fake: FakeWorld) -> None:
    fake.become(running_with(two(ON, SICK)))
    assert scaled(fake, core=1).steps


def test_no_memory_for_a_second_core_keeps_all_that_there_are(fake: FakeWorld) -> None:
    fake.become(running_with(two(ON, ON)))
    fake.handovers.knows = False
    with pytest.raises(Refused, match="While containers of core are removed, a second core has to serve"):
        scaled(fake, core=1)


def test_other_drift_is_fixed_first(fake: FakeWorld) -> None:
    fake.become(site_in(InfraState.RUNNING).with_services(("redis",), Status.EXITED, Health.NONE))
    with pytest.raises(Refused, match="redis is stopped") as refused:
        scaled(fake, core=2)
    assert refused.value.next_step == "Fix that first: `graasp-local apply running`."


def test_changed_settings_are_brought_into_effect_first_and_not_under_visitors(fake: FakeWorld) -> None:
    fake.become(outdated(site_in(InfraState.RUNNING), ["core"]))
    with pytest.raises(Refused, match="core still runs with old settings") as refused:
        scaled(fake, core=2)
    assert refused.value.next_step == "Fix that first: `graasp-local apply running`."


@pytest.mark.parametrize("state", [InfraState.DB_ONLY, InfraState.STOPPED])
def test_where_core_is_off_nothing_is_done(fake: FakeWorld, state: InfraState) -> None:
    fake.become(site_in(state))
    assert scaled(fake, core=2) == Plan(state, ())


# What is refused


def test_the_sum_of_the_limits_is_compared_with_the_machine() -> None:
    limits = {"core": 2 * GIB, "workers": GIB}
    assert too_many_replicas(limits, {"core": 3, "workers": 2}, 8 * GIB) is None
    assert too_many_replicas(limits, {"core": 1, "workers": 1}, 2 * GIB) is None
    assert too_many_replicas(limits, {"core": 3, "workers": 2}, 7 * GIB) == (
        "3 containers of core (limit 2.0 GiB each) and 2 containers of workers (limit 1.0 GiB each) may use 8.0 GiB of "
        "memory in total, but there are only 7.0 GiB."
    )


def test_more_than_the_machine_has_memory_for_is_refused_by_each_verb(fake: FakeWorld) -> None:
    fake.become(site_in(InfraState.RUNNING))
    fake.engine.memory = 4 * GIB
    with pytest.raises(Refused, match=r"2 containers of core \(limit 2\.0 GiB each\)"):
        scaled(fake, core=2)
    set_in(fake.world.site, CORE_REPLICAS="2")
    with pytest.raises(Refused, match=r"may use 5\.0 GiB"):
        deploying(fake, "1.1.0")(fake.world.observe())


def set_in(site: Site, **settings: str) -> None:
    site.env_file.write_text(with_options(site.read_env(), settings))
    site.__dict__.clear()


@pytest.mark.parametrize("number", ["0", "17", "two", "1.5", "-1", "2 3"])
def test_what_is_not_a_number_is_refused(fake: FakeWorld, number: str) -> None:
    set_in(fake.world.site, CORE_REPLICAS=f"'{number}'")
    found = check_configuration(fake.world.site)
    assert any("CORE_REPLICAS should be a number from 1 to 16" in finding.said for finding in found)


def test_config_check_warns_of_what_the_machine_cannot_hold(fake: FakeWorld) -> None:
    set_in(fake.world.site, WORKERS_REPLICAS="5")
    found = [finding for finding in check_configuration(fake.world.site, 6 * GIB) if finding.key == "WORKERS_REPLICAS"]
    assert len(found) == 1
    assert "5 containers of workers (limit 1.0 GiB each) may use 7.0 GiB" in found[0].said
    assert found[0].line is not None
    assert not any(f.key == "WORKERS_REPLICAS" for f in check_configuration(fake.world.site, 8 * GIB))


@pytest.mark.parametrize(
    ("definition", "refused"),
    [
        ("container_name: core", True),
        ("ports: ['8080:3000']", True),
        ("ports: ['127.0.0.1:8080:3000']", True),
        ("ports: [{ target: 3000, published: 8080 }]", True),
        ("ports: ['3000']", False),
        ("ports: ['127.0.0.1::3000']", False),
        ("mem_limit: 1g", False),
    ],
)
def test_what_can_be_there_only_once_is_refused(tmp_path: Path, definition: str, refused: bool) -> None:
    file = tmp_path / "compose.override.yaml"
    file.write_text(f"services:\n  core: {{ {definition} }}\n")
    assert bool([*one_container_only([file], ["core"])]) is refused
    assert not [*one_container_only([file], ["workers"])]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["core=0"], "The number of containers of core should be a number from 1 to 16."),
        (["core="], "The number of containers of core should be a number from 1 to 16."),
        (["core=2", "core=3"], "The number of containers of core is given twice."),
        (["nginx=2"], "'nginx' cannot be scaled: only core and workers can."),
    ],
)
def test_the_verb_refuses_what_is_not_a_size(tmp_path: Path, words: list[str], said: str) -> None:
    assert CliRunner().invoke(cli, ["init", str(tmp_path / "site"), "--demo"]).exit_code == 0
    before = (tmp_path / "site" / ".env").read_text()
    done = CliRunner().invoke(cli, ["--site", str(tmp_path / "site"), "scale", *words])
    assert said in str(done.exception)
    assert (tmp_path / "site" / ".env").read_text() == before


@pytest.mark.parametrize("ended", [SystemExit(ExitCode.REFUSED), Refused("Not now."), KeyboardInterrupt()])
def test_a_number_does_not_stay_where_nothing_was_begun(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ended: BaseException
) -> None:
    assert CliRunner().invoke(cli, ["init", str(tmp_path / "site"), "--demo"]).exit_code == 0
    env = tmp_path / "site" / ".env"
    before, during = env.read_text(), []

    def refuse(*_: object) -> None:
        during.append(env.read_text())
        raise ended

    monkeypatch.setattr(plans, "shown_plan", lambda *_: Shown(Plan(InfraState.RUNNING, ()), new_site(), "", 0.0))
    monkeypatch.setattr(operating, "operation", refuse)
    CliRunner().invoke(cli, ["--site", str(env.parent), "scale", "core=2"])
    assert ["\nCORE_REPLICAS=2\n" in text for text in during] == [True]
    assert env.read_text() == before


def test_a_number_takes_the_place_of_the_one_that_was_there_or_of_its_comment() -> None:
    assert with_options("A=1\nCORE_REPLICAS=2 # two\n", {"CORE_REPLICAS": "3"}) == "A=1\nCORE_REPLICAS=3 # two\n"
    assert with_options("# CORE_REPLICAS=\nA=1\n", {"CORE_REPLICAS": "3"}) == "CORE_REPLICAS=3\nA=1\n"
    assert with_options("A=1", {"CORE_REPLICAS": "3"}) == "A=1\nCORE_REPLICAS=3\n"
