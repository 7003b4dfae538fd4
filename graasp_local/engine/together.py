"""One engine call for each of several containers, all at the same time."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

Item = TypeVar("Item")


def together(call: Callable[[Item], object], items: Sequence[Item]) -> None:
    """Return when all calls have ended; raises the first exception, if any.

    If the interpreter is already shutting down, one after the other: it no longer starts threads.
    """
    if not items:
        return
    with ThreadPoolExecutor(len(items)) as pool:
        try:
            calls = [pool.submit(call, item) for item in items]
        except RuntimeError:  # raised for the first one: nothing was called
            calls = []
    if not calls:
        for item in items:
            call(item)
    for done in calls:
        done.result()
