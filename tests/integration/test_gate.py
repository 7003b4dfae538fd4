"""The gate, by real requests: what each kind of visitor is answered while it is open and while it is closed."""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from socket import create_connection
from urllib.parse import urlsplit

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import connect

from graasp_local.site.bypass import bypass_token
from tests.integration.demo_site import AS_BROWSER, AS_PROGRAM, DemoSite, wait_for


@pytest.fixture(scope="module")
def closed(site: DemoSite) -> Iterator[DemoSite]:
    site.run("apply", "restricted")
    yield site
    site.run("apply", "running")


def umami(site: DemoSite) -> dict[str, str]:
    return {"Host": f"umami.localhost:{site.port}"}


def cookie(token: str) -> dict[str, str]:
    return {**AS_PROGRAM, "Cookie": f"theme=dark; graasp_bypass={token}; lang=en"}


@pytest.mark.parametrize("path", ["/", "/home", "/builder/items/1?mode=info", "/api/items", "//", "/maintenance/"])
@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_a_browser_is_sent_to_the_maintenance_page(closed: DemoSite, path: str, method: str) -> None:
    answer = closed.ask(path, AS_BROWSER, method)
    assert (answer.status, answer.headers["location"]) == (302, "/maintenance")
    assert answer.headers["cache-control"] == "no-store"


def test_the_page_answers_503_and_is_whole_in_one_file(closed: DemoSite) -> None:
    page = closed.ask("/maintenance", AS_BROWSER)
    assert page.status == 503
    assert page.headers["retry-after"] == "60"
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "We will be back" in page.body
    assert "http://" not in page.body.replace("http://www.w3.org", "")
    assert "https://" not in page.body
    assert " src=" not in page.body


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("GET", AS_PROGRAM),
        ("GET", {"Accept": "*/*"}),
        ("GET", {}),
        ("POST", AS_PROGRAM),
        ("POST", AS_BROWSER),
        ("PUT", AS_BROWSER),
        ("DELETE", AS_PROGRAM),
        ("OPTIONS", AS_PROGRAM),
    ],
)
def test_everything_else_gets_json(closed: DemoSite, method: str, headers: dict[str, str]) -> None:
    answer = closed.ask("/api/items", headers, method)
    assert answer.status == 503
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["retry-after"] == "60"
    assert answer.headers["cache-control"] == "no-store"
    assert answer.json()["maintenance"] is True


def test_a_websocket_is_refused(closed: DemoSite) -> None:
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{closed.port}/api/ws"):
        pass
    assert refused.value.response.status_code == 503
    assert refused.value.response.headers["Retry-After"] == "60"


def test_the_header_passes(closed: DemoSite) -> None:
    assert closed.ask("/api/items", {**AS_PROGRAM, **closed.bypass()}).status == 200
    assert closed.ask("/", {**AS_BROWSER, **closed.bypass()}).status == 200


def test_the_header_passes_for_websockets(closed: DemoSite) -> None:
    with connect(f"ws://127.0.0.1:{closed.port}/api/ws", additional_headers=closed.bypass()) as socket:
        socket.send("hello")
        assert socket.recv(timeout=10) == "hello"


def test_the_secret_is_compared_exactly(closed: DemoSite) -> None:
    told = closed.secrets()
    name, secret = told["header"], told["secret"]
    for wrong in (secret.upper(), secret[:-1], f"{secret}x", f"x{secret}", "", ".*", f"{secret}, {secret}"):
        assert closed.ask("/api/items", {**AS_PROGRAM, name: wrong}).status == 503, wrong


def test_neither_header_nor_cookie_reaches_core(closed: DemoSite) -> None:
    told = closed.secrets()
    received = closed.ask("/api/echo-headers", {**cookie("forged"), told["header"]: told["secret"]}).json()
    assert told["secret"] not in json.dumps(received)
    assert received["Cookie"] == "theme=dark; lang=en"


def test_the_link_sets_a_cookie_that_passes(closed: DemoSite) -> None:
    link = urlsplit(closed.secrets()["link"])
    answer = closed.ask(f"{link.path}?{link.query}", AS_BROWSER)
    assert (answer.status, answer.headers["location"]) == (302, "/")
    set_cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in set_cookie
    assert "SameSite=Lax" in set_cookie
    token = set_cookie.partition(";")[0].removeprefix("graasp_bypass=")
    assert closed.ask("/api/items", cookie(token)).status == 200
    with connect(
        f"ws://127.0.0.1:{closed.port}/api/ws", additional_headers={"Cookie": f"graasp_bypass={token}"}
    ) as socket:
        socket.send("by cookie")
        assert socket.recv(timeout=10) == "by cookie"


