"""`graasp-local probe`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, pass_context, print_json
from graasp_local.cli.speaking import say

if TYPE_CHECKING:
    from graasp_local.engine.nginx.prober import Change


@click.command("probe")
@click.option(
    "--seconds", type=options.Seconds(0.1, 86400), help="Stop after this many seconds. Default: run until Ctrl-C."
)
@click.option(
    "--json", "json_lines", is_flag=True, help="Print one JSON line for each change; the last has the totals."
)
@pass_context
def command(context: Context, seconds: float | None, *, json_lines: bool) -> None:
    """Send requests as a visitor does, with and without the bypass, and report every change in the answers.

    Changes nothing, and works in every state, even during a deployment.
    """
    import threading

    from graasp_local.planning.states import Gate

    def show(change: Change) -> None:
        at = datetime.fromtimestamp(change.at, UTC)
        if json_lines:
            stamp = at.isoformat(timespec="milliseconds")
            print_json({"event": "met", "at": stamp, "side": change.side.value, "met": change.met.value})
        else:
            say(f"{at.strftime('%H:%M:%S.%f')[:-3]} UTC  {change.side:<8} {change.met}")

    prober = context.prober(show)
    if seconds is None:
        say("Sending requests until Ctrl-C.", err=True)
    prober.start()
    try:
        threading.Event().wait(seconds)
    except KeyboardInterrupt:
        say(err=True)
    report = prober.stop(Gate.UNKNOWN)
    if json_lines:
        print_json({"event": "probed", **report.as_json()})
        return
    for line in report.as_lines():
        say(line)
    if report.downtime_seconds is not None:
        say(f"Visitors were not served for {report.downtime_seconds:.2f} of {report.seconds:.1f} s.")
