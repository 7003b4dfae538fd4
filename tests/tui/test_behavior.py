"""What the UI does when someone presses keys, on a site in memory."""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest
from msgspec.structs import replace
from textual import events
from textual.pilot import Pilot

from graasp_local.backup.manifest import MANIFEST_FILE, DatabasePart, Manifest, StoredFile, as_json
from graasp_local.errors import ExitCode, UsageError
from graasp_local.journal.read import read_operations
from graasp_local.journal.records import unfinished_operation
from graasp_local.lock import held_lock
from graasp_local.operations import plans
from graasp_local.planning.states import Gate, InfraState
from graasp_local.ports.live import Listing
from graasp_local.site.site import Site
from graasp_local.tui import leaving, watching
from graasp_local.tui.app import GraaspApp
from graasp_local.tui.closely import CloseLook
from graasp_local.tui.drawing.progress import Closely, closely_lines
from graasp_local.tui.drawing.trouble import TroubleKind
from graasp_local.tui.log_model import LogLine
from graasp_local.tui.messages import OperationElsewhere
from graasp_local.tui.operation_run import OperationRun
from graasp_local.tui.operation_view import StepView
from graasp_local.tui.screens.confirm import Confirm, ConfirmByName
from graasp_local.tui.screens.dashboard import Dashboard
from graasp_local.tui.screens.history import HistoryScreen
from graasp_local.tui.screens.leave import LeaveScreen
from graasp_local.tui.screens.operation import OperationScreen
from graasp_local.tui.screens.plan import PlanScreen
from graasp_local.tui.serve import check_address, is_allowed, serve
from graasp_local.tui.tones import text_of
from graasp_local.tui.widgets.logs import LogView
from graasp_local.tui.widgets.rows import Rows
from graasp_local.verbs import TABLE, Effect
from graasp_local.wording import STOPPING
from tests.tui.conftest import drive, press, screen_text, until
from tests.tui.fakes import MIGRATIONS, NOW, FakeAccess, FakeEdge, FakeLive, FakeSite
from tests.tui.test_pictures import pretend_another_process, write_journal


async def agree_to_deployment(pilot: Pilot[None], app: GraaspApp, typed: str) -> None:
    """Choose a version by typing, see the plan, and go ahead."""
    await press(pilot, f"d {typed} enter")
    await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
    await press(pilot, "G y")


def run_of(app: GraaspApp) -> OperationRun:
    assert app.operation_run is not None
    return app.operation_run


def test_a_deployment_by_keys_uses_the_same_lock_and_journal_as_the_command_line(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await agree_to_deployment(pilot, app, "1 . 1")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)
        text = screen_text(app)
        assert "Done in" in text
        assert "o open the site  z go back to 1.0.0" in text

    drive(access, steps)
    (operation,) = read_operations(access.site().journal_directory)
    assert (operation.command, operation.outcome) == ("graasp-local deploy --version 1.1.0", "done")
    assert access.site().selected_version is not None
    assert str(access.site().selected_version) == "1.1.0"


def test_nothing_happens_before_the_plan_was_agreed_to(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "d 1 . 1 enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
        await press(pilot, "n")
        assert isinstance(app.screen, Dashboard)

    drive(access, steps)
    assert read_operations(access.site().journal_directory) == ()
    assert access.fake.gate is Gate.OPEN


def test_what_needs_no_migration_can_be_planned_without_closing_the_site(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MIGRATIONS, "1.0.1", MIGRATIONS["1.0.0"])

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "d 1 . 0 . 1 enter")
        await until(pilot, lambda: "a Without closing the site" in screen_text(app))
        assert "Close the gate" in screen_text(app)
        await press(pilot, "a")
        await until(pilot, lambda: "Route visitors to the stand-in" in screen_text(app))
        text = screen_text(app)
        assert "Deploy 1.0.1 without closing the site" in text
        assert "Visitors are served throughout." in text
        assert "Close the gate" not in text
        await press(pilot, "n")

    drive(access, steps)
    assert read_operations(access.site().journal_directory) == ()


def test_enter_does_not_agree_to_a_plan(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "s j enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
        await press(pilot, "enter enter")
        assert isinstance(app.screen, PlanScreen)

    drive(access, steps)
    assert access.fake.gate is Gate.OPEN


def test_a_deployment_that_was_killed_after_its_last_step_can_be_closed(access: FakeAccess) -> None:
    async def deploy(pilot: Pilot[None], app: GraaspApp) -> None:
        await agree_to_deployment(pilot, app, "1 . 1")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)

    async def resume(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: "c graasp-local resume" in screen_text(app))
        await press(pilot, "c")
        await until(pilot, lambda: "Record 1.1.0 as deployed" in screen_text(app) and "Go ahead" in screen_text(app))
        await press(pilot, "G y")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)

    drive(access, deploy)
    (journal,) = access.site().journal_directory.glob("*.jsonl")
    journal.write_text("".join(journal.read_text().splitlines(keepends=True)[:-1]))
    assert unfinished_operation(read_operations(access.site().journal_directory)) is not None
    drive(access, resume)
    assert unfinished_operation(read_operations(access.site().journal_directory)) is None


