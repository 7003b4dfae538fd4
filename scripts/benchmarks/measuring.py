"""Figures: measured alternately, so that a busy moment affects both sides of a comparison; shown with their spread."""

from __future__ import annotations

import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Figure:
    """The seconds of several rounds."""

    seconds: tuple[float, ...]

    @property
    def median(self) -> float:
        return statistics.median(self.seconds)

    def described(self) -> str:
        """Median and, in brackets, fastest and slowest."""
        return f"{shown(self.median)} ({shown(min(self.seconds))} to {shown(max(self.seconds))})"


@dataclass(frozen=True, slots=True)
class Row:
    """One row of the table: what was measured, against what, and the highest acceptable ratio (empty: no limit)."""

    what: str
    ours: Figure
    compared_to: str
    theirs: Figure
    at_most: str = ""

    @property
    def ratio(self) -> float:
        return self.ours.median / self.theirs.median

    def cells(self) -> tuple[str, ...]:
        return (
            self.what,
            self.ours.described(),
            self.compared_to,
            self.theirs.described(),
            f"{self.ratio:.2f}",
            self.at_most,
        )


HEADINGS = ("what", "graasp-local", "compared with", "its time", "ratio", "limit")


def shown(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms" if seconds < 1 else f"{seconds:.2f} s"


def alternately(sides: Mapping[str, Callable[[], float]], rounds: int) -> dict[str, Figure]:
    """A B A B …: each side measures itself and returns its seconds."""
    taken: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, measure in sides.items():
            taken[name].append(measure())
    return {name: Figure(tuple(seconds)) for name, seconds in taken.items()}


def timed(words: Sequence[str], cwd: str | None = None) -> float:
    """How many seconds a command takes; it must succeed."""
    began = time.perf_counter()
    subprocess.run(words, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd=cwd)
    return time.perf_counter() - began


def as_table(rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table that is readable in a terminal too."""
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    lines = [
        "| " + " | ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) + " |" for row in rows
    ]
    return "\n".join([lines[0], "|" + "|".join("-" * (width + 2) for width in widths) + "|", *lines[1:]])
