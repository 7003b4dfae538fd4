"""How the screens reach a site, as a protocol. The real one is in cli/tui.py, a fake in tests/tui/fakes.py.

Nothing here does anything.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from graasp_local.clock import Interruption
from graasp_local.ports.live import LiveEngine
from graasp_local.ports.world import World
from graasp_local.site.site import Site


class Access(Protocol):
    """How the UI reaches a site. A site is found anew each time, since its files may have been mended meanwhile."""

    def at(self, directory: Path, *, read_only: bool) -> Access:
        """How another site is reached; unless it is only looked at, what was cut off there is finished first."""
        ...

    def site(self) -> Site:
        """Raises ConfigurationError where there is no site; does not read its settings."""
        ...

    def world(self, site: Site, interruption: Interruption, narrate: Callable[[str], None]) -> World: ...
    def live(self, site: Site) -> LiveEngine: ...
    def new_site_directory(self) -> Path:
        """Where `init` would make a site."""
        ...

    def command(self, verb: str, arguments: Sequence[str]) -> tuple[str, ...]:
        """What to run for a verb of the command line on this site. Raises ConfigurationError where there is none."""
        ...

    def init(self) -> Site:
        """Make a site there. Raises ConfigurationError if there is one."""
        ...
