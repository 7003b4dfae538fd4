"""Why there is no dashboard. Pure."""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class TroubleKind(StrEnum):
    """Why there is no dashboard."""

    NO_SITE = "no-site"
    SETTINGS = "settings"
    ENGINE = "engine"


class Trouble(Struct, frozen=True):
    """What stands between a person and the dashboard, in sentences."""

    kind: TroubleKind
    sentences: tuple[str, ...]
