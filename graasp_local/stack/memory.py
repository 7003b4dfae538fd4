"""How much memory the services of a site may take together, as their compose files say. Needs no engine."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from pathlib import Path

from graasp_local.stack.services import filled_in, services_in

_UNITS = {"": 1, "b": 1, "k": 1024, "kb": 1024, "m": 1024**2, "mb": 1024**2, "g": 1024**3, "gb": 1024**3}


def memory_limits(files: Sequence[Path], values: Mapping[str, str], services: Collection[str]) -> dict[str, int]:
    """Bytes by service, for those of these services that have a limit. Raises ConfigurationError."""
    limits: dict[str, int] = {}
    for file in files:
        for name, definition in services_in(file).items():
            written = definition.get("mem_limit") or _deployed(definition)
            size = in_bytes(filled_in(str(written), values)) if written is not None else None
            if name in services and size is not None:
                limits[name] = size
    return limits


def in_bytes(text: str) -> int | None:
    """`512m`, `1.5g`, `1073741824`, as Compose reads them; None for what is no size."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([kmg]?b?)", text.strip().lower())
    return int(float(found[1]) * _UNITS[found[2]]) if found else None


def _deployed(definition: Mapping[str, object]) -> object:
    """The limit as `deploy.resources.limits.memory` has it."""
    found: object = definition
    for key in ("deploy", "resources", "limits", "memory"):
        found = found.get(key) if isinstance(found, Mapping) else None
    return found
