"""Two UIs on one site: `c` in one, `z` in the other. What someone else does, and a refusal of theirs, is theirs."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from graasp_local.planning.states import Gate, InfraState
from graasp_local.tui.app import GraaspApp
from graasp_local.tui.screens.operation import OperationScreen
from graasp_local.tui.screens.plan import PlanScreen
from tests.tui.conftest import drive, screen_text, until
from tests.tui.fakes import FakeAccess, FakeSite

ELSEWHERE = """
import sys, threading
from pathlib import Path
from graasp_local.clock import InterruptionFlag
from graasp_local.operations.plans import shown_plan
from graasp_local.planning.requests import Deploy, Resume
from graasp_local.planning.states import InfraState
from graasp_local.tui.operation_run import OperationRun
from tests.tui.fakes import FakeAccess, FakeSite

is_first = sys.argv[2] == "deploy"
request = Deploy("1.1.0", no_backup=True) if is_first else Resume()
site = FakeSite().put_into(InfraState.RUNNING if is_first else InfraState.DB_ONLY)
site.held.clear()
access = FakeAccess(Path(sys.argv[1]), site, with_site=False)
world = access.world(access.site(), InterruptionFlag(), lambda _: None)

def told(record):
    if record["event"] == "step-started":
        print(record["name"], flush=True)

run = OperationRun(access, request, shown_plan(world, request), told)
thread = threading.Thread(target=run.run)
thread.start()
sys.stdin.readline()
site.held.set()
thread.join()
"""


@contextmanager
def elsewhere(directory: Path, what: str) -> Iterator[subprocess.Popen[str]]:
    """Another process that deploys, or resumes, as far as the migration; a line on its stdin lets it end."""
    process = subprocess.Popen(
        [sys.executable, "-c", ELSEWHERE, str(directory), what],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
    )
    assert process.stdout is not None
    try:
        assert any(line.strip() == "migrate" for line in process.stdout)
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.fixture
def access(tmp_path: Path) -> FakeAccess:
    """A site with a deployment of 1.1.0 that was killed in its migration."""
    access = FakeAccess(tmp_path / "school", FakeSite())
    with elsewhere(access.directory, "deploy"):
        pass
    access.fake.put_into(InfraState.DB_ONLY)
    return access


def told(app: GraaspApp) -> str:
    return " ".join(screen_text(app).split())


async def plan_a_rollback(pilot: Pilot[None], app: GraaspApp) -> None:
    await until(pilot, lambda: "graasp-local rollback" in screen_text(app))
    await pilot.press("z")
    await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
    await pilot.press("G")


@pytest.mark.parametrize("end", ["done", "killed"])
def test_a_resume_by_another_process_refuses_our_rollback(access: FakeAccess, end: str) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await plan_a_rollback(pilot, app)
        with elsewhere(access.directory, "resume") as other:
            await pilot.press("y")
            await until(pilot, lambda: "✗ Refused: nothing was changed." in screen_text(app))
            await until(pilot, lambda: app.is_operated_elsewhere and "w watch" in screen_text(app))
            head = screen_text(app).splitlines()[0]
            assert "graasp-local rollback" in head
            assert "started elsewhere" not in head
            assert "Another graasp-local command is running on this site" in told(app)
            assert "`graasp-local resume`" in told(app)

            await pilot.press("w")
            await until(pilot, lambda: "▶ Run migrations of 1.1.0" in screen_text(app))
            head = screen_text(app).splitlines()[0]
            assert "graasp-local resume" in head
            assert "started elsewhere" in head
            assert "Refused" not in screen_text(app)
            await pilot.press("x")
            assert isinstance(app.screen, OperationScreen), "what was started elsewhere is not interrupted from here"

            await pilot.press("escape", "escape")
            await until(pilot, lambda: "▶ graasp-local resume" in screen_text(app))
            for key in ("c", "z"):
                await pilot.press(key)
                assert not isinstance(app.screen, PlanScreen)
            assert any("An operation is running" in note.message for note in app._notifications)
            assert not app.operates_itself

            if end == "killed":
                other.kill()
            else:
                assert other.stdin is not None
                other.stdin.write("\n")
                other.stdin.flush()
            await until(pilot, lambda: not app.is_operated_elsewhere)
            await until(pilot, lambda: app.other_operation is not None and app.other_operation.outcome == end)
            await pilot.press("w")
            await until(pilot, lambda: ("✓ Done" if end == "done" else "✗ Killed") in screen_text(app))
            assert "started elsewhere" in screen_text(app).splitlines()[0]
        assert app.own_operation is not None
        assert app.own_operation.outcome == "refused"

    drive(access, steps)
    assert access.fake.done == []


def test_a_plan_that_another_operation_overtook_is_refused(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await plan_a_rollback(pilot, app)
        with elsewhere(access.directory, "resume") as other:
            other.communicate("\n")
        access.fake.put_into(InfraState.RUNNING, "1.1.0")
        await pilot.press("y")
        await until(pilot, lambda: "✗ Refused: nothing was changed." in screen_text(app))
        assert "graasp-local rollback" in screen_text(app).splitlines()[0]
        assert "started elsewhere" not in screen_text(app)
        assert app.own_operation is not None
        assert app.own_operation.outcome == "refused"

    drive(access, steps)
    assert access.fake.gate is Gate.OPEN
    assert access.fake.selected == "1.1.0"
