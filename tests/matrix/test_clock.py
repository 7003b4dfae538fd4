"""The machine's clock jumps back by a day: the order of operations and the length of steps do not hang on it."""

from __future__ import annotations

import pytest

from tests.matrix.faulty import A_DAY_BACK, Point, What, When
from tests.matrix.matrix_site import KILLED, MatrixSite
from tests.matrix.parts import WORKING
from tests.matrix.record import Record
from tests.matrix.verdict import names_the_two_ways, nothing_is_lost, serves


@pytest.mark.parametrize("step", ["close-gate", "migrate", "open-gate"])
def test_it_jumps_in_the_middle_of_an_operation(site: MatrixSite, record: Record, step: str) -> None:
    record.did = f"the clock jumps back by a day before {step}"
    before = site.data()
    with site.visited() as visitor:
        ended = site.end(*WORKING, fault=Point(When.BEFORE, step, What.TURN_CLOCK_BACK))
        assert ended.code == 0, ended.said
        assert 0 < ended.last["downtime_seconds"] < 600
        record.saw = f"exit code 0: {serves(site, '1.1.0')}"
    record.data = nothing_is_lost(site, before, visitor)
    site.back_to_1_0_0()


@pytest.mark.representative
def test_it_jumps_before_an_operation_that_is_killed(site: MatrixSite, record: Record) -> None:
    record.did = "the clock jumps back by a day, then a deploy is killed after migrate, then the clock is right again"
    before = site.data()
    with site.visited() as visitor:
        point = Point(When.AFTER, "migrate", clock_offset=A_DAY_BACK)
        assert site.end(*WORKING, fault=point).code == KILLED
        names_the_two_ways(site)
        site.run("rollback")
        record.saw = f"still the newest operation; rollback (exit code 0): {serves(site, '1.0.0')}"
    record.data = nothing_is_lost(site, before, visitor)
