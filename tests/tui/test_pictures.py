"""Every screen in each situation, at 80x24 and 140x40, as stored pictures."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from textual.pilot import Pilot

from graasp_local.lock import held_lock
from graasp_local.planning.states import Health, InfraState, Status
from graasp_local.tui.app import GraaspApp
from graasp_local.tui.messages import UsageRead
from graasp_local.tui.remembered import remember_site
from tests.tui.conftest import compare_picture, drive, settled, until
from tests.tui.fakes import MIGRATIONS, FakeAccess, FakeSite, nginx_lines, readings, write_deployment

SIZES = [(80, 24), (140, 40)]
LOG = [
    "listening on 0.0.0.0:3000",
    "GET /api/version 200 2 ms",
    "WARN slow query: 1,204 ms",
    "ERROR could not send a mail: connection refused",
    "GET /api/items 200 5 ms",
]


@pytest.fixture(params=SIZES, ids=lambda size: f"{size[0]}x{size[1]}")
def size(request: pytest.FixtureRequest) -> tuple[int, int]:
    found: tuple[int, int] = request.param
    return found


@pytest.fixture
def site_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory whose name is the same in every picture."""
    monkeypatch.chdir(tmp_path)
    return Path("school")


def picture(
    access: FakeAccess,
    name: str,
    size: tuple[int, int],
    keys: str = "",
    wait: Callable[[GraaspApp], object] | None = None,
    **how: Any,
) -> None:
    """Press the keys, wait, and compare."""

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        for key in keys.split():
            if key == "G":  # to the end of a plan, which takes its time
                await until(pilot, partial(_has("#steps", "Go ahead"), app))
            await pilot.press(key)
            await pilot.pause(0.35)
        if wait is not None:
            await until(pilot, lambda: wait(app))
        for usage in readings(access.fake, 30):
            app.on_usage_read(UsageRead(usage))
        await pilot.pause(0.3)
        await settled(pilot, app, f"{name}-{size[0]}x{size[1]}")
        compare_picture(app, f"{name}-{size[0]}x{size[1]}")

    drive(access, steps, size=size, **how)


def a_site(state: InfraState = InfraState.RUNNING, version: str = "1.0.0") -> FakeSite:
    site = FakeSite().put_into(state, version)
    site.logs = {"db": ["database system is ready to accept connections"], "core": LOG, "nginx": ["start worker"]}
    return site


@pytest.mark.parametrize("state", list(InfraState))
def test_the_dashboard_in_each_of_the_four_states(
    state: InfraState, site_directory: Path, size: tuple[int, int]
) -> None:
    picture(FakeAccess(site_directory, a_site(state)), f"state-{state}", size, "j j")


def test_a_drifted_site_names_each_difference_and_what_fixes_it(site_directory: Path, size: tuple[int, int]) -> None:
    site = a_site()
    site.turn("core", on=False)
    site.services["workers"] = replace(site.services["workers"], status=Status.RUNNING, health=Health.UNHEALTHY)
    picture(FakeAccess(site_directory, site), "drift", size)


def test_an_engine_that_does_not_answer(site_directory: Path, size: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, FakeSite(reachable=False)), "engine-down", size)


def test_a_directory_without_a_site_offers_init(site_directory: Path, size: tuple[int, int]) -> None:
    site_directory.mkdir()
    picture(FakeAccess(site_directory, with_site=False), "no-site", size)


def test_settings_that_cannot_be_used(site_directory: Path, size: tuple[int, int]) -> None:
    access = FakeAccess(site_directory)
    text = (site_directory / ".env").read_text()
    (site_directory / ".env").write_text(text.replace("HTTP_PORT=80", "HTTP_PORT=eighty"))
    picture(access, "broken-settings", size)


def test_the_plan_of_a_deployment(site_directory: Path, size: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, a_site()), "plan", size, "d 1 . 1 enter", _has("#head", "steps"))


