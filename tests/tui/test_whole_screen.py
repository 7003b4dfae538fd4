"""The rest of the screen: filters in every list, requests next to an operation, the last thirty days, what is stale."""

from __future__ import annotations

from pathlib import Path

import pytest
from textual import events
from textual.pilot import Pilot
from textual.widgets import Input, Sparkline

from graasp_local.journal.closings import by_month, closings
from graasp_local.journal.read import read_operations
from graasp_local.lock import held_lock
from graasp_local.planning.states import Gate
from graasp_local.tui.app import GraaspApp
from graasp_local.tui.drawing.month import month_lines
from graasp_local.tui.drawing.traffic import axis_line, errors_line, requests_line, window
from graasp_local.tui.log_model import Chunks
from graasp_local.tui.messages import UsageRead
from graasp_local.tui.operation_view import OperationView
from graasp_local.tui.remembered import recall
from graasp_local.tui.screens.logs import LogsScreen
from graasp_local.tui.screens.operation import OperationScreen
from graasp_local.tui.screens.plan import PlanScreen
from graasp_local.tui.screens.service import ServiceScreen
from graasp_local.tui.tones import Tone, text_of
from graasp_local.tui.traffic import Traffic
from graasp_local.tui.watching import last_days
from graasp_local.tui.widgets.logs import LogView
from graasp_local.tui.widgets.rows import Rows
from tests.tui.conftest import drive, press, screen_text, until
from tests.tui.fakes import NOW, FakeAccess, nginx_lines, readings, write_deployment
from tests.tui.test_pictures import pretend_another_process, write_journal

HEAD = "2026-01-01T00:00:"


def marked(app: GraaspApp) -> str | None:
    return app.screen.query(Rows).first().cursor_key


@pytest.mark.parametrize(
    ("keys", "needle", "left"),
    [
        ("1", "work", "workers"),
        ("1", "core v1", "core"),
        ("s", "restr", "restricted"),
        ("h", "1.1.0 done", "20251231-235950-deploy-1.1.0"),
        ("S", "school", None),
    ],
)
def test_a_list_is_filtered_by_its_key_and_enter_takes_what_is_marked(
    access: FakeAccess, keys: str, needle: str, left: str | None
) -> None:
    write_journal(access, "done", "step-ended")

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, keys)
        await until(pilot, lambda: app.screen.query(Rows) and marked(app) is not None)
        screen, rows = app.screen, app.screen.query(Rows).first()
        every = len(rows._table.rows)
        await press(pilot, "slash")
        assert isinstance(app.focused, Input)
        app.focused.value = needle
        await until(pilot, lambda: len(rows._table.rows) == 1)
        assert left in (None, marked(app))
        app.focused.value = "no such thing"
        await until(pilot, lambda: "Nothing matches." in screen_text(app))
        await press(pilot, "escape")
        await until(pilot, lambda: len(rows._table.rows) == every)
        assert app.screen is screen, "the filter goes before the screen does"
        assert rows.has_focus
        if left is not None:
            await press(pilot, "slash")
            app.focused.value = needle
            await until(pilot, lambda: len(rows._table.rows) == 1)
            await press(pilot, "enter")
            await until(pilot, lambda: app.screen is not screen)

    drive(access, steps, size=(120, 40))


def test_steps_of_an_operation_and_of_a_plan_and_all_about_a_service_are_filtered(access: FakeAccess) -> None:
    access.fake.held.clear()

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "j j D")
        await until(pilot, lambda: isinstance(app.screen, ServiceScreen) and "Image" in screen_text(app))
        await press(pilot, "slash n o d e")
        await until(pilot, lambda: "NODE_ENV" in screen_text(app) and "Image" not in screen_text(app))
        await press(pilot, "escape escape d 1 . 1 enter")
        await until(pilot, lambda: isinstance(app.screen, PlanScreen) and "Go ahead" in screen_text(app))
        await press(pilot, "slash m i g r")
        rows = app.screen.query_one(Rows)
        await until(pilot, lambda: 0 < len(rows._table.rows) < len(rows._whole.rows) // 2)
        # All lines of a step stay together.
        assert "because a migration's exit code and output" in screen_text(app)
        # What a filter hides was not seen: agreeing says so.
        await press(pilot, "escape y")
        await until(pilot, lambda: any("below" in note.message for note in app._notifications))
        await press(pilot, "G y")
        await until(pilot, lambda: isinstance(app.screen, OperationScreen) and "applying" in screen_text(app))
        steps_ = app.screen.query_one("#steps", Rows)
        every = len(steps_._table.rows)
        await press(pilot, "slash g a t e")
        await until(pilot, lambda: len(steps_._table.rows) < every)
        assert all("gate" in row.words for row in steps_._table.rows)
        await press(pilot, "escape")
        await until(pilot, lambda: len(steps_._table.rows) == every)
        access.fake.held.set()
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)

    drive(access, steps)


