"""What `reset` restores between two tests: rows directly, tables and version from a dump.

As long as the tables are unchanged, rows are restored while core stays connected. Before anything that may change the
tables (a deployment, a rollback) Graasp's database is dumped; from then on a reset takes as long as a deployment.
"""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import msgspec
from msgspec import Struct

from graasp_local.errors import NeedsYou, UsageError
from graasp_local.files import chunks_of
from graasp_local.planning.dump_entries import to_load
from graasp_local.planning.server import GRAASP_DATABASE
from graasp_local.planning.states import InfraState, ServiceGroup
from graasp_local.ports.world import World
from graasp_local.postgres.data_snapshot import DataSnapshot
from graasp_local.testing.operations import Operation


class Taken(Struct, frozen=True):
    """What a snapshot records of the stack besides its data."""

    state: str
    version: str


class Stack(Protocol):
    """What a snapshot needs of a stack."""

    @property
    def state(self) -> str: ...
    def apply(self, state: str) -> Operation: ...
    def deploy(self, version: str, *, hold: bool = False) -> Operation: ...


def take(world: World, state: str, version: str, dump: Path) -> str:
    """Record the stack as it is now; returns what to write down. Raises UsageError if its database is off."""
    if state not in (InfraState.RUNNING, InfraState.RESTRICTED, InfraState.DB_ONLY):
        raise UsageError(
            f"No snapshot can be taken while the stack is {state}.",
            "",
            "Call apply() with running, restricted or db-only first.",
        )
    _data(world).take()
    dump.unlink(missing_ok=True)
    return msgspec.json.encode(Taken(state, version)).decode()


def before_tables_change(world: World, dump: Path) -> None:
    """Dump Graasp's database, unless that was done since the snapshot, and delete the snapshot from the database.

    A migration then finds only its own tables.
    """
    if dump.exists() or not _database_is_on(world):
        return
    partly = dump.with_suffix(".part")
    with world.databases.view(GRAASP_DATABASE) as view, partly.open("wb") as file:
        for piece in world.transfers.dump(GRAASP_DATABASE, view.snapshot):
            file.write(piece)
    partly.replace(dump)
    _data(world).forget(GRAASP_DATABASE)


def put_back(world: World, stack: Stack, noted: str, dump: Path) -> None:
    """Reset the stack. Raises UsageError if there is no snapshot, NeedsYou if it cannot be restored."""
    if not noted:
        raise UsageError("There is no snapshot to reset the stack to.", "", "Call snapshot() first.")
    taken = msgspec.json.decode(noted, type=Taken)
    if dump.exists():
        _tables_back(world, stack, taken, dump)
    elif not _database_is_on(world):
        stack.apply(taken.state)
    changed = _data(world).put_back()
    if changed:
        raise NeedsYou(
            f"The tables of {', '.join(changed)} have changed since the snapshot.",
            "",
            "Change tables only with deploy() and rollback(), or call snapshot() again.",
        )
    if stack.state != taken.state:
        stack.apply(taken.state)


def _tables_back(world: World, stack: Stack, taken: Taken, dump: Path) -> None:
    stack.apply(InfraState.DB_ONLY)
    world.databases.create(GRAASP_DATABASE, GRAASP_DATABASE)
    loading = to_load(world.transfers.contents(chunks_of(dump)), GRAASP_DATABASE, (), ())
    with world.databases.loader(GRAASP_DATABASE, GRAASP_DATABASE) as loader:
        for _ in world.transfers.load(GRAASP_DATABASE, loader, loading.entries, chunks_of(dump)):
            pass
    stack.deploy(taken.version, hold=taken.state != InfraState.RUNNING)
    dump.unlink()


def _database_is_on(world: World) -> bool:
    return world.observe().group_is_on(ServiceGroup.DATABASE)


def _data(world: World) -> DataSnapshot:
    return DataSnapshot(world.containers.database_address, world.site.settings.postgres_password)
