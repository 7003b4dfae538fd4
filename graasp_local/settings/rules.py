"""The rules for judging a `.env`: one set, for every command and for `config check`. Pure.

`errors` stop every command; they follow from the text alone. What only deserves attention is in warnings.py. Each
problem names key and line, never a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from msgspec import Struct

from graasp_local.settings.bindings import parsed_bindings, plain_bindings
from graasp_local.settings.strength import weakness
from graasp_local.settings.table import (
    ALL,
    SWITCHES_STACK_DATABASE_ON,
    DatabasePassword,
    Generated,
    Setting,
)

# Headers that already have a meaning for nginx or the browser cannot carry the bypass.
_TAKEN_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "authorization", "cache-control", "connection", "content-length"}
    | {"content-type", "cookie", "expect", "host", "keep-alive", "origin", "range", "referer", "te", "upgrade"}
    | {"transfer-encoding", "user-agent", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"}
)

_TAKEN_PREFIXES = ("if-", "sec-", "proxy-", "x-forwarded-", "access-control-")

S3_KEYS = {
    "FILE_STORAGE_TYPE": (
        "S3_FILE_ITEM_REGION",
        "S3_FILE_ITEM_BUCKET",
        "S3_FILE_ITEM_ACCESS_KEY_ID",
        "S3_FILE_ITEM_SECRET_ACCESS_KEY",
    ),
    "H5P_FILE_STORAGE_TYPE": (
        "H5P_CONTENT_REGION",
        "H5P_CONTENT_BUCKET",
        "H5P_CONTENT_ACCESS_KEY_ID",
        "H5P_CONTENT_SECRET_ACCESS_KEY_ID",
    ),
}
"""What each storage needs when it is S3, by Graasp's own names."""


ALL_ADDRESSES = ("0.0.0.0", "::")  # noqa: S104 - compared, not bound
"""These mean every address of the machine: of IPv4, and of both families."""

BY_KEY = {item.key: item for item in ALL}


