"""A site on the machines of a Swarm: what `.env` may say, what its tasks show, what is planned, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from graasp_local.engine.containers.services import (
    HANDOVER_LABEL,
    NODE_LABEL,
    SERVICE_LABEL,
    has_other_networks,
    observed,
)
from graasp_local.engine.swarm.images import outcomes
from graasp_local.engine.swarm.tasks import containers_of_service, node_name, to_be_replaced, was_put_back
from graasp_local.errors import ConfigurationError, NeedsYou, Refused
from graasp_local.journal.events import Outcome, StepEnded
from graasp_local.operations import upgrades
from graasp_local.operations.deployments import apply_plan, deployment_plan
from graasp_local.operations.restores import restore_plan
from graasp_local.operations.steps.proving import SWARM_SECONDS, verify_replicas
from graasp_local.planning.plan import Strategy, render
from graasp_local.planning.plan_deploy import DeployRequest
from graasp_local.planning.plan_rolling import plan_rolling
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.requests import OnFailure, Restore, UpgradeDatabase
from graasp_local.planning.rolling_steps import ReplaceInTurn
from graasp_local.planning.simulate import simulate
from graasp_local.planning.states import (
    Drifted,
    Health,
    InfraState,
    ObservedService,
    ObservedState,
    Replica,
    ServiceGroup,
    Status,
    classify,
    is_in,
)
from graasp_local.planning.steps import ShareImages, StartServices, StopServices
from graasp_local.settings.parse import Swarm, parse_settings
from graasp_local.settings.rotation import with_options
from graasp_local.settings.rules import errors, read
from graasp_local.site import prepare
from graasp_local.site.create import environment_text
from graasp_local.site.site import Site
from graasp_local.stack.on_swarm import nanoseconds, translated
from graasp_local.stack.services import GROUP_LABEL, NETWORKS_LABEL, ServiceDefinition
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploy, deploying, ended_of, events_of
from tests.unit.sites import S3, observed_sites, site_in

V = Version(1, 1, 0)
SETTINGS = {**S3, "SWARM": "on"}
ROLLING = DeployRequest(Version(1, 2, 0), strategy=Strategy.ROLLING)


def on_several(fake: FakeWorld, **settings: str) -> FakeWorld:
    """The same site with SWARM=on, on two machines that both can run its images."""
    site = Site(fake.directory)
    site.env_file.write_text(with_options(site.env_file.read_text(), {**SETTINGS, **settings}))
    site = Site(fake.directory)
    fake.engine.site = site
    fake.engine.machines = ("node1", "node2")
    fake.handovers.in_turn = ("core",)
    fake.world = replace(fake.world, site=site)
    return fake


@pytest.fixture
def several(running: FakeWorld) -> FakeWorld:
    """A site on several machines that is running with version 1.0.0."""
    return on_several(running)


def problems(**changed: str) -> set[tuple[str, str]]:
    values = {key: value for key, value in {**SETTINGS, **changed}.items() if value}
    return {(problem.key, problem.said) for problem in errors(read(environment_text(values)))}


# What `.env` may say.


def test_files_in_s3_are_enough() -> None:
    assert problems() == set()


@pytest.mark.parametrize(
    ("changed", "key", "said"),
    [
        ({"SWARM": "yes"}, "SWARM", "should be on or off"),
        ({"FILE_STORAGE_TYPE": "local"}, "FILE_STORAGE_TYPE", "is not s3, but SWARM is on: uploaded files would be on"),
        ({"H5P_FILE_STORAGE_TYPE": ""}, "H5P_FILE_STORAGE_TYPE", "is not s3, but SWARM is on"),
        ({"SWARM_PLACEMENT": "graasp"}, "SWARM_PLACEMENT", "should be conditions such as node.labels.graasp==yes"),
        ({"SWARM_PLACEMENT": "node.id==a,"}, "SWARM_PLACEMENT", "should be conditions"),
        ({"SWARM_FILES": "nfs"}, "SWARM_FILES", "should be s3 or shared"),
        ({"SWARM_ENGINES": "node2"}, "SWARM_ENGINES", "should be addresses that begin with ssh://"),
        ({"CORE_REPLICAS": "two"}, "CORE_REPLICAS", "should be a number from 1 to 16"),
    ],
)
def test_what_cannot_work_is_reported_with_its_key(changed: dict[str, str], key: str, said: str) -> None:
    assert any(found == key and told.startswith(said) for found, told in problems(**changed)), problems(**changed)


def test_the_database_may_be_external_too() -> None:
    server = {"DATABASE_HOST": "pg.school.example", "DATABASE_ADMIN_USER": "managed", "DATABASE_SSL": "off"}
    assert problems(DATABASE="external", DATABASE_ADMIN_PASSWORD="'it is secret'", **server) == set()


def test_files_may_be_on_all_machines_instead() -> None:
    assert problems(FILE_STORAGE_TYPE="local", H5P_FILE_STORAGE_TYPE="local", SWARM_FILES="shared") == set()


def test_placement_and_engines_are_lists() -> None:
    placement, engines = "node.labels.graasp==yes,node.role!=manager", "ssh://root@node2,tcp://10.0.0.3:2375"
    text = environment_text({**SETTINGS, "SWARM_PLACEMENT": placement, "SWARM_ENGINES": engines})
    assert parse_settings(text, ".env").swarm == Swarm(
        ("node.labels.graasp==yes", "node.role!=manager"), ("ssh://root@node2", "tcp://10.0.0.3:2375")
    )
    assert parse_settings(environment_text({}), ".env").swarm is None


def test_the_stack_has_one_file_more_and_the_migration_another_role(fake: FakeWorld) -> None:
    assert not any("MIGRATION" in key for key in fake.world.site.told_to_stack)
    site = on_several(fake).world.site
    prepare.prepare(site)
    assert [file.name for file in site.compose_files] == ["compose.yaml", "swarm.yaml"]
    assert len(site.told_to_stack["GRAASP_MIGRATION_PASSWORD"]) == 48


# Core as a service of the Swarm.

CONFIG: dict[str, Any] = {
    "services": {
        "core": {
            "image": "sha256:0123",
            "command": None,
            "entrypoint": None,
            "environment": {"B": "2", "A": "cost $$5", "NONE": None},
            "labels": {"org.graasp.version": "1.1.0", "com.docker.compose.project": "x"},
            "init": True,
            "stop_grace_period": "1m30s",
            "security_opt": ["no-new-privileges:true"],
            "cap_drop": ["ALL"],
            "mem_limit": "2147483648",
            "pids_limit": 1000,
            "networks": {"front": None, "inside": {"aliases": ["graasp"]}, "front-machine": {"priority": 100}},
            "volumes": [
                {"type": "volume", "source": "files", "target": "/var/tmp"},
                {"type": "bind", "source": "/stack/names.conf", "target": "/etc/nsswitch.conf", "read_only": True},
            ],
            "secrets": [{"source": "authority"}, {"source": "empty"}],
            "healthcheck": {
                "test": ["CMD", "ask", "$$HOME"],
                "interval": "15s",
                "start_interval": "200ms",
                "retries": 3,
            },
            "logging": {"driver": "json-file", "options": {"max-size": "10m"}},
            "depends_on": {"db": {}},
            "restart": "unless-stopped",
        }
    },
    "networks": {name: {"name": f"site_{name}"} for name in ("front", "inside", "front-machine")},
    "secrets": {"authority": {"file": "/secrets/authority"}, "empty": {"file": "/secrets/empty"}},
}
FILES = {"/stack/names.conf": b"hosts: files dns", "/secrets/authority": b"PEM", "/secrets/empty": b""}


def with_core(**changed: Any) -> dict[str, Any]:
    return {**CONFIG, "services": {"core": {**CONFIG["services"]["core"], **changed}}}


def test_a_service_is_translated_with_all_its_limits() -> None:
    made = translated(CONFIG, "core", FILES.get, ("node.labels.graasp==yes",))
    container = made.template["ContainerSpec"]
    assert container["Env"] == ["A=cost $5", "B=2"]
    assert container["Labels"] == {"org.graasp.version": "1.1.0", "org.graasp.service": "core"}
    assert container["StopGracePeriod"] == 90 * 10**9
    assert container["Privileges"] == {"NoNewPrivileges": True}
    assert container["CapabilityDrop"] == ["ALL"]
    assert container["Healthcheck"] == {
        "Test": ["CMD", "ask", "$HOME"],
        "Interval": 15 * 10**9,
        "StartInterval": 2 * 10**8,
        "Retries": 3,
    }
    assert container["Mounts"] == []
    assert made.template["Resources"] == {"Limits": {"MemoryBytes": 2 * 1024**3, "Pids": 1000}}
    assert made.template["Placement"] == {"Constraints": ["node.labels.graasp == yes"]}
    assert made.networks == {"site_front": ("core",), "site_inside": ("core", "graasp")}
    assert [(file.kind, file.name, file.content, file.target) for file in made.files] == [
        ("config", "names.conf", b"hosts: files dns", "/etc/nsswitch.conf"),
        ("secret", "authority", b"PEM", "authority"),
    ]


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({"ports": [{"target": 3000}]}, "a Swarm service cannot have ports"),
        ({"privileged": True, "devices": ["/dev/fuse"]}, "a Swarm service cannot have devices, privileged"),
        ({"security_opt": ["apparmor=mine"]}, "a Swarm service cannot have security_opt apparmor=mine"),
        (
            {"volumes": [{"type": "bind", "source": "/srv/own", "target": "/own"}]},
            "/srv/own is on this machine only",
        ),
        (
            {"volumes": [{"type": "volume", "source": "cache", "target": "/cache"}]},
            "the volume cache would be a different one on each machine",
        ),
    ],
)
def test_what_another_machine_cannot_have_is_refused(changed: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        translated(with_core(**changed), "core", FILES.get, ())
    assert refused.value.what == f"core cannot run in a Swarm: {said}."


def test_files_that_all_machines_have_are_mounted_as_the_override_says() -> None:
    options = {"type": "nfs", "o": "addr=nas,rw", "device": ":/graasp"}
    config = {**CONFIG, "volumes": {"files": {"name": "site_files", "driver_opts": options}}}
    assert translated(config, "core", FILES.get, (), shares_files=True).template["ContainerSpec"]["Mounts"] == [
        {
            "Type": "volume",
            "Source": "site_files",
            "Target": "/var/tmp",
            "VolumeOptions": {"DriverConfig": {"Name": "local", "Options": options}},
        }
    ]
    with pytest.raises(ConfigurationError, match="does not say where the volume files is"):
        translated(CONFIG, "core", FILES.get, (), shares_files=True)


def test_durations() -> None:
    assert [nanoseconds(text) for text in ("200ms", "2m0s", "1h")] == [2 * 10**8, 120 * 10**9, 3600 * 10**9]


# What its tasks show.

NODES = {
    "n1": {"ID": "n1", "Spec": {"Labels": {}}, "Description": {"Hostname": "node1"}, "Status": {"State": "ready"}},
    "n2": {
        "ID": "n2",
        "Spec": {"Labels": {"graasp-local.name": "cellar"}},
        "Description": {"Hostname": "node2"},
        "Status": {"State": "down"},
    },
}
SERVICE = {
    "ID": "s1",
    "CreatedAt": "2026-11-30T05:00:00.1Z",
    "Spec": {
        "Name": "site_core",
        "Mode": {"Replicated": {"Replicas": 0}},
        "TaskTemplate": {"ContainerSpec": {"Image": "sha256:0123", "Labels": {}}},
    },
}


def task(slot: int, state: str, desired: str = "running", node: str = "n1") -> dict[str, Any]:
    labels = {GROUP_LABEL: "graasp", "org.graasp.service": "core", "org.graasp.version": "1.1.0"}
    network = {"Network": {"Spec": {"Name": "site_front"}}, "Addresses": ["10.0.1.5/24"]}
    return {
        "ID": f"t{slot}",
        "CreatedAt": f"2026-11-30T05:00:0{slot}.1Z",
        "Slot": slot,
        "NodeID": node,
        "DesiredState": desired,
        "Status": {"State": state},
        "Spec": {"ContainerSpec": {"Image": "sha256:0123", "Labels": labels}},
        "NetworksAttachments": [network],
    }


def core_of(*tasks: dict[str, Any], wanted: int = 2) -> ObservedService:
    containers = list(containers_of_service(SERVICE, tasks, NODES))
    defined = [ServiceDefinition("core", ServiceGroup.GRAASP)]
    return observed(containers, defined, {}, replicas={"core": wanted}).services[0]


def test_a_service_is_on_when_as_many_tasks_run_as_are_wanted() -> None:
    assert core_of(task(1, "running"), task(2, "running")).is_on
    assert not core_of(task(1, "running"), task(2, "starting")).is_on
    assert not core_of(task(1, "running")).is_on
    assert not core_of(task(1, "running"), task(2, "running"), task(3, "running", "shutdown")).is_on


def test_a_task_that_is_to_end_is_not_off_before_it_has_ended() -> None:
    assert not core_of(task(1, "running", "remove")).is_off
    assert core_of(task(1, "shutdown", "remove")).is_off
    assert core_of().is_off


def test_a_task_on_a_lost_machine_does_not_count_and_is_named_with_it() -> None:
    core = core_of(task(1, "running"), task(2, "running", node="n2"))
    assert (core.healthy, core.is_on) == (1, False)
    assert core.unwell == ("core-2 on cellar is dead",)
    assert core_of(task(1, "running", "shutdown", "n2"), task(1, "running")).healthy == 1


def test_a_task_that_fails_again_and_again_is_restarting() -> None:
    core = core_of(task(1, "failed", "shutdown"), {**task(1, "preparing"), "ID": "t9"}, wanted=1)
    assert core.status is Status.RESTARTING
    assert core_of(task(1, "preparing"), wanted=1).status is Status.CREATED


def of_which_two_are_wanted(state: str = "") -> dict[str, Any]:
    template = {"ContainerSpec": task(1, "running")["Spec"]["ContainerSpec"]}
    spec = {"Name": "site_core", "Mode": {"Replicated": {"Replicas": 2}}, "TaskTemplate": template}
    return {**SERVICE, "Spec": spec, "UpdateStatus": {"State": state}}


def test_a_service_that_has_just_been_given_tasks_has_not_exited() -> None:
    made = [*containers_of_service(of_which_two_are_wanted(), [], NODES)]
    assert [container["State"] for container in made] == ["created"]


@given(st.lists(st.integers(-(10**6), 10**6), min_size=4, max_size=4))
def test_the_clocks_of_the_machines_decide_nothing(seconds: list[int]) -> None:
    """Each dates its own tasks."""
    tasks = [task(1, "running"), task(2, "starting"), task(2, "failed", "shutdown"), task(1, "running", "shutdown")]
    by_one_clock = core_of(*tasks)
    for each, off in zip(tasks, seconds, strict=True):
        stamp = (datetime(2026, 11, 30, 5, tzinfo=UTC) + timedelta(seconds=off)).isoformat()
        each["UpdatedAt"] = each["Status"]["Timestamp"] = stamp
    assert core_of(*tasks) == by_one_clock


def test_how_many_tasks_the_swarm_has_yet_to_replace() -> None:
    new, old = task(1, "running"), {**task(2, "running"), "Spec": {"ContainerSpec": {"Image": "sha256:old"}}}
    starting, ended = task(2, "starting"), task(2, "running", "shutdown")
    assert to_be_replaced(of_which_two_are_wanted("updating"), [old]) == 2
    assert to_be_replaced(of_which_two_are_wanted("updating"), [new, old, starting]) == 1
    assert to_be_replaced(of_which_two_are_wanted("updating"), [new, ended]) == 1
    assert to_be_replaced(of_which_two_are_wanted("updating"), [new, task(2, "running")]) == 1
    assert to_be_replaced(of_which_two_are_wanted("completed"), [new, task(2, "running"), old]) == 0


def test_a_swarm_that_has_put_the_old_ones_back() -> None:
    assert was_put_back(of_which_two_are_wanted("rollback_completed"))
    assert not was_put_back(of_which_two_are_wanted("rollback_started"))
    assert not was_put_back(SERVICE)


def test_nginx_and_drains_find_the_address_of_a_task() -> None:
    found = next(iter(containers_of_service(SERVICE, [task(1, "running")], NODES)))
    assert found["NetworkSettings"]["Networks"]["site_front"]["IPAddress"] == "10.0.1.5"
    assert found["Labels"][NODE_LABEL] == "node1"
    assert node_name(NODES["n2"]) == "cellar"


def test_what_a_machine_reports_about_an_image() -> None:
    failed = {**task(2, "rejected", "shutdown"), "Status": {"State": "rejected", "Err": "No such image: x."}}
    assert outcomes([task(1, "complete")], NODES) == (set(), {}, ("node1",))
    assert outcomes([failed, task(3, "pending")], NODES) == (set(), {"node1": "No such image: x"}, ())
    assert outcomes([task(1, "preparing")], NODES) == ({"node1"}, {}, ())
    assert outcomes([task(1, "preparing", node="n2")], NODES) == (set(), {}, ())


@pytest.mark.parametrize(
    ("labels", "differ"),
    [
        ({SERVICE_LABEL: "nginx"}, True),
        ({SERVICE_LABEL: "nginx", NETWORKS_LABEL: "overlay"}, False),
        ({SERVICE_LABEL: "core"}, True),
        ({SERVICE_LABEL: "core", NODE_LABEL: "node1"}, False),
        ({SERVICE_LABEL: "core", HANDOVER_LABEL: "1.0.0"}, False),
        ({SERVICE_LABEL: "umami"}, False),
    ],
)
def test_a_site_knows_that_swarm_was_switched(labels: dict[str, str], *, differ: bool) -> None:
    assert has_other_networks([{"Labels": labels}], on_swarm=True) == differ


# What is planned.


def test_the_move_to_several_machines_is_read_beforehand() -> None:
    observed = replace(site_in(InfraState.RUNNING), other_networks=True)
    cause = "core and workers move to other machines or back, so everything joins other networks"
    assert (
        render(plan_transition(observed, InfraState.RUNNING, V)).splitlines()[:9]
        == f"""\
 1  closed  Close the gate                                                    because stopped keeps visitors out
 2  closed  Verify that the gate is closed                                    because only a visitor's request proves that visitors are kept out
 3  closed  Wait for requests in flight to finish (limit 10 s)                because core cuts off its requests when it stops
 4  closed  Stop redis, core and workers                                      because {cause}
 5  closed  Stop umami                                                        because {cause}
 6  closed  Stop db                                                           because {cause}
 7  closed  Stop nginx                                                        because {cause}
 8  closed  Remove the containers and networks from before SWARM was changed  because the kind of a network cannot be changed; data is in volumes, which stay
 9  closed  Check the configuration of nginx                                  because a configuration that nginx refuses would take the site down""".splitlines()  # noqa: E501
    )


@given(observed_sites(), st.sampled_from(InfraState))
def test_any_site_gets_to_any_state_with_its_other_networks(observed: ObservedState, target: InfraState) -> None:
    observed = replace(observed, other_networks=True)
    plan = plan_transition(observed, target, V)
    after = simulate(observed, plan.steps)
    assert is_in(after, target), classify(after)
    assert plan_transition(after, target, V).steps == ()


def test_a_switched_site_is_drifted_and_says_so() -> None:
    found = classify(replace(site_in(InfraState.RUNNING), other_networks=True), InfraState.RUNNING)
    assert isinstance(found, Drifted)
    assert found.differences == ("The site still has the networks from before SWARM was changed.",)


def test_a_deployment_tries_the_images_on_all_machines_before_the_gate_closes(several: FakeWorld) -> None:
    events = events_of(several, deploying(several))
    ended = [event.name for event in events if isinstance(event, StepEnded)]
    assert ended.index("pull") < ended.index("share-images") < ended.index("close-gate")
    assert ended_of(events).outcome is Outcome.DONE


def test_a_machine_that_cannot_run_them_is_a_refusal(several: FakeWorld) -> None:
    several.engine.failing["share-images"] = Refused("node2: No such image.")
    ended = deploy(several, on_failure=OnFailure.ROLLBACK)
    assert ended.outcome is Outcome.REFUSED
    assert several.state.calls == ["share-images"]


def test_a_site_on_one_machine_has_no_such_step(running: FakeWorld) -> None:
    plan = deployment_plan(running.world, running.state.observed, DeployRequest(V))
    assert not any(isinstance(step, ShareImages) for step in plan.steps)


def test_the_move_tries_them_first(several: FakeWorld) -> None:
    observed = replace(several.state.observed, other_networks=True)
    assert isinstance(apply_plan(several.world, observed, InfraState.RUNNING).steps[0], ShareImages)
    other = apply_plan(several.world, site_in(InfraState.RESTRICTED), InfraState.RUNNING)
    assert not any(isinstance(step, ShareImages) for step in other.steps)


# What is refused.


def test_a_swarm_that_cannot_be_used_is_refused_before_anything_is_changed(several: FakeWorld) -> None:
    several.engine.no_swarm = "SWARM is on, but this engine is not part of a Swarm."
    with pytest.raises(Refused, match="not part of a Swarm"):
        deployment_plan(several.world, several.state.observed, DeployRequest(V))
    with pytest.raises(Refused, match="not part of a Swarm"):
        apply_plan(several.world, site_in(InfraState.STOPPED), InfraState.RUNNING)
    assert several.state.calls == []


def test_the_swarm_replaces_core_while_a_second_one_serves(several: FakeWorld) -> None:
    steps = plan_rolling(several.state.observed, ROLLING, ("core",), several.handovers.replaced_in_turn()).steps
    names = [step.name for step in steps]
    assert names.index("lead-to-handover") < names.index("drain-services") < names.index("replace-in-turn")
    assert names.index("replace-in-turn") < names.index("prove-services") < names.index("lead-to-services")
    stopped = [name for step in steps if isinstance(step, StopServices) for name in step.services]
    started = [name for step in steps if isinstance(step, StartServices) for name in step.services]
    assert stopped == started == ["workers"]


def test_what_the_swarm_has_already_replaced_is_left_alone(several: FakeWorld) -> None:
    new = several.state.observed.with_services(("core",), Status.RUNNING, Health.HEALTHY, "1.2.0")
    steps = plan_rolling(new, ROLLING, ("core",), ("core",)).steps
    assert not any(isinstance(step, ReplaceInTurn) for step in steps)


def test_one_that_was_stopped_is_started(several: FakeWorld) -> None:
    off = several.state.observed.with_services(("core",), Status.EXITED, Health.NONE)
    steps = plan_rolling(off, ROLLING, ("core",), ("core",)).steps
    assert not any(isinstance(step, ReplaceInTurn) for step in steps)
    assert "core" in [name for step in steps if isinstance(step, StartServices) for name in step.services]


def test_while_the_switch_is_pending_nothing_else_is_begun(several: FakeWorld) -> None:
    observed = replace(several.state.observed, other_networks=True)
    with pytest.raises(Refused, match=r"SWARM in \.env was changed") as error:
        deployment_plan(several.world, observed, DeployRequest(V))
    assert "graasp-local apply running" in error.value.next_step
    with pytest.raises(Refused, match=r"SWARM in \.env was changed"):
        restore_plan(several.world, observed, Restore("latest"))


def test_the_database_is_not_upgraded_before_the_switch_is_done(several: FakeWorld) -> None:
    with pytest.raises(Refused, match="does not upgrade the database of a site on several machines"):
        upgrades.upgrade_plan(several.world, several.state.observed, UpgradeDatabase(17))


def test_more_than_all_machines_together_hold_is_refused(several: FakeWorld) -> None:
    several = on_several(several, CORE_REPLICAS="4")
    several.engine.memory = 4 * 1024**3
    with pytest.raises(Refused, match="but there are only 4"):
        deployment_plan(several.world, several.state.observed, DeployRequest(V))


def test_cores_on_other_machines_have_longer_to_answer(several: FakeWorld) -> None:
    core = next(service for service in several.state.observed.services if service.name == "core")
    two = tuple(Replica(number, Status.RUNNING, Health.HEALTHY, "1.0.0") for number in (1, 2))
    services = (replace(core, wanted=2, replicas=two),)
    several.state.observed = replace(several.state.observed, services=services)
    several.handovers.replicas_say = {"core-1": None}
    began = several.world.clock.monotonic()
    with pytest.raises(NeedsYou, match="core-1 does not answer"):
        verify_replicas(several.world, Version(1, 0, 0))
    assert several.world.clock.monotonic() - began >= SWARM_SECONDS
