"""What it means when a registry does not give an image, and what to type about it. Pure."""

from __future__ import annotations

import re

from graasp_local.pins import registry_of


def why_not_had(image: str, said: str) -> str:
    """The end of a sentence about `image`, from what the engine said when it asked the registry."""
    text = said.lower()
    registry = registry_of(image)
    login = f"docker login {registry}".strip()
    if re.search(r"no basic auth credentials|unauthorized|authentication required|\b401\b", text):
        return f"the registry wants a login (401), which `{login}` gives the engine"
    if re.search(r"toomanyrequests|too many requests|\b429\b", text):
        return f"the registry allows no more pulls just now (429), and more of them after `{login}`"
    if re.search(r"no such host|connection refused|timeout|dial tcp|\beof\b|connection reset", text):
        return "it is not on this machine, and the registry does not answer"
    if re.search(r"\b403\b|forbidden|denied|token has expired", text):
        logout = f"docker logout {registry}".strip()
        return (
            "the registry refuses (403), as for a login that has expired or an image that is not for everybody; "
            f"`{logout}`, or `{login}` once more, mends that"
        )
    if "not found" in text or "unknown" in text:
        return "it is neither on this machine nor in the registry"
    return f"it is not on this machine, and the registry says: {said.strip()}"
