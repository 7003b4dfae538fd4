"""Whether what is on the screen can be told apart: contrast as WCAG 2.2 reckons it, and a cursor without colors."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from textual.color import Color
from textual.pilot import Pilot
from textual.theme import Theme

from graasp_local.tui.app import GraaspApp
from graasp_local.tui.theme import DARK, LIGHT
from graasp_local.tui.widgets.rows import Rows
from tests.tui.conftest import drive, until
from tests.tui.fakes import FakeAccess
from tests.tui.test_pictures import write_journal

TEXT, SIGN = 4.5, 3.0
MARKS = ("\u276f", "\u203a")
"""In the first column: of a list that has the focus, and of one that has not."""
TEXTS = ("foreground", "quiet", "success", "warning", "error", "accent")
GROUNDS = ("background", "surface", "panel")


def luminance(color: Color) -> float:
    def linear(part: int) -> float:
        share = part / 255
        return share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4

    red, green, blue = (linear(part) for part in color.rgb)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: Color, other: Color) -> float:
    low, high = sorted((luminance(one), luminance(other)))
    return (high + 0.05) / (low + 0.05)


def color(theme: Theme, name: str) -> Color:
    found = theme.variables.get(name) or getattr(theme, name)
    return Color.parse(found)


def test_black_on_white_is_what_wcag_says_it_is() -> None:
    assert contrast(Color(0, 0, 0), Color(255, 255, 255)) == pytest.approx(21)
    assert contrast(Color.parse("#777777"), Color(255, 255, 255)) == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
@pytest.mark.parametrize("ground", GROUNDS)
@pytest.mark.parametrize("text", TEXTS)
def test_every_text_can_be_read_on_every_ground(theme: Theme, text: str, ground: str) -> None:
    assert contrast(color(theme, text), color(theme, ground)) >= TEXT


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
@pytest.mark.parametrize("ground", ["accent", "error", "warning"])
def test_text_on_what_is_filled_can_be_read(theme: Theme, ground: str) -> None:
    assert contrast(color(theme, "here-text"), color(theme, ground)) >= TEXT


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_the_cursor_stands_out_in_every_list(theme: Theme, tmp_path: Path) -> None:
    """By the sheet of styles as it is applied: the mark on the ground of its own row, and next to the other rows."""
    app = GraaspApp(FakeAccess(tmp_path / "school"))

    async def look() -> None:
        async with app.run_test(size=(80, 24)) as pilot:
            await until(pilot, lambda: app.view is not None)
            app.theme = theme.name
            await pilot.press("tab", "1", "j")
            for key in ("escape", "d"):
                await pilot.press(key)
                await pilot.pause(0.3)
                rows = app.screen.query_one(Rows)
                marks = [
                    (Color.from_rich_color(segment.style.color), Color.from_rich_color(segment.style.bgcolor))
                    for y in range(rows.size.height)
                    for segment in rows.render_line(y)
                    if segment.text in MARKS and segment.style
                ]
                assert len(marks) == 1
                ((mark, ground),) = marks
                for name in (ground, *(color(theme, name) for name in GROUNDS)):
                    assert contrast(mark, name) >= SIGN

    asyncio.run(look())


@pytest.mark.parametrize("keys", ["", "h", "d", "s"])
def test_the_cursor_is_visible_without_color(keys: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR leaves shades of grey, a terminal with sixteen colors makes black of all dark grounds."""
    monkeypatch.setenv("NO_COLOR", "1")
    access = FakeAccess(tmp_path / "school")
    write_journal(access, "done", "step-ended")

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await pilot.press(*keys)
        await pilot.pause(0.4)
        rows = app.screen.query_one(Rows)
        drawn = [rows.render_line(y).text for y in range(rows.size.height)]
        assert [line for line in drawn if line.startswith(MARKS)] == [line for line in drawn if line[0] != " "]
        assert len([line for line in drawn if line.startswith(MARKS)]) == 1

    drive(access, steps)
