"""What of a site's override is tried on the engine, and what is made of it for that."""

from __future__ import annotations

import re
from typing import Any

import pytest

from graasp_local.errors import ExitCode
from graasp_local.journal.events import Outcome, StepStarted
from graasp_local.operations.deployments import transition_plan
from graasp_local.planning.requests import OnFailure
from graasp_local.planning.states import InfraState
from graasp_local.stack.services import content_of, stack_directory
from graasp_local.stack.trial import (
    NGINX_SETTINGS,
    Published,
    addresses_out_of_range,
    nginx_is_as_shipped,
    published,
    services_to_try,
    trial_project,
)
from graasp_local.testing.recipe import read_override
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploying, ended_of, events_of
from tests.unit.sites import site_in

LABELS = {"org.graasp.purpose": "trial"}


@pytest.mark.parametrize(
    "harmless",
    [
        {"healthcheck": {"interval": "2s"}},
        {"environment": {"A": "b"}, "labels": {"c": "d"}, "image": "x:1", "restart": "always"},
        {"restart": "on-failure:3"},
        {"restart": False},
        {},
    ],
)
def test_what_no_engine_refuses_is_not_tried(harmless: dict[str, Any]) -> None:
    assert services_to_try({"services": {"core": harmless}}, {}) == ()


@pytest.mark.parametrize(
    "risky",
    [
        "restart",
        "mem_limit",
        "cpus",
        "logging",
        "volumes",
        "devices",
        "sysctls",
        "user",
        "ports",
        "networks",
        "deploy",
        "tmpfs",
    ],
)
def test_what_one_could_refuse_is(risky: str) -> None:
    override = {"services": {"core": {"healthcheck": {}, risky: "x"}, "workers": {"environment": {}}}}
    assert services_to_try(override, {}) == ("core",)


def test_what_the_stack_itself_says_and_a_port_that_the_engine_chooses_are_not_tried() -> None:
    own = {"services": {"nginx": {"tmpfs": ["/var/lib/nginx"]}}}
    assert services_to_try({"services": {"nginx": {"tmpfs": ["/var/lib/nginx"], "labels": {}}}}, own) == ()
    assert services_to_try({"services": {"nginx": {"tmpfs": ["/elsewhere"]}}}, own) == ("nginx",)
    assert services_to_try({"services": {"umami": {"ports": ["127.0.0.1::3000"]}}}, own) == ()
    assert services_to_try({"services": {"umami": {"ports": ["127.0.0.1::3000", "127.0.0.1:8000:3000"]}}}, own) == (
        "umami",
    )


DEMO = content_of(stack_directory() / "compose" / "demo.override.yaml")
AS_MADE = {"PUBLIC_URL": "http://localhost:8080", "UMAMI_HOST": "umami.localhost", "MAINTENANCE_RETRY_AFTER": "60"}


@pytest.mark.parametrize("image", ["", "nginx:1.28.0", "demo/nginx:1"])
def test_an_nginx_of_which_nothing_was_changed_needs_no_check(image: str) -> None:
    override = {"services": {"nginx": {**DEMO["services"]["nginx"], "labels": {"a": "b"}}}}
    values = {**AS_MADE, "NGINX_IMAGE": image, "HTTP_PORT": "8080", "LOG_LEVEL": "debug"}
    assert nginx_is_as_shipped(override, DEMO, values, "demo/nginx:1")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("PUBLIC_URL", "http://graasp.example"),
        ("PUBLIC_URL", "https://localhost"),
        ("NGINX_IMAGE", "mine/nginx"),
        ("TRUSTED_PROXIES", "10.0.0.1"),
        ("FRAME_ANCESTORS", "https://a.example"),
        ("UMAMI_HOST", "umami.example"),
        ("MAINTENANCE_HEADER_NAME", "X-Mine"),
        ("TLS", "files"),
    ],
)
def test_one_of_which_anything_was_changed_is_checked(key: str, value: str) -> None:
    assert not nginx_is_as_shipped({}, DEMO, {**AS_MADE, key: value}, "demo/nginx:1")


