"""What nginx answers by itself and what it lets no service see: the bypass token, security headers, limits."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Iterator
from urllib.parse import quote

import pytest

from graasp_local.site.bypass import bypass_token
from tests.integration.demo_site import AS_BROWSER, AS_PROGRAM, DemoSite, wait_for

ECHO = "/api/echo-headers"


def every_character_encoded(text: str) -> str:
    return "".join(f"%{ord(character):02x}" for character in text)


def answers_to(site: DemoSite, path: str, headers: dict[str, str]) -> list[tuple[str, str]]:
    """The headers of an answer as they came: a header that is sent twice stands there twice."""
    connection = http.client.HTTPConnection("127.0.0.1", site.port, timeout=30)
    try:
        connection.request("GET", path, headers=headers)
        return [(name.lower(), value) for name, value in connection.getresponse().getheaders()]
    finally:
        connection.close()


def raw(site: DemoSite, request: bytes) -> tuple[int, str]:
    """Status, and headers and body as one text, of the answer to a request that no library would send."""
    with socket.create_connection(("127.0.0.1", site.port), 70) as connection:
        connection.sendall(request)
        response = http.client.HTTPResponse(connection)
        response.begin()
        headers = "".join(f"{name}: {value}\r\n" for name, value in response.getheaders())
        return response.status, f"{headers}\r\n{response.read().decode(errors='replace')}"


@pytest.fixture(params=["open", "closed"])
def gate(site: DemoSite, request: pytest.FixtureRequest) -> str:
    """Each test twice: nginx is asked behind an open gate, then behind a closed one."""
    wanted = {"open": "running", "closed": "restricted"}[request.param]
    if site.status()["state"] != wanted:
        site.run("apply", wanted)
    return str(request.param)


@pytest.fixture(scope="module", autouse=True)
def opened_again(site: DemoSite) -> Iterator[None]:
    yield
    site.run("apply", "running")


def test_the_token_reaches_neither_core_nor_a_log_however_it_is_spelled(site: DemoSite, gate: str) -> None:
    told = site.secrets()
    token = bypass_token(told["secret"], int(time.time()) + 3600)
    signature = token.partition(".")[0]
    encoded = every_character_encoded(token)
    through = site.bypass()
    paths = [
        f"/.GRAASP/BYPASS?token={token}",
        f"/.graasp/bypass/?token={token}",
        f"/.graasp/bypass/{token}",
        f"/.graasp%2fbypass?TOKEN={token}",
        f"//.graasp/bypass?token={token}",
        f"/api/echo-headers?token={token}",
        f"/api/echo-headers?next={quote(f'/.graasp/bypass?token={token}', safe='')}",
        f"/api/echo-headers?token={encoded}",
        f"/api/echo-headers?token={signature}%2E{token.partition('.')[2]}",
        f"/no/such/{token}/page",
        f"/no/such/{token}",
    ]
    for path in paths:
        answer = site.ask(path, {**AS_PROGRAM, **through})
        assert answer.status in (302, 404), path
        assert "User-Agent" not in answer.body, path
    umami = site.ask(f"/api/heartbeat?token={token}", {**AS_PROGRAM, "Host": f"umami.localhost:{site.port}"})
    assert umami.status == 404
    referred = site.ask(ECHO, {**AS_PROGRAM, **through, "Referer": f"http://graasp.test/.graasp/bypass?token={token}"})
    assert referred.status == 404
    name, secret = told["header"], told["secret"]
    for header in (name.upper(), name.lower(), name.swapcase()):
        received = site.ask(ECHO, {**AS_PROGRAM, header: secret})
        assert (received.status, secret in received.body) == (200, False), header
    cookies = {
        f"a=1; graasp_bypass={token}; b=2": "a=1; b=2",
        f"a=1;graasp_bypass={token};b=2": "a=1;b=2",
        f"a=1;   graasp_bypass = {token} ;   b=2": "a=1;   b=2",
        f"GRAASP_Bypass={token}; b=2": "b=2",
        f"graasp_bypass={token}; a=1; graasp_bypass={token}; b=2": "a=1; b=2",
        f"graasp_bypass={token}; graasp_bypass={token}; graasp_bypass={token}; b=2": "",
        f'graasp_bypass="{token}"': "",
    }
    for cookie, left in cookies.items():
        received = site.ask(ECHO, {**AS_PROGRAM, **through, "Cookie": cookie})
        assert received.status == 200, cookie
        assert received.json().get("Cookie", "") == left, cookie
    log = site.run("logs", "nginx", "-n", "1000").stdout
    assert signature not in log
    assert encoded[:30] not in log
    assert secret not in log


def test_an_address_that_only_resembles_a_token_goes_to_core(site: DemoSite) -> None:
    site.run("apply", "running")
    jwt = f"{'a' * 36}.{'eyJzdWIi' * 4}.{'c' * 43}"
    for query in (jwt, "0b9fd3a0-6a58-4b0b-8a3f-1f2b3c4d5e6f.1700000000", "a.1700000000", "photo.png", "1.2.3"):
        assert site.ask(f"{ECHO}?token={query}").status == 200, query


def test_no_security_header_is_sent_twice(site: DemoSite, gate: str) -> None:
    for path, headers in (
        ("/api/version", {**AS_PROGRAM, **site.bypass()}),
        ("/", {**AS_BROWSER, **site.bypass()}),
        ("/api/version", AS_PROGRAM),
        ("/maintenance", AS_BROWSER),
        ("/no/such/page", {**AS_PROGRAM, **site.bypass()}),
        ("/.graasp/nothing", {**AS_PROGRAM, **site.bypass()}),
    ):
        told = answers_to(site, path, dict(headers))
        names = [name for name, _ in told]
        for name in ("x-content-type-options", "content-security-policy", "referrer-policy"):
            assert names.count(name) == 1, (path, name, told)
        assert "strict-transport-security" not in names, "a site without TLS has not chosen it, whatever core says"
        assert "x-frame-options" not in names
        assert dict(told)["content-security-policy"].count("frame-ancestors") == 1


def test_cores_own_policy_is_kept_with_the_sites_setting_for_frames(site: DemoSite) -> None:
    policy = site.ask("/api/version", {**AS_PROGRAM, **site.bypass()}).headers["content-security-policy"]
    assert policy.startswith("default-src 'self';frame-ancestors 'self' ")
    assert policy.endswith(";object-src 'none'")


def test_long_cookies_and_headers_pass_up_to_what_node_takes(site: DemoSite, gate: str) -> None:
    cookie = {**AS_PROGRAM, **site.bypass(), "Cookie": f"a={'x' * 13_000}"}
    assert site.ask("/api/version", cookie).status == 200
    long = site.ask("/api/long-headers?bytes=24000", {**AS_PROGRAM, **site.bypass()})
    assert (long.status, len(long.headers["x-long-0"])) == (200, 1000)


def test_what_nginx_refuses_by_itself_gets_our_answer_behind_the_gate_too(site: DemoSite, gate: str) -> None:
    secret = "\r\n".join(f"{name}: {value}" for name, value in site.bypass().items())
    asked = {
        431: f"GET /api/version HTTP/1.1\r\nHost: x\r\nCookie: a={'x' * 20_000}\r\n\r\n",
        414: f"GET /api/version?{'x' * 20_000} HTTP/1.1\r\nHost: x\r\n\r\n",
        400: "GET /api/version HTTP/1.1\r\nHost: a b\r\n\r\n",
        413: f"POST /api/items HTTP/1.1\r\nHost: x\r\n{secret}\r\nContent-Length: 3000000000\r\n\r\n",
    }
    for code, request in asked.items():
        status, text = raw(site, request.encode())
        told = json.loads(text.partition("\r\n\r\n")[2].strip())
        passes = gate == "open" or code == 413  # the others never said that they have the bypass
        assert status == told["statusCode"] == (code if passes else 503), (code, text)
        assert told.get("maintenance", False) is not passes
        assert f"Graasp-Gate: {gate}" in text
    status, text = raw(site, b"TRACE / HTTP/1.1\r\nHost: x\r\n\r\n")
    assert "<html>" not in text


def test_umami_takes_more_than_a_little_and_says_when_it_is_too_much(site: DemoSite) -> None:
    host = f"Host: umami.localhost:{site.port}\r\n"
    body = "x" * 2_000_000
    status, _ = raw(site, f"POST /api/send HTTP/1.1\r\n{host}Content-Length: {len(body)}\r\n\r\n{body}".encode())
    assert status != 413
    status, text = raw(site, f"POST /api/send HTTP/1.1\r\n{host}Content-Length: 99000000\r\n\r\n".encode())
    assert (status, "Payload Too Large" in text) == (413, True)


def test_a_challenge_is_answered_by_nginx_alone_in_every_state(site: DemoSite, gate: str) -> None:
    answer = site.ask("/.well-known/acme-challenge/none", AS_BROWSER)
    assert (answer.status, answer.json()["statusCode"]) == (404, 404)


def test_an_nginx_that_would_not_start_is_refused_in_its_own_words_while_visitors_are_served(site: DemoSite) -> None:
    site.run("apply", "running")
    override, env = site.directory / "compose.override.yaml", site.directory / ".env"
    before = override.read_text(), env.read_text()
    override.write_text(
        before[0].replace("  nginx:\n", "  nginx:\n    environment: { FRAME_ANCESTORS: 'https://a.example \"x\"' }\n")
    )
    site.configure(MAINTENANCE_RETRY_AFTER="61")
    try:
        said = site.run("apply", "running", code=10).stderr
        assert "nginx refuses its configuration" in said
        assert 'unexpected "x"' in said
        assert site.ask("/", AS_BROWSER).status == 200
        assert [name for name in site.containers(one_offs=True) if name == "nginx"] == []
    finally:
        override.write_text(before[0])
        env.write_text(before[1])


def test_the_site_is_reached_by_ipv6_and_ipv4_alike(new_site: DemoSite) -> None:
    new_site.configure(HTTP_BIND="::")
    new_site.run("compose", "--", "config", "--quiet")  # writes what Compose is given
    new_site.run("compose", "--", "up", "-d", "--no-deps", "nginx")

    def status(address: str) -> int:
        connection = http.client.HTTPConnection(address, new_site.port, timeout=30)
        try:
            connection.request("GET", "/maintenance", headers=AS_BROWSER)
            return connection.getresponse().status
        except OSError:
            return 0
        finally:
            connection.close()

    wait_for(lambda: status("127.0.0.1") == 503, "nginx answers")
    assert status("::1") == 503