def test_in_the_list_of_versions_the_key_goes_to_the_field_that_narrows_it(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "d")
        await until(pilot, lambda: "running now" in screen_text(app))
        await press(pilot, "tab")
        assert app.screen.query_one(Rows).has_focus
        await press(pilot, "slash 1 . 1")
        await until(pilot, lambda: len(app.screen.query_one(Rows)._table.rows) == 1)

    drive(access, steps)


def test_choices_of_logs_and_the_width_of_names_are_remembered(access: FakeAccess) -> None:
    access.fake.services["a-service-with-a-long-name"] = access.fake.services["redis"]
    access.fake.services = {
        name: type(service)(**{**{f: getattr(service, f) for f in service.__struct_fields__}, "name": name})
        for name, service in access.fake.services.items()
    }

    async def choose(pilot: Pilot[None], app: GraaspApp) -> None:
        assert "a-service-with-a-long-name" not in screen_text(app)
        for _ in range(9):
            await press(pilot, "greater_than_sign")
        await until(pilot, lambda: "a-service-with-a-long-name" in screen_text(app))
        await press(pilot, "less_than_sign l T w right_square_bracket")
        await until(pilot, lambda: recall().log_range == 1 and recall().log_wraps and recall().log_times)
        assert recall().wider == 16

    async def look(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "greater_than_sign")
        await until(pilot, lambda: "a-service-with-a-long-name" in screen_text(app))
        await press(pilot, "l")
        await until(pilot, lambda: isinstance(app.screen, LogsScreen) and "last 1 min" in screen_text(app))
        logs = app.screen.query_one(LogView)
        await until(pilot, lambda: logs.shows_times and logs.wraps)
        await press(pilot, "T")
        await until(pilot, lambda: not recall().log_times)

    drive(access, choose)
    drive(access, look)


