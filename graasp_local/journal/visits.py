"""What visitors get: classifies every answer, and adds the answers up over time.

Decides which answers are acceptable: the application's, and the three of a closed gate. Everything else is a fault: a
connection that breaks or hangs, a bare error of nginx. Keeps counts, not answers, so that it never grows. Pure.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field


class Asker(StrEnum):
    """Who asks: an ordinary visitor, or one with the bypass."""

    VISITOR = "visitor"
    BYPASS = "bypass"


class Met(StrEnum):
    """What one request got."""

    APP = "app"
    """The application's own answer, including its errors."""
    REDIRECT = "redirect"
    """A browser is sent to the maintenance page, or from there back to the site."""
    PAGE = "page"
    """The maintenance page, 503."""
    JSON = "json"
    """A program is told that the site is closed, 503."""
    UNAVAILABLE = "unavailable"
    """The gate let the request pass, but nothing answered behind it: reported by the same page or JSON."""
    REFUSED = "refused"
    CUT_OFF = "cut-off"
    HANG = "hang"
    BAD_GATEWAY = "bad-gateway"
    """nginx's own bare error."""


FAULTS = frozenset({Met.REFUSED, Met.CUT_OFF, Met.HANG, Met.BAD_GATEWAY})
"""What no visitor must ever get."""


def met(path: str, status: int, headers: Mapping[str, str], body: str) -> Met:
    """Which kind of answer this is to a request for `path`; `headers` by lower-case name."""
    if (
        status == 302
        and headers.get("location") in ("/maintenance", "/")
        and "no-store" in headers.get("cache-control", "")
    ):
        return Met.REDIRECT
    if status in (502, 504) or (status >= 400 and "<center>nginx" in body):
        return Met.BAD_GATEWAY
    if status == 503 and "retry-after" in headers:
        if "json" in headers.get("content-type", ""):
            return _met_in_json(body)
        # A browser that is kept out is redirected; the page anywhere else means that nothing answers.
        return Met.PAGE if path == "/maintenance" else Met.UNAVAILABLE
    return Met.APP


def _met_in_json(body: str) -> Met:
    try:
        said = json.loads(body)
    except ValueError:
        return Met.BAD_GATEWAY
    maintenance = said.get("maintenance") if isinstance(said, dict) else None
    return Met.APP if maintenance is None else Met.JSON if maintenance else Met.UNAVAILABLE


class Tally(Struct):
    """The answers that one asker got, added up. Times are in seconds of a monotonic clock."""

    counts: dict[Met, int] = field(default_factory=dict)
    latest: Met | None = None
    served_first: bool | None = None
    _away_since: float | None = None
    _away_seconds: float = 0.0

    def add(self, what: Met, asked: float, answered: float) -> bool:
        """Count one answer; returns whether it differs from the one before."""
        self.counts[what] = self.counts.get(what, 0) + 1
        served = what is Met.APP
        if self.served_first is None:
            self.served_first = served
        if served and self._away_since is not None:
            self._away_seconds += answered - self._away_since
            self._away_since = None
        if not served and self._away_since is None:
            self._away_since = asked
        changed = what is not self.latest
        self.latest = what
        return changed

    @property
    def away_seconds(self) -> float | None:
        """Seconds from the first request that was not served to the first that was again, over all such spans.

        None if the application did not answer the first request, or the last one.
        """
        return self._away_seconds if self.served_first and self._away_since is None else None

    @property
    def faults(self) -> int:
        return sum(number for what, number in self.counts.items() if what in FAULTS)


class ProbeReport(Struct, frozen=True):
    """What was answered to visitors and to the bypass; `downtime_seconds` is the visitors' (see Tally.away_seconds)."""

    seconds: float
    downtime_seconds: float | None
    counts: Mapping[Asker, Mapping[Met, int]]
    faults: int

    def as_json(self) -> dict[str, object]:
        return {
            "seconds": round(self.seconds, 3),
            "downtime_seconds": None if self.downtime_seconds is None else round(self.downtime_seconds, 3),
            "faults": self.faults,
            **{
                side.value: {what.value: number for what, number in sorted(n.items())}
                for side, n in self.counts.items()
            },
        }

    def as_lines(self) -> tuple[str, ...]:
        """A line for each asker, and one for answers that no visitor must get."""
        lines = [f"{side}: {_listed(numbers)}" for side, numbers in self.counts.items()]
        if self.faults:
            lines.append(f"{self.faults} request(s) got an answer that no visitor should get.")
        return tuple(lines)


def report(tallies: Mapping[Asker, Tally], seconds: float) -> ProbeReport:
    """A report of the tallies so far, after asking for `seconds`."""
    counts = {side: dict(tally.counts) for side, tally in tallies.items()}
    faults = sum(tally.faults for tally in tallies.values())
    return ProbeReport(seconds, tallies[Asker.VISITOR].away_seconds, counts, faults)


def _listed(numbers: Mapping[Met, int]) -> str:
    return ", ".join(f"{number} {what}" for what, number in sorted(numbers.items())) or "nothing was asked"
