"""The loops that threads run for the screens: observing on changes, reading usage, following operations.

They know nothing of Textual: each gets a function to deliver what it found, and ends soon after `stop` is set. The site
is not observed on a timer, but when the engine reports a change, when its files change, and every few seconds after
a failure.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from msgspec.structs import replace

from graasp_local.clock import InterruptionFlag
from graasp_local.errors import ConfigurationError, GraaspLocalError
from graasp_local.files import json_in
from graasp_local.journal.closings import closings, seconds_within
from graasp_local.journal.read import in_current_words, read_recent, read_since
from graasp_local.journal.status import with_its_state
from graasp_local.journal.write import operation_number
from graasp_local.lock import Holder, current_holder
from graasp_local.planning.states import Gate
from graasp_local.ports.live import LiveEngine, Stream, Usage
from graasp_local.ports.observation import observe
from graasp_local.site.site import Site
from graasp_local.tui.drawing.month import DAYS, LastDays
from graasp_local.tui.drawing.trouble import Trouble, TroubleKind
from graasp_local.tui.model import Reception, SiteView, services_of
from graasp_local.tui.ports import Access

_RETRY_SECONDS = 2.0
_BURST_SECONDS = 0.08
_USAGE_SECONDS = 5.0
_USAGE_SHARE = 250
"""The pause after a round of readings, as a multiple of its CPU time: keeps usage under half a percent of a core."""


class Observer:
    """Observes the site once, and again on `look_again` or when the engine reports a change."""

    def __init__(self, access: Access) -> None:
        self._access = access
        self.stop = threading.Event()
        self._dirty = threading.Event()
        self._connected = threading.Event()
        self._site: Site | None = None
        self.live: LiveEngine | None = None
        self._changes: Stream[str] | None = None
        self._is_complete = True
        self._core_answers: bool | None = None

    def look_again(self) -> None:
        self._dirty.set()

    def forget_site(self) -> None:
        """Read the site's files again, because they have changed."""
        self._site = None
        self._dirty.set()

    def close(self) -> None:
        """End every loop. May be called from any thread."""
        self.stop.set()
        self._dirty.set()
        self._connected.set()
        if self._changes is not None:
            self._changes.close()

    def look(self, deliver: Callable[[SiteView | Trouble], object]) -> None:
        """The loop that observes the site."""
        while not self.stop.is_set():
            self._dirty.clear()
            found = self.look_once()
            if self.stop.is_set():
                return
            deliver(found)
            if isinstance(found, Trouble):
                self._dirty.wait(_RETRY_SECONDS)
            else:
                self._connected.set()
                asked = self._with_answer_of_core(found)
                if asked != found:
                    deliver(asked)
                if not self._is_complete:
                    continue
                # The engine does not report when core answers again.
                self._dirty.wait(_RETRY_SECONDS if asked.reception is Reception.ERRORS else None)
                # Treat a burst of changes as one.
                self.stop.wait(_BURST_SECONDS)

    def follow_changes(self) -> None:
        """The loop that follows the engine's changes; after a lost connection it asks for a refresh and reconnects."""
        while not self.stop.is_set():
            self._connected.wait()
            if self.stop.is_set() or self.live is None:
                return
            with suppress(GraaspLocalError):
                self._changes = self.live.changes()
                # Catch what happened between the observation and the connection.
                self._dirty.set()
                for _ in self._changes:
                    self._dirty.set()
            if self.stop.is_set():
                return
            self._connected.clear()
            self._dirty.set()

    def _with_answer_of_core(self, view: SiteView) -> SiteView:
        """The view with core's answer, asked for after the rest is shown because a hanging core takes long."""
        if view.observed.gate is not Gate.OPEN or view.state is None:
            self._core_answers = None
        else:
            self._core_answers = self._edge.core() is not None
        return replace(view, core_answers=self._core_answers)

    def look_once(self) -> SiteView | Trouble:
        """The site as it is now, without asking core."""
        try:
            site = self._site or self._access.site()
        except ConfigurationError as error:
            return Trouble(TroubleKind.NO_SITE, error.sentences)
        try:
            if not site.env_file.exists():
                self._site = None
                said = (f"There is no site in {site.directory}: it has no .env.", "Nothing was changed.")
                return Trouble(TroubleKind.NO_SITE, said)
            settings = site.settings
            if self._site is None or self.live is None:
                self.live = self._access.live(site)
                self._edge = self._access.world(site, InterruptionFlag(), lambda _: None).edge
                self._site = site
            listing = self.live.listing()
            self._is_complete = listing.is_complete
            observed = observe(lambda: listing.seen, self._edge.gate, page_when_stopped=settings.page_when_stopped)
            return SiteView(
                project=settings.project,
                directory=str(site.directory),
                url=settings.public_url,
                selected=site.selected_version,
                observed=observed,
                services=services_of(listing, observed),
                journal=read_recent(site.journal_directory),
                holder=current_holder(site.lock_file),
                core_answers=self._core_answers if observed.gate is Gate.OPEN else None,
            )
        except ConfigurationError as error:
            self._site = None
            return Trouble(TroubleKind.SETTINGS, error.sentences)
        except GraaspLocalError as error:
            self._site = None
            return Trouble(TroubleKind.ENGINE, error.sentences)
        except OSError as error:
            self._site = None
            what = f"{error.filename or 'A file of the site'} cannot be read: {error.strerror or error}."
            return Trouble(TroubleKind.SETTINGS, (what, "Nothing was changed.", "Fix its permissions or its location."))


