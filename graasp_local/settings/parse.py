"""From the text of a `.env` to settings that can be worked with, or to an error that names line and key.

Reads nothing itself: `site.py` hands in the text.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

from graasp_local.errors import ConfigurationError
from graasp_local.settings.table import SETTINGS

# Headers that nginx or the browser already gives a meaning to cannot carry the bypass.
_TAKEN_HEADERS = frozenset(
    {"accept", "accept-encoding", "accept-language", "authorization", "cache-control", "connection", "content-length"}
    | {"content-type", "cookie", "expect", "host", "keep-alive", "origin", "range", "referer", "te", "upgrade"}
    | {"transfer-encoding", "user-agent", "x-forwarded-for", "x-forwarded-proto", "x-real-ip"}
)

_TAKEN_PREFIXES = ("if-", "sec-", "proxy-", "x-forwarded-", "access-control-")


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
