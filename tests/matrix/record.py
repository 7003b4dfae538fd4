"""What a case of the matrix reports: one row of the table in docs/reliability.md."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass
class Record:
    """`family` and `case` name it; `did` is what was done, `saw` the result, `data` what was compared."""

    family: str
    case: str
    did: str = ""
    saw: str = ""
    data: str = ""

    def as_json(self) -> dict[str, Any]:
        return {"family": self.family, "case": self.case, "did": self.did, "saw": self.saw, "data": self.data}
