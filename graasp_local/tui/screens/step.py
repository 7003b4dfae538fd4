"""One step of an operation on the whole screen: its cause and all of its output."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType

from graasp_local.tui.hints import BACK, LAST
from graasp_local.tui.log_model import LogLine
from graasp_local.tui.operation_view import OperationView, StepView
from graasp_local.tui.screens.base import UiScreen
from graasp_local.tui.screens.operation import OperationSource
from graasp_local.tui.tones import Line, Tone, plain, wrapped
from graasp_local.tui.widgets.lines import KeyBar, Lines
from graasp_local.tui.widgets.logs import LogView


class StepScreen(UiScreen):
    """A step of an operation from the history, or of a live one, whose lines are added as they come."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("enter", "app.back", show=False)]

    def __init__(self, index: int, source: OperationSource, past: OperationView | None) -> None:
        super().__init__()
        self._index = index
        self._source = source
        self._past = past
        self._shown: tuple[str, ...] = ()

    def compose(self) -> ComposeResult:
        yield Lines(self._title, classes="title")
        yield Lines(self._cause, classes="gap")
        yield LogView(id="logs", with_names=False)
        yield KeyBar()

    def on_mount(self) -> None:
        copy = ("y", "Copy what is shown", "screen.copy")
        self.query_one(KeyBar).show_keys((BACK, ("j k g G", "Move", ""), copy), LAST)
        if self._past is None:
            self.watch(self.app, self._source, self._draw, init=False)
        self._draw()

    def action_copy(self) -> None:
        self.query_one(LogView).action_copy()

    @property
    def _step(self) -> StepView | None:
        operation = self._past or getattr(self.ui, self._source)
        return operation.steps[self._index] if operation is not None and self._index < len(operation.steps) else None

    def _draw(self) -> None:
        said = self._step.output if self._step is not None else ()
        logs = self.query_one(LogView)
        if said[: len(self._shown)] == self._shown:
            added = said[len(self._shown) :]
        else:  # the oldest lines were dropped
            logs.clear()
            added = said
        self._shown = said
        if added:
            logs.add([LogLine("", line) for line in added])

    def _title(self, width: int) -> tuple[Line, ...]:
        return (plain(self._step.title if self._step else "", Tone.STRONG),)

    def _cause(self, width: int) -> tuple[Line, ...]:
        if self._step is None:
            return ()
        silent = () if self._step.output else ((), plain("It has printed nothing.", Tone.QUIET))
        return (*wrapped(f"Because {self._step.cause}.", width, Tone.QUIET), *silent)
