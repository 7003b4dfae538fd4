"""A walk: its steps with seconds, the clock of downtime, what the step says, and at the end what happened."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from graasp_local.tui.drawing.site import downtime_line, strip_lines
from graasp_local.tui.drawing.walk import ending_lines, output_lines, steps_table, walk_title
from graasp_local.tui.hints import LAST, ending_hints, walk_hints
from graasp_local.tui.screens.base import UiScreen
from graasp_local.tui.screens.confirm import Confirm
from graasp_local.tui.walk_run import now
from graasp_local.tui.walk_view import WalkView
from graasp_local.tui.widgets.keybar import KeyBar
from graasp_local.tui.widgets.lines import Lines
from graasp_local.tui.widgets.rows import Rows

_TICK_SECONDS = 0.2


class WalkScreen(UiScreen):
    """Shows the walk that the app knows of, live; or one from the history, which does not change any more."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.back", show=False),
        Binding("x", "interrupt", show=False),
    ]

    def __init__(self, past: WalkView | None = None) -> None:
        super().__init__()
        self._past = past
        self._chosen: int | None = None

    @property
    def walk(self) -> WalkView | None:
        return self._past or self.ui.walk

    def compose(self) -> ComposeResult:
        yield Lines(id="title", classes="title")
        yield Lines(id="strip", classes="gap")
        yield Lines(id="clock")
        yield Rows(id="steps")
        yield Lines(id="output", classes="gap")
        yield Lines(id="ending", classes="gap")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(Rows).focus()
        self._draw()
        if self._past is None:
            self.watch(self.app, "walk", self._draw, init=False)
            self.watch(self.app, "view", self._draw, init=False)
            self.set_interval(_TICK_SECONDS, self._tick)

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def on_rows_highlighted(self, message: Rows.Highlighted) -> None:
        if message.by_person:
            index = int(message.key)
            self._chosen = None if self.walk is not None and index == self.walk.latest else index
            self._draw()

    def action_interrupt(self) -> None:
        if self.ui.walks_itself and self._past is None:
            said = (
                "The walk ends at the next safe point.",
                "Before the gate closes nothing was touched; after that a deployment is rolled back.",
            )
            self.ui.push_screen(Confirm("Interrupt the walk", said, "Interrupt"), self._interrupt)

    def _interrupt(self, yes: bool | None) -> None:
        if yes and self.ui.walk_run is not None:
            self.ui.walk_run.interruption.request()

    def _tick(self) -> None:
        if self.walk is not None and not self.walk.is_over:
            self._draw()

    def _draw(self) -> None:
        walk, view, at = self.walk, self.ui.view, now()
        if walk is None:
            return
        live = walk if self._past is None else None
        self.query_one("#title", Lines).show(lambda width: (walk_title(walk, width),))
        strip = self.query_one("#strip", Lines)
        strip.display = self._past is None
        strip.show(lambda width: strip_lines(view, live, width, clickable=False))
        self.query_one("#clock", Lines).show(lambda width: (downtime_line(walk, at),))
        rows = self.query_one(Rows)
        rows.show(lambda width: steps_table(walk, at, width))
        chosen = self._chosen if self._chosen is not None else walk.latest
        if self._chosen is None and walk.latest is not None:
            rows.select(str(walk.latest))
        step = walk.steps[chosen] if chosen is not None and chosen < len(walk.steps) else None
        height = max(3, self.size.height // (4 if walk.is_over else 3))
        self.query_one("#output", Lines).show(lambda width: output_lines(step, width, height))
        self.query_one("#ending", Lines).show(lambda width: ending_lines(walk, width))
        own = self.ui.walks_itself and self._past is None
        hints = (*walk_hints(walk, own=own), *(ending_hints(walk) if self._past is None else ()))
        self.query_one(KeyBar).show_keys(hints, LAST)
