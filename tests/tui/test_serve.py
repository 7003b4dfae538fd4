"""The UI in a browser: who is let in, whatever they send, and that its end is the end of everything that it began."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing
from http.cookies import SimpleCookie
from pathlib import Path
from urllib.parse import urlsplit

import psutil
import pytest
from websockets.sync.client import connect

from graasp_local.site.create import init_site
from tests.integration.demo_site import free_port, wait_for

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
        served.process.kill()
    served.process.communicate()


ODD = [
    b"graasp_local_token=\xff\xfe\x80",
    b"graasp_local_token=\xc3\xa9",
    b'graasp_local_token="\\377\\376"',
    b"graasp_local_token=",
    b"graasp_local_token",
    b"=;;=; graasp_local_token=a=b=c",
    b"graasp_local_token=" + b"x" * 7000,
]


def test_whatever_cookie_or_token_is_sent_the_answer_is_403_without_a_word(served: Served) -> None:
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
