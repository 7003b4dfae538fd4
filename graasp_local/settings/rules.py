"""The rules that a `.env` is judged by: one set, for every command and for `config check`. Pure.

`errors` are what no command goes on with; they follow from the text alone. `warnings` are what a person should look
at: they also need to know what the site's compose files use. Each problem names key and line, never a value.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import SplitResult, urlsplit

from graasp_local.settings.bindings import parsed_bindings, plain_bindings
from graasp_local.settings.strength import weakness
from graasp_local.settings.table import (
    ALL,
    OWN_VARIABLES,
    SETTINGS,
    DatabasePassword,
    FromOutside,
    Generated,
    Setting,
)

# Headers that nginx or the browser already gives a meaning to cannot carry the bypass.
_TAKEN_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "authorization", "cache-control", "connection", "content-length"}
    | {"content-type", "cookie", "expect", "host", "keep-alive", "origin", "range", "referer", "te", "upgrade"}
    | {"transfer-encoding", "user-agent", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"}
)

_TAKEN_PREFIXES = ("if-", "sec-", "proxy-", "x-forwarded-", "access-control-")

_COMPOSES_OWN = ("COMPOSE_", "DOCKER_")
"""Variables that Compose or the engine's client read for themselves."""

_BY_KEY = {item.key: item for item in ALL}


class Severity(StrEnum):
    """An error keeps every command from going on; a warning does not."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Problem:
    """Something wrong with a key: `said` goes on from it ("is missing"), `mend` is what to do, as a sentence.

    `line` is None for what is not in the file; `key` is empty for a line that holds no key.
    """

    severity: Severity
    key: str
    line: int | None
    said: str
    mend: str = ""

    def sentence(self, where: str) -> str:
        """What is wrong, with its place; `where` names the file."""
        place = f"{where}, line {self.line}" if self.line else where
        return f"{place}: {self.key} {self.said}." if self.key else f"{place}: {self.said}."

    def remedy(self, where: str) -> str:
        """What to do about it, as a sentence."""
        return self.mend or f"Set {self.key} in {where}."


@dataclass(frozen=True, slots=True)
class Reading:
    """A `.env` taken apart: values by key, the line of each, and what could not even be read."""

    values: Mapping[str, str]
    lines: Mapping[str, int]
    problems: tuple[Problem, ...]


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a `.env` is used together with: variables that the compose files use, profiles that they define."""

    variables: frozenset[str]
    profiles: frozenset[str]


def read(text: str) -> Reading:
    """Take the text of a `.env` apart. Of a key that is set twice the first value counts."""
    values: dict[str, str] = {}
    lines: dict[str, int] = {}
    problems: list[Problem] = []

    def wrong(key: str, line: int, said: str, mend: str = "") -> None:
        problems.append(Problem(Severity.ERROR, key, line, said, mend))

    for line, original, key, value in plain_bindings(text) or parsed_bindings(text):
        if key is not None and value is not None:
            if "$" in value and f"'{value}'" not in original:
                wrong(key, line, "has a $ that Compose would replace; put it in single quotes")
            if key in lines:
                wrong(key, line, f"is set a second time; line {lines[key]} sets it already")
            else:
                values[key], lines[key] = value, line
        else:
            wrong("", line, "this is not KEY=value", "Mend the line; a value with spaces or a # stands in quotes.")
    return Reading(values, lines, tuple(problems))


def errors(reading: Reading) -> Iterator[Problem]:
    """What no command goes on with."""
    yield from reading.problems
    usable: dict[str, str] = {}
    for setting in ALL:
        value = reading.values.get(setting.key, "")
        if not value:
            if isinstance(setting, Setting) and setting.required:
                how = "empty" if setting.key in reading.lines else "missing"
                yield _error(reading, setting.key, f"is {how}")
        elif not re.fullmatch(setting.pattern, value, re.ASCII):
            yield _error(reading, setting.key, f"should be {setting.expected}")
        else:
            usable[setting.key] = value
    for key, value in usable.items():
        said = value_error(key, value)
        if said:
            yield _error(reading, key, said)
    for key, said in _contradictions(usable):
        yield _error(reading, key, said)


def value_error(key: str, value: str) -> str | None:
    """Why this value of this key cannot be used, as the end of a sentence; None if it can."""
    setting = _BY_KEY[key]
    if not re.fullmatch(setting.pattern, value, re.ASCII):
        return f"should be {setting.expected}"
    if isinstance(setting, Setting) and isinstance(setting.secret, Generated | DatabasePassword):
        return weakness(value)
    match key:
        case "HTTP_PORT" | "DB_PORT":
            return None if 1 <= int(value) <= 65535 else "should be between 1 and 65535"
        case "HTTP_BIND":
            return "is no IPv4 address" if any(int(part) > 255 for part in value.split(".")) else None
        case "MAINTENANCE_HEADER_NAME":
            header = value.lower()
            if header in _TAKEN_HEADERS or header.startswith(_TAKEN_PREFIXES):
                return "is a header that browsers or nginx already use; choose one of your own"
        case "PUBLIC_URL":
            return None if _parts(value) else "is no address that a browser could open"
    return None


