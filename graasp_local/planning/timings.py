"""How long something took, and how long it may take: what journals keep of both. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from graasp_local.wording import seconds_in_words


class Run(Struct, frozen=True):
    """One earlier run of a step on this site: its seconds, the version deployed, and the database's size then."""

    seconds: float
    version: str = ""
    database_bytes: int | None = None


class Range(Struct, frozen=True):
    """At least `low` and at most `high` seconds."""

    low: float
    high: float

    def in_words(self) -> str:
        """`25 to 41 s`; `about 4 s` if both round to the same; longer ones in minutes."""
        if self.high < 119.5:
            least, most = max(1, round(self.low)), max(1, round(self.high))
            return f"about {most} s" if least == most else f"{least} to {most} s"
        return f"{seconds_in_words(self.low)} to {seconds_in_words(self.high)}"

    def as_json(self) -> dict[str, float]:
        return {"low_seconds": round(self.low, 3), "high_seconds": round(self.high, 3)}


def range_of(told: Mapping[str, Any] | None) -> Range | None:
    """Read back a range written by `as_json`."""
    return None if told is None else Range(float(told["low_seconds"]), float(told["high_seconds"]))
