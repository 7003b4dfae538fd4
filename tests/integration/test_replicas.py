"""Several cores on one machine: counted, spread over, proven one by one, and missed by no visitor when one dies."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any

import pytest

from graasp_local.cli.context import Context
from graasp_local.clock import InterruptionFlag
from graasp_local.engine.containers.of_project import PROJECT_LABEL
from graasp_local.engine.containers.services import HANDOVER_LABEL, SERVICE_LABEL, number_of
from tests.integration.demo_site import DemoSite
from tests.integration.visitors import REQUESTS_A_SECOND, Visitors

pytestmark = pytest.mark.alone


@pytest.fixture
def two_cores(site: DemoSite) -> DemoSite:
    """The module's site, open, with two cores of 1.1.0."""
    if site.status()["version"] == "1.0.0":
        site.configure(CORE_REPLICAS="2")
        site.deploy("1.1.0")
    if counted(site, "core") != (2, 2) or site.status()["state"] != "running":
        site.configure(CORE_REPLICAS="2")
        site.run("apply", "running")
    return site


def cores(site: DemoSite) -> dict[int, dict[str, Any]]:
    """What the engine itself lists, by Compose's number."""
    with closing(site.engine()) as client:
        found = client.api.containers(all=True, filters={"label": f"{PROJECT_LABEL}={site.project}"})
    assert not any(HANDOVER_LABEL in c["Labels"] for c in found)
    return {number_of(c): c for c in found if c["Labels"][SERVICE_LABEL] == "core"}


def counted(site: DemoSite, name: str) -> tuple[int, int]:
    """How many are on, and how many are wanted."""
    told = next(service for service in site.status()["services"] if service["service"] == name)["replicas"]
    return told["healthy"], told["wanted"]


@contextmanager
def visited(site: DemoSite, *, writes: bool = True) -> Iterator[Visitors]:
    """Visitors of whom none may meet anything but the app; a websocket may end, if it can be opened again."""
    with Visitors(site.port, site.bypass(), writes=writes) as visitors:
        yield visitors
    for who in ("visitor", "slow", "bypass"):
        assert set(visitors.count(who)) == {"app"}, (who, visitors.count(who), visitors.report["details"])
    assert set(visitors.count("websocket")) <= {"echo", "ended"}
    assert visitors.count("visitor")["app"] > REQUESTS_A_SECOND
    there = {item["id"] for item in site.ask("/api/items").json()}
    assert set(visitors.report["written"]) <= there


def received(site: DemoSite) -> dict[int, int]:
    """Bytes that each core has received since it was started."""
    with closing(site.engine()) as client:
        stats = {n: client.api.stats(c["Id"], stream=False, one_shot=True) for n, c in cores(site).items()}
    return {n: sum(each["rx_bytes"] for each in said["networks"].values()) for n, said in stats.items()}


def test_a_second_core_is_added_and_a_deployment_recreates_both(site: DemoSite) -> None:
    first = cores(site)[1]["Id"]
    with visited(site):
        site.run("scale", "core=2")
    assert counted(site, "core") == (2, 2)
    assert cores(site)[1]["Id"] == first
    assert site.deploy("1.1.0")["outcome"] == "done"
    assert counted(site, "core") == (2, 2)
    assert {c["Labels"]["org.graasp.version"] for c in cores(site).values()} == {"1.1.0"}


def test_one_of_two_cores_is_killed_under_load_and_no_request_is_broken(two_cores: DemoSite) -> None:
    site, before = two_cores, received(two_cores)
    with visited(site, writes=False), closing(site.engine()) as client:
        time.sleep(3)
        after = received(site)
        grown = [after[number] - before[number] for number in (1, 2)]
        # Both are asked: it is drawn by lot for each request.
        assert min(grown) > 0.2 * sum(grown), grown
        client.api.kill(cores(site)[1]["Id"])
        time.sleep(4)
    told = site.status()
    core = next(service for service in told["services"] if service["service"] == "core")
    assert core["replicas"] == {"wanted": 2, "healthy": 1, "unwell": ["core-1 is stopped"]}
    assert told["state"] == "drifted"
    assert told["drift"] == ["core is running 1 of 2 replicas (core-1 is stopped)."]
    assert "1/2" in site.run("status").stdout
    kept = cores(site)[2]["Id"]
    with visited(site):
        site.run("apply", "running")
    assert counted(site, "core") == (2, 2)
    assert cores(site)[2]["Id"] == kept


