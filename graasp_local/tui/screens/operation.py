"""An operation: its steps with seconds, the downtime clock, the output of a step, and finally what happened."""

from __future__ import annotations

import threading
import time
from typing import ClassVar, Literal

from textual import work
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Container

from graasp_local.errors import GraaspLocalError
from graasp_local.journal.read import read_operations
from graasp_local.journal.records import seconds_by_step
from graasp_local.tui.closely import CloseLook
from graasp_local.tui.drawing.operation import ending_lines, operation_title, output_lines, steps_table
from graasp_local.tui.drawing.progress import Closely, Usual, closed_line, closely_lines, usual_seconds
from graasp_local.tui.drawing.site import strip_lines
from graasp_local.tui.hints import LAST, ending_hints, operation_hints
from graasp_local.tui.operation_view import OperationView, Progress, StepView
from graasp_local.tui.screens.base import UiScreen
from graasp_local.tui.screens.confirm import Confirm
from graasp_local.tui.widgets.lines import KeyBar, Lines
from graasp_local.tui.widgets.rows import Rows
from graasp_local.tui.widgets.traffic_pane import HEIGHT, TrafficPane

_TICK_SECONDS = 0.2
_LOOK_SECONDS = 1.0
_CLOSELY_BELOW = 6
"""Lines for a closer look below the steps, if the screen is not wide."""
_OPERATIONS_FOR_WHAT_IS_USUAL = 50

OperationSource = Literal["own_operation", "other_operation"]
"""Which of the app's two live operations."""


