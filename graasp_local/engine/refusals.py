"""What it means when a registry does not give an image, and what to type about it. Pure."""

from __future__ import annotations

import re
from enum import Enum, auto

from graasp_local.images.pins import registry_of
from graasp_local.ports.images import IS_NOWHERE


class Refusal(Enum):
    """Why a registry did not give an image."""

    WANTS_LOGIN = auto()
    TOO_MANY = auto()
    NO_ANSWER = auto()
    FORBIDDEN = auto()
    MISSING = auto()
    OTHER = auto()


_SIGNS = (
    (Refusal.WANTS_LOGIN, r"no basic auth credentials|unauthorized|authentication required|\b401\b"),
    (Refusal.TOO_MANY, r"toomanyrequests|too many requests|\b429\b"),
    (Refusal.NO_ANSWER, r"no such host|connection refused|timeout|dial tcp|\beof\b|connection reset"),
    (Refusal.FORBIDDEN, r"\b403\b|forbidden|denied|token has expired"),
    (Refusal.MISSING, r"not found|unknown"),
)
"""The first that fits counts: registries and engines say these things in many words."""


def refusal(said: str) -> Refusal:
    """What the engine's words mean, when it asked a registry for an image and did not get it."""
    text = said.lower()
    return next((meaning for meaning, sign in _SIGNS if re.search(sign, text)), Refusal.OTHER)


def why_not_had(image: str, said: str) -> str:
    """The end of a sentence about `image`, from what the engine said when it asked the registry."""
    registry = registry_of(image)
    login, logout = f"docker login {registry}".strip(), f"docker logout {registry}".strip()
    match refusal(said):
        case Refusal.WANTS_LOGIN:
            return f"the registry wants a login (401): `{login}`"
        case Refusal.TOO_MANY:
            return f"the registry's pull limit is reached (429); `{login}` raises it"
        case Refusal.NO_ANSWER:
            return "it is not on this machine, and the registry does not answer"
        case Refusal.FORBIDDEN:
            return (
                "the registry refuses (403), as it does for an expired login or a private image: "
                f"`{logout}`, or `{login}` again"
            )
        case Refusal.MISSING:
            return IS_NOWHERE
        case Refusal.OTHER:
            return f"it is not on this machine, and the registry says: {said.strip()}"
