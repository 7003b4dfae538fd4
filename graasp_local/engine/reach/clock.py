"""By how much the clock of the engine's machine differs from this one's.

An engine elsewhere dates its containers, logs and events by its own clock. What is compared with a time of this machine
is converted first, so that a clock that is wrong changes no decision.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any


def ahead_by(info: Callable[[], Mapping[str, Any]], clock: Callable[[], float] = time.time) -> float:
    """How many seconds the engine's clock is ahead of this machine's, according to `info`; 0 if that does not say."""
    asked = clock()
    stamp = str(info().get("SystemTime") or "")
    now = (asked + clock()) / 2
    try:
        return datetime.fromisoformat(stamp).timestamp() - now
    except ValueError:
        return 0.0