def test_a_change_of_state_moves_the_strip(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "s j enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
        await press(pilot, "G y")
        await until(pilot, lambda: app.view is not None and app.view.state is InfraState.RESTRICTED)
        assert "● restricted" in screen_text(app)

    drive(access, steps)
    assert access.fake.gate is Gate.CLOSED


def test_a_failed_migration_says_what_happened_and_what_can_be_done(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await agree_to_deployment(pilot, app, "1 . 2 . 0 - f a i l s")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)
        text = screen_text(app)
        assert "✗ Run migrations of 1.2.0-fails" in text
        assert "no_such_table" in text
        assert "failed with exit code 1" in text
        assert "● running" in text
        assert "d deploy a fixed version" in text

    drive(access, steps, size=(140, 40))


def test_an_unknown_version_is_refused_before_anything_is_changed(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "d 9 . 9 . 9 enter")
        await until(pilot, lambda: "Refused" in screen_text(app))
        assert "core-v9.9.9" in screen_text(app)

    drive(access, steps)


def test_a_plan_that_cannot_be_made_says_why(access: FakeAccess, monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as a full disk, or a file that another user owns."""

    def unreadable(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/graasp/.env")

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        monkeypatch.setattr(plans, "shown_plan", unreadable)
        await press(pilot, "d 1 . 1 enter")
        await until(pilot, lambda: "/srv/graasp/.env cannot be used" in screen_text(app))

    drive(access, steps)


def test_closing_the_ui_during_an_operation_asks_first(access: FakeAccess) -> None:
    access.fake.held.clear()

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await agree_to_deployment(pilot, app, "1 . 1")
        await until(pilot, lambda: app.operation is not None and app.operation.current is not None)
        await press(pilot, "q")
        assert isinstance(app.screen, LeaveScreen)
        await press(pilot, "s")
        assert isinstance(app.screen, OperationScreen)
        await press(pilot, "q g")
        access.fake.held.set()

    app = drive(access, steps)
    assert run_of(app).goes_on_without_ui
    assert run_of(app).ended.wait(10)
    assert read_operations(access.site().journal_directory)[0].outcome == "done"


def test_an_interruption_asks_first_and_rolls_back(access: FakeAccess) -> None:
    access.fake.held.clear()

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await agree_to_deployment(pilot, app, "1 . 1")
        await until(pilot, lambda: "applying" in screen_text(app))
        await press(pilot, "x")
        assert isinstance(app.screen, Confirm)
        await press(pilot, "G y")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)
        assert app.operation is not None
        assert app.operation.outcome == "rolled-back"
        assert "↺ Rolled back" in screen_text(app)

    drive(access, steps)


@pytest.mark.parametrize("row", [row for row in TABLE if row.effect is Effect.CHANGES], ids=lambda row: row.name)
def test_read_only_refuses_every_verb_that_changes_something(row: object, access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        app.action_verb(row.name)  # type: ignore[attr-defined]
        await pilot.pause(0.1)
        assert isinstance(app.screen, Dashboard)
        app.action_change_to("stopped")
        await pilot.pause(0.1)
        assert isinstance(app.screen, Dashboard)

    drive(access, steps, read_only=True)
    assert access.fake.done == []


def test_a_rollback_of_a_success_asks_for_the_name_of_the_site_if_it_discards_something(
    access: FakeAccess,
) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await agree_to_deployment(pilot, app, "1 . 1")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over and not app.operates_itself)
        await press(pilot, "z")
        await until(pilot, lambda: isinstance(app.screen, ConfirmByName))
        assert "will disappear" in " ".join(screen_text(app).split())
        await press(pilot, "escape z")
        await until(pilot, lambda: isinstance(app.screen, ConfirmByName))
        await press(pilot, "s c h o o l enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
        assert "and discard what was written since" in screen_text(app)
        await press(pilot, "G y")
        await until(
            pilot, lambda: app.operation is not None and app.operation.is_over and "rollback" in app.operation.command
        )

    drive(access, steps)
    *_, operation = read_operations(access.site().journal_directory)
    assert (operation.command, operation.outcome) == ("graasp-local rollback --discard written-since", "done")
    assert str(access.site().selected_version) == "1.0.0"
    assert access.fake.applied == ("0000_init",)


def test_restoring_asks_for_the_name_of_the_site_before_there_is_a_plan(access: FakeAccess) -> None:
    stored = StoredFile("graasp.dump", 12_000_000, "0" * 64)
    parts = (DatabasePart("graasp", stored, {"item": 12}, 30_000_000),)
    manifest = Manifest("20251231-230000", "2025-12-31T23:00:00+00:00", "school", "0.1.0", "1.0.0", 15, parts)
    directory = access.directory / "backups" / manifest.name
    directory.mkdir(parents=True)
    (directory / MANIFEST_FILE).write_text(json.dumps(as_json(manifest)))

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "R")
        await until(pilot, lambda: "31 Dec 23:00" in screen_text(app))
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, ConfirmByName))
        assert "graasp of this site would be replaced by those of 20251231-230000" in " ".join(screen_text(app).split())
        await press(pilot, "y e s")
        assert "“yes” is not the site's name. Type school." in " ".join(screen_text(app).split())
        await press(pilot, "enter")
        assert isinstance(app.screen, ConfirmByName)
        await press(pilot, "backspace backspace backspace s c h o o l enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen))
        assert "Restore the backup 20251231-230000" in screen_text(app)

    drive(access, steps)


def test_nothing_else_is_planned_while_an_operation_is_under_way(access: FakeAccess) -> None:
    access.fake.held.clear()

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await agree_to_deployment(pilot, app, "1 . 1")
        await until(pilot, lambda: "applying" in screen_text(app))
        await press(pilot, "z")
        assert isinstance(app.screen, OperationScreen)
        access.fake.held.set()
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)

    drive(access, steps)


def test_a_held_deployment_can_be_tested_opened_or_rolled_back(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "d 1 . 1 ctrl+t enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
        await press(pilot, "G y")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)
        assert "b test it with the bypass  s open it to visitors  z go back to 1.0.0" in screen_text(app)

    drive(access, steps)


def test_a_step_can_be_read_on_the_whole_screen(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await agree_to_deployment(pilot, app, "1 . 2 . 0 - f a i l s")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)
        await press(pilot, "enter")
        text = screen_text(app)
        assert "Run migrations of 1.2.0-fails" in text
        assert "Because 0001_item_lang and 0002_fails are pending" in text
        assert "applying 0002_fails" in text
        await press(pilot, "escape")
        assert isinstance(app.screen, OperationScreen)

    drive(access, steps)


def test_restarting_a_service_asks_first(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "j j r")
        assert isinstance(app.screen, Confirm)
        await press(pilot, "n")
        assert access.fake.done == []
        await press(pilot, "r y")
        await until(pilot, lambda: access.fake.done)

    drive(access, steps)
    assert access.fake.done == ["restart core"]


def test_what_destroys_asks_for_the_name_of_the_site(access: FakeAccess) -> None:
    answers: list[bool | None] = []

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        app.push_screen(ConfirmByName("Take it away", ("All of it.",), "tui"), answers.append)
        await press(pilot, "y e s enter")
        assert answers == []
        await press(pilot, "backspace backspace backspace t u i enter")

    drive(access, steps)
    assert answers == [True]


def test_a_change_at_the_engine_is_noticed_without_polling(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: access.fake.streams)
        access.fake.turn("core", on=False)
        access.fake.changed()
        await until(pilot, lambda: app.view is not None and app.view.drift is not None)
        assert "core is stopped, but should be on in the state running." in screen_text(app)

    drive(access, steps)


def test_an_engine_that_stops_and_returns(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: access.fake.streams)
        access.fake.reachable = False
        access.fake.changed()
        await until(pilot, lambda: app.trouble is not None)
        assert "The Docker engine does not answer" in screen_text(app)
        access.fake.reachable = True
        await press(pilot, "u")
        await until(pilot, lambda: app.trouble is None)
        assert "● running" in screen_text(app)

    drive(access, steps)


def test_a_missing_site_is_created_after_a_yes(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    access = FakeAccess(tmp_path / "new", with_site=False)

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        assert app.trouble is not None
        assert app.trouble.kind is TroubleKind.NO_SITE
        await press(pilot, "i")
        assert not (tmp_path / "new" / ".env").exists()
        await press(pilot, "G y")
        await until(pilot, lambda: app.view is not None)

    drive(access, steps)
    assert (tmp_path / "new" / ".env").exists()


def test_settings_that_were_fixed_are_read_again(access: FakeAccess) -> None:
    file = access.directory / ".env"
    good = file.read_text()
    file.write_text(good + "\nnot a setting\n")

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        assert app.trouble is not None
        assert app.trouble.kind is TroubleKind.SETTINGS
        file.write_text(good)
        await until(pilot, lambda: app.view is not None)

    drive(access, steps)


def test_a_flood_of_log_lines_is_held_to_what_is_kept_and_keys_still_work(access: FakeAccess) -> None:
    access.fake.logs["db"] = [f"line {number}" for number in range(100_000)]

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        logs = app.screen.query_one(LogView)
        await until(pilot, lambda: logs.model.shown and logs.model.shown[-1].text == "line 99999")
        assert len(logs.model.lines) <= 12_000
        began = time.monotonic()
        await press(pilot, "2 space G")
        assert time.monotonic() - began < 2

    drive(access, steps)


def test_the_filter_narrows_the_log_and_pause_holds_it(access: FakeAccess) -> None:
    access.fake.logs["db"] = ["one apple", "two pears", "three apples"]

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        logs = app.screen.query_one(LogView)
        await until(pilot, lambda: len(logs.model.shown) == 3)
        await press(pilot, "2 slash a p p l e enter")
        assert [line.text for line in logs.model.shown] == ["one apple", "three apples"]
        await press(pilot, "space")
        logs.add([LogLine("db", "four apples")])
        assert len(logs.model.shown) == 2
        await press(pilot, "space")
        assert logs.model.shown[-1].text == "four apples"

    drive(access, steps)


def test_each_of_two_hundred_containers_can_be_selected(tmp_path: Path) -> None:
    from msgspec.structs import replace

    site = FakeSite().put_into(InfraState.RUNNING)
    for number in range(200):
        site.services[f"own-{number:03}"] = replace(site.services["redis"], name=f"own-{number:03}")

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        seen = {app.selected_service}
        for _ in range(205):
            await pilot.press("j")
            seen.add(app.selected_service)
        assert seen >= {f"own-{number:03}" for number in range(200)}
        await press(pilot, "g")
        await press(pilot, "G")
        assert app.selected_service == "nginx"

    drive(FakeAccess(tmp_path / "school", site), steps)


def test_an_address_that_others_can_reach_is_refused_unless_asked_for() -> None:
    check_address("127.0.0.1", told_so=False)
    check_address("::1", told_so=False)
    check_address("10.0.0.1", told_so=True)
    with pytest.raises(UsageError, match="Other machines"):
        check_address("10.0.0.1", told_so=False)


def test_a_port_in_use_is_reported_before_a_link_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(UsageError, match="cannot be used"):
            serve(["true"], "127.0.0.1", taken.getsockname()[1], "graasp-local")
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(
    ("given", "host", "origin", "allowed"),
    [
        (("secret", None), "127.0.0.1:1", None, True),
        ((None, "secret"), "127.0.0.1:1", "http://127.0.0.1:1", True),
        ((None, None), "127.0.0.1:1", None, False),
        (("guess", None), "127.0.0.1:1", None, False),
        ((None, "secret"), "evil.example:1", None, False),
        ((None, "secret"), "127.0.0.1:1", "http://127.0.0.1:2", False),
    ],
)
def test_a_request_needs_the_token_the_host_and_its_own_origin(
    given: tuple[str | None, str | None], host: str, origin: str | None, allowed: bool
) -> None:
    assert is_allowed("secret", given, host, origin, "127.0.0.1:1") is allowed


def test_a_second_request_to_end_does_not_cut_off_the_rollback(access: FakeAccess) -> None:
    access.fake.held.clear()

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await agree_to_deployment(pilot, app, "1 . 1")
        await until(pilot, lambda: "applying" in screen_text(app))
        run_of(app).end_soon()
        await until(pilot, lambda: app.operation is not None and app.operation.rollback_from is not None)
        run_of(app).end_soon()
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)

    drive(access, steps)
    assert read_operations(access.site().journal_directory)[0].outcome == "rolled-back"


def test_what_an_operation_starts_does_not_hear_that_the_terminal_was_closed(access: FakeAccess) -> None:
    """Compose is a process of the same terminal: a signal that it has not blocked would end it in the middle."""
    blocked: list[set[int]] = []
    access.fake.on_start = lambda: blocked.append({*signal.pthread_sigmask(signal.SIG_BLOCK, ())})

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await agree_to_deployment(pilot, app, "1 . 1")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)

    drive(access, steps)
    assert blocked
    assert all(signal.SIGHUP in signals for signals in blocked)


async def click_on(pilot: Pilot[None], app: GraaspApp, text: str) -> None:
    """Where this text stands on the screen."""
    for y, line in enumerate(screen_text(app).splitlines()):
        if text in line:
            await pilot.click(offset=(line.index(text), y))
            await pilot.pause(0.1)
            return
    raise AssertionError(f"{text} is not on the screen")


def test_a_file_that_cannot_be_read_is_named(access: FakeAccess) -> None:
    def cannot_be_read(site: Site) -> FakeLive:
        raise PermissionError(13, "Permission denied", str(site.env_file))

    access.live = cannot_be_read  # type: ignore[method-assign]

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        assert "The site's settings cannot be used" in screen_text(app)
        assert "Permission denied" in screen_text(app)

    drive(access, steps)


def test_a_journal_that_cannot_be_trusted_is_reported(access: FakeAccess) -> None:
    (access.site().journal_directory / "0001-20260101-000000-deploy-1.1.0.jsonl").write_text("not a journal\nat all\n")

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        assert "✗ The journal is damaged: 0001-20260101" in screen_text(app)

    drive(access, steps)


def move_journal_away(access: FakeAccess) -> None:
    """As on a disk that is not mounted any more."""
    journal = access.site().journal_directory
    journal.rename(journal.with_name("journal-before"))
    journal.symlink_to("/mnt/nowhere")


@pytest.mark.parametrize("size", [(80, 24), (140, 40)])
def test_a_history_that_cannot_be_read_says_why(access: FakeAccess, size: tuple[int, int]) -> None:
    move_journal_away(access)

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "h")
        await until(pilot, lambda: "is a link to /mnt/nowhere, which does not" in screen_text(app))
        assert "No operations yet" not in screen_text(app)

    drive(access, steps, size=size)


def test_an_operation_that_cannot_be_read_any_more_is_not_shown_as_an_empty_one(access: FakeAccess) -> None:
    write_journal(access, "done", "step-ended")

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "h")
        await until(pilot, lambda: "1.1.0" in screen_text(app))
        move_journal_away(access)
        await press(pilot, "enter")
        await until(pilot, lambda: "Fix its permissions or its location" in screen_text(app))
        assert isinstance(app.screen, HistoryScreen)

    drive(access, steps, size=(140, 40))


def test_days_that_cannot_be_read_say_why(access: FakeAccess, monkeypatch: pytest.MonkeyPatch) -> None:
    def unreadable(*_: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", "/srv/graasp/journal")

    monkeypatch.setattr(watching, "read_since", unreadable)

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: "✗ /srv/graasp/journal cannot be used: Permission denied" in screen_text(app))

    drive(access, steps, size=(140, 40))


def test_everything_can_be_clicked(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await click_on(pilot, app, "workers healthy")
        assert app.selected_service == "workers"
        await click_on(pilot, app, "restricted")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
        await click_on(pilot, app, "Cancel")
        assert isinstance(app.screen, Dashboard)
        await click_on(pilot, app, "Deploy  s")
        await until(pilot, lambda: "running now" in screen_text(app))
        await click_on(pilot, app, "1.1.0")
        await click_on(pilot, app, "See the plan")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Deploy 1.1.0" in screen_text(app))
        await until(pilot, lambda: "Go ahead" in screen_text(app))
        await press(pilot, "G")
        await click_on(pilot, app, "Go ahead")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)
        await click_on(pilot, app, "earlier operations")
        await until(pilot, lambda: "deploy --version 1.1.0" in screen_text(app))

    drive(access, steps)


def test_the_first_screen_waits_for_no_observation_plan_or_operation() -> None:
    script = "import graasp_local.tui.app, sys; print(*sys.modules)"
    told = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    late = {
        "graasp_local.planning.plan",
        "graasp_local.site.site",
        "graasp_local.operations.run",
        "graasp_local.journal.records",
    }
    assert not {*told.stdout.split()} & {*late, "docker", "requests", "psycopg", "yaml", "python_on_whales", "psutil"}


LONG = (80, 16)


async def show_plan(pilot: Pilot[None], app: GraaspApp) -> Rows:
    await press(pilot, "d 1 . 1 enter")
    await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
    rows = app.screen.query_one(Rows)
    await until(pilot, lambda: rows.max_scroll_y > 0 and rows.show_vertical_scrollbar)
    return rows


@pytest.mark.parametrize(
    ("down", "up"),
    [("j", "k"), ("down", "up"), ("pagedown", "pageup"), ("ctrl+d", "ctrl+u"), ("G", "g"), ("end", "home")],
)
def test_a_plan_that_is_longer_than_the_screen_scrolls(access: FakeAccess, down: str, up: str) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        rows = await show_plan(pilot, app)
        last = rows._table.rows[-1].key
        assert last not in rows.visible_keys
        for _ in range(40):
            await pilot.press(down)
        await until(pilot, lambda: last in rows.visible_keys)
        assert " Open the gate" in screen_text(app)
        for _ in range(40):
            await pilot.press(up)
        await until(pilot, lambda: rows._table.rows[0].key in rows.visible_keys)

    drive(access, steps, size=LONG)


def test_a_plan_scrolls_by_the_wheel(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        rows = await show_plan(pilot, app)
        for _ in range(40):
            region = rows.region
            rows.post_message(
                events.MouseScrollDown(rows, 1, 1, 0, 1, 0, False, False, False, region.x + 1, region.y + 1)
            )
        await until(pilot, lambda: rows._table.rows[-1].key in rows.visible_keys)

    drive(access, steps, size=LONG)


def test_agreeing_to_a_plan_that_was_not_read_to_its_end_says_how_much_is_below(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        rows = await show_plan(pilot, app)
        unseen = [row.key for row in rows._table.rows if row.key not in rows.visible_keys]
        below = sum(key.endswith(" 0") for key in unseen)
        assert below > 1
        await press(pilot, "y")
        await until(pilot, lambda: any("steps are below" in said.message for said in app._notifications))
        assert [said.message.partition(" more")[0] for said in app._notifications] == [str(below)]
        assert isinstance(app.screen, PlanScreen)
        await press(pilot, "y")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)
        assert not any("steps are below" in said.message for said in app._notifications)

    drive(access, steps, size=LONG)


def test_a_plan_that_was_read_to_its_end_is_agreed_to_at_once(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        rows = await show_plan(pilot, app)
        await press(pilot, "G g")
        assert rows.keys_never_seen == ()
        await press(pilot, "y")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)

    drive(access, steps, size=LONG)


def strip_of(app: GraaspApp) -> str:
    """The line of the four states and the one below it."""
    lines = screen_text(app).splitlines()
    top = next(number for number, line in enumerate(lines) if " db-only " in line and " stopped" in line)
    return "\n".join(lines[top : top + 2])


def test_the_strip_shows_what_is_observed_during_a_rolling_deployment(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The steps of such a deployment stop and start core by the names that lead to other states elsewhere."""
    monkeypatch.setitem(MIGRATIONS, "1.0.1", MIGRATIONS["1.0.0"])
    names = ["start-handover", "lead-to-handover", "stop-graasp", "start-graasp", "lead-to-services"]
    plan = [{"name": name, "title": name, "cause": "c", "closed": False} for name in names]

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        records = [{"event": "step-started", "index": number, **step} for number, step in enumerate(plan[:4])]
        ends = [{"event": "step-ended", "index": number, "outcome": "done", "seconds": 1.0} for number in range(3)]
        started = {
            "event": "operation-started",
            "operation": "w",
            "command": "graasp-local deploy",
            "target": "running",
        }
        app.on_operation_elsewhere(
            OperationElsewhere(True, [{**started, "version": "1.0.1", "plan": plan}, *records[:3], *ends, records[3]])
        )
        await press(pilot, "w")
        assert "● running" in strip_of(app)
        assert "visitors get in" in strip_of(app)
        assert "▶" not in strip_of(app)
        assert "◀" not in strip_of(app)
        await press(pilot, "escape")
        assert "● running" in strip_of(app)

    drive(access, steps)


def test_the_strip_of_a_first_deployment_shows_what_is_there(tmp_path: Path) -> None:
    access = FakeAccess(tmp_path / "school", FakeSite(gate=Gate.UNKNOWN))
    access.fake.held.clear()

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        assert "●" not in strip_of(app)
        await agree_to_deployment(pilot, app, "1 . 0")
        await until(pilot, lambda: "applying" in screen_text(app))
        await until(pilot, lambda: "● db-only" in strip_of(app) or "◐ db-only" in strip_of(app))
        access.fake.held.set()
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)
        await until(pilot, lambda: "● running" in strip_of(app))

    drive(access, steps)


def test_a_closed_gate_is_shown_before_the_step_that_closed_it_has_ended(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: access.fake.streams)
        access.fake.gate = Gate.CLOSED
        access.fake.changed()
        await until(pilot, lambda: app.view is not None and app.view.observed.gate is Gate.CLOSED)
        assert "visitors wait" in strip_of(app)

    drive(access, steps)


def test_an_operation_that_was_killed_stops_its_clocks_at_the_last_record(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        with held_lock(access.site().lock_file, "graasp-local deploy --version 1.1.0"):
            pretend_another_process(access)
            write_journal(access, "", "step-started")
            await until(pilot, lambda: app.is_under_way)
            await press(pilot, "w")
            assert "Closed to visitors for" in screen_text(app)
        await until(pilot, lambda: not app.is_under_way)
        monkeypatch.setattr(time, "time", lambda: NOW + 900)
        await pilot.pause(0.5)
        text = screen_text(app)
        assert "✗ Killed after 8.0 s" in text
        assert "When it was killed, the site had been closed to visitors for 5.0 s" in text
        assert "15:" not in text
        await press(pilot, "escape h enter")
        assert "Killed after" in screen_text(app)
        assert "15:" not in screen_text(app)

    drive(access, steps, size=(140, 40))


def test_a_running_site_whose_core_does_not_answer_is_the_loudest_thing(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its container may well be healthy."""
    answers = [False]
    core = FakeEdge.core
    monkeypatch.setattr(FakeEdge, "core", lambda edge: core(edge) if answers[0] else None)

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(
            pilot, lambda: "✗ Visitors get errors: the gate is open, but core does not answer." in screen_text(app)
        )
        assert "Gate open, core does not answer" in screen_text(app)
        assert "only errors" in strip_of(app)
        assert "visitors get in" not in screen_text(app)
        answers[0] = True
        await until(pilot, lambda: "visitors get in" in strip_of(app))
        assert "Visitors get errors" not in screen_text(app)

    drive(access, steps, size=(140, 40))


def test_a_plan_for_a_site_without_core_says_what_visitors_get(access: FakeAccess) -> None:
    access.fake.turn("core", on=False)

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: "Visitors get errors" in screen_text(app))
        await press(pilot, "s enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
        assert "Visitors get errors until step 1 is done: core does not answer." in screen_text(app)

    drive(access, steps, size=(140, 40))


def test_a_refused_operation_keeps_its_refusal_next_to_another_operation(access: FakeAccess) -> None:
    """Two terminals: a plan was agreed to here while another process had begun."""

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "s j enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
        with held_lock(access.site().lock_file, "graasp-local deploy --version 1.1.0"):
            pretend_another_process(access)
            await press(pilot, "y")
            write_journal(access, "", "step-started")
            await until(pilot, lambda: app.other_operation is not None)
            await pilot.pause(0.5)
            text = screen_text(app)
            assert "graasp-local apply restricted" in text
            assert "✗ Refused: nothing was changed." in text
            assert "Another graasp-local command is running on this site" in " ".join(text.split())
            assert "Run migrations" not in text
            assert "w watch what is running" in text
            await press(pilot, "w")
            text = screen_text(app)
            assert "graasp-local deploy --version 1.1.0" in text
            assert "started elsewhere" in text
            assert "▶ Run migrations of 1.1.0" in text
            assert "x Interrupt" not in text
            await press(pilot, "escape")
            assert "▶ graasp-local deploy --version 1.1.0" in screen_text(app)

    drive(access, steps)
    assert access.fake.gate is Gate.OPEN


def test_logs_of_all_services_are_in_order_of_time(access: FakeAccess) -> None:
    access.fake.logs = {name: [] for name in access.fake.services}
    access.fake.logs["db"] = [f"2026-01-01T00:00:0{n}.000000000Z db {n}" for n in (1, 4)]
    access.fake.logs["core"] = [f"2026-01-01T00:00:0{n}.000000000Z core {n}" for n in (2, 3, 5)]

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "l a")
        logs = app.screen.query_one(LogView)
        await until(pilot, lambda: len(logs.model.shown) == 5)
        assert [line.text[-1] for line in logs.model.shown] == ["1", "2", "3", "4", "5"]
        await press(pilot, "T")
        assert "00:00:03 core" in screen_text(app)

    drive(access, steps)


def test_the_counter_of_a_pause_counts_what_matches_the_filter(access: FakeAccess) -> None:
    access.fake.logs["db"] = ["one apple"]

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        logs = app.screen.query_one(LogView)
        await until(pilot, lambda: len(logs.model.shown) == 1)
        await press(pilot, "2 slash a p p l e enter space")
        logs.add([LogLine("db", "a pear"), LogLine("db", "two apples")])
        await until(pilot, lambda: "paused, 1 new" in screen_text(app))

    drive(access, steps)


def test_a_longer_range_asks_the_engine_for_what_is_further_back(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "l")
        await until(pilot, lambda: access.fake.asked_of_logs)
        for seconds in (60, 300, 3600, None):
            await press(pilot, "right_square_bracket")
            since = NOW - seconds if seconds is not None else None
            await until(pilot, lambda since=since: ("db", 10_000, since) in access.fake.asked_of_logs)  # type: ignore[misc]

    drive(access, steps)


def test_what_is_printed_after_the_ui_ended_is_what_the_command_line_prints(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    access.fake.held.clear()
    lines: list[str] = []

    def print_line(line: str) -> None:
        lines.append(line)
        if line.startswith("  · Run migrations of 1.1.0"):
            os.kill(os.getpid(), signal.SIGINT)

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await agree_to_deployment(pilot, app, "1 . 1")
        await until(pilot, lambda: "applying" in screen_text(app))
        await press(pilot, "q g")

    app = drive(access, steps)
    monkeypatch.setattr(leaving, "_print", print_line)
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
    before = [signal.getsignal(number) for number in numbers]
    try:
        code = leaving.wait_for_operation(run_of(app))
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)
    assert code == ExitCode.INTERRUPTED
    assert lines[0] == "The operation continues here: graasp-local deploy --version 1.1.0"
    assert lines[1].startswith("  · Run migrations of 1.1.0")
    assert f"\n{STOPPING}" in lines
    assert any(line.endswith(" Rolling back:") for line in lines)
    ended = [line for line in lines if line.startswith(("  ✓", "  ✗"))]
    assert any(line.startswith("  ✓ Open the gate  ") for line in ended)
    assert not any("open-gate" in line for line in lines)
    assert lines[-1].startswith("Rolled back after")


def notices(app: GraaspApp) -> str:
    return " ".join(screen_text(app).split())


def test_the_dashboard_says_what_keeps_a_closed_site_closed_and_since_when(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "s j enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
        await press(pilot, "G y")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)
        monkeypatch.setattr(time, "time", lambda: NOW + 12.5 * 60)
        await press(pilot, "escape u")
        await until(pilot, lambda: "Closed for 12 min by `apply restricted`" in notices(app))

    drive(access, steps)


def test_the_dashboard_says_that_a_version_is_held_and_what_to_press(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "d 1 . 1 ctrl+t enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
        await press(pilot, "G y")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)
        await press(pilot, "escape")
        await until(pilot, lambda: "1.1.0 is held behind the gate, for < 1 min: b to test, s to open" in notices(app))
        assert "Closed for" not in notices(app)

    drive(access, steps)


def test_the_dashboard_says_how_the_last_operation_ended(access: FakeAccess, monkeypatch: pytest.MonkeyPatch) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await agree_to_deployment(pilot, app, "2 . 0")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)
        monkeypatch.setattr(time, "time", lambda: NOW + 150)
        await press(pilot, "escape u")
        await until(pilot, lambda: "↺ Deployment of 1.2.0-fails rolled back 2 min ago, closed for" in notices(app))
        assert "Closed for" not in notices(app)

    drive(access, steps)


def test_the_dashboard_says_that_an_operation_was_killed_and_that_the_site_is_closed_since(access: FakeAccess) -> None:
    access.fake.put_into(InfraState.DB_ONLY)
    write_journal(access, "", "step-started")

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: "Closed for < 1 min by `deploy --version 1.1.0`" in notices(app))
        assert "✗ Deployment of 1.1.0 killed just now h history" in notices(app)
        assert "c graasp-local resume" in notices(app)

    drive(access, steps)


def test_while_services_start_their_health_checks_and_the_slowest_ones_log_are_shown(access: FakeAccess) -> None:
    access.fake.healthy.clear()
    access.fake.logs["core"] = ["waiting for the database", "still waiting"]

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await agree_to_deployment(pilot, app, "1 . 1")
        await until(pilot, lambda: "connect ECONNREFUSED" in screen_text(app))
        text = screen_text(app)
        assert "… core          starting" in text
        assert "3 of 40 checks failed" in text
        await until(pilot, lambda: "The end of the log of" in screen_text(app))
        access.fake.healthy.set()
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)
        assert "checks failed" not in screen_text(app)

    drive(access, steps, size=(140, 40))


def test_while_requests_come_to_their_end_they_are_counted(access: FakeAccess) -> None:
    access.fake.in_flight = 2
    step = StepView("drain", "let requests finish", "c", closed=True, began=NOW)
    found = CloseLook(access).at(step, None, None)
    told = text_of(closely_lines(step, found, NOW + 3.2, 60, 10))
    assert told == "2 requests are in flight, the oldest for at least 3.2 s"
    access.fake.to_come = 1_200_000_000
    told = text_of(closely_lines(step, CloseLook(access).at(step, None, None), NOW + 3.2, 60, 10))
    assert told.splitlines()[1] == "about 1.2 GB of uploads are still to come"


def test_an_engine_that_does_not_answer_does_not_break_the_details(access: FakeAccess) -> None:
    access.fake.reachable = False
    step = StepView("start-graasp", "start core", "c", closed=True)
    view = None
    assert CloseLook(access).at(step, view, None) == Closely()


def test_a_container_whose_start_is_known_later_is_followed_once(
    access: FakeAccess, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first look at a slow engine has containers, and not yet when they were started."""
    listing = FakeLive.listing
    looks: list[int] = []

    def slow(live: FakeLive) -> Listing:
        found = listing(live)
        if access.fake.asked_of_logs:
            looks.append(1)
            return found
        bare = tuple(replace(container, started_at=None) for container in found.containers)
        return Listing(found.seen, bare, is_complete=False)

    monkeypatch.setattr(FakeLive, "listing", slow)

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: looks and app.view is not None and app.view.services[0].container is not None)
        await pilot.pause(0.3)
        assert [name for name, _, _ in access.fake.asked_of_logs] == ["db"]

    drive(access, steps)


def test_a_sealed_gate_is_a_closed_one_in_the_strip(access: FakeAccess) -> None:
    """While core starts behind it, the site is nearer to restricted than to running."""
    access.fake.gate = Gate.SEALED
    access.fake.turn("core", on=False)
    access.fake.turn("workers", on=False)

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        plan = [{"name": "start-graasp", "title": "Start core", "cause": "c", "closed": True}]
        started = {
            "event": "operation-started",
            "operation": "w",
            "command": "graasp-local deploy",
            "target": "running",
        }
        app.on_operation_elsewhere(OperationElsewhere(True, [{**started, "version": "1.0.1", "plan": plan}]))
        await press(pilot, "w")
        assert "◐ restricted" in strip_of(app) or "◐ db-only" in strip_of(app)

    drive(access, steps)


def test_what_is_damaged_is_named_where_it_is_missing(access: FakeAccess) -> None:
    journal = access.site().journal_directory
    journal.mkdir(exist_ok=True)
    (journal / "0001-20261123-000000-deploy-1.0.0.jsonl").write_text("garbage\n")
    backup = access.site().directory / "backups" / "0001-20261123-000000"
    backup.mkdir(parents=True)
    (backup / "manifest.json").write_text("{")

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "h")
        await until(pilot, lambda: "Not shown, because it is damaged: 0001-20261123" in screen_text(app))
        assert "No operations yet" not in screen_text(app)
        await press(pilot, "escape R")
        await until(pilot, lambda: "One backup is damaged and not shown" in screen_text(app))
        assert "There are no backups yet" not in screen_text(app)

    drive(access, steps, size=LONG)
