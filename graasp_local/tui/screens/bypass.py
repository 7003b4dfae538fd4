"""How to pass a closed gate: the header, and a link that sets a cookie.

These secrets are shown because the user asked for them.
"""

from __future__ import annotations

import time
from functools import cached_property
from typing import ClassVar

from textual.binding import Binding, BindingType

from graasp_local.site.bypass import bypass_link
from graasp_local.tui.drawing.keys import KeyHint
from graasp_local.tui.screens.base import Box
from graasp_local.tui.tones import Line, Piece, Tone, plain, wrapped

HOURS = 8


class BypassScreen(Box[None]):
    """Copies with OSC 52, which also works over ssh."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("q,b", "close", show=False),
        Binding("c", "copy('link')", show=False),
        Binding("h", "copy('header')", show=False),
    ]

    @cached_property
    def _texts(self) -> dict[str, str]:
        settings = self.ui.access.site().settings
        return {
            "header": f"{settings.header_name}: {settings.header_secret}",
            "link": bypass_link(settings.public_url, settings.header_secret, int(time.time()) + HOURS * 3600),
        }

    def action_copy(self, what: str) -> None:
        self.app.copy_to_clipboard(self._texts[what])
        self.app.notify(f"The {what} was copied.")

    def text(self, width: int) -> tuple[Line, ...]:
        return (
            plain("How to pass a closed gate", Tone.STRONG),
            *wrapped("Keep these secret: whoever has them can use the site while it is closed.", width, Tone.BUSY),
            (),
            plain("Header", Tone.QUIET),
            *_chunks(self._texts["header"], width),
            (),
            plain(f"Link that sets a cookie, valid for {HOURS} hours", Tone.QUIET),
            *_chunks(self._texts["link"], width),
        )

    def hints(self) -> tuple[KeyHint, ...]:
        return (
            ("c", "Copy the link", "screen.copy('link')"),
            ("h", "Copy the header", "screen.copy('header')"),
            ("esc", "Close", "screen.close"),
        )


def _chunks(text: str, width: int) -> tuple[Line, ...]:
    """Break the text anywhere, since it has no spaces to break at and must be shown in full."""
    return tuple((Piece(text[start : start + width]),) for start in range(0, len(text), max(1, width)))