def test_the_plan_of_a_deployment_that_need_not_close_the_site(
    site_directory: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(MIGRATIONS, "1.0.1", MIGRATIONS["1.0.0"])

    async def choose(pilot: Pilot[None], app: GraaspApp) -> None:
        for name, keys, shown in (
            ("plan-with-choice", "d 1 . 0 . 1 enter", _has("#head", "Without closing the site")),
            ("plan-rolling", "a", _has("#head", "Visitors are served throughout")),
        ):
            for key in keys.split():
                await pilot.press(key)
            await until(pilot, partial(shown, app))
            await settled(pilot, app, f"{name}-{size[0]}x{size[1]}")
            compare_picture(app, f"{name}-{size[0]}x{size[1]}")

    drive(FakeAccess(site_directory, a_site()), choose, size=size)


def test_choosing_a_version(site_directory: Path, size: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, a_site()), "versions", size, "d")


def test_choosing_a_state(site_directory: Path, size: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, a_site()), "states", size, "s j j")


def test_an_operation_in_its_middle(site_directory: Path, size: tuple[int, int]) -> None:
    site = a_site()
    site.held.clear()
    picture(
        FakeAccess(site_directory, site),
        "mid-operation",
        size,
        "d 1 . 1 enter G y",
        lambda app: app.operation is not None and any(s.name == "migrate" and s.output for s in app.operation.steps),
    )


def test_a_migration_that_failed(site_directory: Path, size: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, a_site()), "failed", size, "d 2 . 0 enter G y", _is_over)


def test_a_successful_deployment(site_directory: Path, size: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, a_site()), "done", size, "d 1 . 1 enter G y", _is_over)


def test_an_operation_that_was_rolled_back(site_directory: Path, size: tuple[int, int]) -> None:
    access = FakeAccess(site_directory, a_site())
    write_journal(access, "rolled-back", "step-ended")
    picture(access, "rolled-back", size, "h enter")


def test_an_operation_that_another_process_has_begun(site_directory: Path, size: tuple[int, int]) -> None:
    access = FakeAccess(site_directory, a_site())
    with held_lock(access.site().lock_file, "graasp-local deploy --version 1.1.0"):
        pretend_another_process(access)
        write_journal(access, "", "step-started")
        picture(access, "walk-elsewhere", size, "", lambda app: app.operation is not None)


def test_history(site_directory: Path, size: tuple[int, int]) -> None:
    access = FakeAccess(site_directory, a_site())
    write_journal(access, "rolled-back", "step-ended")
    picture(access, "history", size, "h")


def test_logs_of_all_services(site_directory: Path, size: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, a_site()), "logs", size, "l a")


@pytest.mark.parametrize("key", ["question_mark", "m"])
def test_the_boxes_that_explain(key: str, site_directory: Path, size: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, a_site()), {"m": "maintenance-page"}.get(key, "help"), size, key)


def test_a_deployment_that_was_left_unfinished(site_directory: Path, size: tuple[int, int]) -> None:
    site = a_site(InfraState.DB_ONLY)
    access = FakeAccess(site_directory, site)
    write_journal(access, "", "step-started")
    picture(access, "interrupted", size, "j j")


def test_a_deployment_that_was_held_behind_the_gate(site_directory: Path, size: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, a_site()), "held", size, "d 1 . 1 ctrl+t enter G y", _is_over)


def test_what_a_rollback_would_discard(site_directory: Path, size: tuple[int, int]) -> None:
    keys = "d 1 . 1 enter G y z"
    picture(FakeAccess(site_directory, a_site()), "discard", size, keys, _has("Input", "type it here"))


def test_a_step_that_failed_on_the_whole_screen(site_directory: Path, size: tuple[int, int]) -> None:
    access = FakeAccess(site_directory, a_site())
    keys = "d 2 . 0 enter G y enter"
    picture(access, "step", size, keys, lambda app: _is_over(app) and _has("#logs", "Because")(app))


