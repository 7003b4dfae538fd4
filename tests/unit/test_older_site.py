"""A site as graasp-local 0.1.0 left it, killed with SIGKILL in the middle of a migration: read, resumed, rolled back.

`site_of_0_1_0/` was written by that version on a real engine: two deployments that succeeded, one that was rolled
back, one that was killed. Only the site's path was changed.
"""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from graasp_local.images.deployed import last_deployment_of
from graasp_local.journal.read import read_operations, trusted_operations
from graasp_local.journal.records import unfinished_operation
from graasp_local.operations.resume import resume_plan
from graasp_local.operations.rollback import rollback_plan
from graasp_local.planning.requests import OnFailure
from graasp_local.planning.states import InfraState
from graasp_local.site.selection import read_selection
from graasp_local.version import Version
from tests.unit.fakes import FakeWorld, migrations_of
from tests.unit.operating import ended_of, events_of
from tests.unit.sites import site_in

FIXTURE = Path(__file__).parent / "site_of_0_1_0"
SNAPSHOT = "graasp_snapshot_0004_20261128_210458_deploy_1_3_0_migration_han"
CUT_OFF = InfraState.DB_ONLY


@pytest.fixture
def older(fake: FakeWorld) -> FakeWorld:
    """The killed site: the gate closed, the database on, the snapshot from before the migration taken."""
    site = fake.world.site
    shutil.copytree(FIXTURE / "journal", site.journal_directory, dirs_exist_ok=True)
    shutil.copytree(FIXTURE / "own", site.own_directory, dirs_exist_ok=True)
    fake.become(site_in(CUT_OFF, "1.1.0"), applied="1.1.0")
    fake.database.snapshots[SNAPSHOT] = list(fake.state.applied)
    return fake


def test_what_each_operation_came_to_is_read() -> None:
    operations = read_operations(FIXTURE / "journal")
    assert [(operation.version, operation.outcome, operation.previous_version) for operation in operations] == [
        ("1.0.0", "done", ""),
        ("1.1.0", "done", "1.0.0"),
        ("1.3.0-migration-fails", "rolled-back", "1.1.0"),
        ("1.3.0-migration-hangs", None, "1.1.0"),
    ]
    assert all(operation.downtime_seconds for operation in operations[1:3])


def test_the_killed_one_is_known_to_be_unfinished(older: FakeWorld) -> None:
    left = unfinished_operation(trusted_operations(older.world.site.journal_directory))
    assert left is not None
    assert (left.version, left.snapshot, left.came_from) == ("1.3.0-migration-hangs", SNAPSHOT, "running")
    assert left.database_is_changed


def test_the_killed_one_is_rolled_back(older: FakeWorld) -> None:
    ended = ended_of(events_of(older, lambda observed: rollback_plan(older.world, observed)))
    assert (ended.outcome, ended.state, ended.version) == ("done", "running", "1.1.0")
    assert older.state.applied == older.database.failed[SNAPSHOT.replace("snapshot", "failed")]
    assert unfinished_operation(trusted_operations(older.world.site.journal_directory)) is None


def test_the_killed_one_is_resumed(older: FakeWorld) -> None:
    ended = ended_of(
        events_of(older, lambda observed: resume_plan(older.world, observed), on_failure=OnFailure.ROLLBACK)
    )
    assert (ended.outcome, ended.state, ended.version) == ("done", "running", "1.3.0-migration-hangs")
    assert len(older.state.applied) == len(migrations_of("1.3.0-migration-hangs"))


@pytest.mark.parametrize(("version", "core"), [("1.0.0", "sha256:47641c6f4aed"), ("1.1.0", "sha256:54233292688c")])
def test_the_exact_images_of_its_deployments_are_read(older: FakeWorld, version: str, core: str) -> None:
    found = last_deployment_of(older.world.site.deployments_file, Version.parse(version))
    assert found is not None
    assert [pin.service for pin in found.pins] == ["core", "migrate", "workers"]
    assert found.pins[0].reference.startswith(core)


def test_its_selection_is_read() -> None:
    selection = read_selection((FIXTURE / "own" / "version.env").read_text())
    assert str(selection.version) == "1.1.0"
    assert dict(selection.images)["CORE_IMAGE"].startswith("sha256:54233292688c")