def test_what_is_not_read_in_the_background_is_of_a_time_and_dim(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        for usage in readings(access.fake, 30):
            app.on_usage_read(UsageRead(usage))
        await pilot.pause(0.2)

        def tones() -> set[str]:
            rows = app.screen.query_one("#services", Rows)
            pieces = [piece for row in rows._table.rows for piece in row.line if " MB" in piece.text]
            return {str(piece.tone) for piece in pieces}

        assert tones() == {Tone.PLAIN}
        assert "as of" not in screen_text(app)
        app.post_message(events.AppBlur())
        await until(pilot, lambda: "CPU and memory as of 00:00:00 UTC: terminal not in focus" in screen_text(app))
        assert tones() == {Tone.QUIET}
        await press(pilot, "D")
        app.post_message(events.AppBlur())
        await until(pilot, lambda: "last reading" in screen_text(app))
        app.post_message(events.AppFocus())
        await until(pilot, lambda: "now" in screen_text(app) and "as of" not in screen_text(app))

    drive(access, steps)


def test_old_data_of_a_site_without_engine_is_marked_as_old(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: access.fake.streams)
        access.fake.reachable = False
        access.fake.changed()
        await until(pilot, lambda: "The Docker engine does not answer" in screen_text(app))
        text = screen_text(app)
        assert "Everything below is from 00:00:00 UTC" in text
        assert "◌ running" in text
        assert "●" not in text
        assert "core" in text, "what was seen is still there to be looked at"
        assert "not followed" in text
        access.fake.reachable = True
        await press(pilot, "u")
        await until(pilot, lambda: "● running" in screen_text(app))
        assert "◌" not in screen_text(app)

    drive(access, steps, size=(80, 40))


def counted(lines: list[str]) -> Traffic:
    traffic = Traffic()
    traffic.count(Chunks("").lines("".join(f"{line}\n" for line in lines).encode()))
    return traffic


def test_requests_are_counted_by_the_second_and_5xx_answers_by_what_they_mean() -> None:
    figures = counted(nginx_lines()).figures(NOW - 31, NOW)
    assert (len(figures.requests), figures.requests[:4], figures.requests[-1]) == (32, (0, 6, 13, 9), 6)
    assert figures.failed == (*[0] * 31, 6)
    assert (sum(figures.closed), sum(figures.errors)) == (4, 2)
    assert text_of([requests_line(figures, 80)]) == "Requests per second  now 6, at most 15"
    assert text_of([errors_line(figures, 80)]) == "5xx responses  4 from the closed gate, 2 others"


FORMAT = '$remote_addr [$time_local] "$request_method $logged_uri" $status $body_bytes_sent $request_time gate=$gate'
TELLING = {
    "$remote_addr": "192.0.2.7",
    "$time_local": "01/Jan/2026:00:00:01 +0000",
    "$request_method": "GET",
    "$logged_uri": "/items",
    "$status": "502",
    "$body_bytes_sent": "157",
    "$request_time": "0.004",
    "$gate": "open",
}


def logged(**values: str) -> str:
    """A line as nginx writes it."""
    line = FORMAT
    for name, value in {**TELLING, **{f"${name}": value for name, value in values.items()}}.items():
        line = line.replace(name, value)
    return line


def test_the_format_of_the_log_is_the_one_that_is_counted() -> None:
    template = Path(__file__).parents[2] / "nginx" / "templates" / "20-proxy.conf.template"
    assert f"log_format graasp '{FORMAT}';" in template.read_text()


@pytest.mark.parametrize(
    ("line", "counts"),
    [
        (logged(), (1, 0, 1)),
        (logged(status="503", gate="closed"), (1, 1, 0)),
        (logged(status="499"), (1, 0, 0)),
        (logged(remote_addr="2001:db8::7"), (1, 0, 1)),
        (logged(remote_addr="unix:"), (1, 0, 1)),
        # A quote in what a visitor sends is written as \\x22, and so are bytes that are no text.
        (logged(logged_uri="/a\\x22 200 5 0.001 gate=open"), (1, 0, 1)),
        (logged(request_method="", logged_uri="\\x16\\x03\\x01\\x02\\x00", status="400", gate=""), (1, 0, 0)),
        (logged(request_method="-", logged_uri="-", status="400", request_time="60.000", gate=""), (1, 0, 0)),
        # As it may never be: the end of the line tells.
        (logged(logged_uri='/a" 200 5 0.001 gate=open'), (1, 0, 1)),
        (logged(status="000", body_bytes_sent="0"), (0, 0, 0)),
        (logged()[:40], (0, 0, 0)),
        (logged()[:-7], (0, 0, 0)),
        (logged()[40:], (1, 0, 1)),
        ("", (0, 0, 0)),
        ('2026/01/01 00:00:01 [error] 31#31: *7 upstream timed out, request: "GET / HTTP/1.1"', (0, 0, 0)),
    ],
)
def test_each_kind_of_line_counts_as_what_visitors_got(line: str, counts: tuple[int, int, int]) -> None:
    figures = counted([f"{HEAD}01.000000001Z {line}"]).figures(NOW, NOW + 2)
    assert (sum(figures.requests), sum(figures.closed), sum(figures.errors)) == counts


def test_bytes_that_are_no_text_and_pieces_without_a_stamp_stop_no_counting() -> None:
    traffic = Traffic()
    chunks = Chunks("")
    whole = f"{HEAD}01.000000001Z {logged()}\n".encode()
    for piece in (b"\xff\xfe\x00Z \xc3\n", f"XYZ {logged()}\n".encode(), b"\n", whole[:50], whole[50:]):
        traffic.count(chunks.lines(piece))
    figures = traffic.figures(NOW, NOW + 2)
    assert (sum(figures.requests), sum(figures.errors)) == (1, 1)


def test_a_log_that_is_read_again_is_not_counted_again() -> None:
    traffic = counted(nginx_lines())
    traffic.count(Chunks("").lines("".join(f"{line}\n" for line in nginx_lines()).encode()))
    assert traffic.figures(NOW - 60, NOW) == counted(nginx_lines()).figures(NOW - 60, NOW)


def test_a_line_that_names_a_status_in_its_address_counts_by_the_answer() -> None:
    line = f'{HEAD}01.000000001Z 192.0.2.7 [x] "GET /a" 500 1 0.1 gate=open" 200 5 0.001 gate=open'
    figures = counted([line.replace('" 500', "\\x22 500").replace('open" 200', 'open" 200')]).figures(NOW, NOW + 2)
    assert sum(figures.failed) == 0


@pytest.mark.parametrize(
    ("outcome", "expected"),
    [("", "┃began"), ("done", "┃ended")],
)
def test_the_axis_says_where_the_operation_began_and_ended(outcome: str, expected: str) -> None:
    operation = OperationView(began=NOW, outcome=outcome, seconds=20.0 if outcome else None)
    begin, end = window(operation, NOW + 60)
    assert (begin, end) == (NOW - 60, NOW + 60)
    line = text_of([axis_line(operation, begin, end, 60)])
    assert line.index("┃began") == 30
    assert expected in line
    assert text_of([axis_line(operation, *window(operation, NOW + 9000), 60)]).count("┃") == (2 if outcome else 1)


def test_requests_are_sparklines_next_to_an_operation(access: FakeAccess) -> None:
    access.fake.held.clear()
    access.fake.logs["nginx"] = nginx_lines()

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await press(pilot, "d 1 . 1 enter")
        await until(pilot, lambda: "Go ahead" in screen_text(app))
        await press(pilot, "G y")
        await until(pilot, lambda: "now 6, at most 15" in screen_text(app))
        assert "4 from the closed gate, 2 others" in screen_text(app)
        assert "began┃" in screen_text(app)
        requests, errors = (app.screen.query_one(f"#{name}", Sparkline) for name in ("requests", "errors"))
        assert requests.data is not None
        assert errors.data is not None
        assert (len(requests.data), max(requests.data), max(errors.data)) == (61, 15, 6)
        access.fake.held.set()
        await until(pilot, lambda: app.operation is not None and app.operation.is_over)
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "Requests per second" not in screen_text(app))

    drive(access, steps, size=(140, 40))


