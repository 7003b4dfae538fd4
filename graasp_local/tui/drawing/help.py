"""The help text in two columns: keys that change the site, keys that look at it, and keys for moving around. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import zip_longest

from graasp_local.tui.tones import Line, Piece, Tone, padded, plain
from graasp_local.verbs import TABLE, Effect, shown_key

Entry = tuple[str, str]
"""Keys as printed, and what they do."""

WORDS = {
    "init": "create a site here",
    "status": "refresh",
    "plan": "change the state",
    "apply": "change the state",
    "deploy": "deploy a version",
    "versions": "deploy a version",
    "resume": "finish an operation",
    "rollback": "undo the last deployment",
    "restore": "restore a backup",
    "history": "earlier operations",
    "logs": "logs on the whole screen",
    "bypass": "how to pass a closed gate",
    "open": "open it in a browser",
    "shell": "a shell in the service",
    "restart": "restart the service",
    "details": "details of the service",
    "maintenance-page": "the maintenance page",
    "watch": "the running operation",
    "sites": "open another site",
    "theme": "dark or light",
    "help": "these keys",
    "quit": "close the UI",
}
"""A few words for each verb with a key, to fit half a line of the narrowest terminal. Same words, same action."""

MOVING: tuple[Entry, ...] = (
    ("j k ↑ ↓", "move"),
    ("g G", "first, last"),
    ("tab 1 2", "services, log"),
    ("enter", "choose"),
    ("esc", "back"),
    ("/", "filter the list"),
    (": ^p", "every command, by name"),
    ("x", "interrupt the operation"),
)
IN_A_LOG: tuple[Entry, ...] = (
    ("/", "filter"),
    ("space", "pause, continue"),
    ("f", "follow the end"),
    ("a", "all services, or one"),
    ("y", "copy what is shown"),
    ("← → w", "pan or wrap long lines"),
    ("n N &", "next match, all lines"),
    ("T [ ]", "times; how far back"),
    ("< >", "narrower, wider names"),
)
SIGNS: tuple[Entry, ...] = (
    ("● ◐ ◌", "now; nearest; last known"),
    ("◎ ━▶", "where it is going"),
    ("┃", "closed during these steps"),
    ("↺", "part of the rollback"),
)
MORE_SIGNS: tuple[Entry, ...] = (
    ("✓ ✗", "ok, failed"),
    ("▶ … ·", "under way, starting, off"),
    ("❯ ›", "the row that keys act on"),  # noqa: RUF001 - as they are drawn
    ("↻ ▁▃▅", "restarts; use over time"),
)


def help_lines(width: int) -> tuple[Line, ...]:
    """Each pair of columns is as tall as the longer one."""
    left, right = _verbs(Effect.CHANGES), _verbs(Effect.LOOKS)
    lines = _columns("Change the site; each asks first", left, "View", right, width)
    keys = (*lines, (), *_columns("Move", MOVING, "In a log", IN_A_LOG, width))
    return (*keys, (), *_columns("Symbols", SIGNS, "", MORE_SIGNS, width))


def _verbs(effect: Effect) -> list[Entry]:
    """The keys with this effect. Keys that do the same share a line, among those that change the site if one does."""
    keys: dict[str, list[str]] = {}
    changing = set()
    for row in TABLE:
        if row.key:
            words = WORDS[row.name]
            keys.setdefault(words, []).append(shown_key(row.key))
            changing |= {words} if row.effect is Effect.CHANGES else set()
    wanted = [words for words in keys if (words in changing) is (effect is Effect.CHANGES)]
    return [(" ".join(keys[words]), words) for words in wanted]


def _columns(left_head: str, left: Sequence[Entry], right_head: str, right: Sequence[Entry], width: int) -> list[Line]:
    half = width // 2
    lines: list[Line] = [(*plain(padded(left_head, half), Tone.QUIET), *plain(right_head, Tone.QUIET))]
    for one, other in zip_longest(left, right, fillvalue=("", "")):
        lines.append((*_entry(one, half), *_entry(other, width - half)))
    return lines


def _entry(entry: Entry, width: int) -> Line:
    keys, words = entry
    return (Piece(padded(keys, 9), Tone.KEY), Piece(padded(words, width - 9)))
