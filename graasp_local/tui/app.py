"""The terminal UI's app: which screen is shown and which workers run.

Holds the latest observations in reactives that screens watch; decides nothing about a site.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

from msgspec.structs import replace
from textual import work
from textual.app import App, SystemCommand
from textual.binding import Binding, BindingType
from textual.reactive import reactive
from textual.screen import Screen
from textual.theme import Theme

from graasp_local.errors import sentences_of
from graasp_local.tui.drawing.trouble import Trouble
from graasp_local.tui.figures import clock_time
from graasp_local.tui.readings import Reading, with_usage
from graasp_local.tui.remembered import Remembered, recall, remember, remember_site
from graasp_local.tui.screens.dashboard import Dashboard
from graasp_local.tui.theme import DARK, LIGHT
from graasp_local.verbs import TABLE, shown_key
from graasp_local.wording import plain_text

if TYPE_CHECKING:
    # The code that observes, plans and operates is imported after the first paint: it takes as long as Textual.
    from graasp_local.planning.requests import Request
    from graasp_local.planning.states import Gate
    from graasp_local.tui import messages
    from graasp_local.tui.drawing.month import LastDays
    from graasp_local.tui.model import SiteView
    from graasp_local.tui.operation_run import OperationRun
    from graasp_local.tui.operation_view import OperationView
    from graasp_local.tui.ports import Access
    from graasp_local.tui.screens.plan import PlanMade
    from graasp_local.tui.terminal import Terminal
    from graasp_local.tui.verbs_done import Verbs
    from graasp_local.tui.watching import Observer

_THREADS = 64
_WIDEST = 40
_SERVER_SECONDS = 1.0
"""How often a tab in a browser checks that its server is still there."""


class Threads(ThreadPoolExecutor):
    """Enough threads for every log that is followed; shutdown does not wait for one that is stuck in the engine."""

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        super().shutdown(wait=False, cancel_futures=True)


class GraaspApp(App[None]):
    """`read_only` forbids changes; `terminal` is None in a browser, where no shell can be opened."""

    CSS_PATH = "styles.tcss"
    TITLE = "graasp-local"
    COMMAND_PALETTE_BINDING = "ctrl+p"
    HORIZONTAL_BREAKPOINTS = [(0, "-narrow"), (120, "-wide")]  # noqa: RUF012 - Textual's own declaration
    VERTICAL_BREAKPOINTS = [(0, "-short"), (30, "-tall")]  # noqa: RUF012
    BINDINGS: ClassVar[list[BindingType]] = [
        *(Binding(verb.key, f"verb('{verb.name}')", verb.label, show=False) for verb in TABLE if verb.key),
        Binding("colon,ctrl+p", "command_palette", "Palette", show=False),
        Binding("less_than_sign", "widen_names(-2)", show=False),
        Binding("greater_than_sign", "widen_names(2)", show=False),
    ]

    view: reactive[SiteView | None] = reactive(None)
    trouble: reactive[Trouble | None] = reactive(None)
    readings: reactive[dict[str, Reading]] = reactive(dict)
    own_operation: reactive[OperationView | None] = reactive(None)
    """The last operation that was started here."""
    other_operation: reactive[OperationView | None] = reactive(None)
    """The last operation of another process, read from its journal."""
    operation: reactive[OperationView | None] = reactive(None)
    """Of these two, the one that is running, otherwise the one with the latest news."""

    days: reactive[LastDays | None] = reactive(None)
    """The last thirty days, read again when the operations or the gate have changed."""
    remembered: reactive[Remembered] = reactive(recall)
    """The user's choices, from this run and earlier ones."""

    def __init__(self, access: Access, *, read_only: bool = False, terminal: Terminal | None = None) -> None:
        super().__init__()
        self.access = access
        self.read_only = read_only
        self.terminal = terminal
        self.operation_run: OperationRun | None = None
        self.is_operated_elsewhere = False
        self.selected_service: str | None = None
        self._days_are_of: object = None
        self.seen_at = 0.0
        self.used_at = 0.0
        self.stop = threading.Event()
        self.register_theme(DARK)
        self.register_theme(LIGHT)
        self._begin_with(LIGHT if self.remembered.theme == LIGHT.name else DARK)

    def _begin_with(self, theme: Theme) -> None:
        """Make this the initial theme. Assigning `theme` would parse all styles twice before the first screen."""
        self.set_reactive(App.theme, theme.name)
        self.set_class(theme.dark, "-dark-mode", update=False)
        self.set_class(not theme.dark, "-light-mode", update=False)
        self.stylesheet.set_variables(self.get_css_variables())

    @cached_property
    def observer(self) -> Observer:
        """Observes the site; created on first use."""
        from graasp_local.tui.watching import Observer

        return Observer(self.access)

    @cached_property
    def verbs(self) -> Verbs:
        """What the verbs do; created on first use."""
        from graasp_local.tui.verbs_done import Verbs

        return Verbs(self)

    def get_default_screen(self) -> Screen[Any]:
        return Dashboard()

    def on_mount(self) -> None:
        import asyncio
        import signal

        loop = asyncio.get_running_loop()
        loop.set_default_executor(Threads(_THREADS))
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGHUP, signal.SIGTERM):
                loop.add_signal_handler(number, self._leave_at_once)
        if "TEXTUAL_DRIVER" in os.environ:
            from graasp_local.tui.serve import SERVER_VARIABLE

            if server := os.environ.get(SERVER_VARIABLE):
                self.set_interval(_SERVER_SECONDS, lambda: self._leave_without(int(server)))
        # First show what can be shown at once, then import and ask for the rest.
        self.call_after_refresh(self._begin_watching)

    def _leave_at_once(self) -> None:
        """The terminal was closed or the process was signalled: the user can no longer be asked about an operation."""
        if self.operation_run is not None and not self.operation_run.goes_on_without_ui:
            self.operation_run.end_soon()
        self.exit()

    def _leave_without(self, server: int) -> None:
        """In a browser: leave if the process that serves this tab is gone."""
        if os.getppid() != server:
            self._leave_at_once()

    def on_unmount(self) -> None:
        self.stop.set()
        self.observer.close()

    async def open_site(self, directory: Path) -> None:
        """Switch to another site as if it had been opened first; nothing of the current one is kept."""
        import asyncio

        self.stop.set()
        self.observer.close()
        del self.__dict__["observer"]
        self.access = await asyncio.to_thread(self.access.at, directory, read_only=self.read_only)
        self.stop = threading.Event()
        while len(self.screen_stack) > 1:
            self.pop_screen()
        self.operation_run, self.is_operated_elsewhere, self.selected_service = None, False, None
        self.view = self.trouble = self.own_operation = self.other_operation = self.operation = None
        self.readings, self.days, self._days_are_of = {}, None, None
        if isinstance(self.screen, Dashboard):
            self.screen.begin_again()
        self.call_after_refresh(self._begin_watching)

    def remember(self, **changes: Any) -> None:
        """Keep a choice for the next time the UI is opened."""
        self.remembered = replace(self.remembered, **changes)
        self._write_down(changes)

    @work(thread=True, exit_on_error=False, group="remember")
    def _write_down(self, changes: dict[str, Any]) -> None:
        remember(**changes)

    @work(thread=True, exit_on_error=False, group="remember")
    def _write_down_site(self, directory: str) -> None:
        remember_site(directory)

    @property
    def directory(self) -> str:
        """The site's directory, as it is remembered; empty until a site was observed."""
        return str(Path(self.view.directory).resolve()) if self.view is not None else ""

    @property
    def lost_at(self) -> float | None:
        """When the site was last observed, if it cannot be observed now."""
        return self.seen_at if self.trouble is not None and self.view is not None else None

    @property
    def stale(self) -> str:
        """Which part of the screen is out of date, and since when; empty if everything is current."""
        if self.lost_at is not None:
            return f"as of {clock_time(self.lost_at)}: no answer"
        if not self.app_focus and self.readings:
            return f"CPU and memory as of {clock_time(self.used_at)}: terminal not in focus"
        return ""

    @property
    def is_under_way(self) -> bool:
        """Whether an operation is running, here or in another process."""
        return self.operation is not None and not self.operation.is_over

    @property
    def operates_itself(self) -> bool:
        """Whether an operation that was started here is running."""
        return self.operation_run is not None and not self.operation_run.ended.is_set()

    # --- workers: each runs a loop of watching.py and posts what it finds ---

    @work(exit_on_error=False, group="begin")
    async def _begin_watching(self) -> None:
        import asyncio
        import gc
        import importlib

        if not gc.isenabled():
            # Everything created so far stays; collect garbage only from here on.
            gc.freeze()
            gc.enable()
        # Import on a thread so that keys keep working; create the observer here, since there must be only one.
        await asyncio.to_thread(importlib.import_module, "graasp_local.tui.watching")
        self.observer.look_again()
        self._look()
        self._follow_changes()
        self._watch_files()
        self._read_usage()

    def _poster(self) -> Callable[[messages.FromWatching], None]:
        """A function that posts messages marked with this site; they are ignored once the UI shows another one."""
        watch = self.stop

        def post(message: messages.FromWatching) -> None:
            message.watch = watch
            self.post_message(message)

        return post

    @work(thread=True, exit_on_error=False, group="verbs")
    def _prepare_verbs(self) -> None:
        """Import what the first key would otherwise wait for."""
        import importlib

        importlib.import_module("graasp_local.tui.verbs_done")

    @work(thread=True, exclusive=True, exit_on_error=False, group="look")
    def _look(self) -> None:
        from graasp_local.tui import messages

        post = self._poster()
        self.observer.look(
            lambda found: post(messages.TroubleSeen(found) if isinstance(found, Trouble) else messages.SiteSeen(found))
        )

    @work(thread=True, exclusive=True, exit_on_error=False, group="changes")
    def _follow_changes(self) -> None:
        self.observer.follow_changes()

    @work(thread=True, exclusive=True, exit_on_error=False, group="files")
    def _watch_files(self) -> None:
        from graasp_local.tui import messages
        from graasp_local.tui.watching import watch_files

        post = self._poster()
        watch_files(
            self.access,
            os.getpid(),
            self.observer.forget_site,
            lambda under_way, records: post(messages.OperationElsewhere(under_way, records)),
            self.stop,
        )

    @work(thread=True, exclusive=True, exit_on_error=False, group="usage")
    def _read_usage(self) -> None:
        from graasp_local.tui import messages
        from graasp_local.tui.watching import read_usage

        post, observer = self._poster(), self.observer
        read_usage(
            lambda: observer.live,
            self._visible_containers,
            lambda usage: post(messages.UsageRead(usage)),
            self.stop,
        )

    @work(thread=True, exclusive=True, exit_on_error=False, group="days")
    def _read_days(self, gate: Gate) -> None:
        from graasp_local.tui import messages
        from graasp_local.tui.drawing.month import LastDays
        from graasp_local.tui.watching import last_days

        post, now = self._poster(), time.time()
        try:
            days = last_days(self.access.site(), gate, now)
        except Exception as error:  # said where the days would be
            days = LastDays(now, 0.0, 0.0, 0, (), " ".join(sentences_of(error)))
        post(messages.DaysRead(days))

    @work(thread=True, exclusive=True, exit_on_error=False, group="operation")
    def _operation(self, run: OperationRun) -> None:
        run.run()

    def _visible_containers(self) -> Sequence[tuple[str, str]]:
        """The containers of the services that the current screen shows. Called from a thread."""
        screen = self.screen_stack[-1] if self.screen_stack else None
        visible: Sequence[str] = getattr(screen, "visible_services", ())
        if self.view is None or not self.app_focus:
            return ()
        return [
            (service.name, service.container.id)
            for service in self.view.services
            if service.container is not None and service.runs and service.name in visible
        ]

    # --- messages from workers ---

    def on_site_seen(self, message: messages.SiteSeen) -> None:
        if message.is_of_another_site:
            return
        is_new, self.seen_at = self.view is None, time.time()
        self.trouble = None
        self.view = message.view
        if is_new:
            self._write_down_site(self.directory)
            self._prepare_verbs()
        # The thirty days change with every operation, and when a gate that was closed is found open.
        told = (
            tuple((each.operation, each.outcome) for each in self.view.operations),
            self.view.observed.gate,
            self.view.holder is None,
        )
        if told != self._days_are_of:
            self._days_are_of = told
            self._read_days(self.view.observed.gate)

    def on_days_read(self, message: messages.DaysRead) -> None:
        if not message.is_of_another_site:
            self.days = message.days

    def on_trouble_seen(self, message: messages.TroubleSeen) -> None:
        if not message.is_of_another_site:
            self.trouble = message.trouble

    def on_usage_read(self, message: messages.UsageRead) -> None:
        if message.is_of_another_site:
            return
        readings, self.used_at = self.readings, time.time()
        for service, usage in message.usage.items():
            readings = with_usage(readings, service, usage)
        self.readings = readings

    def _show_own(self, record: dict[str, Any]) -> None:
        """One more record of the operation that was started here."""
        self.own_operation = self._told(self.own_operation, [record])
        self._choose_operation(self.own_operation)

    def _told(self, view: OperationView | None, records: Sequence[dict[str, Any]]) -> OperationView:
        from graasp_local.tui.operation_view import OperationView, advanced

        view = view or OperationView()
        for record in records:
            view = advanced(view, record, time.time())
        if any(record["event"] in ("step-ended", "operation-ended") for record in records):
            # Observe what a step has changed rather than infer it.
            self.observer.look_again()
        return view

    def _choose_operation(self, latest: OperationView) -> None:
        under_way = [
            operation
            for operation in (self.own_operation, self.other_operation)
            if operation is not None and not operation.is_over
        ]
        self.operation = under_way[0] if under_way else latest

    def on_operation_elsewhere(self, message: messages.OperationElsewhere) -> None:
        if message.is_of_another_site:
            return
        from graasp_local.tui.operation_view import killed

        self.is_operated_elsewhere = message.under_way
        if message.records:
            self.other_operation = self._told(self.other_operation, message.records)
        if not message.under_way and self.other_operation is not None and not self.other_operation.is_over:
            self.other_operation = killed(self.other_operation)
        if self.other_operation is not None:
            self._choose_operation(self.other_operation)

    def notify(self, message: str, **how: Any) -> None:
        """Like Textual's, but without markup: the text may come from a registry or a database."""
        super().notify(plain_text(message), **{"markup": False, **how})

    # --- what the user asks for ---

    def action_verb(self, name: str) -> None:
        self.verbs.do(name)

    def action_watch(self) -> None:
        self.verbs.do("watch")

    async def action_quit(self) -> None:
        """Textual's own ctrl+q, which asks just as q does."""
        self.verbs.do("quit")

    def action_help_quit(self) -> None:
        """Textual's ctrl+c; its own words have markup in them, which `notify` shows as it is."""
        self.notify("Press q to quit. While an operation is running here, q asks what to do with it.")

    async def action_back(self) -> None:
        if len(self.screen_stack) > 1:
            self.pop_screen()

    def may_change(self) -> bool:
        """Whether the site may be changed from here; if not, the user is told."""
        if self.read_only:
            self.notify("This UI was opened with --read-only: nothing can be changed from here.", severity="warning")
        return not self.read_only

    def plan(self, request: Request) -> None:
        """Show the plan for a request, for the user to decide on."""
        from graasp_local.tui.screens.plan import PlanScreen

        if self.is_under_way or self.is_operated_elsewhere:
            self.notify("An operation is running. Wait until it has ended, or press w to watch it.", severity="warning")
        elif self.may_change():
            self.push_screen(PlanScreen(request))

    def start_operation(self, plan_made: PlanMade) -> None:
        """Carry out the plan that was shown and confirmed."""
        if not self.may_change():
            return
        from graasp_local.tui.operation_run import OperationRun
        from graasp_local.tui.operation_view import OperationView
        from graasp_local.tui.screens.operation import OperationScreen

        request, shown = plan_made.request, plan_made.shown
        run = OperationRun(self.access, request, shown, lambda record: self.call_later(self._show_own, record))
        self.operation_run = run
        self.own_operation = OperationView(command=request.command, began=time.time())
        self._choose_operation(self.own_operation)
        self._operation(run)
        self.push_screen(OperationScreen("own_operation"))

    def action_log_action(self, what: str) -> None:
        """Pass a key, or a click on the key bar, on to the log on the screen."""
        from graasp_local.tui.widgets.log_panel import LogPanel

        for panel in self.screen.query(LogPanel):
            panel.do(what)

    def action_widen_names(self, by: int) -> None:
        """Make the name column in lists and logs wider or narrower."""
        self.remember(wider=max(-_WIDEST, min(_WIDEST, self.remembered.wider + by)))

    def action_change_to(self, state: str) -> None:
        from graasp_local.planning.requests import ChangeState
        from graasp_local.planning.states import InfraState

        self.plan(ChangeState(InfraState(state)))

    def get_system_commands(self, screen: Screen[Any]) -> Iterable[SystemCommand]:
        """Every verb for the palette, under its command-line name and with its key."""
        for verb in TABLE:
            key = f"   key {shown_key(verb.key)}" if verb.key else ""
            yield SystemCommand(verb.name, verb.summary + key, lambda name=verb.name: self.action_verb(name))


def run_app(access: Access, *, read_only: bool) -> int:
    """Open the UI in this terminal; returns the exit code once everything it started has ended."""
    from graasp_local.tui.terminal import kept_for_the_ui

    in_browser = "TEXTUAL_DRIVER" in os.environ
    with kept_for_the_ui(stderr_too=not in_browser) as terminal:
        app = GraaspApp(access, read_only=read_only, terminal=None if in_browser else terminal)
        app.run()
        code = app.return_code or 0
    if app.operation_run is not None:
        from graasp_local.tui.leaving import wait_for_operation

        code = wait_for_operation(app.operation_run)
    sys.stdout.flush()
    return code
