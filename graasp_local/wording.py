"""Sentences that more than one interface uses; how lists, sizes and times are put into words; what a terminal may be
shown. Pure.

`plain_text` is the one filter for text from elsewhere: logs, labels, names, answers of registries, output of
migrations. A terminal obeys sequences hidden in text: it moves the cursor over earlier output, writes to the clipboard,
changes its title, types answers. The filter removes everything that a terminal could obey, or that reorders what a
person reads; tabs and line ends stay.
"""

from __future__ import annotations

import re
from typing import Any

STOPPING = "Stopping at the next safe point. Press Ctrl-C again to quit now and leave the site half-changed."
PUTTING_BACK = (
    "The rollback is running and will be finished. Press Ctrl-C again to quit now and leave the site half-changed."
)
LEFT_AS_IT_IS = "Left as it is. `graasp-local status` says where the site stands, and what to type next."
"""The answers to a first Ctrl-C, to one during a rollback, and to a second one."""

_SEQUENCE = re.compile(
    r"(?:\x1b[PX^_\]]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # whole strings: OSC, DCS, …
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colors, cursor, screen
    r"|\x1b[ -/]*[0-Z\\^-~]"  # short ones: character sets, reset
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # remains of any of these, backspace, carriage return, C1
    r"|[\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"  # writing direction, unusual line ends
)
_UNWRITABLE = re.compile(r"[\ud800-\udfff]")
"""Bytes in a name that are not valid text: writing them would fail."""


def listed(names: tuple[str, ...]) -> str:
    """`a`, `a and b`, `a, b and c`; nothing for no names."""
    *others, last = names or ("",)
    return f"{', '.join(others)} and {last}" if others else last


def counted(number: int, noun: str) -> str:
    """`1 container`, `2 containers`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size_in_words(count: int) -> str:
    """Bytes as `3 MB`, at least 1 MB; from 1000 MB on as `1.2 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def seconds_in_words(seconds: float) -> str:
    """`30.2 s`; from two minutes on `15 min 47 s`, from two hours on `3 h 5 min`, from two days on `2 d 4 h`."""
    if seconds < 119.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 2880:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def in_a_sentence(title: str) -> str:
    """A step's title within a sentence: `close the gate`."""
    return title[:1].lower() + title[1:]


def plain_text(text: str) -> str:
    """The text without anything that a terminal would obey."""
    if text.isprintable():  # nearly all are
        return text
    return _UNWRITABLE.sub("\N{REPLACEMENT CHARACTER}", _SEQUENCE.sub("", text))


def plain_line(text: str) -> str:
    """The same on one line, for a table cell or a name: text from elsewhere must not add lines."""
    return plain_text(text).replace("\n", " ").replace("\t", " ")


def plain_values(value: Any) -> Any:
    """The same for every text in a JSON value."""
    match value:
        case str():
            return plain_text(value)
        case dict():
            return {key: plain_values(item) for key, item in value.items()}
        case list() | tuple():
            return [plain_values(item) for item in value]
        case _:
            return value
