"""Several sites: a list of those that were opened, and another one in place of this; what is remembered of choices."""

from __future__ import annotations

import errno
import json
import os
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from graasp_local.planning.states import Health, InfraState, Status
from graasp_local.ports.live import Usage
from graasp_local.tui.app import GraaspApp
from graasp_local.tui.messages import OperationElsewhere, SiteSeen, UsageRead
from graasp_local.tui.remembered import Remembered, recall, remember, remember_site, state_file
from graasp_local.tui.screens.dashboard import Dashboard
from graasp_local.tui.screens.operation import OperationScreen
from graasp_local.tui.screens.sites import SitesScreen
from graasp_local.tui.theme import DARK, LIGHT
from tests.tui.conftest import drive, screen_text, until
from tests.tui.fakes import FakeAccess, FakeSite


@pytest.fixture
def school(tmp_path: Path) -> FakeAccess:
    """Its neighbor, a college, is closed and of another version; both were opened before."""
    school = FakeAccess(tmp_path / "school")
    college = FakeAccess(tmp_path / "college", FakeSite().put_into(InfraState.RESTRICTED, "1.1.0"), project="college")
    for one in (school, college):
        one.others = {each.directory: each for each in (school, college)}
    remember_site(str(college.directory))
    return school


def test_another_site_is_opened_from_the_list_and_this_one_again(school: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await pilot.press("j", "j", "S")
        await until(pilot, lambda: screen_text(app).count("●") >= 3)
        rows = [line for line in screen_text(app).splitlines() if "/" in line and "1." in line]
        here, other = rows
        assert "school" in here
        assert "● running" in here
        assert "1.0.0" in here
        assert "college" in other
        assert "● restricted" in other
        assert "1.1.0" in other
        await pilot.press("j", "enter")
        await until(pilot, lambda: "● restricted" in screen_text(app) and isinstance(app.screen, Dashboard))
        assert app.view is not None
        assert (app.view.project, app.directory) == ("college", str(school.directory.parent / "college"))
        assert "  school" not in screen_text(app)
        # A change there is heard of, and the one before is not listened to any more.
        college = app.access.at(school.directory.parent / "college", read_only=True)
        await until(pilot, lambda: college.fake.streams)  # type: ignore[attr-defined]
        college.fake.put_into(InfraState.STOPPED)  # type: ignore[attr-defined]
        college.fake.changed()  # type: ignore[attr-defined]
        await until(pilot, lambda: "● stopped" in screen_text(app))
        await pilot.press("S")
        await until(pilot, lambda: isinstance(app.screen, SitesScreen) and "● running" in screen_text(app))
        await pilot.press("j", "enter")
        await until(pilot, lambda: app.view is not None and app.view.project == "school")

    drive(school, steps, size=(140, 40))
    assert [Path(site).name for site in recall().sites] == ["school", "college"]


def test_what_is_still_on_its_way_from_the_site_before_counts_for_nothing(school: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        late = (
            SiteSeen(app.view),  # type: ignore[arg-type]
            UsageRead({"db": Usage(1.0, 1, 1.0)}),
            OperationElsewhere(True, [{"event": "step-output", "index": 0, "text": "late"}]),
        )
        for message in late:
            message.watch = app.stop
        await pilot.press("S", "j", "enter")
        await until(pilot, lambda: app.view is not None and app.view.project == "college")
        for message in late:
            app.post_message(message)
        await pilot.pause(0.2)
        assert app.view is not None
        assert app.view.project == "college"
        assert app.readings == {}
        assert app.operation is None

    drive(school, steps)


def test_one_without_containers_says_so_in_full(school: FakeAccess) -> None:
    fake = school.others[school.directory.parent / "college"].fake
    fake.services = {
        name: replace(service, status=Status.ABSENT, health=Health.NONE) for name, service in fake.services.items()
    }

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await pilot.press("S")
        await until(pilot, lambda: "no containers" in screen_text(app))

    drive(school, steps)


def test_a_site_that_was_removed_is_not_in_the_list_and_an_unreadable_one_says_so(school: FakeAccess) -> None:
    remember_site("/nowhere/at/all")
    college = school.others[school.directory.parent / "college"]
    college.fake.reachable = False

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await pilot.press("S")
        await until(pilot, lambda: "no engine" in screen_text(app))
        assert "nowhere" not in screen_text(app)
        await pilot.press("escape")
        assert isinstance(app.screen, Dashboard)

    drive(school, steps)
    assert "/nowhere/at/all" in recall().sites


def test_a_site_that_cannot_be_opened_at_all_says_so(school: FakeAccess, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/college/.env")

    monkeypatch.setattr(school, "at", unreadable)

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await pilot.press("S")
        await until(pilot, lambda: "settings error" in screen_text(app))

    drive(school, steps)


def test_no_other_site_is_opened_while_an_operation_that_was_begun_here_is_under_way(school: FakeAccess) -> None:
    school.fake.held.clear()

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await pilot.press(*"d1.1", "enter")
        await until(pilot, lambda: "Go ahead" in screen_text(app))
        await pilot.press("G", "y")
        await until(pilot, lambda: isinstance(app.screen, OperationScreen) and "applying" in screen_text(app))
        await pilot.press("S")
        await until(pilot, lambda: any("Wait until it has ended" in note.message for note in app._notifications))
        assert isinstance(app.screen, OperationScreen)
        school.fake.held.set()
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)

    drive(school, steps)


def test_the_theme_is_remembered(school: FakeAccess) -> None:
    async def change(pilot: Pilot[None], app: GraaspApp) -> None:
        await pilot.press("t")
        assert app.theme == LIGHT.name
        await until(pilot, lambda: recall().theme == LIGHT.name)

    async def change_back(pilot: Pilot[None], app: GraaspApp) -> None:
        assert app.theme == LIGHT.name
        await pilot.press("t")
        await until(pilot, lambda: recall().theme == DARK.name)

    drive(school, change)
    drive(school, change_back)


def test_what_is_remembered_is_the_persons_own_and_in_the_state_directory() -> None:
    remember(theme="graasp-light")
    remember_site("/one")
    remember_site("/two")
    remember_site("/one")
    file = Path(os.environ["XDG_STATE_HOME"]) / "graasp-local" / "tui.json"
    assert json.loads(file.read_text())["sites"] == ["/one", "/two"]
    assert recall() == Remembered(("/one", "/two"), "graasp-light")
    assert file.stat().st_mode & 0o777 == 0o600
    assert file.parent.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({"XDG_STATE_HOME": "/state"}, "/state/graasp-local/tui.json"),
        ({"HOME": "/home/ada"}, "/home/ada/.local/state/graasp-local/tui.json"),
        ({"HOME": "/home/ada", "XDG_STATE_HOME": "not/absolute"}, "/home/ada/.local/state/graasp-local/tui.json"),
    ],
)
def test_where_it_is_kept(environment: dict[str, str], expected: str) -> None:
    assert str(state_file(environment)) == expected


@pytest.mark.parametrize("text", ["", "{", '{"sites": 3}', "[1]", '{"theme": null}'])
def test_a_file_that_cannot_be_used_is_as_none(text: str) -> None:
    remember(theme="graasp-light")
    state_file(os.environ).write_text(text)
    assert recall() == Remembered()
    remember(theme="graasp-light")
    assert recall().theme == "graasp-light"


def test_a_state_directory_that_cannot_be_written_stops_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", "/proc/nothing")
    remember(theme="graasp-light")
    assert recall() == Remembered()
