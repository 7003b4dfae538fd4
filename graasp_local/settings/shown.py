"""A site's settings for display: each with the source of its value, secrets hidden. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum

from msgspec import Struct

from graasp_local.settings.table import ALL, Option, Setting, is_secret


class Source(StrEnum):
    """Where a value comes from."""

    ENV = ".env"
    DEFAULT = "default"
    MISSING = "missing"


class Shown(Struct, frozen=True):
    """One setting for display; `value` is None for a secret that was not asked for."""

    key: str
    source: Source
    value: str | None


def without_secrets(shown: Shown) -> Shown:
    """The same, without the value of a secret."""
    hidden = is_secret(shown.key) and bool(shown.value)
    return Shown(shown.key, shown.source, None) if hidden else shown


def shown_settings(written: Mapping[str, str]) -> Iterator[Shown]:
    """Every setting, secrets included; then everything else in `.env`."""
    for item in ALL:
        if written.get(item.key):
            yield Shown(item.key, Source.ENV, written[item.key])
            continue
        match item:
            case Option(key=key, default=default):
                yield Shown(key, Source.DEFAULT, default)
            case Setting(key=key, required=False, default=make):
                yield Shown(key, Source.DEFAULT, make())
            case Setting(key=key):
                yield Shown(key, Source.MISSING, "")
    known = {item.key for item in ALL}
    yield from (Shown(key, Source.ENV, value) for key, value in written.items() if key not in known)
