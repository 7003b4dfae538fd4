"""The UI in a browser: who is let in, whatever they send, and that its end is the end of everything that it began."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from http.cookies import SimpleCookie
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit
from urllib.request import urlopen

import psutil
import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import ClientConnection, connect

from graasp_local.site.create import init_site
from graasp_local.testing.ports import free_port
from graasp_local.tui.serve import own_page
from tests.integration.demo_site import wait_for

COMMAND = [sys.executable, "-m", "graasp_local.cli.main"]
NO_ENGINE = {**os.environ, "DOCKER_HOST": "unix:///nowhere/docker.sock"}


class Served:
    """A server of its own, and the link that it printed."""

    def __init__(self, site: Path) -> None:
        self.port = free_port()
        words = ["--site", str(site), "tui", "--serve", "--read-only", "--port", str(self.port)]
        self.process = subprocess.Popen(
            [*COMMAND, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=NO_ENGINE
        )
        assert self.process.stdout is not None
        self.link = urlsplit(self.process.stdout.readline().strip())
        wait_for(self._listens, "the server listens", 60)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def ask(self, path: str, cookie: bytes = b"") -> http.client.HTTPResponse:
        with closing(http.client.HTTPConnection("127.0.0.1", self.port, timeout=60)) as connection:
            connection.putrequest("GET", path)
            if cookie:
                connection.putheader("Cookie", cookie)
            connection.endheaders()
            answer = connection.getresponse()
            answer.read()
            return answer

    def cookie(self) -> str:
        (morsel,) = SimpleCookie(self.ask(f"/?{self.link.query}").headers["Set-Cookie"]).values()
        return f"{morsel.key}={morsel.value}"


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    site = init_site(tmp_path / "site", {"COMPOSE_PROJECT_NAME": "served"}, demo=True)
    served = Served(site.directory)
    yield served
    if served.process.poll() is None:
        served.process.terminate()  # so that it ends its tabs
    served.process.communicate(timeout=60)


ODD = [
    b"graasp_local_token=\xff\xfe\x80",
    b"graasp_local_token=\xc3\xa9",
    b'graasp_local_token="\\377\\376"',
    b"graasp_local_token=",
    b"graasp_local_token",
    b"=;;=; graasp_local_token=a=b=c",
    b"graasp_local_token=" + b"x" * 7000,
]


def test_whatever_wrong_cookie_or_token_is_sent_the_answer_is_an_empty_403(served: Served) -> None:
    for cookie in ODD:
        assert served.ask("/", cookie).status == 403, cookie
    for query in ("token=%ff%fe", "token=%ED%B2%80", "token=%00", "token", "token=&token=", "%ff=%ff"):
        assert served.ask(f"/?{query}").status == 403, query
        assert served.ask(f"/ws?{query}").status == 403, query
    assert served.ask("/", served.cookie().encode()).status == 200
    served.process.send_signal(signal.SIGTERM)
    _, told = served.process.communicate(timeout=60)
    assert "Traceback" not in told
    assert "Error" not in told


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_its_end_is_the_end_of_its_tabs(served: Served, number: signal.Signals) -> None:
    headers = {"Cookie": served.cookie()}
    url = f"ws://127.0.0.1:{served.port}/ws?width=80&height=24"
    with (
        connect(url, additional_headers=headers, open_timeout=60) as one,
        connect(url, additional_headers=headers, open_timeout=60) as another,
    ):
        for tab in (one, another):
            tab.recv(timeout=60)  # something was drawn
        children = psutil.Process(served.process.pid).children(recursive=True)
        assert len(children) == 2, "one process a tab, and no shell around it"
        served.process.send_signal(number)
        assert served.process.wait(timeout=60) == 0
    _, alive = psutil.wait_procs(children, timeout=60)
    assert alive == []


def test_a_tab_ends_by_itself_when_its_server_was_killed(served: Served) -> None:
    headers = {"Cookie": served.cookie()}
    with suppress(ConnectionClosed), connect(f"ws://127.0.0.1:{served.port}/ws", additional_headers=headers) as tab:
        tab.recv(timeout=60)
        children = psutil.Process(served.process.pid).children(recursive=True)
        served.process.kill()
        served.process.wait()
        _, alive = psutil.wait_procs(children, timeout=60)
    assert (len(children), alive) == (1, [])


def test_its_end_does_not_wait_for_a_tab_that_hangs(served: Served) -> None:
    headers = {"Cookie": served.cookie()}
    with connect(f"ws://127.0.0.1:{served.port}/ws", additional_headers=headers, open_timeout=60) as tab:
        tab.recv(timeout=60)
        (child,) = psutil.Process(served.process.pid).children(recursive=True)
        child.suspend()
        try:
            served.process.send_signal(signal.SIGTERM)
            assert served.process.wait(timeout=60) == 0
        finally:
            child.kill()


def test_the_page_asks_no_other_host_for_anything_and_has_a_title(served: Served) -> None:
    with closing(http.client.HTTPConnection("127.0.0.1", served.port, timeout=60)) as connection:
        connection.request("GET", "/", headers={"Cookie": served.cookie()})
        answer = connection.getresponse()
        page, policy = answer.read().decode(), answer.headers["Content-Security-Policy"]
    assert f"http://127.0.0.1:{served.port}/static/css/xterm.css" in page
    assert "<title>served - graasp-local</title>" in page
    hosts = {urlsplit(address).netloc for address in re.findall(r"""(?:https?|wss?)://[^\s"'<>)]+""", page)}
    assert hosts - {"www.w3.org"} == {f"127.0.0.1:{served.port}"}, "of the drawing in it only a name is at w3.org"
    assert "default-src 'none'" in policy
    assert "://" not in policy.replace(f"ws://127.0.0.1:{served.port}", "")


