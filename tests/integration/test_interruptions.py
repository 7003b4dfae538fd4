"""Two commands at once, ctrl-C, SIGTERM and SIGKILL: nothing is done twice, and the next command goes on."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from contextlib import closing

import pytest

from tests.integration.demo_site import DemoSite, wait_for

HANGING = ("deploy", "--version", "1.3.0-migration-hangs", "--json")


@pytest.fixture
def open_site(site: DemoSite) -> DemoSite:
    """The module's site, running 1.1.0 with one item."""
    if site.status()["version"] != "1.1.0" or site.status()["state"] != "running":
        site.deploy("1.1.0")
    if not site.item_names():
        site.create_item("kept")
    return site


def until_event(process: subprocess.Popen[str], kind: str, name: str | None = None) -> None:
    """Read JSON lines until there is such an event, of a step of this name."""
    assert process.stdout is not None
    for line in process.stdout:
        event = json.loads(line)
        if event["event"] == kind and event.get("name") == name:
            return
    pytest.fail(f"the operation ended before {kind} {name or ''}")


def until_step(process: subprocess.Popen[str], name: str) -> None:
    until_event(process, "step-started", name)


def rest_of(process: subprocess.Popen[str]) -> tuple[dict[str, object], str]:
    output, errors = process.communicate(timeout=120)
    lines = output.splitlines()
    return (json.loads(lines[-1]) if lines else {}), errors


def test_a_second_operation_is_refused_and_the_first_is_named(open_site: DemoSite) -> None:
    first = open_site.start(*HANGING)
    until_step(first, "migrate")
    second = open_site.deploy("1.2.0", code=11)
    assert (second["outcome"], second["exit_code"]) == ("refused", 11)
    assert "deploy --version 1.3.0-migration-hangs" in str(second["problem"])
    assert f"process {first.pid}" in str(second["problem"])
    for words in (("apply", "running"), ("rollback",)):
        assert "graasp-local deploy" in open_site.run(*words, code=11).stderr
    assert str(first.pid) in open_site.status()["operation"]
    os.killpg(first.pid, signal.SIGINT)
    ended, _ = rest_of(first)
    assert (ended["outcome"], first.returncode) == ("rolled-back", 130)
    assert open_site.item_names() == ["kept"]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_an_interruption_during_a_migration_ends_it_and_rolls_back(open_site: DemoSite, number: signal.Signals) -> None:
    operation = open_site.start(*HANGING)
    until_step(operation, "migrate")
    wait_for(open_site.migration_runs, "the migration runs")
    os.killpg(operation.pid, number)
    ended, errors = rest_of(operation)
    assert operation.returncode == 130
    assert "Stopping at the next safe point" in errors
    assert (ended["outcome"], ended["state"], ended["version"]) == ("rolled-back", "running", "1.1.0")
    assert open_site.containers(one_offs=True) == {}
    assert open_site.item_names() == ["kept"]