def test_a_token_that_is_forged_or_expired_does_not_pass(closed: DemoSite) -> None:
    secret = closed.secrets()["secret"]
    later = int(time.time()) + 3600
    good = bypass_token(secret, later)
    assert closed.ask("/api/items", cookie(good)).status == 200
    bad = [
        bypass_token("another-secret", later),
        bypass_token(secret, int(time.time()) - 10),
        good.replace(f".{later}", f".{later + 1}"),
        good.partition(".")[0],
        "",
        "." * 50,
        "x" * 3000,
    ]
    for token in bad:
        assert closed.ask("/api/items", cookie(token)).status == 503, token
        answer = closed.ask(f"/.graasp/bypass?token={token}", AS_BROWSER)
        assert (answer.status, "set-cookie" in answer.headers) == (302, False), token
        assert answer.headers["location"] == "/maintenance"


def test_secrets_are_not_in_the_access_log(closed: DemoSite) -> None:
    told = closed.secrets()
    link = urlsplit(told["link"])
    closed.ask(f"{link.path}?{link.query}", AS_BROWSER)
    closed.ask("/api/items", {told["header"]: told["secret"]})
    log = closed.run("logs", "nginx", "-n", "1000").stdout
    assert "/.graasp/bypass" in log
    assert link.query not in log
    assert told["secret"] not in log


def test_umami_stays_open_behind_a_closed_gate(closed: DemoSite) -> None:
    assert closed.ask("/api/heartbeat", umami(closed)).json() == {"ok": True}
    closed.run("apply", "db-only")
    assert closed.ask("/api/heartbeat", umami(closed)).json() == {"ok": True}
    assert closed.ask("/", AS_BROWSER).status == 302
    assert closed.ask("/maintenance", AS_BROWSER).status == 503
    closed.configure(STOPPED_PAGE="on")
    closed.run("apply", "stopped")
    assert closed.ask("/api/heartbeat", umami(closed)).status == 503
    closed.run("apply", "restricted")
    closed.configure(STOPPED_PAGE="off")


def test_with_the_bypass_and_core_off_there_is_a_page_and_never_a_502(closed: DemoSite) -> None:
    closed.run("apply", "db-only")
    bypass = closed.bypass()
    page = closed.ask("/", {**AS_BROWSER, **bypass})
    assert (page.status, "We will be back" in page.body) == (503, True)
    program = closed.ask("/api/items", {**AS_PROGRAM, **bypass})
    assert (program.status, program.json()["statusCode"], program.headers["retry-after"]) == (503, 503, "60")
    closed.run("apply", "restricted")


def test_the_gate_stays_as_it_is_when_nginx_restarts(closed: DemoSite) -> None:
    closed.run("compose", "--", "restart", "nginx")
    wait_for(lambda: closed.status()["state"] == "restricted", "restricted after a restart of nginx")


def test_an_open_site_answers_itself(site: DemoSite) -> None:
    site.run("apply", "running")
    assert "Demo Graasp" in site.ask("/", AS_BROWSER).body
    assert site.ask("/maintenance", AS_BROWSER).headers["location"] == "/"
    with connect(f"ws://127.0.0.1:{site.port}/api/ws") as socket:
        socket.send("open")
        assert socket.recv(timeout=10) == "open"
    answer = site.ask("/api/items")
    assert (answer.status, "retry-after" in answer.headers, "cache-control" in answer.headers) == (200, False, False)


def test_an_expired_link_says_so(site: DemoSite) -> None:
    site.run("apply", "running")
    token = bypass_token(site.secrets()["secret"], int(time.time()) - 10)
    answer = site.ask(f"/.graasp/bypass?token={token}", AS_BROWSER)
    assert (answer.status, "set-cookie" in answer.headers) == (403, False)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "This link has expired" in answer.body
    assert "nginx" not in answer.body


def test_a_crashed_core_shows_the_page_and_never_a_502(site: DemoSite) -> None:
    site.run("apply", "running")
    site.run("compose", "--", "kill", "core")
    assert site.status()["state"] == "drifted"
    page = site.ask("/", AS_BROWSER)
    assert (page.status, "We will be back" in page.body) == (503, True)
    assert site.ask("/api/items").json()["maintenance"] is False
    with pytest.raises(InvalidStatus) as refused, connect(f"ws://127.0.0.1:{site.port}/api/ws"):
        pass
    assert refused.value.response.status_code == 503
    site.run("apply", "running")
    assert site.ask("/api/items").status == 200


def test_cores_own_errors_are_passed_on(site: DemoSite) -> None:
    site.run("apply", "running")
    assert site.ask("/api/items", {"Content-Type": "application/json"}, "POST", "{}").status == 400
    assert site.ask("/no/such/route").status == 404


