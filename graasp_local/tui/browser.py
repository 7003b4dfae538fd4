"""Whether a browser can be opened where the user would see it. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def has_browser(environment: Mapping[str, str], platform: str) -> bool:
    """True on a desktop and when the UI itself runs in a browser; over ssh a text browser would garble the UI."""
    if "TEXTUAL_DRIVER" in environment:
        return True
    if "SSH_CONNECTION" in environment and "DISPLAY" not in environment:
        return False
    return platform == "darwin" or "DISPLAY" in environment or "WAYLAND_DISPLAY" in environment
