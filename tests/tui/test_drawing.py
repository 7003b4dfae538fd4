"""What is drawn for a width, as text."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.planning.plan import Plan
from graasp_local.planning.states import Health, InfraState, ObservedService, ServiceGroup, Status
from graasp_local.planning.steps import CloseGate, OpenGate, StartServices, StopServices
from graasp_local.planning.timings import Range
from graasp_local.ports.live import ContainerDetail, HealthAnswer, ObservedContainer, Usage
from graasp_local.tui.drawing.operation import ending_lines, plan_head, plan_table, steps_table
from graasp_local.tui.drawing.progress import Closely, closed_line, closely_lines, usual_seconds
from graasp_local.tui.drawing.tables import services_table
from graasp_local.tui.figures import clock
from graasp_local.tui.model import Reception, Service
from graasp_local.tui.operation_view import OperationView, Progress, StepView
from graasp_local.tui.readings import Reading
from graasp_local.tui.tones import text_of, width_of
from graasp_local.version import Version

READING = Reading(Usage(1.0, 117_000_000, 0.0), 5.2, (1.0, 2.0, 3.0, 4.0), (1.0, 1.0, 1.0, 1.0))


def a_service(name: str) -> Service:
    observed = ObservedService(
        name, ServiceGroup.ADMINISTRATION, Status.RUNNING, Health.UNHEALTHY, f"graasp:{name}-v1.10.0"
    )
    return Service(observed, ObservedContainer(name, name, 0.0, 3))


@pytest.mark.parametrize("width", [78, 80, 98, 138, 218])
@pytest.mark.parametrize("name", ["db", "meilisearch", "a-name-that-is-much-too-long"])
def test_a_row_of_services_fits_and_keeps_its_columns_apart(name: str, width: int) -> None:
    table = services_table([a_service(name), a_service("db")], {name: READING}, 30.0, width)
    assert all(width_of(line) <= width for line in (table.heading, *(row.line for row in table.rows)))
    words = text_of([table.rows[0].line]).split()
    assert words[:2] == ["administration", "✗"]
    assert words[3] == "unhealthy"
    assert "< 1 min" in text_of([table.rows[0].line])
    assert "5.2 %" in text_of([table.rows[0].line])
    assert "117 MB" in text_of([table.rows[0].line])


PENDING = Plan(
    InfraState.RUNNING,
    (CloseGate("visitors must not write while the database changes"), OpenGate("the new version is verified")),
    Version(1, 1, 0),
    hint="This deployment need not close the site.",
)


@pytest.mark.parametrize("width", [40, 80, 140, 220])
def test_nothing_of_a_plan_is_cut_off(width: int) -> None:
    drawn = [row.line for row in plan_table(PENDING, width).rows]
    assert all(width_of(line) <= width for line in drawn)
    told = " ".join(text_of(drawn).replace("┃", "").split())
    for step in PENDING.steps:
        assert step.title in told
        assert step.cause in told or width < 100, "causes are next to the steps where there is room"
        assert all(word in told for word in step.cause.split())


@pytest.mark.parametrize("width", [80, 140])
def test_a_closed_step_says_how_long_it_takes(width: int) -> None:
    reasons = {"open-gate": "0.1 to 0.4 s, from 3 earlier runs here"}
    told = " ".join(text_of([row.line for row in plan_table(PENDING, width, reasons).rows]).split())
    assert "the new version is verified; 0.1 to 0.4 s, from 3 earlier runs here" in told.replace(" ┃", "")


def test_another_way_to_deploy_is_shown_above_the_plan() -> None:
    head = " ".join(text_of(plan_head(PENDING, "about 4 s", Reception.SERVED, 80)).split())
    assert "Expected downtime: about 4 s" in head
    assert PENDING.hint in head


def test_a_plan_says_what_the_sites_own_file_asks_of_the_machine() -> None:
    asked = ("compose.override.yaml gives core the engine's socket (/var/run/docker.sock).",)
    head = text_of(plan_head(PENDING, "about 4 s", Reception.SERVED, 100, powers=asked))
    assert "! compose.override.yaml gives core the engine's socket (/var/run/docker.sock)." in head


STOP_CORE = StopServices(ServiceGroup.GRAASP, ("core",), "it is unhealthy")
START_CORE = StartServices(ServiceGroup.GRAASP, ("core",), "running needs the graasp group")
START_WORKERS = StartServices(ServiceGroup.GRAASP, ("workers",), "running needs the graasp group")


@pytest.mark.parametrize(
    ("steps", "reception", "said"),
    [
        ((START_WORKERS,), Reception.SERVED, "Visitors are served throughout."),
        ((STOP_CORE, START_CORE), Reception.SERVED, "From step 1 to step 2, visitors get errors: core is off"),
        (
            (START_WORKERS, START_CORE),
            Reception.ERRORS,
            "visitors get errors until step 2 is done: core does not answer",
        ),
        ((START_WORKERS,), Reception.ERRORS, "Visitors get errors: core does not answer."),
        ((START_WORKERS,), Reception.PAGE, "The site stays closed to visitors, as it is."),
        ((START_WORKERS,), Reception.NOTHING, "nginx does not answer visitors now."),
    ],
)
def test_a_plan_that_leaves_the_gate_says_what_visitors_get(
    steps: tuple[StopServices | StartServices, ...], reception: Reception, said: str
) -> None:
    plan = Plan(InfraState.RUNNING, steps)
    head = " ".join(text_of(plan_head(plan, "", reception, 100, visited=("core",))).split())
    assert said.casefold() in head.casefold()
    assert ("served throughout" in head) is (said == "Visitors are served throughout.")


CLOSED = StepView("close-gate", "Close the gate", "c", closed=True, progress=Progress.DONE, began=100.0, seconds=0.5)
MIGRATING = StepView("migrate", "Run migrations", "c", closed=True, progress=Progress.DOING, began=100.5)


@pytest.mark.parametrize(("now", "before_tick", "beyond"), [(105.0, 5, 0), (110.0, 10, 0), (114.0, 10, 2)])
def test_the_clock_of_downtime_is_a_bar_with_a_tick_where_it_was_forecast_to_end(
    now: float, before_tick: int, beyond: int
) -> None:
    operation = OperationView(began=100.0, steps=(CLOSED, MIGRATING), forecast=Range(6.0, 10.0))
    words = f"Closed to visitors for {now - 100:.1f} s, forecast 6 to 10 s  "
    told = text_of([closed_line(operation, now, len(words) + 14)])
    assert told.startswith(words)
    bar = told.removeprefix(words)
    assert len(bar) == 14
    assert bar.partition("┃")[0].count("━") == before_tick
    assert bar.partition("┃")[2].count("━") == beyond


def test_a_clock_without_forecast_or_room_is_written_in_words() -> None:
    operation = OperationView(began=100.0, steps=(CLOSED, MIGRATING))
    assert "━" not in text_of([closed_line(operation, 105.0, 100)])
    assert "━" not in text_of([closed_line(replace(operation, forecast=Range(6.0, 10.0)), 105.0, 50)])


@pytest.mark.parametrize(("now", "said"), [(102.0, "usual 3.0 s"), (106.0, "longest yet")])
def test_a_step_is_shown_next_to_its_usual_time(now: float, said: str) -> None:
    operation = OperationView(began=100.0, steps=(CLOSED, MIGRATING))
    usual = usual_seconds({"migrate": [2.0, 3.0, 5.0]})
    told = text_of([steps_table(operation, usual, now, 90).rows[1].line])
    assert told.endswith(f"{said}    {now - 100.5:.1f} s")


LONG = "Run migrations of 1.10.0-beta.1 (limit 1800 s) and create containers"


@pytest.mark.parametrize("width", [72, 78, 85, 110])
def test_a_title_is_not_cut_to_show_the_usual_time(width: int) -> None:
    """But of the step that is being done, and of what takes longer than it ever did, it is said."""
    migrated = replace(MIGRATING, title=LONG, progress=Progress.DONE, seconds=1.5)
    operation = OperationView(began=100.0, steps=(CLOSED, migrated))
    usual = usual_seconds({"migrate": [2.0, 3.0, 5.0], "close-gate": [0.1, 0.7]})
    lines = [text_of([row.line]) for row in steps_table(operation, usual, 102.0, width).rows]
    assert all(len(line) <= width for line in lines)
    assert "usual 0.4 s   0.50 s" in lines[0]
    assert (LONG in lines[1]) is (width >= 4 + len(LONG) + 9)
    assert ("usual 3.0 s" in lines[1]) is (width == 110)
    assert lines[0].index("0.50 s") == lines[1].index("1.50 s"), "seconds stand below each other"
    under_way = replace(operation, steps=(CLOSED, replace(MIGRATING, title=LONG)))
    assert "usual 3.0 s" in text_of([steps_table(under_way, usual, 102.0, width).rows[1].line])
    assert "longest yet" in text_of([steps_table(under_way, usual, 106.0, width).rows[1].line])


@pytest.mark.parametrize("width", [30, 48, 90])
def test_what_can_be_done_at_the_end_is_never_cut_off(width: int) -> None:
    hints = (("o", "open the site", ""), ("z", "go back to 1.0.0", ""), ("h", "earlier operations", ""))
    ended = OperationView(began=100.0, outcome="done", state="running", version="1.1.0", seconds=9.0)
    lines = ending_lines(ended, hints, width)
    assert all(width_of(line) <= width + 1 for line in lines)
    told = text_of(lines)
    assert all(f"{key} {label}" in told for key, label, _ in hints)


@pytest.mark.parametrize(
    ("seconds", "said"), [(3.24, "3.2 s"), (65.0, "1 min 05 s"), (3599.0, "59 min 59 s"), (7500.0, "2 h 05 min")]
)
def test_a_running_clock(seconds: float, said: str) -> None:
    assert clock(seconds) == said


def waited_for(service: str) -> ContainerDetail:
    return ContainerDetail(
        service=service,
        image="graasp:core-v1.1.0",
        digest="",
        status="running",
        health="starting",
        started_at=100.0,
        restarts=0,
        failing_streak=3,
        retries=40,
        start_seconds=300.0,
        answers=(HealthAnswer(1, "connection refused", ""),),
        memory_limit=0,
        environment=(),
        mounts=(),
        networks=(),
    )


def test_where_there_is_little_room_every_service_that_is_waited_for_has_a_line() -> None:
    closely = Closely(tuple(map(waited_for, ("core", "redis", "workers"))), "core", ("listening",))
    full = text_of(closely_lines(MIGRATING, closely, 104.0, 80, 12))
    assert full.count("3 of 40 checks failed; they count after 300 s") == 3
    few = text_of(closely_lines(MIGRATING, closely, 104.0, 80, 6)).splitlines()
    assert [line.split()[1] for line in few[:3]] == ["core", "redis", "workers"]
    assert all(line.endswith("3 of 40 checks failed: connection refused") for line in few[:3])
    assert few[3:] == ["", "The end of the log of core", "  listening"]
