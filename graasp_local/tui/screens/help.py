"""The keys, from the table of verbs, and what moves about."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from graasp_local.tui.screens.base import UiModal
from graasp_local.tui.tones import Line, Piece, Tone, padded
from graasp_local.tui.widgets.lines import Lines
from graasp_local.verbs import TABLE, shown_key

_MOVING = (
    ("j k ↑ ↓", "move"),
    ("g G", "first, last"),
    ("enter", "choose"),
    ("esc", "back"),
    ("tab 1 2", "services, log"),
    ("/", "filter the log"),
    ("space f a y", "log: pause, follow, all, copy"),
    (": ^p", "palette of all verbs"),
)


class HelpScreen(UiModal[None]):
    """Two columns: verbs and moving about."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape,q,question_mark,enter", "close", show=False)]

    def compose(self) -> ComposeResult:
        with Vertical(classes="box") as box:
            box.border_title = "Keys"
            yield Lines(self._text)

    def _text(self, width: int) -> tuple[Line, ...]:
        verbs = [(shown_key(verb.key), verb.summary) for verb in TABLE if verb.key]
        lines: list[Line] = [(Piece(padded(key, 5), Tone.KEY), Piece(words)) for key, words in verbs]
        half = (len(_MOVING) + 1) // 2
        for left, right in zip(_MOVING[:half], [*_MOVING[half:], ("", "")], strict=False):
            lines.append(
                (
                    Piece(padded(left[0], 12), Tone.KEY),
                    Piece(padded(left[1], 20)),
                    Piece(padded(right[0], 13), Tone.KEY),
                    Piece(right[1]),
                )
            )
        return tuple(lines)
