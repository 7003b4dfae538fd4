"""What a killed graasp-local left under way: docker commands by their mark, containers that the engine is stopping."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from graasp_local.engine.compose.leftovers import MARK, being_stopped, wait_for_leftovers, wait_for_stops
from graasp_local.engine.reach.clock import ahead_by


@contextmanager
def docker_command(directory: Path, site: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is called docker and runs until its input ends."""
    program = directory / "docker"
    program.write_text("#!/bin/sh\necho begun\nread line\n")
    program.chmod(0o755)
    environment = {**os.environ, **({MARK: str(site)} if site else {})}
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with docker_command(tmp_path, tmp_path) as process:
        wait_for_leftovers(tmp_path, patience_seconds=0)
        assert process.poll() is not None


def test_one_that_ends_by_itself_is_left_to(tmp_path: Path) -> None:
    with docker_command(tmp_path, tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        wait_for_leftovers(tmp_path)
        assert process.wait() == 0


def test_those_of_other_sites_and_of_people_are_left_alone(tmp_path: Path) -> None:
    for site in (tmp_path / "another", None):
        with docker_command(tmp_path, site) as process:
            wait_for_leftovers(tmp_path, patience_seconds=0)
            assert process.poll() is None


def event(action: str, at: float, container: str = "core", **attributes: str) -> dict[str, object]:
    return {
        "Type": "container",
        "Action": action,
        "Actor": {"ID": container, "Attributes": attributes},
        "timeNano": int(at * 1e9),
    }


@pytest.mark.parametrize(
    ("events", "stopping"),
    [
        ([], set()),
        ([event("kill", 101, signal="15")], {"core"}),
        ([event("kill", 101, signal="3")], {"core"}),
        # A reload of nginx is one of these, too.
        ([event("kill", 101, signal="1")], set()),
        ([event("kill", 99, signal="15")], set()),
        ([event("kill", 101, signal="15"), event("die", 102), event("start", 103)], set()),
        ([event("start", 103), event("kill", 104, signal="15")], {"core"}),
        ([event("kill", 101, "another", signal="15")], set()),
        ([event("health_status: healthy", 101)], set()),
    ],
)
def test_a_container_is_being_stopped_from_its_signal_until_its_end(
    events: list[dict[str, object]], stopping: set[str]
) -> None:
    assert being_stopped(events, ["core", "workers"], since=100) == frozenset(stopping)


@pytest.mark.parametrize(("count", "oldest", "known"), [(256, 99.0, True), (253, 100.5, False), (20, 100.5, True)])
def test_an_engine_that_has_forgotten_some_of_it_does_not_know(count: int, oldest: float, known: bool) -> None:
    events = [event("exec_die", oldest + number / 1000) for number in range(count)]
    assert (being_stopped(events, ["core"], since=100) is not None) is known


def test_a_stop_is_waited_for_until_its_end() -> None:
    answers = [["core", "workers"], ["core", "workers"], ["core"]]
    wait_for_stops(lambda: [event("kill", 101, "workers", signal="15")], lambda: answers.pop(0), since=100)
    assert answers == []


@pytest.mark.parametrize("ahead", [-3600.0, 3600.0])
def test_a_stop_is_found_whatever_the_clock_of_the_engine_says(ahead: float) -> None:
    answers = [["core", "workers"], ["core", "workers"], ["core"]]
    stop = event("kill", 101 + ahead, "workers", signal="15")
    wait_for_stops(lambda: [stop], lambda: answers.pop(0), since=100, clock_ahead=ahead)
    assert answers == []


@pytest.mark.parametrize(
    ("stamp", "ahead"),
    [
        ("2026-11-30T12:00:00.5Z", 0.0),
        ("2026-11-30T13:00:00.500000001+01:00", 0.0),
        ("2026-11-30T12:59:30.5Z", 3570.0),
        ("2026-11-30T11:00:00.5Z", -3600.0),
        ("", 0.0),
    ],
)
def test_how_far_the_clock_of_the_engine_is_ahead(stamp: str, ahead: float) -> None:
    """It answers within a second of this machine's clock, which is at noon."""
    noon = datetime(2026, 11, 30, 12, tzinfo=UTC).timestamp()
    now = [noon, noon + 1]
    assert ahead_by(lambda: {"SystemTime": stamp}, lambda: now.pop(0)) == pytest.approx(ahead, abs=1e-3)
