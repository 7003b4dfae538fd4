"""What the threads that watch a site post to the app. Threads never touch a widget."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from graasp_local.ports.live import Usage
    from graasp_local.tui.drawing.month import LastDays
    from graasp_local.tui.drawing.trouble import Trouble
    from graasp_local.tui.model import SiteView


class FromWatching(Message):
    """What a thread that watches the site found; `watch` is set once the UI no longer shows that site."""

    watch: threading.Event | None = None

    @property
    def is_of_another_site(self) -> bool:
        return self.watch is not None and self.watch.is_set()


@dataclass
class SiteSeen(FromWatching):
    """The site as it is now; replaces an older message that was not handled yet."""

    view: SiteView

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SiteSeen)


@dataclass
class TroubleSeen(FromWatching):
    """Why the site cannot be observed."""

    trouble: Trouble


@dataclass
class UsageRead(FromWatching):
    """One round of readings, by service."""

    usage: Mapping[str, Usage]


@dataclass
class DaysRead(FromWatching):
    """The last thirty days."""

    days: LastDays


@dataclass
class OperationElsewhere(FromWatching):
    """Whether another process is running an operation, and the records it has written since the last message."""

    under_way: bool
    records: list[dict[str, Any]]
