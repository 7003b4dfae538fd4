"""The one filter for text from elsewhere: logs, labels, names, answers of registries, output of migrations.

A terminal obeys sequences hidden in text: it moves the cursor over earlier output, writes to the clipboard, changes its
title, types answers. This filter removes everything that a terminal could obey, or that reorders what a person reads;
tabs and line ends stay. Pure.
"""

from __future__ import annotations

import re
from typing import Any

_SEQUENCE = re.compile(
    r"(?:\x1b[PX^_\]]|[\x90\x98\x9d-\x9f])[^\x07\x1b\x9c]*(?:\x07|\x1b\\|\x9c)"  # whole strings: OSC, DCS, …
    r"|(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]"  # CSI: colors, cursor, screen
    r"|\x1b[ -/]*[0-Z\\^-~]"  # short ones: character sets, reset
    r"|[\x00-\x08\x0b-\x1f\x7f-\x9f]"  # remains of any of these, backspace, carriage return, C1
    r"|[\u061c\u200e\u200f\u2028\u2029\u202a-\u202e\u2066-\u2069]"  # writing direction, unusual line ends
)
_UNWRITABLE = re.compile(r"[\ud800-\udfff]")
"""Bytes in a name that are not valid text: writing them would fail."""


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
