"""What it means when a registry does not provide an image, and what to type about it. Pure."""

from __future__ import annotations

import re
from enum import Enum, auto

from graasp_local.images.pins import registry_of
from graasp_local.ports.images import IS_NOWHERE


class Refusal(Enum):
    """Why a registry did not provide an image."""

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
"""The first match counts: registries and engines word these errors in many ways."""


def refusal(said: str) -> Refusal:
    """The meaning of the engine's error when a registry did not provide an image."""
    text = said.lower()
    return next((meaning for meaning, sign in _SIGNS if re.search(sign, text)), Refusal.OTHER)


def why_not_had(image: str, said: str) -> str:
    """The end of a sentence about `image`, from the engine's error when it asked the registry."""
    registry = registry_of(image)
    login, logout = f"docker login {registry}".strip(), f"docker logout {registry}".strip()
    match refusal(said):
        case Refusal.WANTS_LOGIN:
            return f"the registry requires a login (401); run `{login}`"
        case Refusal.TOO_MANY:
            return f"the registry's pull limit is reached (429); wait, or raise it with `{login}`"
        case Refusal.NO_ANSWER:
            return "it is not on the engine, and the registry did not answer"
        case Refusal.FORBIDDEN:
            return (
                "the registry denied access (403): a login has expired, or the image is private; "
                f"run `{logout}`, or `{login}` again"
            )
        case Refusal.MISSING:
            return IS_NOWHERE
        case Refusal.OTHER:
            return f"it is not on the engine, and the registry answered: {said.strip()}"
