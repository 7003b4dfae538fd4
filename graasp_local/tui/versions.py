"""Which of the versions a person means by what was typed and where the cursor is. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from graasp_local.ports.live import AvailableVersion
from graasp_local.version import Version


def matching(found: Sequence[AvailableVersion], text: str) -> tuple[AvailableVersion, ...]:
    """Those whose name contains the text."""
    needle = text.strip().removeprefix("v").casefold()
    return tuple(entry for entry in found if needle in str(entry.version).casefold())


def wanted_version(typed: str, under_cursor: str | None) -> Version:
    """What was typed if it is a version by itself, else the one under the cursor. Raises UsageError."""
    exact = Version.parse_or_none(typed.strip())
    if exact is not None:
        return exact
    return Version.parse(under_cursor if under_cursor is not None else typed.strip())
