"""Keys and what they do, as clickable pieces of a line. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from graasp_local.tui.tones import Line, Piece, Tone, width_of

KeyHint = tuple[str, str, str]
"""A key as printed, a label, and the action that a click runs."""


def key_line(hints: Sequence[KeyHint], last: Sequence[KeyHint], width: int) -> Line:
    """As many hints as fit, then those of `last`."""
    end = hint_pieces(last)
    line: Line = ()
    for hint in hints:
        longer = (*line, *hint_pieces([hint]))
        if width_of(longer) + width_of(end) > width:
            break
        line = longer
    gap = width - width_of(line) - width_of(end)
    return (*line, Piece(" " * max(0, gap)), *end)


def hint_lines(hints: Sequence[KeyHint], width: int, indent: str) -> tuple[Line, ...]:
    """All of them, on as many lines as they need."""
    lines: list[Line] = []
    for hint in hints:
        longer = (*(lines[-1] if lines else (Piece(indent),)), *hint_pieces([hint]))
        if lines and width_of(longer) > width:
            lines.append((Piece(indent), *hint_pieces([hint])))
        else:
            lines[-1:] = [longer]
    return tuple(lines)


def hint_pieces(hints: Sequence[KeyHint]) -> Line:
    """All of them, however long the line becomes."""
    return tuple(
        piece
        for key, label, action in hints
        for piece in (Piece(f" {key} ", Tone.KEY, action), Piece(f"{label} ", Tone.QUIET, action))
    )
