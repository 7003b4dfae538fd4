"""TLS of the site's own: the gate works as without, a new certificate drops no request, and who is believed."""

from __future__ import annotations

import base64
import http.client
import json
import os
import re
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping
from functools import partial
from pathlib import Path

import pytest

from graasp_local.testing.ports import free_port
from tests.integration.authority import Files, running_authority, self_signed
from tests.integration.demo_site import AS_BROWSER, AS_PROGRAM, Answer, DemoSite, wait_for

HOST = "graasp.test"
UMAMI = "umami.graasp.test"


class TlsSite(DemoSite):
    """A site that is asked with TLS."""

    https_port: int

    def set(self, **values: str) -> None:
        env = self.directory / ".env"
        text = env.read_text()
        for key, value in values.items():
            text = re.sub(rf"^{key}=.*\n", "", text, flags=re.MULTILINE) + f"{key}={value}\n"
        env.write_text(text)

    def secure(
        self, path: str, headers: Mapping[str, str] = AS_PROGRAM, context: ssl.SSLContext | None = None
    ) -> Answer:
        connection = http.client.HTTPSConnection(
            "127.0.0.1", self.https_port, timeout=70, context=context or ssl._create_unverified_context()
        )
        try:
            connection.request("GET", path, headers=dict(headers))
            response = connection.getresponse()
            body = response.read().decode()
            return Answer(response.status, {key.lower(): value for key, value in response.getheaders()}, body)
        finally:
            connection.close()

    def shown(self, name: str = HOST) -> bytes:
        """The certificate that a new visitor is shown."""
        context = ssl._create_unverified_context()
        with (
            socket.create_connection(("127.0.0.1", self.https_port), 10) as plain,
            context.wrap_socket(plain, server_hostname=name) as encrypted,
        ):
            found = encrypted.getpeercert(binary_form=True)
            assert found is not None
            return found


def der(files: Files) -> bytes:
    return ssl.PEM_cert_to_DER_cert(files.certificate.read_text())


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Files:
    return self_signed(tmp_path_factory.mktemp("certificate"), HOST, UMAMI)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, files: Files) -> Iterator[TlsSite]:
    site = TlsSite(tmp_path_factory.mktemp("tls") / "site")
    site.https_port = free_port()
    site.set(
        TLS="files",
        TLS_CERTIFICATE=str(files.certificate),
        TLS_KEY=str(files.key),
        HTTPS_PORT=str(site.https_port),
        PUBLIC_URL=f"https://{HOST}:{site.https_port}",
        COOKIE_DOMAIN=HOST,
        UMAMI_HOST=UMAMI,
        HSTS_SECONDS="3600",
        COMPOSE_PROFILES="files",
    )
    try:
        assert site.deploy("1.0.0")["outcome"] == "done"
        yield site
    finally:
        site.down()


def test_the_site_is_served_with_the_certificate_that_was_named(site: TlsSite, files: Files) -> None:
    context = ssl.create_default_context(cafile=str(files.certificate))
    answer = site.secure("/api/version", context=context)
    assert answer.status == 200
    assert site.shown() == site.shown(UMAMI) == der(files)
    told = site.status()
    assert (told["state"], told["gate"]) == ("running", "open")


def test_http_is_redirected_to_https(site: TlsSite) -> None:
    answer = site.ask("/builder?x=1", {**AS_BROWSER, "Host": HOST})
    assert (answer.status, answer.headers["location"]) == (308, f"https://{HOST}:{site.https_port}/builder?x=1")


def test_another_host_name_is_redirected_to_the_sites_own(site: TlsSite) -> None:
    for asked, led_to in ((HOST, HOST), (UMAMI.upper(), UMAMI), ("evil.example", HOST), ("127.0.0.1", HOST)):
        answer = site.ask("/builder?x=1", {**AS_BROWSER, "Host": asked})
        assert answer.headers["location"] == f"https://{led_to}:{site.https_port}/builder?x=1", asked
        assert answer.headers["cache-control"] == "no-store", asked


def test_a_challenge_is_answered_on_both_ports_for_every_name_whatever_the_gate(site: TlsSite) -> None:
    site.run("apply", "restricted")
    directory = site.directory / ".graasp-local" / "acme-challenges"
    (directory / "token").write_text("what the authority wants to see")
    (directory / "token").chmod(0o644)
    try:
        for name in (HOST, UMAMI, "other.example"):
            path, headers = "/.well-known/acme-challenge/token", {"Host": name}
            for answer in (site.ask(path, headers), site.secure(path, headers)):
                assert (answer.status, answer.body) == (200, "what the authority wants to see"), name
    finally:
        (directory / "token").unlink()
        site.run("apply", "running")


