"""What happens to a walk that was begun in the UI when the UI is closed."""

from __future__ import annotations

import sys
from typing import Any

from graasp_local.tui.walk_run import WalkRun, now
from graasp_local.tui.walk_view import WalkView, advanced, in_words


def wait_for_walk(run: WalkRun) -> int:
    """Stay until the walk has ended, saying in plain lines what it does; returns its exit code.

    It goes on only where somebody asked for that; otherwise it is ended at the next safe point.
    """
    if not run.ended.is_set():
        if run.goes_on_without_ui:
            print("The walk goes on here:", run.intention.command, file=sys.stderr)  # noqa: T201
        else:
            run.interruption.request()
            print("The UI was closed: ending the walk at the next safe point.", file=sys.stderr)  # noqa: T201
        narration = _Narration()
        run.deliver_to(narration.say)
        run.ended.wait()
    return run.exit_code


class _Narration:
    def __init__(self) -> None:
        self._view = WalkView()

    def say(self, record: dict[str, Any]) -> None:
        for line in _lines(record):
            print(line, file=sys.stderr, flush=True)  # noqa: T201
        if record["event"] == "walk-ended":
            self._view = advanced(self._view, record, now())
            print(in_words(self._view), flush=True)  # noqa: T201


def _lines(record: dict[str, Any]) -> tuple[str, ...]:
    match record["event"]:
        case "step-started":
            return (f"  · {record['title']}",)
        case "step-output":
            return (f"      {record['text']}",)
        case "step-ended":
            mark = "✓" if record["outcome"] == "done" else "✗"
            return (f"  {mark} {record['name']}  {record['seconds']:.2f} s",)
        case "walk-ended":
            return tuple(text for text in record["problem"] if text)
        case _:
            return ()
