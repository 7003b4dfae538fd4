"""Messages from threads to the UI. Threads never touch a widget: they post one of these."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from graasp_local.operations.plans import Shown
    from graasp_local.planning.requests import Request
    from graasp_local.ports.live import AvailableVersions, Usage
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
class OperationTold(Message):
    """Records of the operation that was started here, in the order they were written."""

    records: list[dict[str, Any]]


@dataclass
class OperationElsewhere(FromWatching):
    """Whether another process is running an operation, and the records it has written since the last message."""

    under_way: bool
    records: list[dict[str, Any]]


@dataclass
class PlanMade(Message):
    """The plan for a request; `estimate` is in words, empty if the site stays open."""

    request: Request
    shown: Shown
    estimate: str
    visited: tuple[str, ...] = ()
    """The services that visitors reach."""
    powers: tuple[str, ...] = ()
    """What the site's own compose file asks of the machine, and which requests are running, in sentences."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """By step name, how long each step that counts keeps the site closed, and what that figure is based on."""


@dataclass
class LossFound(Message):
    """What a rollback would discard, as the beginning of a sentence."""

    what: str


@dataclass
class PlanRefused(Message):
    """Why there is no plan."""

    request: Request
    sentences: tuple[str, ...]


@dataclass
class VersionsFound(Message):
    """What can be deployed."""

    found: AvailableVersions


@dataclass
class Said(Message):
    """A sentence for the user about something that a thread did."""

    text: str
    severity: str = "information"
