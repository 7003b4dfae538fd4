"""What threads tell the UI. Threads touch no widget: they post one of these."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from textual.message import Message

if TYPE_CHECKING:
    from graasp_local.operations.run import Shown
    from graasp_local.planning.requests import Request
    from graasp_local.ports.live import AvailableVersions, Usage
    from graasp_local.tui.drawing.month import LastDays
    from graasp_local.tui.model import SiteView
    from graasp_local.tui.trouble import Trouble


class FromWatching(Message):
    """What a thread found that watches the site; `watch` is set when that is not the site of the UI any more."""

    watch: threading.Event | None = None

    @property
    def is_of_another_site(self) -> bool:
        return self.watch is not None and self.watch.is_set()


@dataclass
class SiteSeen(FromWatching):
    """The site as it is just now; an older one that was not handled yet is replaced."""

    view: SiteView

    def can_replace(self, message: Message) -> bool:
        return isinstance(message, SiteSeen)


@dataclass
class TroubleSeen(FromWatching):
    """Why the site cannot be seen."""

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
    """Records of the operation that was begun here, in the order in which they were written."""

    records: list[dict[str, Any]]


@dataclass
class OperationElsewhere(FromWatching):
    """Whether another process operations, and what it has written meanwhile."""

    under_way: bool
    records: list[dict[str, Any]]


@dataclass
class PlanMade(Message):
    """The plan for what a person wants; `estimate` is in words, empty where the site stays open."""

    request: Request
    shown: Shown
    estimate: str
    visited: tuple[str, ...] = ()
    """The services that visitors are led to."""
    powers: tuple[str, ...] = ()
    """What the site's own compose file asks of the machine, in sentences."""
    reasons: Mapping[str, str] = field(default_factory=dict)
    """How long each step that counts keeps the site closed, and what that is known from, by the step's name."""


@dataclass
class LossFound(Message):
    """What going back would discard, as the beginning of a sentence."""

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
    """A sentence for the person, after something that a thread did."""

    text: str
    severity: str = "information"
