"""A walk: its steps with seconds, the clock of downtime, what the step says, and at the end what happened."""

from __future__ import annotations

from typing import ClassVar, Literal

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from graasp_local.tui.drawing.site import downtime_line, strip_lines
from graasp_local.tui.drawing.walk import ending_lines, output_lines, steps_table, walk_title
from graasp_local.tui.hints import LAST, ending_hints, walk_hints
from graasp_local.tui.screens.base import UiScreen
from graasp_local.tui.screens.confirm import Confirm
from graasp_local.tui.walk_run import now
from graasp_local.tui.walk_view import Progress, StepView, WalkView
from graasp_local.tui.widgets.keybar import KeyBar
from graasp_local.tui.widgets.lines import Lines
from graasp_local.tui.widgets.rows import Rows

_TICK_SECONDS = 0.2

WalkSource = Literal["own_walk", "other_walk"]
"""Which of the app's two live walks."""


class WalkScreen(UiScreen):
    """Shows a walk live, one that was begun here or somebody else's; or an earlier one, which does not change."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "app.back", show=False),
        Binding("x", "interrupt", show=False),
    ]

    def __init__(self, source: WalkSource, past: WalkView | None = None) -> None:
        super().__init__()
        self._source: WalkSource = source
        self._past = past
        self._chosen: int | None = None

    @property
    def walk(self) -> WalkView | None:
        return self._past or getattr(self.ui, self._source)

    @property
    def _is_own(self) -> bool:
        return self._past is None and self._source == "own_walk"

    def show_walk(self, source: WalkSource) -> None:
        """Show the other one, if this one is over."""
        if self._past is not None or self._source != source:
            self.ui.pop_screen()
            self.ui.push_screen(WalkScreen(source))

    def compose(self) -> ComposeResult:
        yield Lines(id="title", classes="title")
        yield Lines(id="strip", classes="gap")
        yield Lines(id="clock")
        with Container(id="walking"):
            yield Rows(id="steps")
            with Container(id="beside"):
                yield Lines(id="output")
                yield Lines(id="ending")
        yield KeyBar()

    def on_mount(self) -> None:
        self.query_one(Rows).focus()
        self._draw()
        if self._past is None:
            self.watch(self.app, self._source, self._draw, init=False)
            self.watch(self.app, "view", self._draw, init=False)
            self.set_interval(_TICK_SECONDS, self._tick)
        self.call_after_refresh(self._draw)

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def on_rows_highlighted(self, message: Rows.Highlighted) -> None:
        if message.by_person:
            index = int(message.key)
            self._chosen = None if self.walk is not None and index == self.walk.latest else index
            self._draw()

    def on_rows_chosen(self, message: Rows.Chosen) -> None:
        from graasp_local.tui.screens.step import StepScreen

        self.ui.push_screen(StepScreen(int(message.key), self._source, self._past))

    def action_interrupt(self) -> None:
        if self.ui.walks_itself and self._is_own:
            said = (
                "The walk ends at the next safe point.",
                "Before the gate closes nothing was changed; after that a deployment is rolled back.",
            )
            self.ui.push_screen(Confirm("Interrupt the walk", said, "Interrupt"), self._interrupt)

    def action_read(self) -> None:
        self.query_one(Rows).action_choose()

    def _interrupt(self, yes: bool | None) -> None:
        if yes and self.ui.walk_run is not None:
            self.ui.walk_run.end_soon()

    def _tick(self) -> None:
        if self.walk is not None and not self.walk.is_over:
            self._draw()

    def _draw(self) -> None:
        walk, view, at = self.walk, self.ui.view, now()
        if walk is None:
            return
        live = walk if self._past is None else None
        elsewhere = live is not None and not self._is_own
        self.query_one("#title", Lines).show(lambda width: (walk_title(walk, width, begun_elsewhere=elsewhere),))
        strip = self.query_one("#strip", Lines)
        strip.display = self._past is None
        strip.show(lambda width: strip_lines(view, live, width, clickable=False))
        self.query_one("#clock", Lines).show(lambda width: (downtime_line(walk, at),))
        possible = ending_hints(walk, read_only=self.ui.read_only) if self._past is None else ()
        ending = self.query_one("#ending", Lines)
        ending.display = walk.is_over
        ending.show(lambda width: ending_lines(walk, possible, width))
        self._draw_steps(walk, at)
        own = self.ui.walks_itself and self._is_own
        self.query_one(KeyBar).show_keys(walk_hints(walk, own=own), LAST)

    def _draw_steps(self, walk: WalkView, at: float) -> None:
        """The steps, and what the chosen one says: below them, or beside them where the screen is wide."""
        rows, output = self.query_one(Rows), self.query_one("#output", Lines)
        step = _told_step(walk, self._chosen)
        room = self.query_one("#walking").size.height
        ending = len(ending_lines(walk, (), self.size.width - 2)) + 2 if walk.is_over else 0
        if self.has_class("-wide"):
            height = 0 if walk.is_over and (step is None or not step.output) else room - ending
            rows.styles.max_height = room
        else:
            height = _height_below(step, walk, room)
            below = len(output_lines(step, self.size.width - 2, height)) + 1 if height else 0
            rows.styles.max_height = max(3, room - below - ending)
        output.display = height > 0
        output.show(lambda width: output_lines(step, width, height))
        rows.show(lambda width: steps_table(walk, at, width))
        if self._chosen is None and walk.latest is not None:
            rows.select(str(walk.latest))


def _told_step(walk: WalkView, chosen: int | None) -> StepView | None:
    """The step that was chosen, else the latest one, which has nothing more to tell once all went well. Pure."""
    index = chosen if chosen is not None else walk.latest
    step = walk.steps[index] if index is not None and index < len(walk.steps) else None
    if chosen is None and walk.is_over and step is not None and step.progress is not Progress.FAILED:
        return None
    return step


def _height_below(step: StepView | None, walk: WalkView, room: int) -> int:
    """How many lines a step may have below the steps: a third, and none for one that had nothing to say. Pure."""
    if step is None or (walk.is_over and not step.output):
        return 0
    return min(max(3, room // 3), 3 + len(step.output))
