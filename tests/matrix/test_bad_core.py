"""A new core that does not serve: it is not let loose on visitors, or can be left behind."""

from __future__ import annotations

import pytest

from tests.integration.demo_site import wait_for
from tests.matrix.matrix_site import MatrixSite
from tests.matrix.record import Record
from tests.matrix.verdict import ends_well, nothing_is_lost, serves


@pytest.mark.parametrize(
    ("version", "did"),
    [
        ("1.3.0-never-healthy", "it never gets healthy"),
        ("1.3.0-wrong-version", "it says that it is another version"),
    ],
)
def test_that_is_seen_is_rolled_back(site: MatrixSite, record: Record, version: str, did: str) -> None:
    record.did = did
    before = site.data()
    with site.visited() as visitor:
        record.saw = ends_well(site, site.end("deploy", "--version", version, "--json"), (20,))
    record.data = nothing_is_lost(site, before, visitor)


def test_that_crashes_when_it_serves_is_left_by_the_next_deployment(site: MatrixSite, record: Record) -> None:
    record.did = "it gets healthy, serves, and crashes again and again"
    before = site.data()
    with site.visited() as visitor:
        site.deploy("1.3.0-crashes-later")
        wait_for(lambda: site.status()["state"] == "drifted", "core has crashed")
        site.deploy("1.1.0")
        record.saw = f"status: drifted; deploy 1.1.0 (exit code 0): {serves(site, '1.1.0')}"
    record.data = nothing_is_lost(site, before, visitor)
    site.back_to_1_0_0()
