"""What is drawn for a width, as text."""

from __future__ import annotations

import pytest

from graasp_local.live import SeenContainer, Usage
from graasp_local.states import Health, ObservedService, ServiceGroup, Status
from graasp_local.tui.drawing.tables import services_table
from graasp_local.tui.model import Service
from graasp_local.tui.readings import Reading
from graasp_local.tui.tones import text_of, width_of

READING = Reading(Usage(1.0, 117_000_000, 0.0), 5.2, (1.0, 2.0, 3.0, 4.0), (1.0, 1.0, 1.0, 1.0))


def a_service(name: str) -> Service:
    observed = ObservedService(
        name, ServiceGroup.ADMINISTRATION, Status.RUNNING, Health.UNHEALTHY, f"graasp:{name}-v1.10.0"
    )
    return Service(observed, SeenContainer(name, name, 0.0, 3))


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
