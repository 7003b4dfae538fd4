"""What visitors meet under load, through every change of state and whole deployments: nothing but what they may."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from tests.integration.demo_site import DemoSite
from tests.integration.visitors import LEAST_REQUESTS_A_SECOND, Visitors

pytestmark = pytest.mark.alone

ALLOWED = {
    "visitor": {"app", "redirect", "page", "json"},
    "slow": {"app", "json"},
    # Whoever has the bypass passes a closed gate, and is told so when no one answers behind it.
    "bypass": {"app", "unavailable", "redirect", "page", "json"},
    "websocket": {"echo", "ended", "json", "unavailable"},
}


def visited(site: DemoSite, what_happens: Callable[[], object]) -> Visitors:
    """Let visitors be there while something happens; they must meet only what they may."""
    with Visitors(site.port, site.bypass()) as visitors:
        what_happens()
    for who, allowed in ALLOWED.items():
        assert set(visitors.count(who)) <= allowed, (who, visitors.count(who), visitors.report["details"])
        assert visitors.count(who)
    # A load that was not there proves nothing: about twice as much was begun, and a slow machine may fall behind.
    assert visitors.requests_a_second() >= LEAST_REQUESTS_A_SECOND
    return visitors


def test_through_every_change_of_state(site: DemoSite) -> None:
    site.configure(STOPPED_PAGE="on")  # else no one listens in stopped

    def request_every_page() -> None:
        for state in ("restricted", "db-only", "running", "stopped", "running"):
            site.run("apply", state)

    visitors = visited(site, request_every_page)
    assert {"app", "redirect", "page", "json"} <= set(visitors.count("visitor"))
    assert visitors.count("websocket")["ended"] > 0


@pytest.mark.parametrize(
    ("version", "code", "outcome"),
    [("1.1.0", 0, "done"), ("1.3.0-migration-fails", 20, "rolled-back"), ("1.3.0-wrong-version", 20, "rolled-back")],
)
def test_through_a_deployment_and_no_write_that_was_confirmed_is_lost(
    site: DemoSite, version: str, code: int, outcome: str
) -> None:
    ended = {}
    visitors = visited(site, lambda: ended.update(site.deploy(version, "--probe", code=code)))
    assert ended["outcome"] == outcome
    there = {item["id"] for item in site.ask("/api/items").json()}
    assert visitors.report["written"]
    assert set(visitors.report["written"]) <= there


def test_seconds_closed_are_the_gates_and_next_to_them_what_visitors_met(site: DemoSite) -> None:
    ended = site.deploy("1.2.0", "--probe")
    (operation, *_) = [json.loads(line) for line in site.run("history", "--json").stdout.splitlines()]
    lines = (site.directory / "journal" / f"{operation['operation']}.jsonl").read_text().splitlines()
    probed = next(record for record in map(json.loads, lines) if record["event"] == "probed")
    assert operation["downtime_seconds"] == ended["downtime_seconds"] > 0
    assert probed["downtime_seconds"] > 0
    assert probed["faults"] == 0
    assert {"app", "redirect", "page", "json"} == set(probed["visitor"])


def test_probe_shows_both_sides_of_a_closed_gate(site: DemoSite) -> None:
    site.run("apply", "restricted")
    lines = [json.loads(line) for line in site.run("probe", "--seconds", "1", "--json").stdout.splitlines()]
    assert {(line["side"], line["met"]) for line in lines[:-1]} == {
        ("visitor", "redirect"),
        ("visitor", "page"),
        ("visitor", "json"),
        ("bypass", "app"),
    }
    assert (lines[-1]["faults"], lines[-1]["downtime_seconds"]) == (0, None)
    site.run("apply", "running")
    assert "app" in site.run("probe", "--seconds", "0.5").stdout
