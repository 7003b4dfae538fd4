"""Lists as lines, one row each, with columns that fit the width: services, versions, operations, states. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from graasp_local.planning.states import InfraState
from graasp_local.tui.drawing.month import ending_of, sign_of
from graasp_local.tui.drawing.site import meaning
from graasp_local.tui.drawing.trouble import Trouble, TroubleKind
from graasp_local.tui.figures import age, ago_of, bars, moment, size, zone
from graasp_local.tui.tones import Line, Piece, Tone, padded, right
from graasp_local.wording import seconds_in_words

if TYPE_CHECKING:
    from graasp_local.backup.manifest import Manifest
    from graasp_local.journal.records import OperationRecord
    from graasp_local.ports.live import AvailableVersion
    from graasp_local.tui.model import Service, SiteView
    from graasp_local.tui.readings import Reading
    from graasp_local.version import Version


class Row(Struct, frozen=True):
    """A line of a list, and the key that identifies it."""

    key: str
    line: Line
    told: str = ""
    """Further text that the filter searches, if the line does not contain all of it."""

    @property
    def words(self) -> str:
        """The text that the filter searches."""
        return f"{''.join(piece.text for piece in self.line)} {self.told}".casefold()


class Table(Struct, frozen=True):
    """Rows below a heading; an empty heading takes no line."""

    heading: Line
    rows: tuple[Row, ...]


_LEAST_NAME = 6
_TONE_OF_MARK = {"✓": Tone.OK, "·": Tone.QUIET, "✗": Tone.BAD, "…": Tone.BUSY}


def _heading(heads: Sequence[str], widths: Sequence[int], at_right: Sequence[str] = ()) -> Line:
    return tuple(
        Piece(right(head, width) if head in at_right else padded(head, width), Tone.QUIET)
        for head, width in zip(heads, widths, strict=True)
    )


def services_table(
    services: Sequence[Service],
    readings: Mapping[str, Reading],
    now: float,
    width: int,
    *,
    wider: int = 0,
    is_fresh: bool = True,
) -> Table:
    """The services by group; with room to spare the history gets longer and the image is shown in full.

    `wider` is how many cells to add to the name column. Unless `is_fresh`, CPU and memory are dim.
    """
    spare = max(0, width - 78)
    longest = max([7, *(len(s.name) for s in services)]) + 1
    name_width = min(longest, 12 + spare // 4)
    bars_width = min(24, 4 + spare // 8)
    tag_width = 8 + min(18, spare // 4)
    # If a long name leaves too little room, every column that can spare a cell gives it up.
    given = min(1, max(0, name_width - 8 - spare))
    name_width = max(_LEAST_NAME, min(longest, name_width + wider))
    use, drawn = (Tone.PLAIN, Tone.ACCENT) if is_fresh else (Tone.QUIET, Tone.QUIET)
    up_width, memory_width, memory_bars = 8 - given, 8 - given, bars_width - given
    columns = (15, 2, name_width, 10, tag_width - given, up_width, 3, 6, bars_width + 1, memory_width, memory_bars + 1)
    heads = ("GROUP", "", "SERVICE", "STATUS", "IMAGE", "UP", "↻", "CPU", "", "MEMORY", "")
    heading = _heading(heads, columns, at_right=("↻", "CPU", "MEMORY"))
    rows, before = [], None
    for service in services:
        group = service.observed.group
        tone = _TONE_OF_MARK[service.mark]
        reading = readings.get(service.name) if service.runs else None
        started = service.container.started_at if service.container and service.runs else None
        restarts = str(service.container.restarts) if service.container else ""
        # Doubled so that steady use is drawn as a line at half height, not as a full block.
        memory_top = 2 * max(reading.memory_history, default=0) if reading else 0
        line = (
            Piece(padded("" if group is before else group.value, columns[0]), Tone.QUIET),
            Piece(padded(service.mark, columns[1]), tone),
            Piece(padded(service.name, columns[2] - 1) + " ", Tone.STRONG if service.runs else Tone.QUIET),
            Piece(padded(service.state_word, columns[3]), tone if tone is not Tone.OK else Tone.PLAIN),
            Piece(padded(service.image_tag, columns[4] - 1) + " "),
            Piece(padded(age(now - started) if started is not None else "", columns[5])),
            Piece(right(restarts, columns[6]), Tone.BUSY if restarts not in ("", "0") else Tone.QUIET),
            Piece(right(_percent(reading), columns[7]), use),
            Piece(" " + (bars(reading.history, bars_width, 5) if reading else " " * bars_width), drawn),
            Piece(right(size(reading.last.memory_bytes) if reading else "", columns[9]), use),
            Piece(" " + (bars(reading.memory_history, memory_bars, memory_top) if reading else ""), drawn),
        )
        rows.append(Row(service.name, line))
        before = group
    return Table(heading, tuple(rows))


def _percent(reading: Reading | None) -> str:
    if reading is None or reading.cpu_percent is None:
        return ""
    return f"{reading.cpu_percent:.1f} %" if reading.cpu_percent < 10 else f"{reading.cpu_percent:.0f} %"


def versions_table(found: Sequence[AvailableVersion], running: str, selected: Version | None) -> Table:
    """Newest first; the running and the selected version are marked in words."""
    longest = max([12, *(len(str(entry.version)) for entry in found)])
    registry = 17 if any(entry.published for entry in found) else 0  # no room for an empty column
    rows = []
    for entry in found:
        text = str(entry.version)
        is_running, is_selected = text == running, entry.version == selected
        current = "running now" if is_running else ("selected" if is_selected else "")
        if not (entry.local or entry.published or current):
            rows.append(Row(text, (Piece(f"  deploy exactly {text}", Tone.STRONG),)))
            continue
        line = (
            Piece("● " if current else "  ", Tone.OK),
            Piece(padded(text, longest + 2), Tone.STRONG),
            Piece(padded("on the engine" if entry.local else "", 17), Tone.QUIET),
            Piece(padded("in the registry" if entry.published else "", registry), Tone.QUIET),
            Piece(current, Tone.OK),
        )
        rows.append(Row(text, line))
    return Table((), tuple(rows))


def backups_table(found: Sequence[Manifest], now: float, width: int) -> Table:
    """Newest first: when each was taken, its version and size, and before which deployment."""
    since_width = 14 if width >= 90 else 0
    columns = (14 + since_width, 14, 10)
    heading = _heading((f"TAKEN ({zone()})", "VERSION", "SIZE"), columns)
    rows = []
    for manifest in found:
        before = f"before the deployment of {manifest.before}" if manifest.before else ""
        line = (
            Piece(padded(moment(manifest.at), 14), Tone.STRONG),
            *((Piece(padded(ago_of(manifest.at, now), since_width), Tone.QUIET),) if since_width else ()),
            Piece(padded(manifest.version, columns[1])),
            Piece(padded(size(manifest.bytes), columns[2])),
            Piece(before, Tone.QUIET),
        )
        rows.append(Row(manifest.name, line))
    return Table(heading if rows else (), tuple(rows))


def history_table(operations: Sequence[OperationRecord], now: float, width: int) -> Table:
    """Newest first: command, outcome, duration, how long the site was closed, and the forecast of that."""
    # On narrow screens the state is left out; opening the operation step by step shows it too.
    state_width = 11 if width >= 96 else 0
    forecast_width = 16 if width >= 112 else 0
    when_width = 28 if width >= 112 else 14
    columns = (
        when_width,
        max(22, width - when_width - 16 - 10 - 12 - forecast_width - state_width),
        16,
        10,
        12,
        forecast_width,
        state_width,
    )
    heads = (f"WHEN ({zone()})", "COMMAND", "OUTCOME", "TOOK", "CLOSED FOR", "FORECAST", "STATE")
    heading = tuple(
        Piece(right(h, w - 2) + "  " if h in ("TOOK", "CLOSED FOR") else padded(h, w), Tone.QUIET)
        for h, w in zip(heads, columns, strict=True)
        if w
    )
    rows = []
    for operation in reversed(operations):
        mark, tone = sign_of(operation)
        line = (
            Piece(padded(moment(operation.at), 14)),
            *((Piece(padded(ago_of(operation.at, now), when_width - 14), Tone.QUIET),) if when_width > 14 else ()),
            Piece(padded(operation.command.removeprefix("graasp-local "), columns[1] - 1) + " ", Tone.STRONG),
            Piece(padded(f"{mark} {ending_of(operation)}", columns[2]), tone),
            Piece(right(_seconds(operation.seconds), columns[3] - 2) + "  "),
            Piece(right(_seconds(operation.downtime_seconds), columns[4] - 2) + "  "),
            Piece(padded(operation.forecast_in_words, columns[5]) if forecast_width else "", Tone.QUIET),
            Piece(padded(operation.state, columns[6]) if state_width else "", Tone.QUIET),
        )
        rows.append(Row(operation.operation, line, f"{operation.version} {operation.state}"))
    return Table(heading, tuple(rows))


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else seconds_in_words(seconds)


def sites_table(sites: Sequence[str], found: Mapping[str, SiteView | Trouble], here: str, home: str) -> Table:
    """Each site with its state and version, or why there are none, as far as known. `home` is written as ~."""
    columns = (18, 16, 14, 9)
    heading = _heading(("  SITE", "STATE", "VERSION", "DIRECTORY"), columns)
    rows = []
    for site in sites:
        told = found.get(site)
        name, state, version, tone = site.rpartition("/")[2], "checking …", "", Tone.QUIET
        if isinstance(told, Trouble):
            state, tone = _IN_TROUBLE[told.kind], Tone.BAD
        elif told is not None:
            name, version = told.project, told.version
            state = told.state.value if told.state is not None else "no containers"
            tone = Tone.OK if told.drift is None else Tone.BAD
            state = f"{'●' if told.drift is None else '◐'} {state}"
        line = (
            Piece("● " if site == here else "  ", Tone.OK),
            Piece(padded(name, columns[0] - 3) + " ", Tone.STRONG),
            Piece(padded(state, columns[1] - 1) + " ", tone),
            Piece(padded(version, columns[2] - 1) + " "),
            Piece(f"~{site[len(home) :]}" if home and site.startswith(f"{home}/") else site, Tone.QUIET),
        )
        rows.append(Row(site, line))
    return Table(heading, tuple(rows))


_IN_TROUBLE = {
    TroubleKind.NO_SITE: "no site",
    TroubleKind.SETTINGS: "settings error",
    TroubleKind.ENGINE: "no engine",
}


def states_table(view: SiteView) -> Table:
    """The four states and what each means; the current one is marked."""
    rows = []
    for state in InfraState:
        here = view.state is state and view.drift is None
        mark = Piece("● " if here else "○ ", Tone.OK if here else Tone.QUIET)
        told = meaning(state, page_when_stopped=view.observed.page_when_stopped)
        line = (mark, Piece(padded(state.value, 12), Tone.STRONG), Piece(told, Tone.QUIET))
        rows.append(Row(state.value, line))
    return Table((), tuple(rows))
