"""A new certificate for a running site, without dropping a request: obtained, checked, installed, loaded.

nginx loads it by a reload: its old workers finish what they have begun. A connection then proves that it did. A
certificate that nginx refuses is replaced by the previous one.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from graasp_local.errors import NeedsYou, Refused
from graasp_local.files import write_atomically
from graasp_local.settings import Settings, Tls
from graasp_local.tls.acme import Authority, obtain
from graasp_local.tls.certificate import Certificate, TlsPaths, have_certificate, own_files, read_certificate

_PROOF_SECONDS = 15.0
_POLL_SECONDS = 0.1
DEFAULT_DIRECTORY = "https://acme-v02.api.letsencrypt.org/directory"


class When(StrEnum):
    """Whether a certificate is renewed only when it is due, or now."""

    DUE = "due"
    NOW = "now"


class Reloading(Protocol):
    """nginx, as far as a certificate is concerned."""

    def refusal(self) -> str | None:
        """nginx's complaint about its configuration with the current files; None if there is none."""
        ...

    def reload(self) -> None: ...
    def serves(self, pem: str) -> bool:
        """Whether a new connection gets the first certificate of this text."""
        ...

    def wait(self, seconds: float) -> None: ...


def certificate_of(settings: Settings, paths: TlsPaths) -> Certificate | None:
    """The installed certificate; None if TLS is off, or there is none yet."""
    if settings.tls is Tls.OFF or not paths.certificate_file.exists():
        return None
    return read_certificate(paths.certificate_file.read_text())


def renew(
    settings: Settings, paths: TlsPaths, nginx: Reloading, when: When, say: Callable[[str], None]
) -> Certificate | None:
    """Renew; returns the new certificate, None if it was not due. Raises Refused, ConfigurationError, NeedsYou."""
    if settings.tls is Tls.OFF:
        raise Refused(
            "TLS is off for this site, so there is no certificate to renew.",
            "Nothing was changed.",
            "Set TLS to acme or files in .env, then run `graasp-local apply running`.",
        )
    have_certificate(settings, paths.certificate_file)
    before = paths.certificate_file.read_text()
    if settings.tls is Tls.FILES:
        new = own_files(settings)
        if new == before:
            return None
    else:
        due = read_certificate(before).due(datetime.now(UTC), settings.certificate_names)
        if due is None and when is When.DUE:
            return None
        say(due or "the current one is not due yet, but --now was given")
        authority = Authority(
            settings.values.get("ACME_DIRECTORY") or DEFAULT_DIRECTORY,
            settings.values.get("ACME_EMAIL", ""),
            paths.account_file,
        )
        new = obtain(authority, settings.certificate_names, paths.challenge_directory, say)
    _put_in_place(paths.certificate_file, before, new, nginx)
    return read_certificate(new)


def _put_in_place(file: Path, before: str, new: str, nginx: Reloading) -> None:
    write_atomically(file, new, mode=0o600)
    refusal = nginx.refusal()
    if refusal is not None:
        write_atomically(file, before, mode=0o600)
        raise NeedsYou(
            f"nginx rejected the new certificate: {refusal}",
            "It keeps using the old one.",
            "Fix what nginx reports, then run `graasp-local certificate renew`.",
        )
    nginx.reload()
    waited = 0.0
    while not nginx.serves(new):
        if waited >= _PROOF_SECONDS:
            raise NeedsYou(
                f"nginx was told to load the new certificate, but did not within {_PROOF_SECONDS:g} s.",
                "Visitors still get the old one.",
                "Check `graasp-local logs nginx`.",
            )
        nginx.wait(_POLL_SECONDS)
        waited += _POLL_SECONDS
