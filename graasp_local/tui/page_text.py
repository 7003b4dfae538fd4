"""The text of an HTML page: its headings and paragraphs. Pure."""

from __future__ import annotations

from html.parser import HTMLParser


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


def page_text(html: str) -> tuple[str, ...]:
    """The texts in order; at least one, which may be empty."""
    parser = _Words()
    parser.feed(html)
    return tuple(" ".join(text.split()) for text in parser.found) or ("",)