class Severity(StrEnum):
    """An error stops every command; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


class Problem(Struct, frozen=True):
    """Something wrong with a key: `said` continues after the key ("is missing"), `fix` is what to do, as a sentence.

    `line` is None for a key that is not in the file; `key` is empty for a line without a key.
    """

    severity: Severity
    key: str
    line: int | None
    said: str
    fix: str = ""

    def sentence(self, where: str) -> str:
        """What is wrong, with its place; `where` names the file."""
        place = f"{where}, line {self.line}" if self.line else where
        return f"{place}: {self.key} {self.said}." if self.key else f"{place}: {self.said}."

    def remedy(self, where: str) -> str:
        """What to do about it, as a sentence."""
        return self.fix or f"Set {self.key} in {where}."


class Reading(Struct, frozen=True):
    """A parsed `.env`: values by key, the line of each, and what could not be parsed."""

    values: Mapping[str, str]
    lines: Mapping[str, int]
    problems: tuple[Problem, ...]


def read(text: str) -> Reading:
    """Parse the text of a `.env`. If a key is set twice, the first value counts."""
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems: list[Problem] = []

    def wrong(key: str, line: int, said: str, fix: str = "") -> None:
        problems.append(Problem(Severity.ERROR, key, line, said, fix))

    for line, original, key, value in plain_bindings(text) or parsed_bindings(text):
        if key is not None and value is not None:
            if "$" in value and f"'{value}'" not in original:
                wrong(key, line, "contains a $, which Compose would expand; put the value in single quotes")
            if key in lines:
                wrong(key, line, f"is set twice; line {lines[key]} sets it already")
            else:
                values[key], lines[key] = value, line
        else:
            wrong("", line, "this line is not KEY=value", "Fix the line; a value with spaces or a # needs quotes.")
    return Reading(values, lines, tuple(problems))


def errors(reading: Reading) -> Iterator[Problem]:
    """Problems that stop every command."""
    yield from reading.problems
    usable: dict[str, str] = {}
    for setting in ALL:
        value = reading.values.get(setting.key, "")
        if not value:
            if isinstance(setting, Setting) and setting.required:
                how = "empty" if setting.key in reading.lines else "missing"
                fix = (
                    "`graasp-local config add-missing` generates one."
                    if how == "missing" and setting.is_generated
                    else ""
                )
                yield Problem(Severity.ERROR, setting.key, reading.lines.get(setting.key), f"is {how}", fix)
        elif not re.fullmatch(setting.pattern, value, re.ASCII):
            yield _error(reading, setting.key, f"should be {setting.expected}", _new_one(setting.key))
        else:
            usable[setting.key] = value
    for key, value in usable.items():
        said = value_error(key, value)
        if said:
            yield _error(reading, key, said, _new_one(key))
    for key, said in (*_contradictions(usable), *_half_set_storage(reading.values)):
        yield _error(reading, key, said)


def _half_set_storage(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """S3 needs all of its keys or none: core does not boot with only some of them."""
    for kind, keys in S3_KEYS.items():
        if values.get(kind) == "s3":
            yield from ((key, f"is missing, but {kind} is s3") for key in keys if not values.get(key))


def value_error(key: str, value: str) -> str | None:
    """Why this value of this key cannot be used, as the end of a sentence; None if it can."""
    setting = BY_KEY[key]
    if not re.fullmatch(setting.pattern, value, re.ASCII):
        return f"should be {setting.expected}"
    if isinstance(setting, Setting) and isinstance(setting.secret, Generated | DatabasePassword):
        return weakness(value)
    match key:
        case "HTTP_PORT" | "HTTPS_PORT" | "DB_PORT" | "DATABASE_PORT" | "MAILPIT_PORT":
            return None if 1 <= int(value) <= 65535 else "should be between 1 and 65535"
        case "HTTP_BIND":
            return _not_an_address(value)
        case "MAINTENANCE_HEADER_NAME":
            header = value.lower()
            if header in _TAKEN_HEADERS or header.startswith(_TAKEN_PREFIXES):
                return "is a header that browsers or nginx use already; choose another one"
        case "TRUSTED_PROXIES":
            return _not_addresses(value)
        case "PUBLIC_URL":
            return None if parts_of_url(value) else "is not an address that a browser can open"
    return None


_WIDEST_PREFIX = {4: 8, 6: 16}
"""A network of proxies may not be larger than this; the private networks are not."""


def _not_addresses(value: str) -> str | None:
    import ipaddress

    for part in value.split(","):
        if part != "host":
            try:
                network = ipaddress.ip_network(part, strict=False)
            except ValueError:
                return f"contains {part}, which is not an address or a network"
            if network.prefixlen < _WIDEST_PREFIX[network.version]:
                return f"contains {part}, which covers most of the internet: any visitor could fake their address"
    return None


def _not_an_address(value: str) -> str | None:
    import ipaddress

    try:
        ipaddress.ip_address(value)
    except ValueError:
        return "is not an IP address"
    return None


def _contradictions(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Values that are valid but contradict each other: the key to fix, and why."""
    url = parts_of_url(values.get("PUBLIC_URL", ""))
    host = url.hostname if url else None
    yield from _names_that_lead_elsewhere(values, host)
    cookie_domain = values.get("COOKIE_DOMAIN", "").lower().strip("[]")  # without brackets, like `hostname`
    if host and cookie_domain and host != cookie_domain and not host.endswith(f".{cookie_domain}"):
        yield "COOKIE_DOMAIN", f"does not cover {host}, the host of PUBLIC_URL: users could not log in"
    if values.get("TLS", "off") != "off":
        yield from _contradictions_of_tls(values, url)
    yield from _ports_used_twice(values)
    if values.get("DATABASE") == "external":
        yield from _contradictions_of_external(values)
    if values.get("SWARM") == "on":
        yield from _contradictions_of_swarm(values)


