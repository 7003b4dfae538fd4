"""What happens to an operation started in the UI when the UI is closed: it is reported as on the command line."""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import suppress
from typing import Any

from graasp_local.errors import ExitCode
from graasp_local.tui.operation_run import OperationRun
from graasp_local.tui.operation_view import OperationView, advanced, in_words
from graasp_local.wording import LEFT_AS_IT_IS, PUTTING_BACK, STOPPING, plain_text


def wait_for_operation(run: OperationRun) -> int:
    """Wait until the operation has ended, printing what it does in plain lines; returns its exit code.

    It continues only if the user asked for that; otherwise it stops at the next safe point. Closing the terminal
    changes neither. The first Ctrl-C asks it to stop, the second exits without waiting.
    """
    if run.ended.is_set():
        return run.exit_code
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    presses = 0

    def on_signal(*_: object) -> None:
        nonlocal presses
        presses += 1
        if presses > 1:
            _print(f"\n{LEFT_AS_IT_IS}")
            os._exit(ExitCode.INTERRUPTED)
        _print(f"\n{PUTTING_BACK if run.interruption.is_ending else STOPPING}")
        run.end_soon()

    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, on_signal)
    if run.goes_on_without_ui:
        _print(f"The operation continues here: {run.request.command}")
    else:
        run.end_soon()
        _print("The UI was closed: stopping at the next safe point.")
    titles = run.titles
    under_way = titles.get(run.step)
    if under_way is not None:
        _print(f"  · {under_way}")

    def say(record: dict[str, Any]) -> None:
        for line in told_lines(record, titles):
            _print(line)

    run.deliver_to(say)
    # Wait in short intervals, because signals are only handled between them.
    while not run.ended.wait(0.2):
        pass
    return run.exit_code


def told_lines(record: dict[str, Any], titles: dict[int, str]) -> tuple[str, ...]:
    """One record of an operation for a terminal, without color. Pure, except that the last one reads the clock."""
    match record["event"]:
        case "step-started":
            return (f"  · {record['title']}",)
        case "rollback-started":
            return (" ".join((*record["problem"][:1], "Rolling back:")),)
        case "step-output":
            return (f"      {record['text']}",)
        case "step-ended":
            mark = "✓" if record["outcome"] == "done" else "✗"
            return (f"  {mark} {titles.get(record['index'], record['name'])}  {record['seconds']:.2f} s",)
        case "operation-ended":
            problem = tuple(text for text in record["problem"] if text)
            return (*problem, in_words(advanced(OperationView(), record, time.time())))
        case _:
            return ()


def _print(line: str) -> None:
    with suppress(OSError):  # the terminal may be gone; the operation is not
        print(plain_text(line), file=sys.stderr, flush=True)  # noqa: T201
