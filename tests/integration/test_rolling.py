"""A new version takes over under visitors: none of their requests may meet anything but the app, whatever happens."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from graasp_local.engine.containers.services import HANDOVER_LABEL
from tests.integration.demo_site import Answer, DemoSite, wait_for
from tests.integration.test_interruptions import rest_of, until_step
from tests.integration.visitors import REQUESTS_A_SECOND, Visitors

pytestmark = pytest.mark.alone

ALLOWED = {"visitor": {"app"}, "slow": {"app"}, "bypass": {"app"}, "websocket": {"echo", "ended"}}


@contextmanager
def visited(site: DemoSite) -> Iterator[Visitors]:
    """Visitors who must be served at every moment; a websocket may end, if it can be opened again."""
    with Visitors(site.port, site.bypass()) as visitors:
        yield visitors
    for who, allowed in ALLOWED.items():
        assert set(visitors.count(who)) <= allowed, (who, visitors.count(who), visitors.report["details"])
    assert visitors.count("visitor")["app"] > REQUESTS_A_SECOND
    there = {item["id"] for item in site.ask("/api/items").json()}
    assert set(visitors.report["written"]) <= there


@pytest.fixture
def open_site(site: DemoSite) -> DemoSite:
    """The module's site, open with 1.1.0."""
    if site.status()["version"] != "1.1.0" or site.status()["state"] != "running":
        site.deploy("1.1.0")
    return site


def is_one_core_of(site: DemoSite, version: str) -> None:
    """There is one core, the plain service of this version, and nothing is left to do."""
    assert site.containers(one_offs=True).keys() <= {"migrate"}
    assert (site.status()["state"], site.status()["version"]) == ("running", version)
    assert site.ask("/api/version").json()["version"] == f"v{version}"
    found = site.containers()
    for name in ("core", "workers"):
        assert found[name]["Name"] == f"/{site.project}-{name}-1"
        assert found[name]["Config"]["Labels"]["org.graasp.version"] == version
        assert found[name]["HostConfig"]["RestartPolicy"]["Name"] == "unless-stopped"
    assert '"outcome": "nothing-to-do"' in site.run("apply", "running", "--json").stdout


def last_operation(site: DemoSite) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(site.run("history", "--json").stdout.splitlines()[0])
    return told


def test_a_version_with_nothing_to_migrate_takes_over_and_no_visitor_is_turned_away(open_site: DemoSite) -> None:
    told = json.loads(
        open_site.run("deploy", "--version", "1.2.0", "--strategy", "rolling", "--dry-run", "--json").stdout
    )
    assert told["estimated_downtime_seconds"] == 0
    assert not any(step["closed"] for step in told["plan"])
    with visited(open_site) as visitors:
        ended = open_site.deploy("1.2.0", "--strategy", "rolling", "--probe")
    assert (ended["outcome"], ended["downtime_seconds"]) == ("done", 0)
    assert last_operation(open_site)["downtime_seconds"] == 0
    assert visitors.count("websocket")["ended"] > 0
    is_one_core_of(open_site, "1.2.0")
    before = {name: found["Id"] for name, found in open_site.containers().items()}
    open_site.run("compose", "--", "up", "--detach", "--no-deps", "core", "workers")
    assert {name: found["Id"] for name, found in open_site.containers().items()} == before


@pytest.mark.parametrize("version", ["1.3.0-never-healthy", "1.3.0-wrong-version"])
def test_a_bad_version_serves_no_visitor_and_is_removed(open_site: DemoSite, version: str) -> None:
    core = open_site.containers()["core"]["Id"]
    with visited(open_site):
        ended = open_site.deploy(version, "--strategy", "rolling", code=20)
    assert (ended["outcome"], ended["downtime_seconds"]) == ("rolled-back", 0)
    assert open_site.containers()["core"]["Id"] == core
    is_one_core_of(open_site, "1.1.0")


def test_what_needs_a_migration_is_refused_and_named(open_site: DemoSite) -> None:
    before = open_site.containers()
    for version, pending in (("1.3.0-migration-fails", "0003_fails"), ("1.3.0-migration-hangs", "0003_hangs")):
        ended = open_site.deploy(version, "--strategy", "rolling", code=10)
        assert ended["outcome"] == "refused"
        assert pending in ended["problem"][0]
        assert "--strategy closed" in ended["problem"][2]
    open_site.run("apply", "restricted")
    ended = open_site.deploy("1.2.0", "--strategy", "rolling", code=10)
    assert "gate is closed" in ended["problem"][0]
    open_site.run("apply", "running")
    assert {name: found["Id"] for name, found in open_site.containers().items()} == {
        name: found["Id"] for name, found in before.items()
    }


