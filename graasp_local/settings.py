"""The settings of a site: what `.env` may hold, what each means, which values are usable.

One table serves `init` (which writes it), every command (which checks it) and the documentation. Decides whether a
`.env` can be used; refuses by line and key. Reads nothing itself: `site.py` hands in the text.
"""

from __future__ import annotations

import io
import re
import secrets
import uuid
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from graasp_local.errors import ConfigurationError

# Headers that nginx or the browser already gives a meaning to cannot carry the bypass.
_TAKEN_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "authorization", "cache-control", "connection", "content-length"}
    | {"content-type", "cookie", "expect", "host", "keep-alive", "origin", "range", "referer", "te", "upgrade"}
    | {"transfer-encoding", "user-agent", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"}
)

_TAKEN_PREFIXES = ("if-", "sec-", "proxy-", "x-forwarded-", "access-control-")


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


@dataclass(frozen=True, slots=True)
class Settings:
    """A checked `.env`: every key in `values`, and the few that graasp-local itself works with by name."""

    values: Mapping[str, str]

    @property
    def project(self) -> str:
        return self.values["COMPOSE_PROJECT_NAME"]

    @property
    def public_url(self) -> str:
        return self.values["PUBLIC_URL"]

    @property
    def umami_host(self) -> str:
        return self.values["UMAMI_HOST"]

    @property
    def bind(self) -> str:
        return self.values["HTTP_BIND"]

    @property
    def port(self) -> int:
        return int(self.values["HTTP_PORT"])

    @property
    def header_name(self) -> str:
        return self.values["MAINTENANCE_HEADER_NAME"]

    @property
    def header_secret(self) -> str:
        return self.values["MAINTENANCE_HEADER_SECRET"]

    @property
    def postgres_password(self) -> str:
        return self.values["POSTGRES_PASSWORD"]

    @property
    def profiles(self) -> tuple[str, ...]:
        """Compose profiles switched on in `.env`."""
        return tuple(name for name in self.values.get("COMPOSE_PROFILES", "").split(",") if name)

    def __repr__(self) -> str:
        return f"Settings(project={self.project!r})"  # never the secrets


def parse_settings(text: str, where: str) -> Settings:
    """Read and check the text of a `.env`; `where` names the file in errors. Raises ConfigurationError."""
    lines: dict[str, int] = {}
    values: dict[str, str] = {}
    for line, key, value in _bindings(text, where):
        if key in lines:
            raise _wrong(where, line, key, f"is set a second time; line {lines[key]} sets it already")
        lines[key] = line
        values[key] = value
    for setting in SETTINGS:
        value = values.get(setting.key, "")
        if not value:
            if setting.required:
                how = "empty" if setting.key in lines else "missing"
                raise _wrong(where, lines.get(setting.key), setting.key, f"is {how}")
            values[setting.key] = setting.default()
        elif not re.fullmatch(setting.pattern, value, re.ASCII):
            raise _wrong(where, lines[setting.key], setting.key, f"should be {setting.expected}")
    _check_meaning(values, lines, where)
    return Settings(values)


def _bindings(text: str, where: str) -> Iterator[tuple[int, str, str]]:
    from dotenv.parser import parse_stream

    for binding in parse_stream(io.StringIO(text)):
        original = binding.original.string
        # The parser counts blank lines before a binding as part of it.
        line = binding.original.line + original[: len(original) - len(original.lstrip())].count("\n")
        if binding.error or (binding.key is not None and binding.value is None):
            raise ConfigurationError(
                f"{where}, line {line}: this is not KEY=value.",
                "Nothing was touched.",
                "Mend the line; a value with spaces or a # stands in quotes.",
            )
        if binding.key is not None:
            value = binding.value or ""
            if "$" in value and f"'{value}'" not in original:
                raise _wrong(where, line, binding.key, "has a $ that Compose would replace; put it in single quotes")
            yield line, binding.key, value


def _check_meaning(values: Mapping[str, str], lines: Mapping[str, int], where: str) -> None:
    def wrong(key: str, why: str) -> ConfigurationError:
        return _wrong(where, lines.get(key), key, why)

    if not 1 <= int(values["HTTP_PORT"]) <= 65535:
        raise wrong("HTTP_PORT", "should be between 1 and 65535")
    if any(int(part) > 255 for part in values["HTTP_BIND"].split(".")):
        raise wrong("HTTP_BIND", "is no IPv4 address")
    header = values["MAINTENANCE_HEADER_NAME"].lower()
    if header in _TAKEN_HEADERS or header.startswith(_TAKEN_PREFIXES):
        raise wrong("MAINTENANCE_HEADER_NAME", "is a header that browsers or nginx already use; choose one of your own")
    if len(set(values["MAINTENANCE_HEADER_SECRET"])) < 5:
        raise wrong("MAINTENANCE_HEADER_SECRET", "is too easy to guess")
    try:
        parts = urlsplit(values["PUBLIC_URL"])
        host, _ = parts.hostname, parts.port
    except ValueError:
        host = None
    if not host:
        raise wrong("PUBLIC_URL", "is no address that a browser could open")
    if host == values["UMAMI_HOST"].lower():
        raise wrong("UMAMI_HOST", "is the host of PUBLIC_URL: the site itself would no longer be reached")


def _wrong(where: str, line: int | None, key: str, why: str) -> ConfigurationError:
    place = f"{where}, line {line}" if line else where
    return ConfigurationError(f"{place}: {key} {why}.", "Nothing was touched.", f"Set {key} in {where} and try again.")
