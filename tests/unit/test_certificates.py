"""The site's certificate: when it is due, what is refused, and that nginx is left with one that it can use."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from graasp_local.errors import ConfigurationError, NeedsYou, Refused
from graasp_local.settings import parse_settings
from graasp_local.site.create import init_site
from graasp_local.site.site import Site
from graasp_local.tls.attempts import RenewalRecord, StartedBy, read_renewals, recorded
from graasp_local.tls.certificate import PLACEHOLDER, Certificate, key_text, new_key, read_certificate
from graasp_local.tls.renew import When, certificate_of, renew
from tests.integration.authority import Files, self_signed

NAMES = ("graasp.test", "umami.graasp.test")
NOW = datetime(2026, 6, 1, tzinfo=UTC)


def certificate(days_left: float, names: tuple[str, ...] = NAMES, issuer: str = "An authority") -> Certificate:
    return Certificate(names, issuer, NOW - timedelta(days=90 - days_left), NOW + timedelta(days=days_left))


@pytest.mark.parametrize(
    ("found", "due"),
    [
        (certificate(60), None),
        (certificate(31), None),
        (certificate(29), "the current one expires at 2026-06-30 00:00 UTC"),
        (certificate(-1), "the current one expires at 2026-05-31 00:00 UTC"),
        (certificate(60, ("graasp.test",)), "the current one does not cover umami.graasp.test"),
        (certificate(60, ("graasp.test", "*.graasp.test")), None),
        (certificate(60, issuer=PLACEHOLDER), "browsers do not trust the current one"),
    ],
)
def test_a_certificate_is_due_with_a_third_of_its_time_left(found: Certificate, due: str | None) -> None:
    assert found.due(NOW, NAMES) == due


@dataclass
class FakeNginx:
    """Shows what it has read at its last reload."""

    file: Path
    refuses: str | None = None
    deaf: bool = False
    shown: str = ""
    waited: float = 0.0
    reloads: list[str] = field(default_factory=list)

    def refusal(self) -> str | None:
        return self.refuses

    def reload(self) -> None:
        self.reloads.append("reload")
        if not self.deaf:
            self.shown = self.file.read_text()

    def serves(self, pem: str) -> bool:
        return self.shown == pem

    def wait(self, seconds: float) -> None:
        self.waited += seconds


@pytest.fixture
def files(tmp_path: Path) -> Files:
    return self_signed(tmp_path / "mine", *NAMES)


@pytest.fixture
def site(tmp_path: Path, files: Files) -> Site:
    chosen = {"PUBLIC_URL": "https://graasp.test", "COOKIE_DOMAIN": "graasp.test", "UMAMI_HOST": "umami.graasp.test"}
    own = {"TLS": "files", "TLS_CERTIFICATE": str(files.certificate), "TLS_KEY": str(files.key)}
    return init_site(tmp_path / "site", {**chosen, **own}, demo=False)


def say(line: str) -> None:
    pass


def test_a_site_has_its_certificate_before_nginx_starts(site: Site, files: Files) -> None:
    assert files.certificate.read_text() in site.certificate_file.read_text()
    assert site.certificate_file.stat().st_mode & 0o777 == 0o600
    found = certificate_of(site.settings, site.tls_paths)
    assert found is not None
    assert found.names == NAMES


def test_with_acme_a_placeholder_lets_nginx_start(tmp_path: Path) -> None:
    chosen = {"PUBLIC_URL": "https://graasp.test", "COOKIE_DOMAIN": "graasp.test", "TLS": "acme"}
    site = init_site(tmp_path / "site", chosen, demo=False)
    found = certificate_of(site.settings, site.tls_paths)
    assert found is not None
    assert found.is_placeholder


def test_files_that_were_renewed_are_loaded(site: Site, files: Files, tmp_path: Path) -> None:
    nginx = FakeNginx(site.certificate_file)
    assert renew(site.settings, site.tls_paths, nginx, When.DUE, say) is None
    new = self_signed(tmp_path / "new", *NAMES, days=365)
    files.certificate.write_text(new.certificate.read_text())
    files.key.write_text(new.key.read_text())
    renewed = renew(site.settings, site.tls_paths, nginx, When.DUE, say)
    assert renewed is not None
    assert nginx.reloads == ["reload"]
    assert read_certificate(nginx.shown) == renewed


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (lambda files: files.key.write_text(key_text(new_key())), "the key does not belong to the certificate"),
        (lambda files: files.key.unlink(), "no such file or directory"),
        (lambda files: files.certificate.write_text("nothing\n"), "cannot be used"),
    ],
)
def test_files_that_cannot_be_used_are_refused_and_the_old_certificate_stays(
    site: Site, files: Files, spoil: Callable[[Files], object], reason: str
) -> None:
    before = site.certificate_file.read_text()
    spoil(files)
    with pytest.raises(ConfigurationError, match=reason):
        renew(site.settings, site.tls_paths, FakeNginx(site.certificate_file), When.DUE, say)
    assert site.certificate_file.read_text() == before


def test_what_nginx_refuses_is_undone(site: Site, files: Files, tmp_path: Path) -> None:
    before = site.certificate_file.read_text()
    new = self_signed(tmp_path / "new", *NAMES)
    files.certificate.write_text(new.certificate.read_text())
    files.key.write_text(new.key.read_text())
    nginx = FakeNginx(site.certificate_file, refuses="key too small")
    with pytest.raises(NeedsYou, match="key too small"):
        renew(site.settings, site.tls_paths, nginx, When.DUE, say)
    assert (site.certificate_file.read_text(), nginx.reloads) == (before, [])


def test_an_nginx_that_does_not_load_it_is_reported(site: Site, files: Files, tmp_path: Path) -> None:
    new = self_signed(tmp_path / "new", *NAMES)
    files.certificate.write_text(new.certificate.read_text())
    files.key.write_text(new.key.read_text())
    with pytest.raises(NeedsYou, match="did not within 15 s"):
        renew(site.settings, site.tls_paths, FakeNginx(site.certificate_file, deaf=True), When.DUE, say)


def test_without_tls_there_is_nothing_to_renew(tmp_path: Path) -> None:
    site = init_site(tmp_path / "site", {}, demo=False)
    assert certificate_of(site.settings, site.tls_paths) is None
    with pytest.raises(Refused, match="TLS is off for this site"):
        renew(site.settings, site.tls_paths, FakeNginx(site.certificate_file), When.DUE, say)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"TLS": "files"}, "TLS_CERTIFICATE is missing, but TLS is `files`"),
        ({"TLS": "acme", "PUBLIC_URL": "http://graasp.test"}, "PUBLIC_URL should begin with https://"),
        ({"TLS": "acme", "HTTPS_PORT": "80"}, "HTTPS_PORT is the same as HTTP_PORT"),
        ({"TLS": "always"}, "TLS should be off, files or acme"),
        (
            {"TRUSTED_PROXIES": "10.0.0.300"},
            "TRUSTED_PROXIES contains 10.0.0.300, which is not an address or a network",
        ),
        ({"TRUSTED_PROXIES": "somewhere"}, "TRUSTED_PROXIES should be addresses, networks or host"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(site: Site, values: dict[str, str], said: str) -> None:
    text = re.sub(r"^(TLS.*|HTTPS_PORT)=.*\n", "", site.env_file.read_text(), flags=re.MULTILINE)
    for key, value in values.items():
        text = re.sub(rf"^{key}=.*\n", "", text, flags=re.MULTILINE) + f"{key}={value}\n"
    with pytest.raises(ConfigurationError, match=re.escape(said)):
        parse_settings(text, ".env")


@pytest.mark.parametrize("trusted", ["host", "10.0.0.1", "10.0.0.0/8,host,2001:db8::/32"])
def test_proxies_are_named_by_address_network_or_host(site: Site, trusted: str) -> None:
    assert (
        parse_settings(site.env_file.read_text() + f"TRUSTED_PROXIES={trusted}\n", ".env").values["TRUSTED_PROXIES"]
        == trusted
    )


def test_an_attempt_is_remembered_with_what_it_ran_into_and_who_started_it(tmp_path: Path) -> None:
    file = tmp_path / "renewals.json"
    assert read_renewals(file) is None
    with recorded(file, StartedBy.PERSON, lambda: NOW):
        pass
    assert read_renewals(file) == RenewalRecord(NOW)
    with recorded(file, StartedBy.TIMER, lambda: NOW):
        pass
    later = NOW + timedelta(days=1)
    with pytest.raises(Refused), recorded(file, StartedBy.PERSON, lambda: later):
        raise Refused("The authority is away.")
    assert read_renewals(file) == RenewalRecord(later, "The authority is away.", by_timer=NOW)


@pytest.mark.parametrize("damage", ["{", "[]", "7", "{}", '{"last": 7}', '{"last": "yesterday"}'])
def test_a_damaged_record_of_attempts_is_replaced(tmp_path: Path, damage: str) -> None:
    file = tmp_path / "renewals.json"
    file.write_text(damage)
    with pytest.raises(ValueError, match=r"it is|isoformat|Expecting"):
        read_renewals(file)
    with recorded(file, StartedBy.TIMER, lambda: NOW):
        pass
    assert read_renewals(file) == RenewalRecord(NOW, by_timer=NOW)
