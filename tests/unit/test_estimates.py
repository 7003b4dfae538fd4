"""The forecast of seconds closed: a range that its parts make up, each for a reason; and what is refused by it."""

from __future__ import annotations

from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from graasp_local.cli.main import cli
from graasp_local.cli.options import Duration
from graasp_local.errors import Refused
from graasp_local.journal.events import summary
from graasp_local.journal.read import read_operations
from graasp_local.operations import run
from graasp_local.planning.estimate import Estimate, Part, estimate_downtime, refuse_longer
from graasp_local.planning.migrations import Pending
from graasp_local.planning.plan_deploy import DeployRequest, plan_deploy
from graasp_local.planning.plan_transition import plan_transition
from graasp_local.planning.requests import Deploy
from graasp_local.planning.states import InfraState
from graasp_local.planning.timings import Range, Run
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld
from tests.unit.operating import ended_of
from tests.unit.sites import site_in

PLAN = plan_deploy(site_in(InfraState.RUNNING), DeployRequest(Version(1, 1, 0)), Pending(("0002_x",)))
CLOSED = [PLAN.steps[index].name for index in PLAN.closed_span]


def part(name: str, *runs: Run, database_bytes: int | None = None) -> Part:
    estimate = estimate_downtime(PLAN, {name: runs}, database_bytes)
    assert estimate is not None
    return next(part for part in estimate.parts if part.name == name)


RUNS = st.lists(
    st.builds(Run, st.floats(0, 1000), st.sampled_from(["", "1.0.0", "1.1.0"]), st.none() | st.integers(1, 10**12)),
    max_size=6,
)


@given(st.dictionaries(st.sampled_from(CLOSED), RUNS), st.none() | st.integers(0, 10**12))
def test_the_parts_make_up_the_range(seen: dict[str, list[Run]], database_bytes: int | None) -> None:
    estimate = estimate_downtime(PLAN, seen, database_bytes)
    assert estimate is not None
    assert [part.name for part in estimate.parts] == CLOSED
    assert all(0 <= part.low <= part.usual <= part.high for part in estimate.parts)
    assert all(part.reason for part in estimate.parts)
    assert estimate.range.low <= estimate.seconds <= estimate.range.high
    assert estimate.range.low == pytest.approx(sum(part.low for part in estimate.parts))
    assert estimate.range.high == pytest.approx(sum(part.high for part in estimate.parts))
    assert estimate.measured == all(seen.get(name) for name in CLOSED)


def test_uploads_that_are_running_may_take_the_whole_time_that_they_are_given() -> None:
    seen = {"drain": [Run(0.1, "1.0.0", None), Run(0.2, "1.0.0", None), Run(0.1, "1.0.0", None)]}
    quiet, busy = (estimate_downtime(PLAN, seen, upload_bytes=count) for count in (0, 18_000_000))
    assert quiet is not None
    assert busy is not None
    drain = next(part for part in busy.parts if part.name == "drain")
    assert (drain.low, drain.high) == (0.1, 11.0)
    assert drain.reason == "18 MB of uploads are still to come; they get 10 s"
    assert busy.range.high == pytest.approx(quiet.range.high + 10.8)


def test_waiting_once_for_an_upload_does_not_make_every_forecast_longer_than_what_uploads_are_given() -> None:
    drain = part("drain", Run(10.6, "1.0.0", None))
    assert (drain.low, drain.high) == (0.1, 11.0)
    assert drain.reason == "from one earlier run here"


def test_a_start_is_forecast_by_those_of_its_version() -> None:
    other = [Run(30.0, "1.0.0"), Run(40.0, "1.0.0")]
    known = part("start-graasp", *other, *(Run(seconds, "1.1.0") for seconds in (9.0, 10.0, 11.0)))
    assert (known.low, known.high, known.reason) == (9.0, 11.0, "from 3 earlier runs here of 1.1.0")
    assert part("start-graasp", *other).reason == "from 2 earlier runs here, of other versions"


