"""The one table of what `.env` may hold: what each key means and which values are usable.

It serves `init` (which writes it), every command (which checks against it) and the documentation. Decides nothing.
"""

from __future__ import annotations

import secrets
import uuid
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Setting:
    """One key of `.env`. `pattern` is what a usable value looks like, `expected` says the same in words."""

    key: str
    comment: str
    pattern: str
    expected: str
    default: Callable[[], str]
    required: bool = True


def _fixed(text: str) -> Callable[[], str]:
    return lambda: text


def _hex(characters: int) -> Callable[[], str]:
    return lambda: secrets.token_hex(characters // 2)


_WORD = r"[A-Za-z0-9_-]{16,256}"
_WORD_EXPECTED = "16 to 256 letters, digits, - or _"
_HEX64 = r"[0-9a-fA-F]{64}"
_HOST = r"[A-Za-z0-9]([A-Za-z0-9.-]*[A-Za-z0-9])?"


def _secret(key: str, comment: str) -> Setting:
    return Setting(key, comment, _WORD, _WORD_EXPECTED, _hex(48))


SETTINGS: tuple[Setting, ...] = (
    Setting(
        "COMPOSE_PROJECT_NAME",
        "Name of this installation: containers, volumes and networks carry it. Changing it later loses sight of them.",
        r"[a-z0-9][a-z0-9_-]{0,40}",
        "up to 41 lower-case letters, digits, - or _",
        _fixed("graasp"),
    ),
    Setting(
        "PUBLIC_URL",
        "Where visitors find the site.",
        r"https?://[^\s/]+",
        "http:// or https:// and a host, without a path",
        _fixed("http://localhost"),
    ),
    Setting(
        "COOKIE_DOMAIN",
        "The domain that Graasp's cookies belong to: the host of PUBLIC_URL.",
        _HOST,
        "a host name",
        _fixed("localhost"),
    ),
    Setting(
        "UMAMI_HOST",
        "The host name under which umami (web analytics) answers, on the same address and port as the site.",
        _HOST,
        "a host name",
        _fixed("umami.localhost"),
    ),
    Setting(
        "HTTP_BIND",
        "The address of this machine that nginx listens on: 0.0.0.0 for all, 127.0.0.1 for this machine only.",
        r"\d{1,3}(\.\d{1,3}){3}",
        "an IPv4 address",
        _fixed("0.0.0.0"),  # noqa: S104 - a web site is for everybody
    ),
    Setting("HTTP_PORT", "The port of this machine that nginx listens on.", r"\d{1,5}", "a port number", _fixed("80")),
    Setting(
        "MAINTENANCE_HEADER_NAME",
        "Requests that carry this header with the secret below pass the gate while the site is closed.",
        r"[A-Za-z][A-Za-z0-9-]{0,63}",
        "letters, digits and -, since nginx drops headers with other characters",
        _fixed("X-Graasp-Maintenance"),
    ),
    _secret("MAINTENANCE_HEADER_SECRET", "The secret that goes with it. `graasp-local bypass` prints both."),
    Setting(
        "MAINTENANCE_RETRY_AFTER",
        "Seconds after which browsers and programs are told to come back while the site is closed.",
        r"\d{1,5}",
        "a number of seconds",
        _fixed("60"),
        required=False,
    ),
    _secret("POSTGRES_PASSWORD", "Password of the database's superuser. Set once, when the database is first started."),
    _secret("GRAASP_DB_PASSWORD", "Password of the database owner `graasp`. Set once, like the one above."),
    _secret("UMAMI_DB_PASSWORD", "Password of the database owner `umami`. Set once, like the one above."),
    _secret("UMAMI_APP_SECRET", "What umami signs its sessions with."),
    Setting(
        "SECURE_SESSION_SECRET_KEY",
        "What Graasp encrypts its sessions with: a new one logs everybody out.",
        _HEX64,
        "64 hexadecimal digits",
        _hex(64),
    ),
    _secret("JWT_SECRET", "What Graasp signs its tokens with: a new one logs everybody out."),
    _secret("PASSWORD_RESET_JWT_SECRET", "Signs the links for setting a new password."),
    _secret("EMAIL_CHANGE_JWT_SECRET", "Signs the links for changing an e-mail address."),
    _secret("APPS_JWT_SECRET", "Signs the tokens of apps inside items."),
    Setting(
        "APPS_PUBLISHER_ID", "Identifies the publisher of apps.", r"[0-9a-f-]{36}", "a UUID", lambda: str(uuid.uuid4())
    ),
    Setting(
        "GRAASPER_CREATOR_ID",
        "The account that owns what Graasp itself provides.",
        r"[0-9a-f-]{36}",
        "a UUID",
        lambda: str(uuid.uuid4()),
    ),
    Setting("ETHERPAD_API_KEY", "Shared between Graasp and Etherpad.", _HEX64, "64 hexadecimal digits", _hex(64)),
    _secret("MEILISEARCH_MASTER_KEY", "Shared between Graasp and Meilisearch."),
    Setting(
        "MAILER_CONNECTION",
        "The mail server: smtp://user:password@host:port. Without a real one nobody can register or log in by mail.",
        r"smtps?://\S+:\d+",
        "smtp://user:password@host:port",
        _fixed("smtp://user:password@localhost:1025"),
    ),
)
