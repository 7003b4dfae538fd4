"""Which versions are offered for the typed text, best match first. Enter takes the marked one. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from graasp_local.ports.live import AvailableVersion
from graasp_local.version import Version


def offered(found: Sequence[AvailableVersion], text: str) -> tuple[AvailableVersion, ...]:
    """The versions that contain the text, an exact match first.

    A complete version that is not among them is offered too, although neither this machine nor the registry has it.
    """
    typed = text.strip()
    needle = typed.removeprefix("v").casefold()
    matching = tuple(entry for entry in found if needle in str(entry.version).casefold())
    exact = Version.parse_or_none(typed)
    if exact is None:
        return matching
    same = tuple(entry for entry in matching if entry.version == exact)
    others = tuple(entry for entry in matching if entry.version != exact)
    return (*(same or (AvailableVersion(exact, local=False, published=False),)), *others)
