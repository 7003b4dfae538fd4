"""Which versions are offered for what was typed, the best first: enter takes the first, or the one that was moved to.

Pure.
"""

from __future__ import annotations

from collections.abc import Sequence

from graasp_local.ports.live import AvailableVersion
from graasp_local.version import Version


def offered(found: Sequence[AvailableVersion], text: str) -> tuple[AvailableVersion, ...]:
    """Those whose name contains the text, the one that is exactly it in front.

    A whole version that is not among them is offered as well: neither this machine nor the registry has it.
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