def test_cores_own_hsts_header_is_not_passed_on(site: TlsSite) -> None:
    """Core says a year and all subdomains; that of the site is the only one, on answers of every kind."""
    for path, headers in (("/api/version", {}), ("/files/none", {}), ("/api/heartbeat", {"Host": UMAMI})):
        connection = http.client.HTTPSConnection(
            "127.0.0.1", site.https_port, timeout=70, context=ssl._create_unverified_context()
        )
        connection.request("GET", path, headers=headers)
        told = connection.getresponse().headers.get_all("Strict-Transport-Security")
        connection.close()
        assert told == ["max-age=3600"], path


def test_hsts_is_sent_where_it_was_chosen_and_with_tls_only(site: TlsSite) -> None:
    assert site.secure("/").headers["strict-transport-security"] == "max-age=3600"
    assert "strict-transport-security" not in site.ask("/").headers


def test_umami_answers_under_its_name(site: TlsSite) -> None:
    assert site.secure("/api/heartbeat", {"Host": UMAMI}).status == 200


def test_the_gate_is_the_same_behind_tls(site: TlsSite) -> None:
    site.run("apply", "restricted")
    try:
        assert site.status()["gate"] == "closed"
        browser = site.secure("/", AS_BROWSER)
        assert (browser.status, browser.headers["location"]) == (302, "/maintenance")
        assert site.secure("/maintenance", AS_BROWSER).status == 503
        assert site.secure("/api/version").status == 503
        assert site.secure("/api/version", {**AS_PROGRAM, **site.bypass()}).status == 200
        link = site.secrets()["link"]
        assert link.startswith(f"https://{HOST}:{site.https_port}/")
        cookie = site.secure(link.partition(str(site.https_port))[2]).headers["set-cookie"]
        assert re.search(r"; Secure\b", cookie)
        passed = {**AS_PROGRAM, "Cookie": cookie.partition(";")[0]}
        assert site.secure("/api/version", passed).status == 200
        assert websocket_status(site, {}) == 503
        assert websocket_status(site, site.bypass()) == 101
    finally:
        site.run("apply", "running")


def websocket_status(site: TlsSite, headers: Mapping[str, str]) -> int:
    """What the upgrade to a websocket is answered."""
    key = base64.b64encode(os.urandom(16)).decode()
    upgrade = {"Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Sec-WebSocket-Key": key}
    connection = http.client.HTTPSConnection(
        "127.0.0.1", site.https_port, timeout=10, context=ssl._create_unverified_context()
    )
    try:
        connection.request("GET", "/api/ws", headers={**upgrade, **headers})
        return connection.getresponse().status
    finally:
        connection.close()


def test_the_next_deployment_is_proven_through_tls(site: TlsSite) -> None:
    assert site.deploy("1.1.0")["outcome"] == "done"


def test_a_key_of_another_certificate_is_refused_and_the_old_one_stays(
    site: TlsSite, files: Files, tmp_path: Path
) -> None:
    other, key, shown = self_signed(tmp_path, HOST), files.key.read_text(), site.shown()
    try:
        files.key.write_text(other.key.read_text())
        said = site.run("certificate", "renew", code=2).stderr
    finally:
        files.key.write_text(key)
    assert "the key does not belong to the certificate" in said
    assert site.shown() == shown


def _shows(site: TlsSite, certificate: bytes) -> bool:
    return site.shown() == certificate


def test_a_new_certificate_drops_no_request(site: TlsSite, files: Files, tmp_path: Path) -> None:
    new = self_signed(tmp_path, HOST, UMAMI)
    before, ended, problems, counts = site.shown(), threading.Event(), [], [0] * 4

    def visit(number: int) -> None:
        while not ended.is_set():
            try:
                answer = site.secure("/api/version")
            except (OSError, http.client.HTTPException) as error:
                problems.append(repr(error))
            else:
                counts[number] += 1
                if answer.status != 200:
                    problems.append(str(answer.status))

    visitors = [threading.Thread(target=visit, args=(number,)) for number in range(len(counts))]
    for visitor in visitors:
        visitor.start()
    try:
        for _ in range(3):
            new = self_signed(tmp_path, HOST, UMAMI)
            files.certificate.write_text(new.certificate.read_text())
            files.key.write_text(new.key.read_text())
            assert renewal_findings(site) == [("warning", "have changed")]
            assert json.loads(site.run("certificate", "renew", "--json").stdout)["renewed"] is True
            # A worker from before the reload may still take the next connection.
            wait_for(partial(_shows, site, der(new)), "nginx shows the new certificate")
    finally:
        ended.set()
        for visitor in visitors:
            visitor.join()
    assert site.shown() != before
    assert problems == []
    assert min(counts) > 10
    assert json.loads(site.run("certificate", "renew", "--json").stdout)["renewed"] is False


