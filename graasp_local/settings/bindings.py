"""The lines of a `.env`, parsed. The library that handles quotes is loaded only for a file that has any. Pure."""

from __future__ import annotations

import io
import re
from collections.abc import Iterator

Binding = tuple[int, str, str | None, str | None]
"""A line's number, the line itself, its key and its value; key or value is None if it is not KEY=value."""

_PLAIN_LINE = re.compile(r"(?P<key>[A-Z][A-Z0-9_]*)=(?P<value>[A-Za-z0-9_./:@%+,-]*)|#.*|", re.ASCII)
"""A line that every reader of .env files understands alike: no quotes, no blanks, nothing to expand."""


def plain_bindings(text: str) -> list[Binding] | None:
    """Every binding of a file of plain lines, as `init` writes it; None if it has any other line."""
    bindings: list[Binding] = []
    for number, line in enumerate(text.split("\n"), start=1):
        found = _PLAIN_LINE.fullmatch(line)
        if found is None:
            return None
        if found["key"]:
            bindings.append((number, line, found["key"], found["value"]))
    return bindings


def parsed_bindings(text: str) -> Iterator[Binding]:
    """The bindings of any file."""
    from dotenv.parser import parse_stream

    for binding in parse_stream(io.StringIO(text)):
        original = binding.original.string
        # The parser counts blank lines before a binding as part of it.
        line = binding.original.line + original[: len(original) - len(original.lstrip())].count("\n")
        if binding.error:
            yield line, original, None, None
        elif binding.key is not None:
            yield line, original, binding.key, binding.value
