"""The text of the maintenance page that visitors of a closed site see, and where to open it in a browser."""

from __future__ import annotations

from html.parser import HTMLParser
from typing import ClassVar

from textual.binding import Binding, BindingType

from graasp_local.stack.services import stack_directory
from graasp_local.tui.drawing.keys import KeyHint
from graasp_local.tui.screens.base import Box
from graasp_local.tui.tones import Line, Tone, paragraphs, plain, wrapped


class PageScreen(Box[None]):
    """Shows the page's text; `o` opens the page itself."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,m", "close", show=False),
        Binding("o", "open", show=False),
    ]

    def __init__(self) -> None:
        super().__init__()
        self._file = stack_directory() / "nginx" / "html" / "maintenance.html"
        self._words = page_text(self._file.read_text())

    def action_open(self) -> None:
        self.ui.verbs.open_address(self._file.as_uri())

    def text(self, width: int) -> tuple[Line, ...]:
        title, *sentences = self._words
        url = self.ui.view.url if self.ui.view is not None else ""
        return (
            plain("What visitors see while the site is closed", Tone.QUIET),
            (),
            plain(title, Tone.STRONG),
            *paragraphs(sentences, width),
            (),
            *wrapped(f"While the gate is closed: {url}/maintenance", width, Tone.QUIET),
        )

    def hints(self) -> tuple[KeyHint, ...]:
        return (("o", "Open it in a browser", "screen.open"), ("esc", "Close", "screen.close"))


def page_text(html: str) -> tuple[str, ...]:
    """The headings and paragraphs of a page, in order; at least one, which may be empty."""
    parser = _Words()
    parser.feed(html)
    return tuple(" ".join(text.split()) for text in parser.found) or ("",)


class _Words(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []
        self._inside = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in ("h1", "p"):
            self._inside = tag
            self.found.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag == self._inside:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.found[-1] += data
