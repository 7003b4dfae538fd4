"""Every key that help, documentation or the foot of a screen names is pressed here, and does what is said of it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.app import App
from textual.command import CommandPalette
from textual.pilot import Pilot
from textual.screen import Screen
from textual.widgets import Input

from graasp_local.planning.states import InfraState
from graasp_local.tui.app import GraaspApp
from graasp_local.tui.drawing.help import IN_A_LOG, MOVING
from graasp_local.tui.messages import UsageRead
from graasp_local.tui.screens.bypass import BypassScreen
from graasp_local.tui.screens.confirm import Confirm
from graasp_local.tui.screens.dashboard import Dashboard
from graasp_local.tui.screens.help import HelpScreen
from graasp_local.tui.screens.history import HistoryScreen
from graasp_local.tui.screens.leave import LeaveScreen
from graasp_local.tui.screens.logs import LogsScreen
from graasp_local.tui.screens.operation import OperationScreen
from graasp_local.tui.screens.page import PageScreen
from graasp_local.tui.screens.plan import PlanScreen
from graasp_local.tui.screens.sites import SitesScreen
from graasp_local.tui.screens.state import StateScreen
from graasp_local.tui.screens.step import StepScreen
from graasp_local.tui.screens.versions import VersionsScreen
from graasp_local.tui.terminal import Terminal
from graasp_local.tui.theme import DARK, LIGHT
from graasp_local.tui.verbs_done import Verbs
from graasp_local.tui.widgets.logs import LogView
from graasp_local.tui.widgets.rows import Rows
from graasp_local.verbs import TABLE
from tests.tui.conftest import drive, screen_text, until
from tests.tui.fakes import FakeAccess, FakeSite, readings
from tests.tui.test_pictures import write_journal

ROOT = Path(__file__).resolve().parent.parent.parent
Press = Callable[..., Awaitable[None]]
PRESSED = {
    "dashboard": "u p s d v h l b m o e r t ? q : ^p j k ↑ ↓ g G tab 1 2 enter esc i w c z R D S < >",
    "log": "/ space f a y ← → T w n N & [ ]",
    "plan": "y a n ctrl-d ctrl-u PageUp PageDown",
    "operation": "x enter",
    "boxes": "^t ^y c h o s g x y n",
}


def named_keys() -> set[str]:
    """As help, documentation and feet write them."""
    entries = {key for keys, _ in (*MOVING, *IN_A_LOG) for key in keys.split()}
    table = (ROOT / "docs" / "reference.md").read_text().partition("#### Keys")[2].partition("\n## ")[0]
    rows = [row.split("|")[1] for row in table.splitlines() if row.startswith("| ") and "`" in row.split("|")[1]]
    documented = {key for row in rows for key in re.findall(r"`([^`]+)`", row)}
    verbs = {{"question_mark": "?"}.get(row.key, row.key) for row in TABLE if row.key}
    source = "".join(file.read_text() for file in (ROOT / "graasp_local" / "tui").rglob("*.py"))
    feet = set(re.findall(r'\("([^"]{1,5})", "[A-Z][^"]*", "(?:screen|app)\.', source))
    return entries | documented | verbs | feet


def test_no_key_is_named_that_is_not_pressed_here() -> None:
    assert {key for keys in PRESSED.values() for key in keys.split()} >= named_keys()


def presser(pilot: Pilot[None], app: GraaspApp) -> Callable[[str, Callable[[], object]], Awaitable[None]]:
    async def press_until(keys: str, condition: Callable[[], object]) -> None:
        for key in keys.split():
            await pilot.press(key)
            await pilot.pause(0.05)
        try:
            await until(pilot, condition)
        except AssertionError:
            raise AssertionError(f"{keys} did not do what is said of it:\n{screen_text(app)}") from None

    return press_until


def is_on(app: GraaspApp, screen: type[Screen[Any]]) -> bool:
    return isinstance(app.screen, screen)


def is_printed(app: GraaspApp, text: str) -> bool:
    return text in screen_text(app)


def is_marked(rows: Rows, key: str) -> bool:
    return rows.cursor_key == key


@pytest.fixture
def access(tmp_path: Path) -> FakeAccess:
    site = FakeSite().put_into(InfraState.RUNNING)
    site.logs["db"] = [f"line {number} " + "x" * 200 for number in range(100)]
    return FakeAccess(tmp_path / "school", site)


def test_the_keys_of_the_dashboard(access: FakeAccess, monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[str] = []
    left: list[bool] = []
    monkeypatch.setattr(Verbs, "open_address", lambda verbs, address: opened.append(address))
    monkeypatch.setattr(Verbs, "_open_shell", lambda verbs, service: opened.append(service))
    monkeypatch.setattr(App, "exit", lambda app, *_, **__: left.append(True))

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        press = presser(pilot, app)
        screens: dict[str, type[Screen[Any]]] = {
            "p": StateScreen,
            "s": StateScreen,
            "d": VersionsScreen,
            "v": VersionsScreen,
            "h": HistoryScreen,
            "l": LogsScreen,
            "b": BypassScreen,
            "m": PageScreen,
            "question_mark": HelpScreen,
            "enter": LogsScreen,
            "colon": CommandPalette,
            "ctrl+p": CommandPalette,
            "r": Confirm,
            "c": PlanScreen,
            "z": PlanScreen,
            "S": SitesScreen,
        }
        for key, screen in screens.items():
            await press(key, partial(is_on, app, screen))
            await press("escape", lambda: isinstance(app.screen, Dashboard))
        await press("R", lambda: "Restore a backup" in screen_text(app))
        await press("escape", lambda: isinstance(app.screen, Dashboard))
        rows = app.screen.query_one("#services", Rows)
        for keys, service in (
            ("j", "umami"),
            ("k", "db"),
            ("down", "umami"),
            ("up", "db"),
            ("G", "nginx"),
            ("g", "db"),
        ):
            await press(keys, partial(is_marked, rows, service))
        await press("slash c o r e escape", lambda: rows.has_focus and rows.cursor_key is not None)
        await press("less_than_sign", lambda: app.remembered.wider == -2)
        await press("greater_than_sign", lambda: app.remembered.wider == 0)
        await press("g", partial(is_marked, rows, "db"))
        logs = app.screen.query_one("#logs")
        await press("tab", lambda: logs.has_focus)
        await press("1", lambda: rows.has_focus)
        await press("2", lambda: logs.has_focus)
        await press("1 t", lambda: app.theme == LIGHT.name)
        await press("t", lambda: app.theme == DARK.name)
        await press("o", lambda: access.site().settings.public_url in opened)
        await press("e", lambda: "db" in opened)
        said = [note.message for note in app._notifications]
        await press("u", lambda: any("Refreshed" in note.message for note in app._notifications))
        await press("w", lambda: any("is running" in note.message for note in app._notifications))
        await press("i", lambda: any("never overwrites" in note.message for note in app._notifications))
        assert not any("Refreshed" in message for message in said)
        await press("q", lambda: left)

    drive(access, steps, terminal=Terminal(0, 2), size=(140, 40))


def test_the_keys_of_a_log(access: FakeAccess, monkeypatch: pytest.MonkeyPatch) -> None:
    copied: list[str] = []
    monkeypatch.setattr(GraaspApp, "copy_to_clipboard", lambda app, text: copied.append(text))

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        press = presser(pilot, app)
        await press("l", lambda: isinstance(app.screen, LogsScreen))
        logs = app.screen.query_one(LogView)
        await until(pilot, lambda: len(logs.model.shown) == 100)
        await press("slash 9 9 enter", lambda: len(logs.model.shown) == 1)
        await press("ampersand", lambda: len(logs.model.shown) == 100)
        await press("g n", lambda: logs.found == 99)
        await press("slash escape", lambda: len(logs.model.shown) == 100)
        await press("slash 9 enter ampersand g n", lambda: logs.found == 9)
        await press("n", lambda: logs.found == 19)
        await press("N", lambda: logs.found == 9)
        assert "❯" in next(line for line in screen_text(app).splitlines() if "line 9 " in line)  # noqa: RUF001
        await press("slash escape G T", lambda: "00:00:00 " in screen_text(app))
        await press("T", lambda: "00:00:00 " not in screen_text(app))
        await press("w", lambda: screen_text(app).count("x" * 60) > screen_text(app).count("line"))
        assert "line 99" in screen_text(app)
        await press("w", lambda: "line 90" in screen_text(app))
        for shown in ("last 1 min", "last 5 min", "last 1 h", "everything"):
            await press("right_square_bracket", partial(is_printed, app, shown))
        await press("left_square_bracket", lambda: "last 1 h" in screen_text(app))
        await until(pilot, lambda: len(logs.model.shown) == 100)
        await press("space", lambda: logs.model.paused)
        await press("space g", lambda: not logs.model.paused and not logs.following)
        await press("f", lambda: logs.following)
        await press("right", lambda: "line 99" not in screen_text(app))
        await press("left", lambda: "line 99" in screen_text(app))
        await press("y", lambda: copied and "line 99" in copied[-1])
        await press("a", lambda: "all services" in screen_text(app))
        await press("escape", lambda: isinstance(app.screen, Dashboard))

    drive(access, steps)


def test_the_keys_of_a_plan_of_what_is_under_way_and_of_the_boxes(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    copied: list[str] = []
    opened: list[str] = []
    monkeypatch.setattr(GraaspApp, "copy_to_clipboard", lambda app, text: copied.append(text))
    monkeypatch.setattr(Verbs, "open_address", lambda verbs, address: opened.append(address))
    access.fake.held.clear()
    write_journal(access, "done", "step-ended")

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        press = presser(pilot, app)
        await press("b h", lambda: any("Secret" in text or ":" in text for text in copied))
        await press("c", lambda: copied[-1].startswith("http"))
        await press("escape m o", lambda: opened and opened[-1].startswith("file:"))
        await press("escape colon d o c t o r enter", lambda: app.screen.query("InTerminalScreen Input"))
        await press("ctrl+y", lambda: copied[-1] == "graasp-local doctor")
        await press("escape d ctrl+t", lambda: "Hold behind the gate: yes" in screen_text(app))
        await press("ctrl+t 1 . 1 enter", lambda: "Go ahead" in screen_text(app))
        rows = app.screen.query_one(Rows)
        for down, up in (("ctrl+d", "ctrl+u"), ("pagedown", "pageup"), ("j", "k"), ("G", "g")):
            await press(down, lambda: rows.scroll_y > 0)
            await press(up, lambda: rows.scroll_y == 0)
        await press("n", lambda: isinstance(app.screen, Dashboard))
        await press("d 1 . 1 enter", lambda: "Go ahead" in screen_text(app))
        await press("G y", lambda: isinstance(app.screen, OperationScreen) and "applying" in screen_text(app))
        await press("enter", lambda: isinstance(app.screen, StepScreen))
        await press("escape q", lambda: isinstance(app.screen, LeaveScreen))
        await press("s", lambda: isinstance(app.screen, OperationScreen))
        await press("x", lambda: isinstance(app.screen, Confirm))
        await press("n", lambda: isinstance(app.screen, OperationScreen))
        await press("x y", lambda: app.operation is not None and app.operation.is_over)
        await press("h", lambda: isinstance(app.screen, HistoryScreen))
        await press("enter", lambda: isinstance(app.screen, OperationScreen))

    drive(access, steps)


@pytest.mark.parametrize(("key", "goes_on"), [("g", True), ("x", False)])
def test_the_ways_to_leave_an_operation_that_is_under_way(access: FakeAccess, key: str, goes_on: bool) -> None:
    access.fake.held.clear()

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        press = presser(pilot, app)
        await press("d 1 . 1 enter", lambda: "Go ahead" in screen_text(app))
        await press("G y", lambda: "applying" in screen_text(app))
        await press("q", lambda: isinstance(app.screen, LeaveScreen))
        await pilot.press(key)

    app = drive(access, steps)
    assert app.operation_run is not None
    assert app.operation_run.goes_on_without_ui is goes_on
    access.fake.held.set()
    app.operation_run.end_soon()
    assert app.operation_run.ended.wait(60)


def test_another_way_to_deploy_is_planned_by_its_key(access: FakeAccess, monkeypatch: pytest.MonkeyPatch) -> None:
    from tests.tui.fakes import MIGRATIONS

    monkeypatch.setitem(MIGRATIONS, "1.0.1", MIGRATIONS["1.0.0"])

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        press = presser(pilot, app)
        await press("d 1 . 0 . 1 enter", lambda: "Without closing the site" in screen_text(app))
        await press("a", lambda: "without closing the site" in screen_text(app))

    drive(access, steps)


def test_a_refusal_returns_to_the_list_with_what_was_typed(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        press = presser(pilot, app)
        await press("d 9 . 9 . 9", lambda: "deploy exactly 9.9.9" in screen_text(app))
        await press("enter", lambda: "✗ Refused" in screen_text(app))
        await press("escape", lambda: isinstance(app.screen, VersionsScreen))
        assert app.screen.query_one(Input).value == "9.9.9"
        await press("escape", lambda: isinstance(app.screen, Dashboard))

    drive(access, steps)


def test_enter_takes_the_version_that_is_marked_whatever_was_typed(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        press = presser(pilot, app)
        await press("d", lambda: "running now" in screen_text(app))
        rows = app.screen.query_one(Rows)
        assert rows.cursor_key == "1.0.0"
        await press("1", lambda: rows.cursor_key == "1.2.0-fails")
        await press(". 0", lambda: rows.cursor_key == "1.1.0")
        await press("down", lambda: rows.cursor_key == "1.0.0")
        await press("up enter", lambda: isinstance(app.screen, PlanScreen))
        assert "Deploy 1.1.0" in screen_text(app)
        await press("escape d x y", lambda: "xy" in screen_text(app))
        await press("enter", lambda: "“xy” is not a version" in screen_text(app))
        assert isinstance(app.screen, VersionsScreen)

    drive(access, steps)


def test_the_signs_are_explained_where_the_keys_are(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        press = presser(pilot, app)
        await press("question_mark", lambda: "undo the last deployment" in screen_text(app))
        await press("G", lambda: "closed during these steps" in screen_text(app))
        assert "interrupt the operation" in screen_text(app)
        await press("g", lambda: "undo the last deployment" in screen_text(app))
        await press("escape", lambda: isinstance(app.screen, Dashboard))

    drive(access, steps)


def test_rollback_and_restore_are_in_the_footer(access: FakeAccess) -> None:
    write_journal(access, "done", "step-ended")

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: "z Roll back" in screen_text(app).splitlines()[-1])
        assert "R Restore" in screen_text(app).splitlines()[-1]

    drive(access, steps, size=(160, 40))


def test_a_first_deployment_cannot_be_undone(access: FakeAccess) -> None:
    write_journal(access, "done", "step-ended", previous_version="")

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: "R Restore" in screen_text(app).splitlines()[-1])
        assert "z Roll back" not in screen_text(app)

    drive(access, steps, size=(160, 40))


def test_the_history_is_filtered_and_the_marked_one_is_described_next_to_it(access: FakeAccess) -> None:
    write_journal(access, "rolled-back", "step-ended")

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        press = presser(pilot, app)
        await press("s j enter", lambda: "Go ahead" in screen_text(app))
        await press("y", lambda: app.operation is not None and app.operation.is_over)
        await press("escape h", lambda: "✗ Run migrations" in screen_text(app) or "Timeline" in screen_text(app))
        rows = app.screen.query_one("#operations", Rows)
        assert len(rows._table.rows) == 2
        await press("slash r o l l e d", lambda: len(rows._table.rows) == 1)
        await press("down", lambda: "✗ Run migrations" in screen_text(app))
        assert "The migration to 1.1.0 failed with exit code 1." in screen_text(app)
        await press("enter", lambda: isinstance(app.screen, OperationScreen))
        await press("escape escape", lambda: len(rows._table.rows) == 2)
        assert isinstance(app.screen, HistoryScreen)
        await press("slash x x", lambda: "Nothing matches." in screen_text(app))
        await press("escape escape", lambda: isinstance(app.screen, Dashboard))

    drive(access, steps, size=(140, 40))


def test_all_about_a_service_is_shown_with_its_secrets_masked(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        press = presser(pilot, app)
        await press("j j D", lambda: "sha256:3f1c0d5e8a7b" in screen_text(app))
        for usage in readings(access.fake, 30):
            app.on_usage_read(UsageRead(usage))
        await until(pilot, lambda: "CPU: 5.2 % of one core" in screen_text(app))
        text = screen_text(app)
        assert "Memory: 94 MB of 512 MB" in text
        assert "since 31 Dec 21:55 UTC, 2 h ago, never restarted" in text
        await press("G", lambda: "JWT_SECRET" in screen_text(app))
        assert "••••••" in screen_text(app)
        await press("D", lambda: isinstance(app.screen, Dashboard))

    drive(access, steps)


def test_ctrl_c_says_how_to_quit_in_words_without_markup(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await pilot.press("ctrl+c")
        await until(pilot, lambda: bool(app._notifications))
        assert [note.message.partition(".")[0] for note in app._notifications] == ["Press q to quit"]

    drive(access, steps)
