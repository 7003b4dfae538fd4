"""Boxes that ask for confirmation: what will be done, in words, then yes or no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.widgets import Input

from graasp_local.tui.drawing.keys import key_line
from graasp_local.tui.screens.base import UiModal
from graasp_local.tui.tones import Line, Piece, Tone, plain, wrapped
from graasp_local.tui.widgets.lines import Lines


class Confirm(UiModal[bool]):
    """Returns True for yes. Enter does not mean yes: changing a site takes a deliberate key."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", show=False),
        Binding("n,escape,q", "no", show=False),
    ]

    def __init__(self, headline: str, sentences: Sequence[str], yes: str) -> None:
        super().__init__()
        self._headline = headline
        self._sentences = sentences
        self._yes = yes

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Lines(self._text)
            yield Lines(self._keys, classes="keys")

    def action_yes(self) -> None:
        self.dismiss(True)

    def action_no(self) -> None:
        self.dismiss(False)

    def _text(self, width: int) -> tuple[Line, ...]:
        lines: list[Line] = [plain(self._headline, Tone.STRONG), ()]
        for sentence in self._sentences:
            lines += wrapped(sentence, width)
        return tuple(lines)

    def _keys(self, width: int) -> tuple[Line, ...]:
        return (key_line((("y", self._yes, "screen.yes"), ("n", "No", "screen.no")), (), width),)


class ConfirmByName(UiModal[bool]):
    """For destructive actions: returns True only if the site's name was typed."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "no", show=False)]

    def __init__(self, headline: str, sentences: Sequence[str], name: str) -> None:
        super().__init__()
        self._headline = headline
        self._sentences = sentences
        self._site_name = name

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Lines(self._text)
            yield Input(placeholder="type it here")
            yield Lines(id="words")

    def on_input_changed(self, event: Input.Changed) -> None:
        self._say("" if self._site_name.startswith(event.value.strip()) else event.value.strip())

    def on_input_submitted(self, event: Input.Submitted) -> None:
        if event.value.strip() == self._site_name:
            self.dismiss(True)
        elif event.value.strip():
            self._say(event.value.strip())

    def _say(self, typed: str) -> None:
        words = f"“{typed}” is not the site's name. Type {self._site_name}." if typed else ""
        self.query_one("#words", Lines).show(lambda width: wrapped(words, width, Tone.BAD) if words else ())

    def action_no(self) -> None:
        self.dismiss(False)

    def _text(self, width: int) -> tuple[Line, ...]:
        lines: list[Line] = [plain(self._headline, Tone.BAD), ()]
        for sentence in self._sentences:
            lines += wrapped(sentence, width)
        ask = (
            Piece("Type the site's name, "),
            Piece(self._site_name, Tone.STRONG),
            Piece(", and press enter. esc cancels."),
        )
        return (*lines, (), ask, ())
