"""A log with a heading and a filter; follows the containers of one service or of all, each on its own thread."""

from __future__ import annotations

import time
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

from textual.actions import SkipAction
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.timer import Timer
from textual.widgets import Input
from textual.worker import get_current_worker

from graasp_local.errors import GraaspLocalError
from graasp_local.tui.log_model import KEPT_LINES, Chunks, Funnel, LogLine
from graasp_local.tui.tones import Line, Piece, Tone, fitted
from graasp_local.tui.widgets.lines import Lines
from graasp_local.tui.widgets.logs import LogView

if TYPE_CHECKING:
    from graasp_local.ports.live import LiveEngine, ObservedContainer, Stream
    from graasp_local.tui.app import GraaspApp
    from graasp_local.tui.model import SiteView

MOST_STREAMS = 40
_TAIL = 200
_RANGES: tuple[tuple[str, float | None], ...] = (
    ("", None),
    ("last 1 min", 60.0),
    ("last 5 min", 300.0),
    ("last 1 h", 3600.0),
    ("everything", None),
)
"""How far back a log is read: only the newest lines, this many seconds, or as many lines as are kept."""
_TAKE_SECONDS = 0.1
_SETTLE_SECONDS = 0.12


class LogPanel(Vertical):
    """`follow_service` chooses the service; `keep_following` is called when the site has changed."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close_filter", show=False),
        Binding("left_square_bracket", "range(-1)", show=False),
        Binding("right_square_bracket", "range(1)", show=False),
    ]

    def __init__(self, *, id: str | None = None) -> None:  # noqa: A002 - Textual's name
        super().__init__(id=id)
        self._service: str | None = None
        self._all = False
        self._range = 0
        self._view: SiteView | None = None
        self._streams: dict[tuple[str, float | None], Stream[bytes] | None] = {}
        self._funnel = Funnel()
        self._rung = False
        self._has_begun = False
        self._is_lost = False
        self._taken_at = 0.0
        self._settling: Timer | None = None

    def compose(self) -> ComposeResult:
        yield Lines(lambda width: (self._heading(width),), id="loghead", classes="gap")
        yield LogView(id="logs")

    @property
    def _ui(self) -> GraaspApp:
        return cast("GraaspApp", self.app)

    def on_mount(self) -> None:
        self._range = max(0, min(self._ui.remembered.log_range, len(_RANGES) - 1))
        self.watch(self._ui, "remembered", self._as_remembered)

    def _as_remembered(self) -> None:
        kept = self._ui.remembered
        self.query_one(LogView).look_as(times=kept.log_times, wraps=kept.log_wraps, wider=kept.wider)

    def on_log_view_chosen(self, message: LogView.Chosen) -> None:
        """Remember how logs are shown, for every log and for the next run."""
        self._ui.remember(log_times=message.times, log_wraps=message.wraps)

    def on_unmount(self) -> None:
        self._release()

    def follow_service(self, service: str | None, view: SiteView) -> None:
        """Follow another service, once the cursor has come to rest."""
        self._view = view
        if service == self._service or self._all:
            self._service = service
            return
        self._service = service
        if self._settling is not None:
            self._settling.stop()
        self._settling = self.set_timer(_SETTLE_SECONDS, self._begin_again)

    def follow_all(self, view: SiteView) -> None:
        self._all, self._view = True, view
        self._begin_again()

    def keep_following(self, view: SiteView) -> None:
        """Also follow containers that are new or were restarted."""
        self._view = view
        if self._is_lost:
            self._begin_again()
        elif self._has_begun:
            self._follow_new(fresh=False)

    def forget(self) -> None:
        """Follow nothing until a service is chosen again."""
        self._release()
        self._service, self._view, self._all, self._has_begun = None, None, False, False
        self._funnel = Funnel()
        self.query_one(LogView).clear()

    def lose(self) -> None:
        """The engine is gone, and every log with it: start over when it is back."""
        self._is_lost = self._has_begun
        self.on_log_view_changed()

    def do(self, what: str) -> None:
        """Run an action of the key bar: filter, pause, follow, all, copy, times, wrap, longer."""
        logs = self.query_one(LogView)
        match what:
            case "filter":
                self._open_filter()
            case "longer":
                self.action_range(1)
            case "all":
                self._all = not self._all
                self._begin_again()
            case _:
                getattr(logs, f"action_{what}")()

    def action_range(self, step: int) -> None:
        """Read further back or less far."""
        self._range = max(0, min(self._range + step, len(_RANGES) - 1))
        self._ui.remember(log_range=self._range)
        self._begin_again()

    def on_input_changed(self, event: Input.Changed) -> None:
        self.query_one(LogView).filter(event.value)

    def on_input_submitted(self) -> None:
        """Leave the filter field, which keeps its text."""
        self.query_one(LogView).focus()

    def action_close_filter(self) -> None:
        """Show all lines again; if no filter is open, let the key do what it does elsewhere."""
        if not self.query(Input):
            raise SkipAction
        self.query_one(Input).remove()
        self.query_one(LogView).filter("")
        self.query_one(LogView).focus()

    def _open_filter(self) -> None:
        fields = self.query(Input)
        field = fields.first() if fields else Input(placeholder="show only lines with …", id="filter")
        if not fields:
            self.mount(field, after="#loghead")
        field.focus()

    def on_log_view_changed(self) -> None:
        self.query_one("#loghead", Lines).show(lambda width: (self._heading(width),))

    def _lines_arrived(self) -> None:
        """At most one call of this is pending at a time."""
        wait = self._taken_at + _TAKE_SECONDS - time.monotonic()
        if wait > 0:
            self.set_timer(wait, self._take)
        else:
            self._take()

    def _take(self) -> None:
        self._taken_at = time.monotonic()
        self._rung = False
        lines, lost = self._funnel.take()
        if lost:
            lines.insert(0, LogLine("", f"… {lost:,} lines were skipped because they came too fast"))
        self.query_one(LogView).add(lines)

    def _begin_again(self) -> None:
        self._release()
        self._has_begun, self._is_lost = True, False
        self._funnel = Funnel()
        logs = self.query_one(LogView)
        logs.with_names = self._all
        logs.clear()
        self._follow_new(fresh=True)

    def _follow_new(self, *, fresh: bool) -> None:
        live = self._ui.observer.live
        if self._view is None or live is None:
            return
        wanted = [s for s in self._view.services if s.container and (self._all or s.name == self._service)]
        for service in wanted[:MOST_STREAMS]:
            container = service.container
            if container is None or (container.id, container.started_at) in self._streams:
                continue
            if (container.id, None) in self._streams:
                # The log was followed before the container's start time was known.
                self._streams[container.id, container.started_at] = self._streams.pop((container.id, None))
                continue
            self._streams[container.id, container.started_at] = None
            since = self._fresh_since if fresh else container.started_at
            self.run_worker(
                partial(self._read, live, service.name, container, since, self._funnel),
                thread=True,
                exclusive=True,
                exit_on_error=False,
                group=f"log {container.id}",
            )

    @property
    def _fresh_since(self) -> float | None:
        seconds = _RANGES[self._range][1]
        return None if seconds is None else time.time() - seconds

    def _read(
        self, live: LiveEngine, service: str, container: ObservedContainer, since: float | None, funnel: Funnel
    ) -> None:
        """On a thread: pass lines from the engine to the funnel, with one message for all that are waiting."""
        worker = get_current_worker()
        try:
            stream = live.log(container.id, KEPT_LINES if self._range else _TAIL, since)
        except (GraaspLocalError, OSError):
            return
        key = next((key for key in (*self._streams,) if key[0] == container.id and self._streams[key] is None), None)
        self._streams[key or (container.id, container.started_at)] = stream
        if worker.is_cancelled:
            stream.close()
            return
        chunks = Chunks(service)
        for chunk in stream:
            if worker.is_cancelled:
                return
            funnel.put(chunks.lines(chunk))
            if not self._rung:
                self._rung = True
                self.call_later(self._lines_arrived)

    def _release(self) -> None:
        for group in [worker for worker in self.workers if worker.node is self]:
            group.cancel()
        for stream in self._streams.values():
            if stream is not None:
                stream.close()
        self._streams = {}

    def _heading(self, width: int) -> Line:
        logs = cast(Any, self.query_one(LogView))
        what = "all services" if self._all else (self._service or "")
        model = logs.model
        how = "only" if model.narrows else "with"
        needle = f"   {how} “{model.needle}”" if model.needle else ""
        follows = logs.following and not logs.model.paused and not self._is_lost
        status = "not followed: the engine does not answer" if self._is_lost else logs.status
        line = (
            Piece("Log of ", Tone.QUIET),
            Piece(what or "…", Tone.KEY if logs.has_focus else Tone.STRONG),
            Piece(f"   {status}", Tone.QUIET if follows else Tone.BUSY),
            Piece(needle, Tone.ACCENT),
            Piece(f"   {_RANGES[self._range][0]}" if self._range else "", Tone.QUIET),
        )
        return fitted(line, width)
