"""What decisions ask of the journal: where the site was left, and what was left unfinished."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from graasp_local.journal.read import read_operations, read_recent, trusted_operations
from graasp_local.journal.records import OperationRecord, state_left, unfinished_operation
from graasp_local.planning.states import InfraState


class History(Struct, frozen=True):
    """A site's journal, read when it is asked. A file that has not changed since is not read again."""

    directory: Path

    @property
    def operations(self) -> tuple[OperationRecord, ...]:
        """All that a decision depends on, oldest first. Raises Refused if a damaged file could change it."""
        return trusted_operations(self.directory)

    @property
    def unfinished(self) -> OperationRecord | None:
        """The deployment or upgrade that waits for `resume` or `rollback`. Raises Refused, as `operations` does."""
        return unfinished_operation(self.operations)

    @property
    def seems_unfinished(self) -> OperationRecord | None:
        """The same, for showing: damaged files do not count."""
        return unfinished_operation(read_recent(self.directory).operations)

    @property
    def newest(self) -> OperationRecord | None:
        """The last operation that can be read."""
        return next(iter(read_operations(self.directory, newest=1)), None)

    @property
    def state_left(self) -> InfraState | None:
        """The state in which it left the site; None if that was none of the four."""
        return state_left(read_operations(self.directory, newest=1))
