"""Graasp's database in the stack, where core and workers run on several machines.

A machine that was cut off may still run an old core. So while the database changes, graasp cannot connect to it,
wherever it comes from; only the role that migrates can.
"""

from __future__ import annotations

from graasp_local.planning.server import GRAASP_DATABASE
from graasp_local.postgres.address import Address
from graasp_local.postgres.database import PostgresDatabase
from graasp_local.postgres.external import MIGRATOR, admit, have_migrator, shut_out


class DatabaseForSeveral(PostgresDatabase):
    """Like the stack's own, but it shuts out what cannot be stopped. `migration` is the password of the migrator."""

    def __init__(self, address: Address, password: str, migration: str) -> None:
        super().__init__(address, password)
        self._migration_password = migration

    def end_other_sessions(self) -> int:
        with self._connection("postgres") as connection:
            have_migrator(connection, self._migration_password)
            return shut_out(connection, GRAASP_DATABASE, MIGRATOR)

    def admit(self) -> None:
        with self._connection("postgres") as connection:
            admit(connection, GRAASP_DATABASE)