def _contradictions_of_swarm(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Core and workers on several machines need what all of these reach."""
    for kind in S3_KEYS:
        if values.get(kind) != "s3" and values.get("SWARM_FILES") != "shared":
            yield (
                kind,
                "is not s3, but SWARM is on: uploaded files would be on one machine, where the others cannot read them",
            )


def _contradictions_of_external(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """An external database needs its address and a role; a certificate is checked unless that is switched off."""
    for key in ("DATABASE_HOST", "DATABASE_ADMIN_USER", "DATABASE_ADMIN_PASSWORD"):
        if not values.get(key):
            yield key, "is missing, but DATABASE is external"
    profiles = values.get("COMPOSE_PROFILES", "").split(",")
    if SWITCHES_STACK_DATABASE_ON in profiles:
        yield "COMPOSE_PROFILES", f"contains {SWITCHES_STACK_DATABASE_ON}, but DATABASE is external: db stays off"
    if values.get("DATABASE_SSL") == "off":
        return
    if not values.get("DATABASE_CA"):
        yield "DATABASE_CA", "is missing, but DATABASE_SSL is verify-full"
    if is_address(values.get("DATABASE_HOST", "")):
        yield "DATABASE_HOST", "is an IP address; it has to be the host name in the server's certificate"
    if "admin" in profiles:
        yield "COMPOSE_PROFILES", "contains admin, which cannot check the certificate of an external database"


def _names_that_lead_elsewhere(values: Mapping[str, str], host: str | None) -> Iterator[tuple[str, str]]:
    """nginx distinguishes the site, umami and the admin by the host name of a request."""
    names = {
        key: (values.get(key) or f"{key.partition('_')[0]}.localhost").lower() for key in ("UMAMI_HOST", "ADMIN_HOST")
    }
    for key, name in names.items():
        if host and host == name:
            yield key, "is the host of PUBLIC_URL: the site itself could not be reached any more"
        elif not _not_an_address(name):
            yield (
                key,
                ("is an IP address; it has to be a host name, because the site itself answers under its IP addresses"),
            )
    if names["UMAMI_HOST"] == names["ADMIN_HOST"]:
        yield "ADMIN_HOST", "is the same as UMAMI_HOST: the admin could not be reached"


def _ports_used_twice(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    keys = ("HTTP_PORT", "HTTPS_PORT" if values.get("TLS", "off") != "off" else "", "DB_PORT", "MAILPIT_PORT")
    used: dict[str, str] = {}
    for key in filter(values.get, keys):
        if key in ("DB_PORT", "MAILPIT_PORT") and values[key] in used:  # nginx's own two are compared with its settings
            yield key, f"is the same as {used[values[key]]}"
        used.setdefault(values[key], key)


def _contradictions_of_tls(values: Mapping[str, str], url: SplitResult | None) -> Iterator[tuple[str, str]]:
    port = values.get("HTTPS_PORT", "443")
    if url and url.scheme != "https":
        yield "PUBLIC_URL", "should begin with https://, because TLS is on"
    if port == values.get("HTTP_PORT"):
        yield "HTTPS_PORT", "is the same as HTTP_PORT"
    if values["TLS"] == "files":
        for key in ("TLS_CERTIFICATE", "TLS_KEY"):
            if not values.get(key):
                yield key, "is missing, but TLS is `files`"


def parts_of_url(url: str) -> SplitResult | None:
    """The parts of a URL; None if no browser could open it."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def recaptcha_key_error(text: str) -> str | None:
    """Why a text does not have the form of Google's keys, site key and secret alike; None if it does."""
    if re.fullmatch(r"6L[A-Za-z0-9_-]{38}", text):
        return None
    return "is not a reCAPTCHA key: it should begin with 6L and have 40 letters, digits, - and _"


def keeps_logins(host: str) -> bool:
    """Whether browsers keep Graasp's session cookie, which is Secure, on http://HOST."""
    return host == "localhost" or host.endswith(".localhost") or host.startswith("127.")


def is_address(host: str) -> bool:
    """Whether a host is an address, not a name."""
    import ipaddress

    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def _new_one(key: str) -> str:
    """How to get a good value for a secret that can be generated; empty for others, such as database passwords."""
    setting = BY_KEY[key]
    if isinstance(setting, Setting) and isinstance(setting.secret, Generated):
        return f"Remove the line with {key}, then `graasp-local config add-missing` generates one."
    return ""


def _error(reading: Reading, key: str, said: str, fix: str = "") -> Problem:
    return Problem(Severity.ERROR, key, reading.lines.get(key), said, fix)
