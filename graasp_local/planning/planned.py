"""What all kinds of step have in common. Pure."""

from __future__ import annotations

from typing import ClassVar

from msgspec import Struct


class PlannedStep(Struct, frozen=True):
    """A step of a plan. Each has a `name`, by which programs and the journal identify it, a `title` and a `cause`."""

    touches_site: ClassVar[bool] = True
    """False for what only reads, fetches or creates something next to the site: the site is unchanged after it."""