def test_so_is_the_demo_nginx_in_a_site_without_what_it_needs() -> None:
    assert not nginx_is_as_shipped({}, DEMO, {**AS_MADE, "NGINX_IMAGE": "demo/nginx:1"}, "demo/nginx:1")


@pytest.mark.parametrize("asked", ["environment", "volumes", "command", "image"])
def test_so_is_one_that_an_override_changes(asked: str) -> None:
    assert not nginx_is_as_shipped({"services": {"nginx": {asked: ["x"]}}}, DEMO, AS_MADE, "demo/nginx:1")


def test_every_setting_of_nginx_is_examined() -> None:
    """A variable that is new in the compose file could make nginx refuse its configuration."""
    nginx = read_override(stack_directory() / "compose" / "compose.yaml")["services"]["nginx"]
    used = set(re.findall(r"\$\{([A-Z0-9_]+)", str(nginx)))
    made_here = {name for name in used if name.startswith("GRAASP_")} | {"COMPOSE_PROJECT_NAME"}
    addresses = {"HTTP_BIND", "HTTP_PORT", "PUBLIC_URL", "NGINX_IMAGE"}
    assert used - made_here - addresses == NGINX_SETTINGS


def test_an_override_without_services_is_fine() -> None:
    assert services_to_try({}, {}) == ()
    assert services_to_try({"services": None, "networks": {"front": {}}}, {}) == ()


CONFIG: dict[str, Any] = {
    "services": {
        "core": {
            "image": "graasp:core-v1.0.0",
            "mem_limit": "1048576",
            "environment": {"SECRET": "a$$b"},
            "networks": {"back": {"ipv4_address": "10.9.9.9"}},
            "ports": [{"target": 80, "published": "8080", "protocol": "tcp", "host_ip": "127.0.0.1"}, {"target": 81}],
            "depends_on": {"db": {"condition": "service_healthy"}},
            "entrypoint": ["node"],
            "healthcheck": {"test": ["CMD", "true"]},
            "container_name": "core",
            "profiles": ["x"],
            "deploy": {"replicas": 2, "resources": {"limits": {"cpus": "64"}}},
            "volumes": [
                {"type": "volume", "source": "files", "target": "/files", "volume": {"subpath": "a"}},
                {"type": "volume", "source": "nas", "target": "/nas"},
                {"type": "bind", "source": "/nonexistent", "target": "/x"},
            ],
        },
        "db": {"image": "postgres:16", "volumes": [{"type": "volume", "source": "db-data", "target": "/d"}]},
    },
    "volumes": {
        "files": {"name": "site_files"},
        "nas": {"name": "nas", "external": True},
        "db-data": {"name": "site_db-data", "driver": "nfs", "driver_opts": {"a": "b"}},
    },
    "networks": {"back": {"name": "site_back"}},
}


def test_a_trial_keeps_what_an_engine_judges_and_nothing_that_changes_the_site_or_runs() -> None:
    project = trial_project(CONFIG, ["core"], "trial", LABELS)
    assert project == {
        "name": "trial",
        "services": {
            "core": {
                "image": "graasp:core-v1.0.0",
                "mem_limit": "1048576",
                "environment": {"SECRET": "a$$b"},
                "deploy": {"resources": {"limits": {"cpus": "64"}}},
                "volumes": [
                    {"type": "volume", "source": "files", "target": "/files"},
                    {"type": "volume", "source": "nas", "target": "/nas"},
                    {"type": "bind", "source": "/nonexistent", "target": "/x"},
                ],
                "init": True,
                "entrypoint": ["true"],
                "command": [],
                "network_mode": "none",
                "restart": "no",
                "labels": LABELS,
                "stop_grace_period": "1s",
            }
        },
        "volumes": {
            "files": {"name": "trial_files", "labels": LABELS},
            "nas": {"name": "nas", "external": True},
        },
    }


