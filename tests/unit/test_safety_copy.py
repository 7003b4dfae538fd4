"""What is kept of the database before a migration, and that a deployment is rolled back from either."""

from __future__ import annotations

import pytest

from graasp_local.errors import Refused
from graasp_local.journal.events import Outcome
from graasp_local.operations.rollback import rollback_plan
from graasp_local.operations.steps.written_snapshot import written_snapshots
from graasp_local.planning.requests import OnFailure
from graasp_local.planning.requirements import FREE_BYTES_FOR_WORK
from graasp_local.planning.safety_copy import SafetyCopy, copy_that_fits
from tests.unit.fakes import FakeWorld
from tests.unit.operating import deploy, ended_of, events_of, killed_at

MEGABYTE = 1_000_000


@pytest.mark.parametrize(
    ("free", "copy"),
    [
        (None, SafetyCopy.SNAPSHOT),
        (1100, SafetyCopy.SNAPSHOT),
        (1099, SafetyCopy.FILE),
        (300, SafetyCopy.FILE),
        (299, None),
    ],
)
def test_a_snapshot_where_there_is_room_else_a_file_else_nothing(free: int | None, copy: SafetyCopy | None) -> None:
    assert copy_that_fits(free, other_needs=100, database=1000, dump=100) is copy


@pytest.fixture
def short_of_room(running: FakeWorld) -> FakeWorld:
    """A database of 100 MB, whose last dump was small, on a disk that has no room for it twice."""
    deploy(running, "1.0.0", on_failure=OnFailure.ROLLBACK)
    list(_backed_up(running))
    running.database.bytes = 100 * MEGABYTE
    running.engine.free_bytes = FREE_BYTES_FOR_WORK + 50 * MEGABYTE
    running.state.calls.clear()
    return running


def _backed_up(fake: FakeWorld) -> list[object]:
    from graasp_local.backup.take import Everything, take_backup

    return list(take_backup(fake.world, Everything(None)))


def names_in_files(fake: FakeWorld) -> list[str]:
    return [written.directory.name for written in written_snapshots(fake.world.site).usable()]


def test_without_room_for_a_snapshot_the_database_is_written_to_a_file(short_of_room: FakeWorld) -> None:
    ended = deploy(short_of_room)
    assert ended.outcome is Outcome.DONE
    assert "write-snapshot" in [step.name for step in ended.steps]
    assert "snapshot" not in short_of_room.state.calls
    assert len(names_in_files(short_of_room)) == 1


def test_a_failed_deployment_is_rolled_back_from_the_file(short_of_room: FakeWorld) -> None:
    short_of_room.edge.says = "0.0.1"
    short_of_room.edge.says_instead = {}
    before = list(short_of_room.state.applied)
    killed_at(short_of_room, "verify-core")
    short_of_room.edge.says = None
    ended = ended_of(events_of(short_of_room, lambda observed: rollback_plan(short_of_room.world, observed)))
    assert (ended.outcome, ended.version) == (Outcome.DONE, "1.0.0")
    assert short_of_room.state.applied == before


def test_the_file_goes_with_the_next_deployment(short_of_room: FakeWorld) -> None:
    deploy(short_of_room)
    (first,) = names_in_files(short_of_room)
    short_of_room.engine.free_bytes = None
    deploy(short_of_room, "1.2.0")
    assert first not in names_in_files(short_of_room)


def test_without_room_for_a_file_it_is_refused(short_of_room: FakeWorld) -> None:
    short_of_room.engine.free_bytes = FREE_BYTES_FOR_WORK
    with pytest.raises(Refused, match="GiB free"):
        deploy(short_of_room)
    assert short_of_room.state.calls == []
