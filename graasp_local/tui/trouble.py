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
    """Why the dashboard cannot be shown, with an explanation in sentences."""

    kind: TroubleKind
    sentences: tuple[str, ...]