def test_core_gets_files_from_inside_under_a_name_that_resolves_nowhere_else(site: TlsSite) -> None:
    put = (
        "exec",
        "-T",
        "core",
        "sh",
        "-c",
        "mkdir -p $FILE_STORAGE_ROOT_PATH/files; echo lakes >$FILE_STORAGE_ROOT_PATH/files/a",
    )
    site.run("compose", "--", *put)
    site.run("apply", "restricted")
    try:
        assert site.secure("/api/exports/a", {**AS_PROGRAM, **site.bypass()}).body == "lakes\n"
        assert site.secure("/files/files/a").status == 503
    finally:
        site.run("apply", "running")


def test_a_certificate_is_issued_and_renewed_by_acme(tmp_path: Path) -> None:
    site = TlsSite(tmp_path / "site")
    try:
        site.https_port = free_port()
        with running_authority(tmp_path / "authority", site.port) as authority:
            site.set(
                TLS="acme",
                ACME_DIRECTORY=authority.directory,
                HTTPS_PORT=str(site.https_port),
                PUBLIC_URL=f"https://{HOST}:{site.https_port}",
                COOKIE_DOMAIN=HOST,
                UMAMI_HOST=UMAMI,
                STOPPED_PAGE="on",
            )
            site.run("apply", "stopped")
            due = json.loads(site.run("certificate", "show", "--json").stdout)
            assert due["due"] == "browsers do not trust the current one"
            assert renewal_findings(site) == [("warning", "is due for renewal"), ("warning", "no timer has ever run")]
            first = site.run("certificate", "renew", "--json", env=authority.environment)
            told = json.loads(first.stdout)
            assert sorted(told["names"]) == [HOST, UMAMI]
            assert told["issuer"].startswith("Pebble Intermediate")
            assert renewal_findings(site) == [("ok", "A timer checks")]
            shown = site.shown()
            assert json.loads(site.run("certificate", "renew", "--json").stdout) == {"renewed": False}
            site.run("certificate", "renew", "--now", env=authority.environment)
            wait_for(lambda: site.shown() != shown, "nginx shows the new certificate")
            assert site.secure("/", AS_BROWSER).status == 302
            assert list((site.directory / ".graasp-local" / "acme-challenges").iterdir()) == []
            # nginx away from the port that the authority asks at: refused, and the certificate stays.
            shown = site.shown()
        said = site.run("certificate", "renew", "--now", code=10, env=authority.environment).stderr
        assert "could not be reached" in said
        assert site.shown() == shown
        assert renewal_findings(site) == [("warning", "The last attempt to renew"), ("ok", "A timer checks")]
    finally:
        site.down()


RENEWAL_SENTENCES = (
    "is due for renewal",
    "no timer has ever run",
    "A timer checks",
    "The last attempt to renew",
    "have changed",
)


def renewal_findings(site: TlsSite) -> list[tuple[str, str]]:
    """What the doctor says of renewal: each verdict, with the sentence that it is known by."""
    told = json.loads(site.run("doctor", "--json").stdout)["findings"]
    found = [finding for finding in told if finding["check"] == "renewal"]
    return [(f["verdict"], next((s for s in RENEWAL_SENTENCES if s in f["said"]), f["said"])) for f in found]


def test_a_proxy_in_front_is_believed_only_if_it_is_trusted(new_site: DemoSite) -> None:
    said = {"X-Forwarded-For": "203.0.113.7", "X-Forwarded-Proto": "https", **AS_PROGRAM}

    def seen() -> tuple[str, bool, bool]:
        told = {key.lower(): value for key, value in new_site.ask("/api/echo-headers", said).json().items()}
        addresses = (told["x-forwarded-for"], told["x-real-ip"])
        return told["x-forwarded-proto"], addresses[0] == "203.0.113.7", addresses[1] == "203.0.113.7"

    new_site.configure(TRUSTED_PROXIES="host")
    new_site.deploy("1.0.0")
    assert seen() == ("https", True, True)
    new_site.configure(TRUSTED_PROXIES="192.0.2.1")
    new_site.run("apply", "running")
    assert seen() == ("http", False, False)
