"""What happens to a walk that was begun in the UI when the UI is closed."""

from __future__ import annotations

import signal
import sys
from contextlib import suppress
from typing import Any

from graasp_local.plain_text import plain_text
from graasp_local.tui.walk_run import WalkRun, now
from graasp_local.tui.walk_view import WalkView, advanced, in_words


def wait_for_walk(run: WalkRun) -> int:
    """Stay until the walk has ended, saying in plain lines what it does; returns its exit code.

    It goes on only where somebody asked for that; otherwise it is ended at the next safe point. A terminal that is
    closed meanwhile changes nothing about either; ctrl-C asks for the end.
    """
    if run.ended.is_set():
        return run.exit_code
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: run.end_soon())
    if run.goes_on_without_ui:
        _print(f"The walk goes on here: {run.intention.command}")
    else:
        run.end_soon()
        _print("The UI was closed: ending the walk at the next safe point.")
    run.deliver_to(_say)
    # In short waits, because a signal is only looked at between them.
    while not run.ended.wait(0.2):
        pass
    return run.exit_code


def _say(record: dict[str, Any]) -> None:
    for line in told_lines(record):
        _print(line)


def told_lines(record: dict[str, Any]) -> tuple[str, ...]:
    """One record of a walk for a terminal, without colour. Pure but for the time of the last one."""
    match record["event"]:
        case "step-started":
            return (f"  · {record['title']}",)
        case "rollback-started":
            return (*record["problem"], "Putting the site back:")
        case "step-output":
            return (f"      {record['text']}",)
        case "step-ended":
            mark = "✓" if record["outcome"] == "done" else "✗"
            return (f"  {mark} {record['name']}  {record['seconds']:.2f} s",)
        case "walk-ended":
            problem = tuple(text for text in record["problem"] if text)
            return (*problem, in_words(advanced(WalkView(), record, now())))
        case _:
            return ()


def _print(line: str) -> None:
    with suppress(OSError):  # the terminal may be gone; the walk is not
        print(plain_text(line), file=sys.stderr, flush=True)  # noqa: T201
