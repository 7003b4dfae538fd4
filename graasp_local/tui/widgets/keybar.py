"""The foot of a screen: the keys that work here. Cut from the middle where it is narrow; help and quit always stay."""

from __future__ import annotations

from collections.abc import Sequence

from graasp_local.tui.tones import Line, Piece, Tone, width_of
from graasp_local.tui.widgets.lines import Lines

KeyHint = tuple[str, str, str]
"""A key as printed, a label, and the action that a click does."""


def key_line(hints: Sequence[KeyHint], last: Sequence[KeyHint], width: int) -> Line:
    """As many hints as fit, then those of `last`. Pure."""
    end = _pieces(last)
    line: Line = ()
    for hint in hints:
        longer = (*line, *_pieces([hint]))
        if width_of(longer) + width_of(end) > width:
            break
        line = longer
    gap = width - width_of(line) - width_of(end)
    return (*line, Piece(" " * max(0, gap)), *end)


def _pieces(hints: Sequence[KeyHint]) -> Line:
    return tuple(
        piece
        for key, label, action in hints
        for piece in (Piece(f" {key} ", Tone.KEY, action), Piece(f"{label} ", Tone.QUIET, action))
    )


class KeyBar(Lines):
    """Shows hints; every one can be clicked."""

    def show_keys(self, hints: Sequence[KeyHint], last: Sequence[KeyHint]) -> None:
        self.show(lambda width: (key_line(hints, last, width),))