def test_a_verb_that_has_no_screen(site_directory: Path, size: tuple[int, int]) -> None:
    picture(
        FakeAccess(site_directory, a_site()), "in-terminal", size, ": c o m p o s e enter", _has("Input", "compose")
    )


def test_read_only(site_directory: Path, size: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, a_site()), "read-only", size, "2", read_only=True)


def test_a_service_of_your_own_among_two_hundred(site_directory: Path, size: tuple[int, int]) -> None:
    site = a_site()
    for number in range(200):
        site.services[f"own-{number:03}"] = replace(site.services["redis"], name=f"own-{number:03}")
    picture(FakeAccess(site_directory, site), "two-hundred", size, "j j j")


@pytest.mark.parametrize("other", [(100, 30), (220, 50)], ids=lambda size: f"{size[0]}x{size[1]}")
def test_sizes_between_and_very_wide(site_directory: Path, other: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, a_site()), "state-running", other, "j j")
    site = a_site()
    picture(FakeAccess(site_directory / "failed", site), "failed", other, "d 2 . 0 enter G y", _is_over)


WIDE = pytest.mark.parametrize("wide", [*SIZES, (200, 60)], ids=lambda size: f"{size[0]}x{size[1]}")


@WIDE
def test_services_that_are_waited_for(site_directory: Path, wide: tuple[int, int]) -> None:
    site = a_site()
    site.healthy.clear()
    access = FakeAccess(site_directory, site)
    write_journal(access, "done", "step-ended")
    picture(access, "starting", wide, "d 1 . 1 enter G y", _has("#closely", "checks failed"))


@WIDE
def test_all_about_a_service(site_directory: Path, wide: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, a_site()), "service", wide, "j j D", _has("#detail", "sha256"))