def test_a_snapshot_is_forecast_by_the_size_of_the_database() -> None:
    assert part("snapshot", database_bytes=2_000_000_000).reason == "estimated for 2.0 GB"
    grown = part("snapshot", *(Run(1.0, "", 100_000_000) for _ in range(3)), database_bytes=300_000_000)
    assert (grown.low, grown.high) == (3.0, 3.0)
    assert grown.reason == "from 3 earlier runs here, scaled to 300 MB"


def test_by_few_runs_the_range_is_wider_than_what_they_took() -> None:
    only = part("stop-graasp", Run(4.0))
    assert (only.low, only.usual, only.high) == (3.0, 4.0, 6.0)


def test_the_lines_name_what_counts_and_the_rest_together() -> None:
    estimate = Estimate(
        (
            Part("start-graasp", "Start core", 9.0, 10.0, 12.0, "from 3 earlier runs here", measured=True),
            *(Part(f"small-{n}", "", 0.0, 0.1, 0.1, "from 3 earlier runs here", measured=True) for n in range(4)),
        )
    )
    assert estimate.lines() == (
        "  9.0 to 12.0 s  Start core     from 3 earlier runs here",
        "   0.0 to 0.4 s  4 other steps",
    )


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.2, 0.4, "about 1 s"),
        (24.6, 41.2, "25 to 41 s"),
        (100, 150, "100.0 s to 2 min 30 s"),
        (3600, 9000, "60 min 0 s to 2 h 30 min"),
    ],
)
def test_a_range_in_words(low: float, high: float, words: str) -> None:
    assert Range(low, high).in_words() == words


@pytest.mark.parametrize(
    ("text", "seconds"), [("60s", 60), ("90", 90), ("1.5", 1.5), ("2m", 120), ("2 min", 120), ("1h", 3600)]
)
def test_a_duration_is_read(text: str, seconds: float) -> None:
    assert Duration().convert(text, None, None) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "soon", "60x", "1e9", "inf", "nan", "99999h"])
def test_what_is_not_a_duration_is_reported(text: str) -> None:
    with pytest.raises(click.BadParameter, match="is not a duration"):
        Duration().convert(text, None, None)


def test_longer_than_allowed_is_refused_before_anything_is_changed(running: FakeWorld) -> None:
    with pytest.raises(Refused, match="--max-downtime allows only 2 s") as refused:
        list(run.run(running.world, Deploy("1.1.0"), run.RunOptions(max_downtime=2.0)))
    assert "Start redis and core" in refused.value.next_step
    assert running.state.calls == []
    assert list(running.world.site.journal_directory.glob("*.jsonl")) == []


def test_what_is_allowed_is_done_and_the_forecast_is_shown(running: FakeWorld) -> None:
    running.engine.in_flight = [1] * 3
    ended = ended_of(list(run.run(running.world, Deploy("1.1.0"), run.RunOptions(max_downtime=600.0))))
    assert ended.forecast is not None
    assert f"(forecast: {ended.forecast.in_words()})" in summary(ended)
    (record,) = read_operations(running.world.site.journal_directory)
    assert record.as_json()["forecast"] == ended.forecast.as_json()
    assert record.database_bytes == running.databases.size


def test_what_leaves_the_site_closed_is_refused() -> None:
    plan = plan_transition(site_in(InfraState.RUNNING), InfraState.RESTRICTED)
    with pytest.raises(Refused, match="would stay closed"):
        refuse_longer(plan, None, 60.0)


def test_a_site_that_is_closed_already_may_be_opened() -> None:
    refuse_longer(plan_transition(site_in(InfraState.RESTRICTED), InfraState.RUNNING), None, 1.0)
    refuse_longer(PLAN, Estimate(), 1.0)  # nothing is closed


def test_a_wrong_duration_is_exit_code_2(tmp_path: Path) -> None:
    site = tmp_path / "site"
    assert CliRunner().invoke(cli, ["init", str(site), "--demo"]).exit_code == 0
    words = ["--site", str(site), "deploy", "--version", "1.0.0", "--max-downtime", "soon"]
    assert CliRunner().invoke(cli, words).exit_code == 2