def _contradictions(values: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Values that are each usable and cannot be meant together: the key to mend, and why."""
    url = _parts(values.get("PUBLIC_URL", ""))
    host = url.hostname if url else None
    if host and host == values.get("UMAMI_HOST", "").lower():
        yield "UMAMI_HOST", "is the host of PUBLIC_URL: the site itself would no longer be reached"
    cookie_domain = values.get("COOKIE_DOMAIN", "").lower()
    if host and cookie_domain and host != cookie_domain and not host.endswith(f".{cookie_domain}"):
        yield "COOKIE_DOMAIN", f"does not cover {host}, the host of PUBLIC_URL: nobody could log in"
    if values.get("DB_PORT") and values["DB_PORT"] == values.get("HTTP_PORT"):
        yield "DB_PORT", "is the port of HTTP_PORT"


def warnings(reading: Reading, surroundings: Surroundings) -> Iterator[Problem]:
    """What works, or might, and should be looked at."""
    yield from _unknown_keys(reading, surroundings)
    yield from _secrets_used_twice(reading)
    values = reading.values
    for profile in filter(None, values.get("COMPOSE_PROFILES", "").split(",")):
        if profile not in surroundings.profiles:
            known = ", ".join(sorted(surroundings.profiles)) or "none"
            yield _warning(
                reading,
                "COMPOSE_PROFILES",
                f"names {_quoted(profile)}, a profile that no service has{_near(profile, surroundings.profiles)}",
                f"Profiles of this site: {known}.",
            )
    url = _parts(values.get("PUBLIC_URL", ""))
    if url and url.scheme == "https" and values.get("HTTP_BIND") == "0.0.0.0":  # noqa: S104 - compared, not bound
        yield _warning(
            reading,
            "PUBLIC_URL",
            "is https, and nginx speaks plain HTTP on every address of this machine",
            "Put a TLS proxy in front; if it is on this machine, set HTTP_BIND to 127.0.0.1.",
        )
    if url and url.scheme == "http" and not _is_local(url.hostname or ""):
        yield _warning(
            reading,
            "PUBLIC_URL",
            "is http: passwords cross the network in the clear",
            "Put a TLS proxy in front, and write https.",
        )
    if url and url.scheme == "http" and str(url.port or 80) != values.get("HTTP_PORT"):
        yield _warning(
            reading,
            "PUBLIC_URL",
            f"says port {url.port or 80}, and nginx listens on HTTP_PORT",
            "Leave it if a proxy stands between; otherwise let the two agree.",
        )
    if re.search(r"@(localhost|127\.\d+\.\d+\.\d+)(:|$)", values.get("MAILER_CONNECTION", "")):
        yield _warning(
            reading,
            "MAILER_CONNECTION",
            "points to core's own container, where no mail server is: nobody can register or log in by mail",
            "Name the mail server as it is reached from a container.",
        )


def _unknown_keys(reading: Reading, surroundings: Surroundings) -> Iterator[Problem]:
    known = {*_BY_KEY, *surroundings.variables} - OWN_VARIABLES
    for key in reading.values:
        if key in OWN_VARIABLES:
            yield _warning(reading, key, "is graasp-local's own and set by it", f"Take the line with {key} out.")
        elif key not in known and not key.startswith(_COMPOSES_OWN):
            said = f"is no setting, and no compose file uses it{_near(key, known)}"
            yield _warning(reading, key, said, "Mend its name, or take the line out.")


def _secrets_used_twice(reading: Reading) -> Iterator[Problem]:
    first: dict[str, str] = {}
    for setting in SETTINGS:
        value = reading.values.get(setting.key, "")
        if not value or setting.secret is None or isinstance(setting.secret, FromOutside):
            continue
        if value in first:
            yield _warning(
                reading,
                setting.key,
                f"is the same secret as {first[value]}: who learns one has both",
                f"`graasp-local secrets rotate {setting.key}` makes a new one.",
            )
        first.setdefault(value, setting.key)


def _near(name: str, known: set[str] | frozenset[str]) -> str:
    import difflib

    near = difflib.get_close_matches(name, sorted(known), n=1, cutoff=0.7)
    return f"; perhaps {near[0]} is meant" if near else ""


def _quoted(text: str) -> str:
    return f"{text[:40]!r}"


def _parts(url: str) -> SplitResult | None:
    """None for what no browser could open."""
    try:
        parts = urlsplit(url)
        return parts if parts.hostname and parts.port != 0 else None
    except ValueError:
        return None


def _is_local(host: str) -> bool:
    return host == "localhost" or host.endswith((".localhost", ".local", ".test")) or host.startswith("127.")


def _error(reading: Reading, key: str, said: str) -> Problem:
    return Problem(Severity.ERROR, key, reading.lines.get(key), said)


def _warning(reading: Reading, key: str, said: str, mend: str) -> Problem:
    return Problem(Severity.WARNING, key, reading.lines.get(key), said, mend)