def test_what_was_open_before_the_gate_closed_cannot_write_afterwards(site: DemoSite) -> None:
    """A websocket and an upload that was begun: both would go on for as long as their owners like."""
    site.run("apply", "running")
    address = f"ws://127.0.0.1:{site.port}/api/ws"
    before = site.item_names()
    body = b'{"name": "written behind a closed gate"}'
    head = (
        f"POST /api/items HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    with (
        connect(address) as socket,
        create_connection(("127.0.0.1", site.port), 70) as upload,
        ThreadPoolExecutor(1) as threads,
    ):
        socket.send("before")
        assert socket.recv(timeout=30) == "before"
        upload.sendall(head.encode() + body[:5])
        slow = threads.submit(site.ask, "/api/slow?seconds=3")
        told = site.run("apply", "restricted").stderr
        assert slow.result().status == 200, "a request that ends within the limit is answered"
        assert "connection(s) from before the gate closed" in told
        with suppress(ConnectionClosed):
            socket.send("afterwards")
        with pytest.raises(ConnectionClosed):
            socket.recv(timeout=30)
        with suppress(OSError):
            upload.sendall(body[5:])
            assert b" 201 " not in upload.recv(4096)
    assert site.item_names() == before
    with connect(address, additional_headers=site.bypass()) as socket:
        for state in ("restricted", "running"):
            site.run("apply", state)
            socket.send(state)
            assert socket.recv(timeout=30) == state, "who came with the bypass stays"


def test_a_slow_upload_is_reported_with_its_bytes_and_cut_with_the_gates_answer(site: DemoSite) -> None:
    site.run("apply", "running")
    head = "PUT /api/files/slow HTTP/1.1\r\nHost: x\r\nAccept: application/json\r\nContent-Length: 50000000\r\n\r\n"
    with create_connection(("127.0.0.1", site.port), 70) as upload:
        upload.sendall(head.encode() + bytes(8_000_000))
        wait_for(lambda: "about 42 MB of uploads" in site.run("plan", "restricted").stdout, "8 of 50 MB are there")
        told = site.run("apply", "restricted", "--drain-limit", "1").stderr
        answer = upload.recv(65536)
    assert "still running after 1 s, with about 42 MB of uploads still to come: they will be cut off" in told
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b"\r\nRetry-After: " in answer
    assert b'"maintenance":true' in answer
    assert "of uploads" not in site.run("plan", "db-only").stdout


_PADS = """
from aiohttp import WSMsgType, web

async def pad(request):
    socket = web.WebSocketResponse()
    await socket.prepare(request)
    async for message in socket:
        if message.type == WSMsgType.TEXT:
            await socket.send_str(message.data)
    return socket

async def health(request):
    return web.Response(text="OK")

application = web.Application()
application.add_routes([web.get("/health", health), web.get("/socket", pad)])
web.run_app(application, port=9001, print=None, handle_signals=False)
"""


def test_websockets_of_pads_and_of_pages_end_with_every_way_of_closing(new_site: DemoSite) -> None:
    """Pads are those of a program that echoes in Etherpad's place: the demo stack's has no websockets."""
    site = new_site
    site.configure(COMPOSE_PROFILES="etherpad")
    (site.directory / "pads.py").write_text(_PADS)
    override = site.directory / "compose.override.yaml"
    own = {
        "image": "localhost/graasp-demo/graasp:core-v1.0.0",
        "entrypoint": ["python3", "/pads.py"],
        "volumes": [f"{site.directory}/pads.py:/pads.py:ro"],
    }
    lines = "".join(f"    {key}: {json.dumps(value)}\n" for key, value in own.items())
    override.write_text(override.read_text().replace("  etherpad:\n", f"  etherpad:\n{lines}", 1))
    site.deploy("1.0.0")
    addresses = [f"ws://127.0.0.1:{site.port}{path}" for path in ("/api/ws", "/etherpad/socket")]
    ways = [("apply", state) for state in ("restricted", "db-only", "stopped")] + [("deploy", "--version", "1.1.0")]
    for way in ways:
        site.run("apply", "running")
        with connect(addresses[0]) as page, connect(addresses[1]) as pad:
            for socket in (page, pad):
                socket.send("before")
                assert socket.recv(timeout=30) == "before"
            site.run(*way)
            for socket in (page, pad):
                with suppress(ConnectionClosed):
                    socket.send("afterwards")
                with pytest.raises(ConnectionClosed):
                    socket.recv(timeout=30)


def test_a_missing_secret_lets_no_request_pass(new_site: DemoSite) -> None:
    """Started by hand, past graasp-local's own checks, with an empty secret."""
    env = (new_site.directory / ".env").read_text()
    new_site.run("compose", "--", "config", "--quiet")
    secrets = shutil.copytree(new_site.directory / ".graasp-local" / "secrets", new_site.directory / "wiped")
    (secrets / "maintenance-header-secret").unlink()
    (secrets / "maintenance-header-secret").write_text("")
    (new_site.directory / "wiped.env").write_text(f"{env}\nGRAASP_SECRETS={secrets}\n")
    new_site.run("compose", "--", "--env-file", str(new_site.directory / "wiped.env"), "up", "-d", "--no-deps", "nginx")
    wait_for(lambda: _answers(new_site), "nginx answers")
    for secret in ("", " ", "x"):
        assert new_site.ask("/api/items", {**AS_PROGRAM, "X-Graasp-Maintenance": secret}).status == 503


def _answers(site: DemoSite) -> bool:
    try:
        return site.ask("/maintenance", AS_BROWSER).status == 503
    except OSError:
        return False
