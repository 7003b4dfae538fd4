"""SIGKILL of graasp-local at the beginning of every step of a deployment, then one command: all data is there.

The steps come out of the plan itself, so that a new kind of step is killed too.
"""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator

import pytest

from graasp_local.migrations import Pending
from graasp_local.plan import DeployRequest, plan_deploy, plan_rollback
from graasp_local.states import InfraState
from graasp_local.steps import step_name
from graasp_local.version import Version
from tests.integration.demo_site import DemoSite
from tests.unit.sites import site_in

FORWARD = [
    step_name(step)
    for step in plan_deploy(
        site_in(InfraState.RUNNING), DeployRequest(Version(1, 1, 0)), Pending(("0002_item_lang",))
    ).steps
]
BACK = [
    step_name(step)
    for step in plan_rollback(
        site_in(InfraState.DB_ONLY), Version(1, 0, 0), "graasp_snapshot_x", InfraState.RUNNING
    ).steps
]
UNTOUCHED = ("preflight", "pull", "read-migrations")
OPENED = ("open-gate", "prove-open", "record")
CHECKSUM = "SELECT count(*), md5(string_agg(id::text || name || created_at, ',' ORDER BY id)) FROM item"


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    """Running 1.0.0 with a hundred items; every test leaves it like that."""
    site = DemoSite(tmp_path_factory.mktemp("kill") / "site")
    try:
        site.deploy("1.0.0")
        for number in range(100):
            site.create_item(f"item {number}")
        yield site
    finally:
        site.down()


def checksum(site: DemoSite) -> str:
    words = ("compose", "--", "exec", "-T", "db", "psql", "-U", "postgres", "-d", "graasp", "-Atc", CHECKSUM)
    return site.run(*words).stdout.strip()


def killed(site: DemoSite, at: str, *words: str) -> None:
    """Start a walk and kill its whole process group when a step begins, before or during its effect."""
    walk = site.start(*words, "--json")
    assert walk.stdout is not None
    for line in walk.stdout:
        event = json.loads(line)
        if event["event"] == "step-started" and event["name"] == at:
            os.killpg(walk.pid, signal.SIGKILL)
            break
    else:
        pytest.fail(f"the walk ended before {at}")
    walk.communicate(timeout=30)


def back_to_where_it_was(site: DemoSite, before: str) -> None:
    told = site.status()
    assert (told["state"], told["version"], told["unfinished"], told["drift"]) == ("running", "1.0.0", None, [])
    assert site.containers(one_offs=True) == {}
    assert checksum(site) == before


@pytest.mark.parametrize("step", [name for name in FORWARD if name not in (*UNTOUCHED, *OPENED)])
def test_a_deployment_killed_at_any_step_is_rolled_back_with_all_data(site: DemoSite, step: str) -> None:
    before = checksum(site)
    killed(site, step, "deploy", "--version", "1.1.0")
    told = site.status()
    assert told["next"] == ["graasp-local resume", "graasp-local rollback"]
    site.run("rollback")
    back_to_where_it_was(site, before)


@pytest.mark.parametrize("step", UNTOUCHED)
def test_a_deployment_killed_before_the_gate_closed_has_touched_nothing(site: DemoSite, step: str) -> None:
    before = checksum(site)
    killed(site, step, "deploy", "--version", "1.1.0")
    back_to_where_it_was(site, before)


@pytest.mark.parametrize("step", BACK)
def test_a_rollback_killed_at_any_step_is_done_by_the_next_one(site: DemoSite, step: str) -> None:
    before = checksum(site)
    site.deploy("1.3.0-wrong-version", "--on-failure", "hold", code=21)
    if step == "stop-graasp":
        pytest.fail("the plan of a rollback from db-only stops nothing")
    killed(site, step, "rollback")
    if site.status()["state"] != "running" or site.status()["unfinished"]:
        site.run("rollback" if site.status()["gate"] == "closed" else "resume")
    back_to_where_it_was(site, before)


def test_a_deployment_killed_at_each_step_in_turn_is_resumed_to_its_end(site: DemoSite) -> None:
    """One deployment, killed once at every step that can still be reached, resumed each time."""
    before = checksum(site)
    killed(site, "close-gate", "deploy", "--version", "1.1.0")
    for step in ("stop-graasp", "snapshot", "migrate"):
        killed(site, step, "resume")
    while (told := site.status())["version"] != "1.1.0" or told["state"] != "running" or told["unfinished"]:
        site.run("resume")
    assert checksum(site) == before
    assert len(site.item_names()) == 100
