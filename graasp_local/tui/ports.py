"""How the screens reach a site, as a protocol. The real one is in cli/tui.py, a fake in tests/tui/fakes.py."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Protocol

from graasp_local.clock import Interruption
from graasp_local.ports.live import LiveEngine
from graasp_local.ports.world import World
from graasp_local.site.site import Site


class Access(Protocol):
    """How the UI reaches a site. The site is looked up again on each call, since its files may have been fixed."""

    def at(self, directory: Path, *, read_only: bool) -> Access:
        """Access to another site; unless `read_only`, a rotation that was cut off there is finished first."""
        ...

    def site(self) -> Site:
        """The site, without reading its settings. Raises ConfigurationError if there is none."""
        ...

    def world(self, site: Site, interruption: Interruption, narrate: Callable[[str], None]) -> World: ...
    def live(self, site: Site) -> LiveEngine: ...
    def new_site_directory(self) -> Path:
        """Where `init` would create a site."""
        ...

    def command(self, verb: str, arguments: Sequence[str]) -> tuple[str, ...]:
        """The command that runs a command-line verb on this site. Raises ConfigurationError if there is no site."""
        ...

    def init(self) -> Site:
        """Create a site in that directory. Raises ConfigurationError if there already is one."""
        ...
