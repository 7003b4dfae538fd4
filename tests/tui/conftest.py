"""Helpers of the UI's tests: an app on a fake site, and pictures compared as text of an SVG.

A picture differs from its stored one: look at both (the new one is written next to it, as *.new.svg); if the new one is
right, `UPDATE_PICTURES=1 pytest tests/tui` stores it.
"""

from __future__ import annotations

import asyncio
import os
import re
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from graasp_local.tui.app import GraaspApp
from tests.tui.fakes import NOW, FakeAccess

GIVE_UP_SECONDS = 10.0
PICTURES = Path(__file__).parent / "pictures"
DEADLINE_SECONDS = 15.0


@pytest.fixture(autouse=True)
def still_time(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Wall-clock time stands still, no cursor blinks, nothing is remembered: so that pictures are always the same."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path_factory.mktemp("state")))
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setattr(Input, "_toggle_cursor", lambda _: None)
    monkeypatch.setenv("TERM", "xterm-256color")
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    monkeypatch.delenv("NO_COLOR", raising=False)


@pytest.fixture
def access(tmp_path: Path) -> FakeAccess:
    return FakeAccess(tmp_path / "school")


async def press(pilot: Pilot[None], keys: str) -> None:
    for key in keys.split():
        await pilot.press(key)
        await pilot.pause(0.1)


async def until(pilot: Pilot[None], condition: Callable[[], object]) -> None:
    """Let the app go on until something is so."""
    deadline = time.monotonic() + DEADLINE_SECONDS
    while not condition():
        assert time.monotonic() < deadline, "what was waited for did not come"
        await pilot.pause(0.01)
    await pilot.pause()


def drive(
    access: FakeAccess, steps: Callable[[Pilot[None], GraaspApp], Coroutine[Any, Any, None]], **how: Any
) -> GraaspApp:
    """Open the UI on a fake site, wait for its first look, and do the steps."""
    size = how.pop("size", (80, 24))
    app = GraaspApp(access, **how)

    async def run() -> None:
        async with app.run_test(size=size) as pilot:
            await until(pilot, lambda: app.view is not None or app.trouble is not None)
            await pilot.pause(0.2)
            await steps(pilot, app)

    asyncio.run(run())
    return app


def screen_text(app: GraaspApp) -> str:
    """What is on the screen, as text."""
    lines = app.screen._compositor.render_strips()
    return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in lines)


async def settled(pilot: Pilot[None], app: GraaspApp, name: str) -> None:
    """Give a slow machine time to draw what is still to be drawn; comparing is what judges it."""
    stored = PICTURES / f"{name}.svg"
    deadline = time.monotonic() + GIVE_UP_SECONDS
    if os.environ.get("UPDATE_PICTURES"):
        await _same_for_a_while(pilot, app, name, deadline)
        return
    while stored.exists() and stored.read_text() != picture_of(app, name) and time.monotonic() < deadline:
        await pilot.pause(0.1)


async def _same_for_a_while(pilot: Pilot[None], app: GraaspApp, name: str, deadline: float) -> None:
    """There is nothing to compare a new picture with, so it counts once nothing changes on it any more."""
    before, same = "", 0
    while same < 6 and time.monotonic() < deadline:
        now = picture_of(app, name)
        before, same = now, same + 1 if now == before else 0
        await pilot.pause(0.1)


def compare_picture(app: GraaspApp, name: str) -> None:
    """The screen against its stored picture."""
    drawn = picture_of(app, name)
    stored = PICTURES / f"{name}.svg"
    if os.environ.get("UPDATE_PICTURES") or not stored.exists():
        PICTURES.mkdir(exist_ok=True)
        stored.write_text(drawn)
        if not os.environ.get("UPDATE_PICTURES"):
            pytest.fail(f"There was no picture {name}: look at {stored}.")
        return
    new = PICTURES / f"{name}.new.svg"
    if stored.read_text() != drawn:
        new.write_text(drawn)
        pytest.fail(f"The screen is not as in {stored.name}: look at {new}.")
    new.unlink(missing_ok=True)


def picture_of(app: GraaspApp, title: str) -> str:
    """The screen as an SVG that is the same whenever the screen is, and that loads nothing from elsewhere."""
    svg = app.export_screenshot(title=title)
    # The names of classes are made from a checksum that changes with the smallest thing.
    svg = re.sub(r"terminal-\d+", "terminal", svg)
    return re.sub(r"\s*@font-face \{.*?\}", "", svg, flags=re.DOTALL).replace("Fira Code, monospace", "monospace")
