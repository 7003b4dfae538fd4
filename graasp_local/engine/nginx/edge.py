"""The site as reached through nginx: as a browser, as a program, and with the bypass.

Whether the gate is open is decided by these answers, not by a flag.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING

from graasp_local.engine.reach import plain_http
from graasp_local.engine.reach.addresses import engine_host, is_on_this_machine
from graasp_local.engine.reach.plain_http import Answer
from graasp_local.journal.visits import Met, met
from graasp_local.planning.states import Gate
from graasp_local.settings import Settings, Tls

if TYPE_CHECKING:
    from graasp_local.ports.gate import CoreAnswer

GATE_PATH = "/.graasp/gate"
_AS_BROWSER = {"Accept": "text/html"}
_AS_PROGRAM = {"Accept": "application/json"}


class HttpEdge:
    """The edge of a site with these settings; `timeout` in seconds for each request."""

    def __init__(self, settings: Settings, timeout: float = 5.0) -> None:
        self._timeout = timeout
        self.bypass = {settings.header_name: settings.header_secret}
        machine = engine_host() if settings.is_bound_to_all else settings.bind
        self._tls_name = settings.certificate_names[0] if settings.tls is not Tls.OFF else ""
        port = settings.https_port if self._tls_name else settings.port
        self._address = (machine, port)
        # Another machine's loopback address can only be reached through its engine.
        is_loopback = settings.bind == "::1" or settings.bind.startswith("127.")
        self._project = settings.project if is_loopback and not is_on_this_machine() else ""
        self._inner_port = 443 if self._tls_name else 80
        self.host = f"[{machine}]:{port}" if ":" in machine else f"{machine}:{port}"

    @contextmanager
    def connection(self, timeout: float) -> Iterator[socket.socket]:
        """A new connection to nginx, with TLS if the site has it. Raises OSError.

        The certificate is not verified: it is for the site's name, and this connects to an address of the machine.
        """
        with self._connected(timeout) as connection:
            if not self._tls_name:
                yield connection
                return
            import ssl

            context = ssl._create_unverified_context()  # noqa: S323
            with context.wrap_socket(connection, server_hostname=self._tls_name) as encrypted:
                yield encrypted

    def _connected(self, timeout: float) -> socket.socket:
        """A connection to nginx. Raises OSError."""
        if not self._project:
            return _connected(*self._address, timeout)
        from graasp_local.engine.containers.inside import running_edge
        from graasp_local.engine.containers.of_project import containers_of
        from graasp_local.engine.reach.tunnel import connected

        edge = running_edge(containers_of(self._project, to_observe_only=True))
        if edge is not None:
            return connected(edge["Id"], self._inner_port, timeout)
        raise ConnectionRefusedError("nginx is not running")

    def gate(self) -> Gate:
        # An nginx that does not answer is restarted, which breaks connections, so one lost answer is not enough.
        answer = self.ask(GATE_PATH, {}) or self.ask(GATE_PATH, {})
        match answer:
            case Answer(status=200, body=body) if body.strip() == "open":
                return Gate.OPEN
            case Answer(status=503, headers=headers) if headers.get("graasp-gate") == "closed":
                return Gate.CLOSED
            # `shut`: an nginx that runs with its configuration from before graasp-local was upgraded
            case Answer(status=503, headers=headers) if headers.get("graasp-gate") in ("sealed", "shut"):
                return Gate.SEALED
            case _:
                return Gate.UNKNOWN

    def gate_failures(self, gate: Gate) -> tuple[str, ...]:
        """What is wrong for any kind of visitor; empty if the gate is as wanted for all of them."""
        if self.gate() is not gate:
            return (f"nginx reports that the gate is {self.gate().in_words}.",)
        failures = []
        with_bypass = self.ask(GATE_PATH, self.bypass)
        passes = with_bypass is not None and with_bypass.status == 200
        if passes is (gate is Gate.SEALED):
            failures.append(f"The maintenance header {'passes' if passes else 'does not pass'} the gate.")
        if gate is not Gate.OPEN:
            browser = self.ask("/", _AS_BROWSER)
            if browser is None or browser.status != 302 or browser.headers.get("location") != "/maintenance":
                failures.append("Browsers are not redirected to the maintenance page.")
            page = self.ask("/maintenance", _AS_BROWSER)
            if page is None or met("/maintenance", page.status, page.headers, page.body) is not Met.PAGE:
                failures.append("The maintenance page does not answer.")
            program = self.ask("/api/version", _AS_PROGRAM)
            if program is None or program.status != 503 or "retry-after" not in program.headers:
                failures.append("API requests do not get 503 with Retry-After, which says that the site is closed.")
        else:
            program = self.ask("/health", _AS_PROGRAM)
            if program is None or program.status != 200:
                failures.append("The gate lets visitors through, but core does not answer.")
        return tuple(failures)

    def core(self) -> CoreAnswer | None:
        def ask(path: str) -> tuple[int, str] | None:
            answer = self.ask(path, {**_AS_PROGRAM, **self.bypass})
            return None if answer is None else (answer.status, answer.body)

        return core_answer(ask)

    def ask(self, path: str, headers: Mapping[str, str]) -> Answer | None:
        """One GET; None if there is no valid answer in time."""
        try:
            with self.connection(self._timeout) as connection:
                return plain_http.get(connection, self.host, path, headers, plain_http.LONGEST_BYTES)
        except (OSError, plain_http.NotHttpError):
            return None


def _connected(host: str, port: int, timeout: float) -> socket.socket:
    """A connection to an address or a name. Raises OSError."""
    if not host.replace(".", "").isdecimal():
        return socket.create_connection((host, port), timeout)
    # Without a lookup: to look up even an address, Python first loads its IDNA tables.
    connection = socket.socket()
    try:
        connection.settimeout(timeout)
        connection.connect((host, port))
    except OSError:
        connection.close()
        raise
    return connection


def core_answer(ask: Callable[[str], tuple[int, str] | None]) -> CoreAnswer | None:
    """What core reports about itself, wherever it is asked: `ask` takes a path and returns status and body, or None.

    Before Graasp 2.10.4 the routes have no /api; `maintenance/next` answers 500 on an unmigrated database.
    """
    from graasp_local.ports.gate import CoreAnswer
    from graasp_local.version import version_said_by_core

    for prefix in ("/api", ""):
        match ask(f"{prefix}/version"):
            case (200, said):
                smoke = ask(f"{prefix}/maintenance/next")
                return CoreAnswer(version_said_by_core(said), smoke is not None and smoke[0] == 200)
            case (404, _):
                continue
            case _:
                return None
    return None