def test_each_core_is_asked_by_itself(two_cores: DemoSite) -> None:
    handovers = Context(two_cores.directory).world(InterruptionFlag()).handovers
    said = handovers.replicas_of_core()
    assert {name: answer and answer.version for name, answer in said.items()} == {"core-1": "1.1.0", "core-2": "1.1.0"}
    with closing(two_cores.engine()) as client:
        second = cores(two_cores)[2]["Id"]
        client.api.stop(second)
        try:
            said = handovers.replicas_of_core()
        finally:
            client.api.start(second)
    assert {name: answer and answer.version for name, answer in said.items()} == {"core-1": "1.1.0", "core-2": None}
    two_cores.run("apply", "running")


def test_more_and_fewer_cores_while_visitors_are_served(two_cores: DemoSite) -> None:
    site, before = two_cores, cores(two_cores)
    with visited(site):
        site.run("scale", "core=3")
        assert counted(site, "core") == (3, 3)
        assert {number: cores(site)[number]["Id"] for number in before} == {n: c["Id"] for n, c in before.items()}
        ended = json.loads(site.run("scale", "core=1", "--json").stdout.splitlines()[-1])
        assert (ended["outcome"], ended["state"]) == ("done", "running")
    assert site.setting("CORE_REPLICAS") == "1"
    assert list(cores(site)) == [1]
    assert cores(site)[1]["Id"] == before[1]["Id"]
    assert site.status()["state"] == "running"
    assert '"outcome": "nothing-to-do"' in site.run("apply", "running", "--json").stdout


def test_visitors_wait_for_the_first_core_only_and_what_was_killed_then_is_finished_under_them(
    two_cores: DemoSite,
) -> None:
    site = two_cores
    process = site.start("deploy", "--version", "1.2.0", "--json")
    assert process.stdout is not None
    for line in process.stdout:
        if '"event": "step-started"' in line and '"name": "start-replicas"' in line:
            process.kill()
            break
    process.wait()
    with visited(site):
        assert site.status()["gate"] == "open"
        steps = [step["name"] for step in json.loads(site.run("resume", "--json").stdout.splitlines()[-1])["steps"]]
    assert steps in (["start-graasp", "verify-core", "record"], ["record"])
    assert counted(site, "core") == (2, 2)
    assert {c["Labels"]["org.graasp.version"] for c in cores(site).values()} == {"1.2.0"}
    site.run("rollback", "--discard", "written-since")
    assert (site.status()["version"], counted(site, "core")) == ("1.1.0", (2, 2))


def test_a_first_core_that_never_answers_is_rolled_back_to_both_old_ones(two_cores: DemoSite) -> None:
    site = two_cores
    assert site.deploy("1.3.0-never-healthy", code=20)["outcome"] == "rolled-back"
    assert (site.status()["version"], counted(site, "core")) == ("1.1.0", (2, 2))


def test_a_version_takes_over_under_visitors_and_the_states_count_both_cores(two_cores: DemoSite) -> None:
    site = two_cores
    with visited(site):
        ended = site.deploy("1.2.0", "--strategy", "rolling")
    assert (ended["outcome"], ended["downtime_seconds"]) == ("done", 0)
    assert counted(site, "core") == (2, 2)
    assert {c["Labels"]["org.graasp.version"] for c in cores(site).values()} == {"1.2.0"}
    site.run("apply", "db-only")
    assert {c["State"] for c in cores(site).values()} == {"exited"}
    assert site.status()["state"] == "db-only"
    site.run("scale", "core=1")
    assert site.setting("CORE_REPLICAS") == "1"
    site.run("apply", "running")
    assert counted(site, "core") == (1, 1)
    assert len(cores(site)) == 1


@pytest.mark.parametrize("number", ["0", "17", "two", ""])
def test_an_impossible_number_of_containers_is_refused(site: DemoSite, number: str) -> None:
    before = (site.directory / ".env").read_text()
    said = site.run("scale", f"core={number}", code=2).stderr
    assert "should be a number from 1 to 16" in said
    assert (site.directory / ".env").read_text() == before


def test_more_than_the_machine_has_memory_for_is_refused_with_the_arithmetic(site: DemoSite) -> None:
    before = (site.directory / ".env").read_text()
    override = site.directory / "compose.override.yaml"
    kept = override.read_text()
    override.write_text(kept.replace("  core:\n", "  core:\n    mem_limit: 200g\n", 1))
    try:
        said = site.run("scale", "core=3", code=10).stderr
        assert (
            "3 containers of core (limit 200.0 GiB each) and 1 container of workers (limit 1.0 GiB) may use 601.0"
            in said
        )
        assert (site.directory / ".env").read_text() == before
        site.configure(CORE_REPLICAS="3")
        assert "601.0 GiB" in site.run("config", "check").stdout
        assert "601.0 GiB" in site.run("deploy", "--version", "1.2.0", code=10).stderr
    finally:
        override.write_text(kept)
        (site.directory / ".env").write_text(before)
