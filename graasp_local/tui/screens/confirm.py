"""Boxes that ask for confirmation: what will be done, in words, then yes or no."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.widgets import Input

from graasp_local.tui.drawing.keys import KeyHint
from graasp_local.tui.screens.base import Box
from graasp_local.tui.tones import Line, Piece, Tone, paragraphs, plain
from graasp_local.tui.widgets.lines import Lines


class Confirm(Box[bool]):
    """Returns True for yes. Enter does not mean yes: changing a site takes a deliberate key."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "yes", show=False),
        Binding("n,q", "close", show=False),
    ]

    def __init__(self, headline: str, sentences: Sequence[str], yes: str) -> None:
        super().__init__()
        self._headline = headline
        self._sentences = sentences
        self._yes = yes

    def action_yes(self) -> None:
        self.dismiss(True)

    def text(self, width: int) -> tuple[Line, ...]:
        return (plain(self._headline, Tone.STRONG), (), *paragraphs(self._sentences, width))

    def hints(self) -> tuple[KeyHint, ...]:
        return (("y", self._yes, "screen.yes"), ("n", "No", "screen.close"))


class ConfirmByName(Box[bool]):
    """For destructive actions: returns True only if the site's name was typed."""

    def __init__(self, headline: str, sentences: Sequence[str], name: str) -> None:
        super().__init__()
        self._headline = headline
        self._sentences = sentences
        self._site_name = name

    def middle(self) -> ComposeResult:
        yield Input(placeholder="type it here")
        yield Lines(id="words")

    def on_input_changed(self, event: Input.Changed) -> None:
        typed = event.value.strip()
        self._say_if_wrong("" if self._site_name.startswith(typed) else typed)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        typed = event.value.strip()
        if typed == self._site_name:
            self.dismiss(True)
        elif typed:
            self._say_if_wrong(typed)

    def text(self, width: int) -> tuple[Line, ...]:
        ask = (
            Piece("Type the site's name, "),
            Piece(self._site_name, Tone.STRONG),
            Piece(", and press enter. esc cancels."),
        )
        return (plain(self._headline, Tone.BAD), (), *paragraphs(self._sentences, width), (), ask, ())

    def _say_if_wrong(self, typed: str) -> None:
        self.say(f"“{typed}” is not the site's name. Type {self._site_name}." if typed else "", Tone.BAD)
