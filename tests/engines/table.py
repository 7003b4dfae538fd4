"""docs/engines.md: a row for each engine, as it was seen last. Rows that are not seen now are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from tests.engines.checks import CHECKS

_HEAD = """\
# Engines

Which Docker engines, image stores, and versions of Compose and Python graasp-local was tried with.
[`scripts/test-engines`](../scripts/test-engines) writes this page from a real run. It starts each engine with the
[demo images](../scripts/demo-images/README.md), and removes it afterwards. Each check shows how long it took. That
depends on what else the machine was doing, so the figures are not a benchmark. If a check is empty, it was not reached,
because an earlier one failed. A + after the commit means uncommitted changes, such as a row of this page.
The engines come from Debian: `stable` and `newest` are its releases. A row that begins with a version is of an engine
whose programs were in a directory (`--programs`); what was not there, such as containerd, came from Debian.

"""


class Row(Struct, frozen=True):
    """What an engine says of itself, and what each check came to."""

    name: str
    engine: str
    store: str
    api: str
    compose: str
    python: str
    seen: str
    results: Mapping[str, str] = field(default_factory=dict)

    @property
    def passed(self) -> bool:
        return all(self.results.get(name, "failed") != "failed" for name in CHECKS)

    def with_results(self, results: Mapping[str, str]) -> Row:
        return replace(self, results=results)

    @property
    def line(self) -> str:
        about = (self.name, self.engine, self.store, self.api, self.compose, self.python)
        return f"| {' | '.join((*about, *(self.results.get(name, '') for name in CHECKS), self.seen))} |"


def written(file: Path, rows: Sequence[Row]) -> str:
    """The whole page, with these rows in the place of those of the same name, or at the end."""
    text = file.read_text() if file.exists() else ""
    lines = {_name(line): line for line in text.splitlines() if line.startswith("| ") and "---" not in line}
    heads = ("run", "engine", "store", "API", "Compose", "Python", *CHECKS, "last run")
    lines.pop("run", None)
    lines.update({row.name: row.line for row in rows})
    table = [f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines.values()]
    return _HEAD + "\n".join(table) + "\n"


def _name(line: str) -> str:
    return line.split("|")[1].strip()