def test_a_volume_of_another_driver_is_tried_with_it() -> None:
    made = trial_project(CONFIG, ["db"], "trial", LABELS)["volumes"]
    assert made == {"db-data": {"driver": "nfs", "driver_opts": {"a": "b"}, "name": "trial_db-data", "labels": LABELS}}


def test_only_named_ports_are_tried() -> None:
    assert [(wanted.service, wanted.address, wanted.port) for wanted in published(CONFIG, ["core", "db"])] == [
        ("core", "127.0.0.1", 8080)
    ]


def test_an_address_outside_its_network_is_reported() -> None:
    assert [*addresses_out_of_range(CONFIG, ["core"], {"back": ["10.1.0.0/16"]})] == [
        "core is set to use the address 10.9.9.9, but the network back has 10.1.0.0/16."
    ]
    assert [*addresses_out_of_range(CONFIG, ["core"], {"back": ["10.1.0.0/16", "10.9.0.0/16"]})] == []
    assert [*addresses_out_of_range(CONFIG, ["core"], {})] == []


def ask_for(fake: FakeWorld, text: str) -> None:
    fake.world.site.override_file.write_text(text)


MUCH = "services: {workers: {mem_limit: 1m}, umami: {mem_limit: 1m}}\n"


def test_what_the_engine_refuses_is_a_refusal_before_the_gate_closes(running: FakeWorld) -> None:
    ask_for(running, MUCH)
    running.engine.refuses_stack = "The engine refuses workers: Minimum memory limit allowed is 6MB"
    ended = ended_of(events_of(running, deploying(running), on_failure=OnFailure.ROLLBACK))
    assert (ended.outcome, ended.exit_code) == (Outcome.REFUSED, ExitCode.REFUSED)
    assert ended.problem[0] == running.engine.refuses_stack
    assert running.engine.tried == [(("workers",), "1.1.0")]
    assert not {"flag-closed", "shut"} & {*running.state.calls}


def test_so_is_it_for_a_change_of_state(running: FakeWorld) -> None:
    running.become(site_in(InfraState.DB_ONLY), applied="1.0.0")
    ask_for(running, MUCH)
    running.engine.refuses_stack = "The engine refuses workers."
    planner = lambda observed: transition_plan(running.world, observed, InfraState.RUNNING)  # noqa: E731
    assert ended_of(events_of(running, planner)).outcome is Outcome.REFUSED


def test_without_anything_to_try_there_is_no_step_for_it(running: FakeWorld) -> None:
    ask_for(running, "services: {core: {environment: {A: b}}, nginx: {mem_limit: 1m}}\n")
    events = events_of(running, deploying(running))
    assert ended_of(events).outcome is Outcome.DONE
    assert "check-stack" not in [event.name for event in events if isinstance(event, StepStarted)]


@pytest.mark.parametrize(
    ("address", "other", "clashes"),
    [
        ("127.0.0.1", "127.0.0.1", True),
        ("0.0.0.0", "127.0.0.1", True),
        ("127.0.0.1", "::", True),
        ("192.0.2.1", "127.0.0.1", False),
    ],
)
def test_two_services_cannot_have_one_port_of_the_machine(address: str, other: str, clashes: bool) -> None:
    assert Published("core", address, 8080).clashes_with(Published("nginx", other, 8080)) is clashes
    assert not Published("core", address, 8080).clashes_with(Published("nginx", other, 8081))
    assert not Published("core", address, 8080).clashes_with(Published("core", other, 8080))


def test_an_invalid_restart_policy_is_left_to_the_engine() -> None:
    config = {"services": {"core": {"image": "a", "restart": "sometimes"}}}
    assert trial_project(config, ["core"], "trial", LABELS)["services"]["core"]["restart"] == "sometimes"