@pytest.mark.parametrize("step", ["stop-graasp", "start-graasp"])
def test_a_ctrl_c_while_docker_commands_run_is_an_interruption(open_site: DemoSite, step: str) -> None:
    target = "1.2.0" if open_site.status()["version"] == "1.1.0" else "1.1.0"
    operation = open_site.start("deploy", "--version", target, "--json")
    until_step(operation, step)
    os.killpg(operation.pid, signal.SIGINT)
    ended, _ = rest_of(operation)
    assert (operation.returncode, ended["outcome"]) == (130, "rolled-back")
    assert open_site.status()["state"] == "running"
    assert open_site.deploy(target)["outcome"] == "done"
    assert open_site.item_names() == ["kept"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_rollback_continues_when_the_terminal_hangs_up(open_site: DemoSite, number: signal.Signals) -> None:
    """ctrl-C, or the end of an ssh session, is heard by every process of the terminal."""
    before = open_site.status()["version"]
    operation = open_site.start("deploy", "--version", "1.3.0-migration-fails", "--json")
    until_event(operation, "rollback-started")
    until_step(operation, "start-graasp")
    os.killpg(operation.pid, number)
    ended, errors = rest_of(operation)
    assert "The rollback is running and will be finished." in errors
    assert (ended["outcome"], ended["state"], ended["version"]) == ("rolled-back", "running", before)
    assert operation.returncode == 20
    assert open_site.item_names() == ["kept"]


def test_a_second_ctrl_c_leaves_things_as_they_are(open_site: DemoSite) -> None:
    operation = open_site.start("deploy", "--version", "1.3.0-never-healthy", "--json")
    until_step(operation, "start-graasp")
    operation.send_signal(signal.SIGTERM)
    operation.send_signal(signal.SIGINT)
    _, errors = rest_of(operation)
    assert operation.returncode == 130
    assert "Left as it is" in errors
    assert open_site.status()["next"] == ["graasp-local resume", "graasp-local rollback"]
    open_site.run("rollback")
    assert (open_site.status()["version"], open_site.item_names()) == ("1.1.0", ["kept"])


@pytest.mark.parametrize("step", ["pull", "stop-graasp", "prove-migrations"])
def test_the_next_deployment_continues_after_a_kill(open_site: DemoSite, step: str) -> None:
    """While it is open, closed, and before anything of the new version runs; every step: tests/matrix."""
    target = "1.2.0" if open_site.status()["version"] == "1.1.0" else "1.1.0"
    operation = open_site.start("deploy", "--version", target, "--json")
    until_step(operation, step)
    nginx = open_site.containers()["nginx"]["State"]["StartedAt"]
    os.killpg(operation.pid, signal.SIGKILL)
    rest_of(operation)
    told = open_site.status()
    assert told["operation"] is None
    if step == "stop-graasp":  # how many have ended is the engine's to say
        assert told["state"] in ("drifted", "db-only")
        assert told["gate"] == "sealed"
    assert open_site.deploy(target)["outcome"] == "done"
    assert (open_site.status()["state"], open_site.item_names()) == ("running", ["kept"])
    assert open_site.containers()["nginx"]["State"]["StartedAt"] == nginx, "what was under way in nginx was cut off"
    killed = [json.loads(line) for line in open_site.run("history", "--json").stdout.splitlines()]
    assert killed[1]["outcome"] == "killed"


@pytest.mark.parametrize("step", ["make-services", "start-database"])
def test_a_first_deployment_is_resumed_after_a_kill(new_site: DemoSite, step: str) -> None:
    operation = new_site.start("deploy", "--version", "1.0.0", "--json")
    until_step(operation, step)
    os.killpg(operation.pid, signal.SIGKILL)
    rest_of(operation)
    new_site.run("resume")
    told = new_site.status()
    assert (told["state"], told["version"], new_site.item_names()) == ("running", "1.0.0", [])


def killed_during_a_migration(site: DemoSite, version: str) -> str:
    """Kill an operation with SIGKILL while its migration runs; returns the container that goes on without it."""
    operation = site.start("deploy", "--version", version, "--json")
    until_step(operation, "migrate")
    wait_for(site.migration_runs, "the migration runs")
    os.killpg(operation.pid, signal.SIGKILL)
    rest_of(operation)
    return str(site.containers(one_offs=True)["migrate"]["Name"]).lstrip("/")


def test_a_migration_that_outlived_its_operation_is_ended_by_a_rollback(open_site: DemoSite) -> None:
    name = killed_during_a_migration(open_site, "1.3.0-migration-hangs")
    told = open_site.status()
    assert (told["migrations"], told["next"]) == ([name], ["graasp-local resume", "graasp-local rollback"])
    assert name in open_site.run("apply", "stopped", code=10).stderr
    open_site.run("rollback")
    assert open_site.containers(one_offs=True) == {}
    assert (open_site.status()["state"], open_site.item_names()) == ("running", ["kept"])


def test_what_was_written_behind_the_gate_is_counted_and_kept_until_it_is_removed(new_site: DemoSite) -> None:
    """Killed before core was verified; someone had it started all the same, and a tester wrote with the bypass."""
    site = new_site
    site.deploy("1.0.0")
    operation = site.start("deploy", "--version", "1.1.0", "--json")
    until_step(operation, "start-graasp")
    os.killpg(operation.pid, signal.SIGKILL)
    operation.communicate(timeout=60)
    site.run("apply", "restricted")
    site.create_item("by a tester")
    with closing(site.engine()) as client:
        client.containers.get(site.containers()["nginx"]["Id"]).kill()
    operation = site.start("rollback", "--json")
    said, _ = operation.communicate(timeout=300)
    assert operation.returncode == 0, said
    events = [json.loads(line) for line in said.splitlines()]
    assert "prove-sealed" in [step["name"] for step in events[-1]["steps"]]
    told = [event["text"] for event in events if event["event"] == "step-output"]
    assert any(line.startswith("something may have been written since the snapshot (1 new row(s)") for line in told)
    kept = next(line.rpartition(" ")[2] for line in told if "is kept as" in line)
    assert site.item_names() == []
    assert site.deploy("1.1.0")["outcome"] == "done"
    assert site.database(kept, "SELECT name FROM item") == [("by a tester",)]
    assert kept in site.run("remove-old-database", "--discard", "old-database").stderr
    assert site.database("postgres", f"SELECT datname FROM pg_database WHERE datname = '{kept}'") == []
