"""The terminal UI in a browser, by default on this machine's loopback address, for anyone who has the link.

textual-serve starts one process per browser tab and has no authentication. So every request needs the random token,
first from the link, then from a cookie; and because browsers attach cookies to whatever a page requests, requests for
another host or from another origin are refused too.
"""

from __future__ import annotations

import hmac
import os
import re
import secrets
import shlex
import socket
import sys
import threading
import time
from collections.abc import Awaitable, Callable, Sequence
from contextlib import suppress
from html import escape
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any, cast

from graasp_local.errors import UsageError

if TYPE_CHECKING:
    from aiohttp import web

COOKIE = "graasp_local_token"
SERVER_VARIABLE = "_GRAASP_LOCAL_TUI_SERVER"
"""The process that serves this UI to a browser. Not its parent's id alone: that process may end before the UI is up."""

_TABS_END_SECONDS = 1.0
_LONGEST_END_SECONDS = 1.7
"""From the signal to the exit of the server, whatever its tabs do."""


def check_address(address: str, *, told_so: bool) -> None:
    """Raises UsageError for an address that other machines can reach, unless the user explicitly allowed it."""
    try:
        loopback = address == "localhost" or ip_address(address).is_loopback
    except ValueError:
        raise UsageError(
            f"{address!r} is not an IP address.", "The UI was not started.", "Pass one such as 127.0.0.1."
        ) from None
    if not loopback and not told_so:
        raise UsageError(
            f"Other machines can reach {address}, and whoever has the link could change this site from there.",
            "Nothing is served.",
            "Leave out --address and use `ssh -L`, or add --beyond-this-machine to allow it.",
        )


def _refuse_taken(address: str, port: int) -> None:
    """Raises UsageError for a port that is in use, before printing a link that would lead to another program."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            raise UsageError(
                f"Port {port} of {address} cannot be used: {error.strerror}.",
                "Nothing is served.",
                "Pass another --port.",
            ) from None


def is_allowed(token: str, given: Sequence[str | None], host: str, origin: str | None, served_host: str) -> bool:
    """Whether a request has the token, asks for the served host, and comes from its own pages. Pure."""
    # Bytes of a cookie that are not valid text arrive as surrogates, which only this error handler can encode.
    if not any(hmac.compare_digest(token.encode(), text.encode(errors="surrogatepass")) for text in given if text):
        return False
    return host == served_host and origin in (None, f"http://{served_host}")


_HEAD = """<meta charset="utf-8">
<title>{title}</title>
<link rel="icon" href="data:,">
<style>@font-face {{ font-family: "Roboto Mono"; src: url("/static/fonts/RobotoMono-VariableFont_wght.ttf"); }}</style>
<script>
// The keyboard is the terminal's from the first thing that is drawn, and whenever the page has the focus again.
window.addEventListener("load", () => {{
  const take = () => document.querySelector(".xterm-helper-textarea")?.focus();
  const drawn = new MutationObserver(() => {{
    if (!document.body.classList.contains("-first-byte")) return;
    drawn.disconnect();
    take();
  }});
  drawn.observe(document.body, {{ attributes: true }});
  window.addEventListener("focus", take);
}});
</script>"""


def own_page(page: str, title: str, served_host: str) -> str:
    """textual-serve's page with a title and keyboard focus, and without what it loads from other hosts. Pure."""
    own = re.sub(rf"<link[^>]*https?://(?!{re.escape(served_host)}/)[^>]*>", "", page)
    return own.replace("<head>", f"<head>\n{_HEAD.format(title=escape(title))}", 1)


def page_policy(served_host: str) -> str:
    """The Content-Security-Policy of the page: a browser may load from this server alone. Pure."""
    return (
        "default-src 'none'; script-src 'self' 'unsafe-inline'; style-src 'self' 'unsafe-inline'; "
        f"img-src 'self' data:; font-src 'self' data:; connect-src 'self' ws://{served_host}; "
        "base-uri 'none'; frame-ancestors 'none'"
    )


def serve(command: Sequence[str], address: str, port: int, title: str, token: str | None = None) -> None:
    """Serve the command's UI until Ctrl-C; prints the link on stdout."""
    from aiohttp import web
    from textual_serve.server import Server

    _refuse_taken(address, port)
    token = token or secrets.token_urlsafe(32)
    served_host = f"[{address}]:{port}" if ":" in address else f"{address}:{port}"

    @web.middleware
    async def guarded(
        request: web.Request, handler: Callable[[web.Request], Awaitable[web.StreamResponse]]
    ) -> web.StreamResponse:
        given = (_told(lambda: request.query.get("token")), _told(lambda: request.cookies.get(COOKIE)))
        if not is_allowed(token, given, request.host, request.headers.get("Origin"), served_host):
            return web.Response(status=403, text="Open the link that `graasp-local tui --serve` printed.\n")
        if "token" in request.query:
            # Keep the token out of the address bar, the history and the Referer header.
            away = web.Response(status=303, headers={"Location": "/", "Referrer-Policy": "no-referrer"})
            away.set_cookie(COOKIE, token, httponly=True, samesite="Strict")
            return away
        return await handler(request)

    class Guarded(Server):  # type: ignore[misc, unused-ignore]
        """textual-serve's server behind the guard, with our own page and without its banner."""

        async def handle_index(self, request: web.Request) -> web.Response:
            page = cast("web.Response", await super().handle_index(request))
            page.text = own_page(page.text or "", title, served_host)
            page.headers["Content-Security-Policy"] = page_policy(served_host)
            page.headers["Referrer-Policy"] = "no-referrer"
            return page

        async def _make_app(self) -> web.Application:
            app: web.Application = await super()._make_app()
            app.middlewares.append(guarded)
            return app

        async def on_startup(self, app: Any) -> None:
            print(f"http://{served_host}/?token={token}", flush=True)  # noqa: T201
            told = "Anyone who has this link can open the UI. Press Ctrl-C to stop serving it."
            print(told, file=sys.stderr, flush=True)  # noqa: T201

        async def on_shutdown(self, app: Any) -> None:
            await _end_tabs()

        def request_exit(self) -> None:
            """On Ctrl-C or SIGTERM: exit soon, whatever a tab is in the middle of."""
            timer = threading.Timer(_LONGEST_END_SECONDS, os._exit, (0,))
            timer.daemon = True
            timer.start()
            super().request_exit()

        def initialize_logging(self) -> None:
            """No logging: a log of requests would contain the token."""

    os.environ[SERVER_VARIABLE] = str(os.getpid())
    Guarded(
        # exec replaces the shell, so that none is left when the tab's process ends.
        f"exec {shlex.join(command)}",
        host=address,
        port=port,
        title=title,
        public_url=f"http://{served_host}",
    ).serve()


def _told(ask: Callable[[], str | None]) -> str | None:
    """A value from the request, or None if it cannot be read at all, so that malformed requests get a 403 too."""
    try:
        return ask()
    except Exception:  # the libraries raise many kinds
        return None


async def _end_tabs() -> None:
    """Send SIGTERM to each tab's process, which ends its operation at the next safe point, and wait for a moment.

    A process that is still rolling the site back finishes by itself, as when its terminal is closed.
    """
    import asyncio

    import psutil

    tabs = psutil.Process().children()
    for tab in tabs:
        with suppress(psutil.Error):
            tab.terminate()
    deadline = time.monotonic() + _TABS_END_SECONDS
    while any(tab.is_running() and tab.status() != psutil.STATUS_ZOMBIE for tab in tabs):
        if time.monotonic() > deadline:
            break
        await asyncio.sleep(0.05)