def test_the_last_thirty_days_have_the_figures_of_the_history(access: FakeAccess) -> None:
    for days_ago, version, outcome, closed in ((45, "1.0.0", "done", 60.0), (9, "1.1.0", "rolled-back", 8.0)):
        write_deployment(access, days_ago, version, outcome, closed)
    write_deployment(access, 2, "1.1.0", "done", 4.5)
    days = last_days(access.site(), Gate.OPEN, NOW)
    operations = read_operations(access.site().journal_directory)
    found = closings(operations, Gate.OPEN, NOW)
    assert [deployment.version for deployment in days.deployments] == ["1.1.0", "1.1.0"]
    assert days.closings == 2
    assert days.closed_seconds == pytest.approx(12.5)
    december = next(month for month in by_month(found, NOW - 45 * 86_400, NOW) if month.month == "2025-12")
    assert december.closed_seconds == pytest.approx(days.closed_seconds)
    summary, strip, newest = text_of(month_lines(days, 138)).splitlines()
    assert summary == "Last thirty days  99.999 % open, closed 2 times for 12.5 s"
    assert strip.index("↺") < strip.index("✓")
    assert newest == "↺ 1.1.0 rolled back, closed 8.0 s, 9 d ago   ✓ 1.1.0 done, closed 4.5 s, 2 d ago"


def test_a_deployment_that_is_running_is_not_shown_as_killed(access: FakeAccess) -> None:
    command = "graasp-local deploy --version 1.1.0"
    write_journal(access, "", "step-started")
    assert text_of(month_lines(last_days(access.site(), Gate.CLOSED, NOW), 138)).splitlines()[0:3:2] == [
        "Last thirty days  closed once for 7.0 s",
        "✗ 1.1.0 killed, just now",
    ]

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: "▶ 1.1.0 under way" in screen_text(app))
        assert "killed" not in screen_text(app)
        await press(pilot, "h")
        await until(pilot, lambda: "▶ under way" in screen_text(app) and "Timeline" in screen_text(app))
        assert "killed" not in screen_text(app)
        await press(pilot, "enter")
        await until(pilot, lambda: isinstance(app.screen, OperationScreen))
        assert "started elsewhere" in screen_text(app)

    with held_lock(access.site().lock_file, command):
        pretend_another_process(access)
        drive(access, steps, size=(140, 40))
    with held_lock(access.site().lock_file, "graasp-local backup"):
        assert "killed" in text_of(month_lines(last_days(access.site(), Gate.CLOSED, NOW), 138))


def test_a_closing_from_before_the_thirty_days_counts_with_what_reaches_into_them(access: FakeAccess) -> None:
    write_deployment(access, 31, "1.0.0", "done", 2 * 86_400.0)
    write_deployment(access, 40, "1.0.0", "done", 5.0)
    days = last_days(access.site(), Gate.OPEN, NOW)
    assert days.closed_seconds == pytest.approx(86_400.0 + 1)
    assert days.known_seconds == pytest.approx(30 * 86_400.0)


def test_the_strip_of_thirty_days_is_on_a_wide_dashboard_and_follows_what_is_done(access: FakeAccess) -> None:
    write_deployment(access, 9, "1.0.0", "done", 8.0)

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: "Last thirty days" in screen_text(app))
        assert "✓ 1.0.0 done, closed 8.0 s, 9 d ago" in screen_text(app)
        await press(pilot, "d 1 . 1 enter")
        await until(pilot, lambda: "Go ahead" in screen_text(app))
        await press(pilot, "G y")
        await until(pilot, lambda: app.operation is not None and app.operation.is_over and not app.operates_itself)
        await press(pilot, "escape")
        await until(pilot, lambda: "✓ 1.1.0 done" in screen_text(app))
        await pilot.resize_terminal(80, 24)
        await until(pilot, lambda: "Last thirty days" not in screen_text(app))

    drive(access, steps, size=(140, 40))


def test_a_site_to_which_nothing_was_done_has_no_strip_of_days(access: FakeAccess) -> None:
    assert month_lines(last_days(access.site(), Gate.OPEN, NOW), 138) == ()
    assert month_lines(None, 138) == ()
