"""Two commands at once on one site: one works, the other is told who does, and death frees the lock."""

from __future__ import annotations

import pytest

from tests.matrix.faulty import Point, When
from tests.matrix.matrix_site import MatrixSite
from tests.matrix.parts import WORKING
from tests.matrix.record import Record
from tests.matrix.verdict import nothing_is_lost, serves


@pytest.mark.parametrize(
    ("did", "second"),
    [
        ("deploy during a deploy", ("deploy", "--version", "1.2.0")),
        ("apply during a deploy", ("apply", "stopped")),
        ("rollback during a deploy", ("rollback",)),
    ],
)
def test_the_second_is_refused_and_the_first_goes_through(
    site: MatrixSite, record: Record, did: str, second: tuple[str, ...]
) -> None:
    record.did = did
    before = site.data()
    with site.visited() as visitor, site.met(Point(When.BEFORE, "migrate"), *WORKING) as met:
        refused = site.end(*second)
        assert refused.code == 11, refused.said
        assert f"process {met.process.pid}" in refused.said
        assert met.go_on().code == 0
        record.saw = f"exit code 11, which names the first; the first: exit code 0, {serves(site, '1.1.0')}"
    record.data = nothing_is_lost(site, before, visitor)
    site.back_to_1_0_0()


def test_two_that_start_together_do_not_both_work(site: MatrixSite, record: Record) -> None:
    record.did = "two deploys started in the same moment"
    before = site.data()
    with site.visited() as visitor:
        both = [site.start(*WORKING) for _ in range(2)]
        for process in both:
            process.communicate(timeout=300)
        codes = sorted(process.returncode for process in both)
        assert codes == [0, 11]
        record.saw = f"exit codes 0 and 11: {serves(site, '1.1.0')}"
    record.data = nothing_is_lost(site, before, visitor)
    site.back_to_1_0_0()


def test_the_death_of_the_holder_frees_the_lock(site: MatrixSite, record: Record) -> None:
    record.did = "the holder of the lock is killed; another deploy"
    before = site.data()
    with site.visited() as visitor:
        with site.met(Point(When.BEFORE, "migrate"), *WORKING) as met:
            met.process.kill()
        assert site.end(*WORKING).code == 0
        record.saw = f"exit code 0: {serves(site, '1.1.0')}"
    record.data = nothing_is_lost(site, before, visitor)
    site.back_to_1_0_0()
