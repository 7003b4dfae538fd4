"""What each verb does in the UI: open a screen, or tell a thread to act.

One method for each verb with a key; verbs without a method run in the terminal. Imported once something is on the
screen, as it imports every other screen.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from graasp_local.errors import GraaspLocalError, sentences_of
from graasp_local.lock import held_lock
from graasp_local.planning.requests import ChangeState, Deploy, Request, Restore, Resume, Rollback
from graasp_local.tui.drawing.trouble import TroubleKind
from graasp_local.tui.screens.backups import BackupsScreen
from graasp_local.tui.screens.bypass import BypassScreen
from graasp_local.tui.screens.confirm import Confirm, ConfirmByName
from graasp_local.tui.screens.help import HelpScreen
from graasp_local.tui.screens.history import HistoryScreen
from graasp_local.tui.screens.in_terminal import InTerminalScreen
from graasp_local.tui.screens.leave import LeaveScreen
from graasp_local.tui.screens.logs import LogsScreen
from graasp_local.tui.screens.operation import OperationScreen, OperationSource
from graasp_local.tui.screens.page import PageScreen
from graasp_local.tui.screens.service import ServiceScreen
from graasp_local.tui.screens.sites import SitesScreen
from graasp_local.tui.screens.state import StateScreen
from graasp_local.tui.screens.versions import VersionsScreen
from graasp_local.tui.theme import DARK, LIGHT
from graasp_local.verbs import Effect, verb
from graasp_local.wording import listed

if TYPE_CHECKING:
    from graasp_local.backup.manifest import Manifest
    from graasp_local.tui.app import GraaspApp

_WITHOUT_A_SITE = frozenset({"init", "status", "watch", "sites", "theme", "help", "quit"})
"""What can be done before the site was observed."""


class Verbs:
    """`do` is the way in for keys, clicks and the palette."""

    def __init__(self, ui: GraaspApp) -> None:
        self._ui = ui

    def do(self, name: str) -> None:
        """Run a verb chosen by key or from the palette."""
        row = verb(name)
        if row.effect is Effect.CHANGES and not self._ui.may_change():
            return
        do = getattr(self, f"do_{name.replace('-', '_')}", None)
        if do is None:
            self._ui.push_screen(InTerminalScreen(row))
        elif name in _WITHOUT_A_SITE or self._seen():
            do()

    def ask(self, question: Confirm | ConfirmByName, on_yes: Callable[[], object]) -> None:
        """Show the question; do this only if the answer is yes."""

        def act_if(yes: bool | None) -> None:
            if yes:
                on_yes()

        self._ui.push_screen(question, act_if)

    def run_in_terminal(self, name: str, arguments: Sequence[str]) -> None:
        """Run a command-line verb on this site, with the terminal to itself."""
        terminal = self._ui.terminal
        if terminal is None or self._ui.read_only:
            return
        try:
            command = self._ui.access.command(name, arguments)
        except GraaspLocalError as error:
            self._ui.notify(" ".join(error.sentences), severity="warning")
            return
        with self._ui.suspend():
            terminal.run_and_wait(command, shlex.join(["graasp-local", name, *arguments]))
        self._ui.refresh(layout=True)
        self._ui.observer.forget_site()

    def do_status(self) -> None:
        self._ui.observer.forget_site()
        self._ui.notify("Refreshed.", timeout=1.5)

    def do_init(self) -> None:
        trouble = self._ui.trouble
        if trouble is None or trouble.kind is not TroubleKind.NO_SITE:
            self._ui.notify("There is already a site here. init never overwrites one.")
            return
        said = f"Writes {self._ui.access.new_site_directory()}/.env with generated secrets; starts nothing."
        self.ask(Confirm("Create a new site", (said,), "Create it"), lambda: self._on_a_thread("init", self._init))

    def do_apply(self) -> None:
        self._ui.push_screen(StateScreen())

    do_plan = do_apply

    def do_versions(self) -> None:
        self._ui.push_screen(VersionsScreen())

    do_deploy = do_versions

    def do_resume(self) -> None:
        self._ui.plan(Resume())

    def do_rollback(self) -> None:
        self._ui.plan(Rollback())

    def do_restore(self) -> None:
        self._ui.push_screen(BackupsScreen(), self._ask_before_restoring)

    def _ask_before_restoring(self, backup: Manifest | None) -> None:
        """A backup replaces the site's data: ask for the site's name first; the plan then still needs confirmation."""
        if backup is None or self._ui.view is None:
            return
        databases, volumes = (tuple(part.name for part in parts) for parts in (backup.databases, backup.volumes))
        said = (
            f"{listed(databases + volumes)} of this site would be replaced by those of {backup.name}.",
            "The current data is kept under another name until the next deployment.",
        )
        request = Restore(backup.name, replace_what_is_there=True)
        question = ConfirmByName("Restoring replaces the site's current data", said, self._ui.view.project)
        self.ask(question, lambda: self._ui.plan(request))

    def choose_again(self, refused: Request) -> None:
        """After a refusal, reopen the list that the request was chosen from, if there was one."""
        match refused:
            case Deploy(version=version, hold=hold):
                self._ui.push_screen(VersionsScreen(version, hold=hold))
            case ChangeState():
                self.do("apply")
            case Restore():
                self.do("restore")
            case _:
                return

    def do_history(self) -> None:
        self._ui.push_screen(HistoryScreen())

    def do_logs(self) -> None:
        self._ui.push_screen(LogsScreen(self._ui.selected_service))

    def do_bypass(self) -> None:
        self._ui.push_screen(BypassScreen())

    def do_maintenance_page(self) -> None:
        self._ui.push_screen(PageScreen())

    def do_open(self) -> None:
        if self._ui.view is not None:
            self.open_address(self._ui.view.url)

    def open_address(self, address: str) -> None:
        """Open the address in a browser that the user can see; otherwise, for example over ssh, copy it."""
        if has_browser(os.environ, sys.platform):
            self._ui.open_url(address)
            self._ui.notify(address, title="Opened in the browser")
        else:
            self._ui.copy_to_clipboard(address)
            self._ui.notify(address, title="Copied, because no browser can be opened from here")

    def do_shell(self) -> None:
        service = self._ui.selected_service
        if service is None:
            return
        if self._ui.terminal is None:
            self._ui.notify(
                f"There is no shell in a browser. Type in a terminal: graasp-local compose -- exec {service} sh"
            )
            return
        self._open_shell(service)

    def _open_shell(self, service: str) -> None:
        live, terminal = self._ui.observer.live, self._ui.terminal
        if live is None or terminal is None:
            return
        try:
            command = live.shell_command(service)
        except GraaspLocalError as error:
            self._ui.notify(" ".join(error.sentences), severity="warning")
            return
        with self._ui.suspend():
            terminal.run(command)
        self._ui.refresh(layout=True)

    def do_details(self) -> None:
        if self._ui.selected_service is not None:
            self._ui.push_screen(ServiceScreen(self._ui.selected_service))

    def do_restart(self) -> None:
        service = self._ui.selected_service
        if service is None:
            return
        if self._ui.is_under_way:
            self._ui.notify("An operation is running, and it starts and stops services itself.", severity="warning")
            return
        said = (
            f"$ graasp-local compose -- restart {service}",
            f"{service} is off until it has started again; the gate stays as it is.",
        )
        question = Confirm(f"Restart {service}", said, "Restart")
        self.ask(question, lambda: self._on_a_thread("restart", lambda: self._restart(service)))

    def do_watch(self) -> None:
        if self._ui.operation is None:
            self._ui.notify("No operation is running. Press h for earlier ones.")
            return
        source: OperationSource = "own_operation" if self._ui.operation is self._ui.own_operation else "other_operation"
        if isinstance(self._ui.screen, OperationScreen):
            self._ui.screen.show_operation(source)
        else:
            self._ui.push_screen(OperationScreen(source))

    def do_sites(self) -> None:
        if self._ui.operates_itself:
            self._ui.notify("An operation on this site was started here. Wait until it has ended.", severity="warning")
            return
        self._ui.push_screen(SitesScreen(), self._open_site_if)

    async def _open_site_if(self, directory: str | None) -> None:
        if directory is not None and directory != self._ui.directory:
            await self._ui.open_site(Path(directory))

    def do_theme(self) -> None:
        self._ui.theme = LIGHT.name if self._ui.theme == DARK.name else DARK.name
        self._ui.remember(theme=self._ui.theme)

    def do_help(self) -> None:
        self._ui.push_screen(HelpScreen())

    def do_quit(self) -> None:
        if self._ui.operates_itself:
            self._ui.push_screen(LeaveScreen())
        else:
            self._ui.exit()

    def _seen(self) -> bool:
        if self._ui.view is None or self._ui.trouble is not None:
            self._ui.notify(
                "The state of the site is not known yet. Try again when this screen shows it.", severity="warning"
            )
            return False
        return True

    def _init(self) -> str:
        try:
            return f"Created a site in {self._ui.access.init().directory}. Check its .env."
        finally:
            self._ui.observer.forget_site()

    def _restart(self, service: str) -> str:
        from graasp_local.site.prepare import refuse_if_not_ours

        live = self._ui.observer.live
        refuse_if_not_ours(self._ui.access.site())
        # Hold the site's lock, so that no operation can begin during the restart.
        with held_lock(self._ui.access.site().lock_file, f"graasp-local compose -- restart {service}"):
            if live is not None:
                live.restart(service)
        return f"Restarted {service}."

    def _on_a_thread(self, group: str, act: Callable[[], str]) -> None:
        """Act without holding up the UI, then tell the user what that says, or what was wrong."""

        def tell() -> None:
            try:
                self._ui.call_later(self._ui.notify, act())
            except Exception as error:  # the person waits for an answer, whatever is wrong
                self._ui.call_later(self._ui.notify, " ".join(sentences_of(error)), severity="error")

        self._ui.run_worker(tell, thread=True, exclusive=True, exit_on_error=False, group=group)


def has_browser(environment: Mapping[str, str], platform: str) -> bool:
    """True on a desktop and when the UI itself runs in a browser; over ssh a text browser would garble the UI. Pure."""
    if "TEXTUAL_DRIVER" in environment:
        return True
    if "SSH_CONNECTION" in environment and "DISPLAY" not in environment:
        return False
    return platform == "darwin" or "DISPLAY" in environment or "WAYLAND_DISPLAY" in environment
