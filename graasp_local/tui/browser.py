"""Whether a browser can be opened where the user would see it, and which process serves the UI to one. Pure."""

from __future__ import annotations

from collections.abc import Mapping

SERVER_VARIABLE = "_GRAASP_LOCAL_TUI_SERVER"
"""The process that serves this UI to a browser. Not its parent's id alone: that process may end before the UI is up."""


def has_browser(environment: Mapping[str, str], platform: str) -> bool:
    """True on a desktop and when the UI itself runs in a browser; over ssh a text browser would garble the UI."""
    if "TEXTUAL_DRIVER" in environment:
        return True
    if "SSH_CONNECTION" in environment and "DISPLAY" not in environment:
        return False
    return platform == "darwin" or "DISPLAY" in environment or "WAYLAND_DISPLAY" in environment
