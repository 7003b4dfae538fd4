"""The factories against a small server that answers as Graasp, Mailpit and the demo images do."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, cast
from urllib.parse import urlsplit

import pytest
import requests

from graasp_local.errors import UsageError
from graasp_local.testing.factories import Factory
from graasp_local.testing.stack import GraaspStack


class Graasp(BaseHTTPRequestHandler):
    """Members who log in by mail and make items; `real` says whether there is more than the demo's items."""

    real = True
    asked: list[tuple[str, dict[str, Any], str]] = []  # noqa: RUF012 - one server a test
    mails: list[dict[str, Any]] = []  # noqa: RUF012

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append((self.path, body, self.headers.get("Cookie", "")))
        path = urlsplit(self.path).path
        if path in ("/api/register", "/api/login") and self.real:
            link = f"http://graasp/api/auth?t=token.{len(self.mails)}&amp;url=x"
            self.mails.insert(0, {"ID": str(len(self.mails)), "To": [{"Address": body["email"]}], "HTML": link})
            self.answer(204, None)
        elif path in ("/api/items/folders", "/api/items/documents") and self.real:
            known = "Cookie" in self.headers
            self.answer(200 if known else 401, {"id": f"id of {body['name']}", **body})
        elif path == "/api/items" and not self.real:
            self.answer(201, {"id": "1", **body})
        else:
            self.answer(404, {})

    def do_GET(self) -> None:
        path = urlsplit(self.path).path
        if path == "/api/v1/messages":
            self.answer(200, {"messages": self.mails})
        elif path.startswith("/api/v1/message/"):
            self.answer(200, next(mail for mail in self.mails if mail["ID"] == path.rpartition("/")[2]))
        elif path == "/api/auth":
            self.answer(303, None, {"Set-Cookie": f"session={self.path[-1]}; Path=/; Secure; HttpOnly"})

    def answer(self, status: int, content: object, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        text = b"" if content is None else json.dumps(content).encode()
        for key, value in {**(headers or {}), "Content-Length": str(len(text))}.items():
            self.send_header(key, value)
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *args: object) -> None:
        """Silent."""


class Stack:
    version = "9.9.9"

    def __init__(self, port: int) -> None:
        self.url = f"http://127.0.0.1:{port}"
        self.services = {"core": None, "mailpit": None}

    def get_url(self) -> str:
        return self.url

    def get_service_url(self, service: str) -> str:
        return self.url

    def get_bypass_headers(self) -> dict[str, str]:
        return {"X-Bypass": "secret"}


@pytest.fixture
def graasp(monkeypatch: pytest.MonkeyPatch) -> Iterator[Stack]:
    monkeypatch.setattr(Graasp, "asked", [])
    monkeypatch.setattr(Graasp, "mails", [])
    with ThreadingHTTPServer(("127.0.0.1", 0), Graasp) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield Stack(server.server_port)
        server.shutdown()


def factory(stack: Stack) -> Factory:
    return Factory(cast(GraaspStack, stack))


def test_a_member_registers_and_is_logged_in_by_the_mail(graasp: Stack) -> None:
    member = factory(graasp).member("Ada", "ada@graasp.test")
    path, body, _ = Graasp.asked[0]
    assert (path, body["name"], body["email"]) == ("/api/register", "Ada", "ada@graasp.test")
    assert isinstance(member.session, requests.Session)
    assert member.session.headers["Cookie"] == "session=0"


def test_a_second_session_is_of_its_own_mail(graasp: Stack) -> None:
    made = factory(graasp)
    member = made.member()
    assert made.log_in(member.email).headers["Cookie"] == "session=1"


def test_a_folder_has_its_items_in_it(graasp: Stack) -> None:
    made = factory(graasp)
    folder = made.folder("course", ["first", "second"], member=made.member())
    assert folder["id"] == "id of course"
    paths = [(path, body["name"], cookie) for path, body, cookie in Graasp.asked[1:]]
    assert paths == [
        ("/api/items/folders", "course", "session=0"),
        ("/api/items/documents?parentId=id of course".replace(" ", "%20"), "first", "session=0"),
        ("/api/items/documents?parentId=id of course".replace(" ", "%20"), "second", "session=0"),
    ]


def test_what_the_demo_images_lack_is_reported(graasp: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Graasp, "real", False)
    made = factory(graasp)
    assert made.item("hello")["name"] == "hello"
    with pytest.raises(UsageError, match="no members"):
        made.member()
    with pytest.raises(UsageError, match="no folders"):
        made.folder("course")
    with pytest.raises(UsageError, match="no documents"):
        made.item("hello", content="text")


def test_without_a_mailbox_no_member_registers(graasp: Stack) -> None:
    del graasp.services["mailpit"]
    with pytest.raises(UsageError, match="no Mailpit"):
        factory(graasp).member()
    assert Graasp.asked == []