def test_the_sites_that_were_opened(
    site_directory: Path, tmp_path: Path, size: tuple[int, int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    school, college = FakeAccess(tmp_path / "school", a_site()), a_site(InfraState.RESTRICTED, "1.1.0")
    other = FakeAccess(tmp_path / "college", college, project="college")
    school.others = {access.directory: access for access in (school, other)}
    remember_site(str(other.directory))
    picture(school, "sites", size, "S", _has("Rows", "● restricted"))


@WIDE
def test_an_engine_that_went_away(site_directory: Path, wide: tuple[int, int]) -> None:
    access = FakeAccess(site_directory, a_site())

    def is_away(app: GraaspApp) -> bool:
        if access.fake.reachable and access.fake.streams:
            access.fake.reachable = False
            access.fake.changed()
        return app.trouble is not None

    picture(access, "engine-away", wide, "j j", is_away)


def test_a_terminal_without_focus(site_directory: Path, size: tuple[int, int]) -> None:
    def is_without_focus(app: GraaspApp) -> bool:
        app.app_focus = False
        return True

    picture(FakeAccess(site_directory, a_site()), "no-focus", size, "j j", is_without_focus)


@WIDE
def test_the_dashboard_with_the_last_thirty_days(site_directory: Path, wide: tuple[int, int]) -> None:
    access = FakeAccess(site_directory, a_site(InfraState.RUNNING, "1.1.0"))
    for days_ago, version, outcome, closed in (
        (24, "0.9.0", "done", 7.0),
        (17, "1.0.0", "rolled-back", 12.0),
        (16.8, "1.0.0", "done", 6.5),
        (3, "1.1.0", "done", 8.25),
    ):
        write_deployment(access, days_ago, version, outcome, closed)
    picture(access, "days", wide, "j j", lambda app: app.days is not None)


@WIDE
def test_requests_next_to_an_operation(site_directory: Path, wide: tuple[int, int]) -> None:
    site = a_site()
    site.held.clear()
    site.logs["nginx"] = nginx_lines()
    picture(
        FakeAccess(site_directory, site),
        "requests",
        wide,
        "d 1 . 1 enter G y",
        lambda app: wide[0] < 120 or _has("#traffic", "at most 15")(app),
    )


def test_a_filter_in_a_list(site_directory: Path, size: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, a_site()), "filter", size, "slash h e a l t h y space g r a a s p down")


def test_history_on_a_large_screen(site_directory: Path) -> None:
    access = FakeAccess(site_directory, a_site())
    write_journal(access, "rolled-back", "step-ended")
    picture(access, "history", (200, 60), "h", _has("#earlier", "Timeline"))


def test_the_light_theme(site_directory: Path, size: tuple[int, int]) -> None:
    picture(FakeAccess(site_directory, a_site()), "light", size, "t")


def write_journal(access: FakeAccess, outcome: str, until_event: str, previous_version: str = "1.0.0") -> None:
    """The journal of a deployment of 1.1.0 as another process would have written it."""
    plan = [
        {"name": "preflight", "title": "Check that 1.1.0 can be deployed here", "cause": "early", "closed": False},
        {"name": "close-gate", "title": "Close the gate", "cause": "visitors must not write", "closed": True},
        {"name": "stop-graasp", "title": "Stop redis, core and workers", "cause": "db-only", "closed": True},
        {"name": "migrate", "title": "Run migrations of 1.1.0", "cause": "0001_item_lang is pending", "closed": True},
        {"name": "select-version", "title": "Select 1.1.0", "cause": "the database belongs to it", "closed": True},
        {"name": "open-gate", "title": "Open the gate", "cause": "it is verified", "closed": True},
    ]
    records: list[dict[str, object]] = [
        {
            "event": "operation-started",
            "operation": "20251231-235950-deploy-1.1.0",
            "command": "graasp-local deploy --version 1.1.0",
            "target": "running",
            "version": "1.1.0",
            "previous_version": previous_version,
            "plan": plan,
        }
    ]
    for index, step in enumerate(plan if outcome == "done" else plan[:4]):
        records.append({"event": "step-started", "index": index, **step})
        if index != 3 or until_event == "step-ended":
            failed = index == 3 and outcome != "done"
            outcome_of_step = "failed" if failed else "done"
            records.append(
                {
                    "event": "step-ended",
                    "index": index,
                    "name": step["name"],
                    "outcome": outcome_of_step,
                    "seconds": 0.4,
                }
            )
        else:
            records.append({"event": "step-output", "index": index, "text": "applying 0001_item_lang"})
    if outcome:
        records.append(
            {
                "event": "operation-ended",
                "operation": "20251231-235950-deploy-1.1.0",
                "outcome": outcome,
                "state": "running",
                "version": "1.1.0" if outcome == "done" else "1.0.0",
                "downtime_seconds": 4.2,
                "seconds": 6.5,
                "steps": [],
                "exit_code": 20,
                "problem": ["The migration to 1.1.0 failed with exit code 1.", "1.0.0 serves again."],
            }
        )
    file = access.site().journal_directory / "20251231-235950-deploy-1.1.0.jsonl"
    lines = [
        json.dumps({"at": f"2025-12-31T23:59:{50 + min(9, number)}.000+00:00", "format": 1, "pid": 1, **record})
        for number, record in enumerate(records)
    ]
    file.write_text("\n".join(lines) + "\n")


def pretend_another_process(access: FakeAccess) -> None:
    """The lock is held by the test; what it says of its holder is someone else."""
    holder = {"command": "graasp-local deploy --version 1.1.0", "pid": 1, "host": "graasp", "since": "2025-12-31"}
    access.site().lock_file.write_text(json.dumps(holder))


def _is_over(app: GraaspApp) -> bool:
    return app.operation is not None and app.operation.is_over and not app.operates_itself


def _has(selector: str, text: str) -> Callable[[GraaspApp], object]:
    from tests.tui.conftest import screen_text

    return lambda app: app.screen.query(selector) and text in screen_text(app)