def last_days(site: Site, gate: Gate, now: float) -> LastDays:
    """What the journal says about the last thirty days, given the current gate."""
    begin = now - DAYS * 86_400.0
    operations = read_since(site.journal_directory, begin)
    shares = seconds_within(closings(operations, gate, now), begin, now)
    heard = min((moment.at for operation in operations for moment in operation.gate_moments), default=now)
    deployments = tuple(
        operation
        for operation in with_its_state(operations, current_holder(site.lock_file))
        if operation.is_deployment and operation.touched and operation.began >= begin
    )
    return LastDays(now, now - max(begin, heard), sum(shares), len(shares), deployments)


def read_usage(
    latest: Callable[[], LiveEngine | None],
    containers: Callable[[], Sequence[tuple[str, str]]],
    deliver: Callable[[Mapping[str, Usage]], object],
    stop: threading.Event,
) -> None:
    """The loop that reads usage. `containers` gives the currently visible ones, as pairs of service and container.

    `latest` gives the current live engine, which changes after the site's files have changed.
    """
    while not stop.is_set():
        began = time.thread_time()
        found: dict[str, Usage] = {}
        live = latest()
        for service, container in containers() if live is not None else ():
            if stop.is_set() or live is None:
                return
            with suppress(GraaspLocalError):
                usage = live.usage(container)
                if usage is not None:
                    found[service] = usage
        if found:
            deliver(found)
        stop.wait(max(_USAGE_SECONDS if found else 1.0, (time.thread_time() - began) * _USAGE_SHARE))


class JournalFollower:
    """Reads what was added to an operation's journal since the last read."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._offset = 0
        self._rest = b""

    def new_records(self) -> list[dict[str, Any]]:
        try:
            with self.file.open("rb") as stream:
                stream.seek(self._offset)
                added = stream.read()
        except OSError:
            return []
        self._offset += len(added)
        *complete, self._rest = (self._rest + added).split(b"\n")
        records = []
        for line in complete:
            with suppress(ValueError):
                record = json_in(line)
                if isinstance(record, dict) and "event" in record:
                    records.append(in_current_words(record))
        return records


def newest_journal(directory: Path) -> Path | None:
    """The file of the newest operation."""
    return max(directory.glob("*.jsonl"), key=operation_number, default=None)


class SiteFiles:
    """The site's files that the engine knows nothing of: settings, lock, and the journal of an operation elsewhere."""

    def __init__(self, site: Site, own_pid: int) -> None:
        self._site = site
        self._own_pid = own_pid
        self._follower: JournalFollower | None = None
        self._stamps: tuple[float, ...] = self._times()
        self._holder: Holder | None = None

    def changed(self) -> bool:
        """Whether settings or the selected version were written since the last call."""
        before, self._stamps = self._stamps, self._times()
        return before != self._stamps

    def operation_elsewhere(self) -> tuple[bool, list[dict[str, Any]]]:
        """Whether another process is running an operation, and its journal records since the last call."""
        holder = current_holder(self._site.lock_file)
        if holder is not None and holder.pid != self._own_pid:
            if self._holder != holder:
                self._holder, self._follower = holder, None
            newest = newest_journal(self._site.journal_directory)
            if newest is not None and (self._follower is None or self._follower.file != newest):
                self._follower = self._fresh_follower(newest, holder)
            return True, self._follower.new_records() if self._follower else []
        if self._holder is not None:
            # The lock is free: what was written just before that still counts.
            self._holder = None
            follower, self._follower = self._follower, None
            return False, follower.new_records() if follower else []
        return False, []

    def _fresh_follower(self, newest: Path, holder: Holder) -> JournalFollower | None:
        """None while the newest journal still belongs to an earlier operation."""
        follower = JournalFollower(newest)
        records = follower.new_records()
        if not records or records[0].get("pid") != holder.pid or records[-1].get("event") == "operation-ended":
            return None
        return JournalFollower(newest)

    def _times(self) -> tuple[float, ...]:
        files = (self._site.env_file, self._site.override_file, self._site.version_file)
        return tuple(_modified(file) for file in files)


def watch_files(
    access: Access,
    own_pid: int,
    on_change: Callable[[], None],
    on_operation: Callable[[bool, list[dict[str, Any]]], object],
    stop: threading.Event,
) -> None:
    """The loop that watches the site's files: slow by default, fast while another process runs an operation."""
    files: SiteFiles | None = None
    was_under_way = False
    while not stop.is_set():
        if files is None:
            with suppress(GraaspLocalError):
                files = SiteFiles(access.site(), own_pid)
        if files is not None:
            if files.changed():
                on_change()
            under_way, records = files.operation_elsewhere()
            if records or under_way != was_under_way:
                on_operation(under_way, records)
            if under_way != was_under_way:
                on_change()
            was_under_way = under_way
        stop.wait(0.1 if was_under_way else 0.5)


def _modified(file: Path) -> float:
    try:
        return file.stat().st_mtime
    except OSError:
        return 0.0
