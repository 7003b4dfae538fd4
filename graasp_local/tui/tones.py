"""Text with tones, so that drawing code needs no colors. Whatever a tone means, the text says too.

A piece is text with a tone and, if it can be clicked, an action. A line is a tuple of pieces. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size


class Tone(StrEnum):
    """The role of a piece of text, which the theme turns into a color."""

    PLAIN = "plain"
    QUIET = "quiet"
    STRONG = "strong"
    OK = "ok"
    BUSY = "busy"
    BAD = "bad"
    ACCENT = "accent"
    HERE = "here"
    ALARM = "alarm"
    KEY = "key"
    FOUND = "found"


class Piece(NamedTuple):
    """`action` is the name of a Textual action, such as `app.watch`; empty if a click does nothing."""

    text: str
    tone: Tone = Tone.PLAIN
    action: str = ""


Line = tuple[Piece, ...]


def plain(text: str, tone: Tone = Tone.PLAIN) -> Line:
    """A line in one tone."""
    return (Piece(text, tone),)


def width_of(line: Line) -> int:
    """How many terminal cells the line takes."""
    return sum(cell_len(piece.text) for piece in line)


def text_of(lines: Iterable[Line]) -> str:
    """The text alone, for tests."""
    return "\n".join("".join(piece.text for piece in line).rstrip() for line in lines)


def fitted(line: Line, width: int) -> Line:
    """The line cut to the width; an ellipsis marks a cut."""
    if width_of(line) <= width:
        return line
    kept: list[Piece] = []
    left = max(0, width - 1)
    for piece in line:
        size = cell_len(piece.text)
        if size > left:
            kept.append(piece._replace(text=set_cell_size(piece.text, left).rstrip() + "…"))
            break
        kept.append(piece)
        left -= size
    return tuple(kept)


def padded(text: str, width: int) -> str:
    """Exactly this wide: cut with an ellipsis, or filled with spaces."""
    return set_cell_size(text, width) if cell_len(text) <= width else set_cell_size(text, max(0, width - 1)) + "…"


def right(text: str, width: int) -> str:
    """Exactly this wide, aligned right."""
    return " " * (width - cell_len(text)) + text if cell_len(text) <= width else padded(text, width)


def wrapped(text: str, width: int, tone: Tone = Tone.PLAIN, indent: str = "") -> tuple[Line, ...]:
    """A sentence on as many lines as it needs."""
    import textwrap

    lines = textwrap.wrap(text, max(8, width), subsequent_indent=indent, break_on_hyphens=False) or [""]
    return tuple(plain(line, tone) for line in lines)


def paragraphs(sentences: Iterable[str], width: int, tone: Tone = Tone.PLAIN, indent: str = "") -> tuple[Line, ...]:
    """Each sentence on as many lines as it needs."""
    return tuple(line for sentence in sentences for line in wrapped(sentence, width, tone, indent))
