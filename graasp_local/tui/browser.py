"""Whether a browser can be opened that the person would see. Pure."""

from __future__ import annotations

from collections.abc import Mapping


def has_browser(environment: Mapping[str, str], platform: str) -> bool:
    """On a desktop, and where the UI is in a browser itself; over ssh one made for terminals would spoil the UI."""
    if "TEXTUAL_DRIVER" in environment:
        return True
    if "SSH_CONNECTION" in environment and "DISPLAY" not in environment:
        return False
    return platform == "darwin" or "DISPLAY" in environment or "WAYLAND_DISPLAY" in environment