def test_a_page_that_takes_longer_than_the_drain_limit_is_answered_by_the_core_that_serves_now(
    open_site: DemoSite,
) -> None:
    """One is asked of the old core, and one of the second core while that stands in."""
    answers: list[Answer] = []

    def ask() -> None:
        answers.append(open_site.ask("/api/slow?seconds=12"))

    asked = [threading.Thread(target=ask) for _ in range(2)]
    operation = open_site.start("deploy", "--version", "1.2.0", "--strategy", "rolling", "--drain-limit", "1", "--json")
    for step, thread in zip(("prove-handover", "prove-services"), asked, strict=True):
        until_step(operation, step)
        thread.start()
    until_step(operation, "drain-handover")
    ended, _ = rest_of(operation)
    for thread in asked:
        thread.join()
    assert ended["outcome"] == "done"
    assert [(answer.status, answer.json()) for answer in answers] == [(200, {"slept": 12.0})] * 2


KILLS = [
    ("lead-to-handover", ("apply", "running"), "1.1.0"),
    ("stop-graasp", ("rollback", "--yes"), "1.1.0"),
    ("lead-to-services", ("resume",), "1.2.0"),
]


@pytest.mark.parametrize(("step", "command", "version"), KILLS, ids=[f"{s}-{c[0]}" for s, c, _ in KILLS])
def test_killed_in_the_middle_the_next_command_ends_it_and_visitors_notice_neither(
    open_site: DemoSite, step: str, command: tuple[str, ...], version: str
) -> None:
    with visited(open_site):
        operation = open_site.start("deploy", "--version", "1.2.0", "--strategy", "rolling", "--json")
        until_step(operation, step)
        os.killpg(operation.pid, signal.SIGKILL)
        operation.communicate(timeout=60)
        left = open_site.status()
        assert HANDOVER_LABEL in open_site.containers(one_offs=True)["core"]["Config"]["Labels"]
        assert any("second core of 1.2.0" in sentence for sentence in left["drift"])
        assert len([service for service in left["services"] if service["service"] == "core"]) == 1
        assert left["unfinished"]
        assert left["next"][0] == "graasp-local resume"
        open_site.run(*command, "--json")
    is_one_core_of(open_site, version)


_HANG = """
import os, signal
for number in filter(str.isdigit, os.listdir("/proc")):
    if int(number) not in (1, os.getpid()) and b"workers.py" in open(f"/proc/{number}/cmdline", "rb").read():
        os.kill(int(number), signal.SIGSTOP)
"""


def is_asked_to_stop(site: DemoSite, service: str) -> bool:
    with closing(site.engine()) as client:
        now: Any = f"{time.time():.6f}"
        wanted = {"container": site.containers()[service]["Id"], "event": "kill"}
        return list(client.api.events(since=1, until=now, filters=wanted, decode=True)) != []


def test_what_the_engine_is_still_stopping_after_a_kill_is_waited_for(open_site: DemoSite) -> None:
    """The signal takes the command, but not what the command has asked the engine for."""
    open_site.run("compose", "--", "exec", "-T", "workers", "python3", "-c", _HANG)  # it ends when the engine kills it
    with visited(open_site):
        operation = open_site.start("deploy", "--version", "1.2.0", "--strategy", "rolling", "--json")
        until_step(operation, "stop-graasp")
        wait_for(lambda: is_asked_to_stop(open_site, "workers"), "the engine stops the workers")
        os.killpg(operation.pid, signal.SIGKILL)
        operation.communicate(timeout=60)
        assert "workers" in open_site.running()
        before = open_site.containers()["workers"]["State"]["StartedAt"]
        open_site.run("rollback", "--yes", "--json")
    # Taken for running, they would be off a moment later.
    assert open_site.containers()["workers"]["State"]["StartedAt"] != before
    is_one_core_of(open_site, "1.1.0")


def test_a_ctrl_c_while_both_cores_run_rolls_back_without_downtime(open_site: DemoSite) -> None:
    with visited(open_site):
        operation = open_site.start("deploy", "--version", "1.2.0", "--strategy", "rolling", "--json")
        until_step(operation, "drain-services")
        os.killpg(operation.pid, signal.SIGINT)
        ended, _ = rest_of(operation)
    assert (ended["outcome"], operation.returncode) == ("rolled-back", 130)
    is_one_core_of(open_site, "1.1.0")


def test_an_operation_behind_the_closed_gate_removes_a_second_core(open_site: DemoSite) -> None:
    operation = open_site.start("deploy", "--version", "1.2.0", "--strategy", "rolling", "--json")
    until_step(operation, "stop-graasp")
    os.killpg(operation.pid, signal.SIGKILL)
    operation.communicate(timeout=60)
    assert open_site.deploy("1.2.0")["outcome"] == "done"
    is_one_core_of(open_site, "1.2.0")
