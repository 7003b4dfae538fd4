"""`graasp-local tui`."""

from __future__ import annotations

import gc
import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from graasp_local.cli.context import Context, pass_context
from graasp_local.cli.rotation import finish_rotation
from graasp_local.errors import GraaspLocalError, UsageError

if TYPE_CHECKING:
    from graasp_local.clock import Interruption
    from graasp_local.ports.live import LiveEngine
    from graasp_local.ports.world import World
    from graasp_local.site.site import Site


_OURSELVES = (sys.executable, "-m", "graasp_local.cli.main")


class SiteAccess(Struct, frozen=True):
    """How the UI reaches the site that was named, or that is found from here; see graasp_local.tui.ports.Access."""

    named_site: Path | None

    def at(self, directory: Path, *, read_only: bool) -> SiteAccess:
        if not read_only:
            finish_what_was_cut_off(directory)
        return SiteAccess(directory)

    def site(self) -> Site:
        # A new context each time: the site's files may have been fixed since an earlier one read them.
        return Context(self.named_site).site

    def world(self, site: Site, interruption: Interruption, narrate: Callable[[str], None]) -> World:
        from graasp_local.clock import InterruptionFlag

        flag = interruption if isinstance(interruption, InterruptionFlag) else InterruptionFlag()
        context = Context(self.named_site)
        context.__dict__["site"] = site
        return context.world(flag, narrate)

    def live(self, site: Site) -> LiveEngine:
        from graasp_local.engine.site.live import DockerLive

        return DockerLive(site)

    def new_site_directory(self) -> Path:
        return (self.named_site or Path.cwd()).resolve()

    def command(self, verb: str, arguments: Sequence[str]) -> tuple[str, ...]:
        return (*_OURSELVES, "--site", str(self.site().directory), verb, *arguments)

    def init(self) -> Site:
        from graasp_local.site.create import default_project_name, init_site

        directory = self.new_site_directory()
        chosen = {
            "COMPOSE_PROJECT_NAME": default_project_name(directory),
            "PUBLIC_URL": "http://localhost",
            "COOKIE_DOMAIN": "localhost",
            "UMAMI_HOST": "umami.localhost",
        }
        return init_site(directory, chosen, demo=False)


def open_tui(named_site: Path | None, *, read_only: bool) -> None:
    """Open the UI in this terminal, and exit with the exit code of what was done in it."""
    # Nothing that is imported for the first screen is garbage, so collection waits until that screen is shown.
    gc.disable()
    from graasp_local.tui.app import run_app

    with suppress(GraaspLocalError):
        _ = Context(named_site).site  # says who owns it while printed lines can still be read
    if not read_only:
        finish_what_was_cut_off(named_site)
    sys.exit(run_app(SiteAccess(named_site), read_only=read_only))


def finish_what_was_cut_off(named_site: Path | None) -> None:
    """What every command that changes something does first; if that fails, the UI shows why on a screen."""
    with suppress(GraaspLocalError):
        finish_rotation(Context(named_site))


@click.command("tui")
@click.option("--read-only", is_flag=True, help="Watch only: nothing can be changed from this UI.")
@click.option("--serve", is_flag=True, help="Serve the UI to a browser on this machine; prints a link with a token.")
@click.option("--port", type=click.IntRange(1, 65535), default=8470, show_default=True, help="With --serve: the port.")
@click.option("--address", default="127.0.0.1", show_default=True, help="With --serve: the address to listen on.")
@click.option(
    "--beyond-this-machine", is_flag=True, help="With --serve: allow an --address that other machines can reach."
)
@pass_context
def command(
    context: Context, *, read_only: bool, serve: bool, port: int, address: str, beyond_this_machine: bool
) -> None:
    """Open the terminal UI: watch the site, change its state, deploy."""
    if serve:
        from graasp_local.tui import serve as server

        server.check_address(address, told_so=beyond_this_machine)
        title = "graasp-local"
        with suppress(GraaspLocalError):
            title = f"{context.site.settings.project} - {title}"
        server.serve(_served_command(context, read_only=read_only), address, port, title)
        return
    if not (sys.stdin.isatty() and sys.stdout.isatty()) and "TEXTUAL_DRIVER" not in os.environ:
        raise UsageError("The terminal UI needs a terminal.", "", "Use `graasp-local status` instead.")
    open_tui(context.named_site, read_only=read_only)


def _served_command(context: Context, *, read_only: bool) -> list[str]:
    site = ["--site", str(context.named_site.resolve())] if context.named_site else []
    return [*_OURSELVES, *site, "tui", *(["--read-only"] if read_only else [])]
