"""The table of engines in docs/reliability.md: a row for each, from its last run. Rows not run now are kept."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from msgspec import Struct, field
from msgspec.structs import replace

from tests.engines.checks import CHECKS

BEGIN, END = "<!-- The engines begin: written by scripts/test-engines -->", "<!-- The engines end -->"


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


def written(page: Path, rows: Sequence[Row]) -> str:
    """The whole page, with these rows in the place of those of the same name, or at the end of the table."""
    above, _, rest = page.read_text().partition(BEGIN)
    table, _, below = rest.partition(END)
    lines = {_name(line): line for line in table.splitlines() if line.startswith("| ") and "---" not in line}
    heads = ("run", "engine", "store", "API", "Compose", "Python", *CHECKS, "last run")
    lines.pop("run", None)
    lines.update({row.name: row.line for row in rows})
    table = "\n".join((f"| {' | '.join(heads)} |", f"|{'---|' * len(heads)}", *lines.values()))
    return f"{above}{BEGIN}\n\n{table}\n\n{END}{below}"


def _name(line: str) -> str:
    return line.split("|")[1].strip()
