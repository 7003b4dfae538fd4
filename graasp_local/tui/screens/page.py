"""The text of the maintenance page that visitors of a closed site see, and where to open it in a browser."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical

from graasp_local.stack.services import stack_directory
from graasp_local.tui.drawing.keys import key_line
from graasp_local.tui.page_text import page_text
from graasp_local.tui.screens.base import UiModal
from graasp_local.tui.tones import Line, Tone, plain, wrapped
from graasp_local.tui.widgets.lines import Lines


class PageScreen(UiModal[None]):
    """Shows the page's text; `o` opens the page itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,m", "close", show=False),
        Binding("o", "open", show=False),
    ]

    def compose(self) -> ComposeResult:
        self._file = stack_directory() / "nginx" / "html" / "maintenance.html"
        self._words = page_text(self._file.read_text())
        with Vertical(classes="box"):
            yield Lines(self._text)
            yield Lines(self._keys, classes="keys")

    def action_open(self) -> None:
        self.ui.open_address(self._file.as_uri())

    def _text(self, width: int) -> tuple[Line, ...]:
        title, *sentences = self._words
        lines: list[Line] = [
            plain("What visitors see while the site is closed", Tone.QUIET),
            (),
            plain(title, Tone.STRONG),
        ]
        for sentence in sentences:
            lines += wrapped(sentence, width)
        url = self.ui.view.url if self.ui.view is not None else ""
        return (*lines, (), *wrapped(f"While the gate is closed: {url}/maintenance", width, Tone.QUIET))

    def _keys(self, width: int) -> tuple[Line, ...]:
        hints = (("o", "Open it in a browser", "screen.open"), ("esc", "Close", "screen.close"))
        return (key_line(hints, (), width),)
