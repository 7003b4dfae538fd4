"""All twelve changes of state on the real engine; what is asserted is what the engine and nginx say."""

from __future__ import annotations

from contextlib import closing
from itertools import pairwise

import pytest

from graasp_local.engine.containers.of_project import PROJECT_LABEL
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.states import InfraState
from tests.integration.demo_site import AS_BROWSER, DemoSite
from tests.unit.sites import site_in

ALL = {"db", "umami", "redis", "meilisearch", "core", "workers", "nginx"}
ON = {
    "running": ALL,
    "restricted": ALL,
    "db-only": {"db", "umami", "nginx"},
    "stopped": set(),
}
# One round through every ordered pair: each change is made once, and each begins where the one before ended.
ROUND = ["running", "restricted", "running", "db-only", "running", "stopped", "restricted", "db-only", "restricted"]
ROUND += ["stopped", "db-only", "stopped", "running"]
CHANGES = list(pairwise(ROUND))


def test_the_round_makes_every_change_once() -> None:
    assert sorted(CHANGES) == sorted((a, b) for a in ON for b in ON if a != b)


@pytest.fixture(scope="module")
def kept(site: DemoSite) -> str:
    site.create_item("written before the round")
    return "written before the round"


@pytest.mark.parametrize(("before", "after"), CHANGES)
def test_a_change_of_state(site: DemoSite, kept: str, before: str, after: str) -> None:
    site.run("apply", before)  # nothing to do, unless this change is tried alone
    site.run("apply", after)
    assert site.running() == ON[after]
    told = site.status()
    gate = {"running": "open", "stopped": "unknown"}.get(after, "closed")
    assert (told["state"], told["gate"], told["drift"]) == (after, gate, [])
    assert told["version"] == "1.0.0"
    if "core" in ON[after]:
        assert site.item_names() == [kept]
    if after == "stopped":
        with pytest.raises(ConnectionRefusedError):
            site.ask("/api/items")
    else:
        assert site.ask("/api/items").status == (200 if after == "running" else 503)
    if "db" not in ON[after]:
        # Shut down in order: one that was killed has to recover at its next start, and its sequences skip numbers.
        assert site.containers()["db"]["State"]["ExitCode"] == 0


def test_applying_the_state_that_is_there_does_nothing(site: DemoSite) -> None:
    started = {name: found["State"]["StartedAt"] for name, found in site.containers().items()}
    assert "Nothing to do" in site.run("apply", "running").stdout
    assert {name: found["State"]["StartedAt"] for name, found in site.containers().items()} == started


def test_a_plan_is_what_apply_then_does(site: DemoSite) -> None:
    printed = site.run("plan", "db-only").stdout.splitlines()
    assert len(printed) == len(plan_transition(site_in(InfraState.RUNNING), InfraState.DB_ONLY).steps)
    assert site.status()["state"] == "running"


def test_a_stopped_service_is_drift_and_is_fixed(site: DemoSite) -> None:
    site.run("compose", "--", "stop", "workers")
    told = site.status()
    assert told["state"] == "drifted"
    assert told["drift"] == ["workers is stopped, but should be on in the state running."]
    assert told["next"] == ["graasp-local apply running"]
    site.run("apply", "running")
    assert site.status()["state"] == "running"


@pytest.mark.parametrize("service", ["core", "nginx", "db"])
def test_a_paused_service_is_drift_and_is_fixed(site: DemoSite, service: str) -> None:
    site.run("compose", "--", "pause", service)
    assert site.status()["state"] == "drifted"
    site.run("apply", "running")
    assert site.status()["state"] == "running"


def test_containers_that_were_removed_are_recreated_behind_a_closed_gate(site: DemoSite, kept: str) -> None:
    site.run("compose", "--", "down")
    assert site.status()["state"] == "absent"
    site.run("apply", "restricted")
    told = site.status()
    assert (told["state"], told["gate"]) == ("restricted", "closed")
    site.run("apply", "running")
    assert site.item_names() == [kept]


def test_networks_that_were_removed_while_the_site_was_stopped_are_recreated(site: DemoSite) -> None:
    site.run("apply", "stopped")
    removed = []
    with closing(site.engine()) as client:
        for network in client.networks.list(filters={"label": f"{PROJECT_LABEL}={site.project}"}):
            network.remove()
            removed.append(network.name)
    assert removed
    site.run("apply", "running")
    assert site.status()["state"] == "running"
    assert site.ask("/api/items").status == 200


def test_a_site_that_fell_is_not_taken_for_a_stopped_one(site: DemoSite) -> None:
    site.run("compose", "--", "stop")
    told = site.status()
    assert (told["state"], told["next"]) == ("drifted", ["graasp-local apply running"])
    site.run("apply", "running")


def test_the_page_stays_in_stopped_as_long_as_it_is_wanted(site: DemoSite) -> None:
    site.configure(STOPPED_PAGE="on")
    site.run("apply", "stopped")
    assert (site.status()["state"], site.running()) == ("stopped", {"nginx"})
    assert site.ask("/", AS_BROWSER).headers["location"] == "/maintenance"
    assert site.ask("/maintenance", AS_BROWSER).status == 503
    site.configure(STOPPED_PAGE="off")
    assert site.status()["drift"] == ["nginx is running, but should be off in the state stopped."]
    site.run("apply", "stopped")
    assert (site.status()["state"], site.running()) == ("stopped", set())
    site.run("apply", "running")
    assert site.status()["state"] == "running"


def test_settings_that_changed_are_drift_and_come_into_effect(site: DemoSite) -> None:
    env = site.directory / ".env"
    original = env.read_text()
    old = site.secrets()
    env.write_text(original.replace(old["secret"], "a-new-secret-0123456789"))
    told = site.status()
    assert told["state"] == "drifted"
    assert "nginx still runs with old settings: .env or the stack has changed since." in told["drift"]
    site.run("apply", "running")
    assert site.status()["state"] == "running"
    site.run("apply", "restricted")
    assert site.ask("/api/items", {"X-Graasp-Maintenance": "a-new-secret-0123456789"}).status == 200
    assert site.ask("/api/items", {old["header"]: old["secret"]}).status == 503
    env.write_text(original)
    site.run("apply", "running")
    assert site.status()["state"] == "running"


def test_a_service_of_your_own_follows_the_states_by_its_label(site: DemoSite) -> None:
    """What writes to Graasp's database is off with core, though the administration stays on."""
    labels = {
        "search": {"org.graasp.group": "graasp"},
        "reports": {"org.graasp.group": "administration", "org.graasp.writes": "true"},
    }
    own = {
        name: {"image": "localhost/graasp-demo/redis:7", "init": True, "labels": told} for name, told in labels.items()
    }
    original = (site.directory / "compose.override.yaml").read_text()
    site.amend_override({"services": own})
    try:
        assert site.status()["state"] == "drifted"
        site.run("apply", "running")
        assert {"search", "reports"} <= site.running()
        site.run("apply", "db-only")
        assert not {"search", "reports"} & site.running()
        assert "umami" in site.running()
    finally:
        site.run("compose", "--", "rm", "--stop", "--force", "search", "reports")
        (site.directory / "compose.override.yaml").write_text(original)
    site.run("apply", "running")
    assert site.status()["state"] == "running"
