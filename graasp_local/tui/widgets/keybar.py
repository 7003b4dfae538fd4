"""The foot of a screen: the keys that work here. If it is narrow, hints are dropped; help and quit always stay."""

from __future__ import annotations

from collections.abc import Sequence

from graasp_local.tui.drawing.keys import KeyHint, key_line
from graasp_local.tui.widgets.lines import Lines


class KeyBar(Lines):
    """Shows key hints; each can be clicked."""

    def show_keys(self, hints: Sequence[KeyHint], last: Sequence[KeyHint]) -> None:
        self.show(lambda width: (key_line(hints, last, width),))
