"""A restore, as plans, journals and the way back from it know it. Pure."""

from __future__ import annotations

from msgspec import Struct

from graasp_local.planning.server import Direction


class Restore(Struct, frozen=True):
    """Which backup is brought back, and what of it; `backup` is its name, or the path of its directory.

    `number` tells one restore from another in the names of what it makes and keeps; attempts that go on from one
    another share it. `way` is back where the operation undoes it.
    """

    backup: str
    number: str
    databases: tuple[str, ...]
    volumes: tuple[str, ...]
    way: Direction = Direction.THERE
