"""Why there is no dashboard. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class TroubleKind(StrEnum):
    """Why there is no dashboard."""

    NO_SITE = "no-site"
    SETTINGS = "settings"
    ENGINE = "engine"


@dataclass(frozen=True, slots=True)
class Trouble:
    """What stands between a person and the dashboard, in sentences."""

    kind: TroubleKind
    sentences: tuple[str, ...]