class OperationScreen(UiScreen):
    """Shows an operation live, from here or another process, or an earlier one, which does not change."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("x", "interrupt", show=False)]

    def __init__(self, source: OperationSource, past: OperationView | None = None) -> None:
        super().__init__()
        self._source: OperationSource = source
        self._past = past
        self._chosen: int | None = None
        self._closely = Closely()
        self._usual: dict[str, Usual] = {}
        self._is_gone = threading.Event()

    @property
    def operation(self) -> OperationView | None:
        return self._past or getattr(self.ui, self._source)

    @property
    def _is_own(self) -> bool:
        return self._past is None and self._source == "own_operation"

    def show_operation(self, source: OperationSource) -> None:
        """Switch to this live operation, unless it is already shown."""
        if self._past is not None or self._source != source:
            self.ui.pop_screen()
            self.ui.push_screen(OperationScreen(source))

    def compose(self) -> ComposeResult:
        yield Lines(id="title", classes="title")
        yield Lines(id="strip", classes="gap")
        yield Lines(id="clock")
        with Container(id="under-way"):
            yield Rows(id="steps", field_above="#under-way")
            with Container(id="beside"):
                yield TrafficPane(id="traffic")
                yield Lines(id="closely")
                yield Lines(id="output")
                yield Lines(id="ending")
        yield KeyBar()

    def on_mount(self) -> None:
        self._draw()
        if self._past is None:
            self.watch(self.app, self._source, self._draw, init=False)
            for name in ("view", "trouble"):
                self.watch(self.app, name, self._draw, init=False)
            self.set_interval(_TICK_SECONDS, self._tick)
            self._look_closely()
        self._read_usual()
        self.call_after_refresh(self._draw)

    def on_unmount(self) -> None:
        self._is_gone.set()

    def _show_closely(self, closely: Closely) -> None:
        self._closely = closely
        self._draw()

    def _show_usual(self, usual: dict[str, Usual]) -> None:
        self._usual = usual
        self._draw()

    @work(thread=True, exclusive=True, exit_on_error=False, group="usual")
    def _read_usual(self) -> None:
        began = self.operation.began if self.operation is not None else 0.0
        try:
            operations = read_operations(self.ui.access.site().journal_directory, _OPERATIONS_FOR_WHAT_IS_USUAL)
        except (GraaspLocalError, OSError):
            return  # what is usual is an addition; the dashboard and the history say that the journal cannot be read
        # This operation must not be compared with itself.
        earlier = [each for each in operations if each.began < began]
        self.call_later(self._show_usual, usual_seconds(seconds_by_step(earlier)))

    @work(thread=True, exclusive=True, exit_on_error=False, group="closely")
    def _look_closely(self) -> None:
        """Loop: once a second, look at what the running step waits for."""
        look = CloseLook(self.ui.access)
        while not self._is_gone.wait(_LOOK_SECONDS) and not self.ui.stop.is_set():
            operation = self.operation
            if operation is None or operation.is_over:
                return
            if operation.current is not None:
                step = operation.steps[operation.current]
                self.call_later(self._show_closely, look.at(step, self.ui.view, self.ui.observer.live))

    def on_resize(self) -> None:
        self.call_after_refresh(self._draw)

    def on_rows_highlighted(self, message: Rows.Highlighted) -> None:
        if message.by_person:
            index = int(message.key)
            self._chosen = None if self.operation is not None and index == self.operation.latest else index
            self._draw()

    def on_rows_chosen(self, message: Rows.Chosen) -> None:
        from graasp_local.tui.screens.step import StepScreen

        self.ui.push_screen(StepScreen(int(message.key), self._source, self._past))

    def action_interrupt(self) -> None:
        if self.ui.operates_itself and self._is_own:
            said = (
                "The operation stops at the next safe point.",
                "While the gate is still open, nothing is changed; once it is closed, a deployment is rolled back.",
            )
            self.ui.verbs.ask(Confirm("Interrupt the operation", said, "Interrupt"), self._interrupt)

    def action_read(self) -> None:
        self.query_one(Rows).action_choose()

    def _interrupt(self) -> None:
        if self.ui.operation_run is not None:
            self.ui.operation_run.end_soon()

    def _tick(self) -> None:
        if self.operation is not None and not self.operation.is_over:
            self._draw()

    def _draw(self) -> None:
        operation, view, at = self.operation, self.ui.view, time.time()
        if operation is None:
            return
        running = operation if self._past is None and not operation.is_over else None
        elsewhere = self._past is None and not self._is_own
        self.show("title", lambda width: (operation_title(operation, width, begun_elsewhere=elsewhere),))
        self.query_one("#strip").display = self._past is None
        seen_at = self.ui.lost_at
        self.show("strip", lambda width: strip_lines(view, running, width, clickable=False, seen_at=seen_at))
        self.show("clock", lambda width: (closed_line(operation, at, width),))
        possible = ending_hints(operation, read_only=self.ui.read_only) if self._past is None else ()
        self.query_one("#ending").display = operation.is_over
        self.show("ending", lambda width: ending_lines(operation, possible, width))
        self._draw_steps(operation, at)
        own = self.ui.operates_itself and self._is_own
        self.query_one(KeyBar).show_keys(operation_hints(operation, own=own), LAST)

    def _draw_steps(self, operation: OperationView, at: float) -> None:
        """Draw the steps and the output of the chosen one: below them, or next to them if the screen is wide."""
        rows = self.query_one(Rows)
        step = _told_step(operation, self._chosen)
        traffic = self.query_one(TrafficPane)
        if traffic.display:
            traffic.show(operation)
        room = self.query_one("#under-way").size.height
        # What is shown next to the steps shares its half with the sparklines.
        height_beside = room - HEIGHT if traffic.display else room
        ending = len(ending_lines(operation, (), self.size.width - 2)) + 2 if operation.is_over else 0
        # The closer look is only about the running step.
        is_current = step is not None and operation.current is not None and step is operation.steps[operation.current]
        looked = self._closely if is_current else Closely()
        is_wide = self.has_class("-wide")
        beside = len(closely_lines(step, looked, at, self.size.width, height_beside if is_wide else _CLOSELY_BELOW))
        self.query_one("#closely").display = beside > 0
        self.show("closely", lambda width: closely_lines(step, looked, at, width, beside))
        if is_wide:
            height = 0 if operation.is_over and (step is None or not step.output) else height_beside - ending - beside
            rows.styles.max_height = room
        else:
            height = _height_below(step, operation, room)
            below = len(output_lines(step, self.size.width - 2, height)) + 1 if height else 0
            rows.styles.max_height = max(3, room - below - ending - beside - bool(beside))
        self.query_one("#output").display = height > 0
        self.show("output", lambda width: output_lines(step, width, height))
        usual = self._usual
        rows.show(lambda width: steps_table(operation, usual, at, width))
        if self._chosen is None and operation.latest is not None:
            rows.select(str(operation.latest))


def _told_step(operation: OperationView, chosen: int | None) -> StepView | None:
    """The chosen step, otherwise the latest one; None if the operation is over and that one did not fail. Pure."""
    index = chosen if chosen is not None else operation.latest
    step = operation.steps[index] if index is not None and index < len(operation.steps) else None
    if chosen is None and operation.is_over and step is not None and step.progress is not Progress.FAILED:
        return None
    return step


def _height_below(step: StepView | None, operation: OperationView, room: int) -> int:
    """How many lines a step's output may take below the steps: a third, or none if it ended without any. Pure."""
    if step is None or (operation.is_over and not step.output):
        return 0
    return min(max(3, room // 3), 3 + len(step.output))
