"""What visitors meet is told apart, and added up as a visitor would."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from graasp_local.journal.events import OperationEnded, Probed, as_json
from graasp_local.journal.visits import FAULTS, Asker, Met, ProbeReport, Tally, met, report
from graasp_local.operations.run import probed, run
from graasp_local.planning.requests import Deploy
from graasp_local.planning.states import Gate
from tests.unit.fakes import FakeWorld

CLOSED = {"graasp-gate": "closed", "retry-after": "60", "cache-control": "no-store"}
OPEN = {"graasp-gate": "open"}
AS_JSON = {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("path", "status", "headers", "body", "what"),
    [
        ("/", 200, OPEN, "<html>", Met.APP),
        ("/api/version", 404, {**OPEN, **AS_JSON}, "{}", Met.APP),
        ("/api/version", 500, {**OPEN, **AS_JSON}, '{"message": "no table"}', Met.APP),
        ("/api/x", 503, {**OPEN, **AS_JSON}, '{"message": "busy"}', Met.APP),
        ("/", 302, {**OPEN, "location": "/auth"}, "", Met.APP),
        ("/", 302, {**CLOSED, "location": "/maintenance"}, "", Met.REDIRECT),
        ("/maintenance", 302, {**OPEN, "location": "/", "cache-control": "no-store"}, "", Met.REDIRECT),
        ("/maintenance", 503, {**CLOSED, "content-type": "text/html"}, "<html>", Met.PAGE),
        ("/api/x", 503, {**CLOSED, **AS_JSON}, '{"maintenance": true}', Met.JSON),
        ("/api/x", 503, {**OPEN, **AS_JSON, "retry-after": "60"}, '{"maintenance": false}', Met.UNAVAILABLE),
        ("/", 503, {**OPEN, "retry-after": "60", "content-type": "text/html"}, "<html>", Met.UNAVAILABLE),
        ("/", 502, {}, "<html><center>nginx</center>", Met.BAD_GATEWAY),
        ("/", 500, {}, "<html><center>nginx/1.22</center>", Met.BAD_GATEWAY),
        ("/api/x", 503, {**CLOSED, **AS_JSON}, "torn", Met.BAD_GATEWAY),
    ],
)
def test_every_answer_is_told_apart(path: str, status: int, headers: dict[str, str], body: str, what: Met) -> None:
    assert met(path, status, headers, body) is what


def test_downtime_is_from_the_first_request_not_served_to_the_first_served_again() -> None:
    tally = Tally()
    asked = [(Met.APP, 0.0), (Met.JSON, 1.0), (Met.REDIRECT, 2.0), (Met.PAGE, 3.0), (Met.APP, 4.0), (Met.APP, 5.0)]
    changes = [tally.add(what, at, at + 0.5) for what, at in asked]
    assert tally.away_seconds == 3.5
    assert changes == [True, True, True, True, True, False]
    assert tally.faults == 0


@pytest.mark.parametrize("met_in_turn", [[], [Met.JSON, Met.APP], [Met.APP, Met.JSON], [Met.APP, Met.HANG]])
def test_there_is_no_downtime_of_a_site_that_was_not_open_before_and_after(met_in_turn: list[Met]) -> None:
    tally = Tally()
    for at, what in enumerate(met_in_turn):
        tally.add(what, at, at)
    assert tally.away_seconds is None


@given(st.lists(st.sampled_from(Met)))
def test_nothing_is_lost_from_the_counts_and_every_fault_is_counted(met_in_turn: list[Met]) -> None:
    tallies = {side: Tally() for side in Asker}
    for at, what in enumerate(met_in_turn):
        tallies[Asker.VISITOR].add(what, at, at + 0.5)
    told = report(tallies, 1.0)
    assert sum(told.counts[Asker.VISITOR].values()) == len(met_in_turn)
    assert told.faults == sum(what in FAULTS for what in met_in_turn)
    assert ("no visitor should get" in " ".join(told.as_lines())) == bool(told.faults)
    json.dumps(told.as_json())


class FakeProber:
    """Says that visitors were away for 1.25 s."""

    def __init__(self) -> None:
        self.calls: list[str] = []

    def start(self) -> None:
        self.calls.append("start")

    def stop(self, gate: Gate) -> ProbeReport:
        self.calls.append(f"stop {gate}")
        return ProbeReport(4.0, 1.25, {Asker.VISITOR: {Met.APP: 3, Met.JSON: 2}, Asker.BYPASS: {Met.APP: 5}}, 0)


def test_what_visitors_met_comes_before_the_last_event(running: FakeWorld) -> None:
    prober = FakeProber()
    world = running.world
    *_, told, ended = run(replace(world, prober=lambda: prober), Deploy("1.1.0", hold=True, probe=True))
    assert isinstance(told, Probed)
    assert as_json(told)["visitor"] == {"app": 3, "json": 2}
    assert isinstance(ended, OperationEnded)
    assert (told.report.downtime_seconds, ended.downtime_seconds) == (1.25, None)  # it is closed still
    assert prober.calls == ["start", "stop closed"]


def test_without_a_prober_the_events_are_as_they_were() -> None:
    assert list(probed(iter([]), None)) == []