def test_a_title_is_not_markup() -> None:
    assert "<title>&lt;b&gt; - graasp-local</title>" in own_page(
        "<head></head>", "<b> - graasp-local", "127.0.0.1:8470"
    )


def test_in_a_browser_it_has_the_focus_and_asks_no_other_host(served: Served, tmp_path: Path) -> None:
    with browser(tmp_path) as tab:
        tab.send("Network.enable")
        tab.send("Page.enable")
        # As a window that someone has just opened; one without a window has no focus by itself.
        tab.send("Emulation.setFocusEmulationEnabled", enabled=True)
        tab.send("Page.navigate", url=served.link.geturl())
        tab.until(lambda: '["focus"]' in tab.sent)
        tab.send("Input.dispatchKeyEvent", type="keyDown", text="?", key="?")
        tab.until(lambda: '["stdin","?"]' in tab.sent)
        tab.until(lambda: b"esc closes" in tab.received)
        assert tab.sent.index('["focus"]') > max((i for i, s in enumerate(tab.sent) if s == '["blur"]'), default=-1)
        assert tab.value("document.title") == "served - graasp-local"
        assert tab.value("document.fonts.check('16px \"Roboto Mono\"')") is True
    assert {urlsplit(url).netloc for url in tab.asked if not url.startswith("data:")} == {f"127.0.0.1:{served.port}"}


class Tab:
    """A tab of a browser, driven by its own protocol."""

    def __init__(self, connection: ClientConnection) -> None:
        self._connection = connection
        self._number = 0
        self.sent: list[str] = []
        self.received = b""
        self.asked: list[str] = []

    def send(self, method: str, **parameters: object) -> dict[str, Any]:
        self._number += 1
        self._connection.send(json.dumps({"id": self._number, "method": method, "params": parameters}))
        while True:
            told = self._take(60)
            if told.get("id") == self._number:
                found: dict[str, Any] = told["result"]
                return found

    def value(self, expression: str) -> object:
        found: object = self.send("Runtime.evaluate", expression=expression, returnByValue=True)["result"]["value"]
        return found

    def until(self, condition: Callable[[], bool]) -> None:
        deadline = time.monotonic() + 60
        while not condition():
            assert time.monotonic() < deadline, (self.sent, self.asked, self.received[-2000:])
            with suppress(TimeoutError):
                self._take(0.2)

    def _take(self, seconds: float) -> dict[str, Any]:
        told: dict[str, Any] = json.loads(self._connection.recv(timeout=seconds))
        match told:
            case {"method": "Network.requestWillBeSent", "params": {"request": {"url": str(url)}}}:
                self.asked.append(url)
            case {"method": "Network.webSocketFrameSent", "params": {"response": {"payloadData": str(text)}}}:
                self.sent.append(text)
            case {
                "method": "Network.webSocketFrameReceived",
                "params": {"response": {"opcode": 2, "payloadData": data}},
            }:
                self.received += base64.b64decode(data)
        return told


@contextmanager
def browser(directory: Path) -> Iterator[Tab]:
    """A browser without a window; whatever it asks for itself is kept from going out."""
    chromium = shutil.which("chromium")
    assert chromium, "This test needs chromium; scripts/test installs it (on Debian: apt-get install chromium)."
    words = [chromium, "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--no-first-run"]
    words += ["--remote-debugging-port=0", f"--user-data-dir={directory}", "--window-size=1000,700", "about:blank"]
    process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    port_file = directory / "DevToolsActivePort"
    try:
        wait_for(lambda: port_file.exists() and len(port_file.read_text().splitlines()) == 2, "the browser listens", 60)
        port = port_file.read_text().splitlines()[0]
        with urlopen(f"http://127.0.0.1:{port}/json/list", timeout=60) as listing:
            page = next(entry for entry in json.load(listing) if entry["type"] == "page")
        with connect(page["webSocketDebuggerUrl"], open_timeout=60, max_size=None) as connection:
            yield Tab(connection)
    finally:
        process.kill()
        process.wait()
