"""`graasp-local probe`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

import click

from graasp_local.cli.context import Context, pass_context, print_json
from graasp_local.cli.speaking import say

if TYPE_CHECKING:
    from graasp_local.engine.prober import Change


@click.command("probe")
@click.option("--seconds", type=click.FloatRange(0.1, 86400), help="How long to ask. Default: until ctrl-C.")
@click.option("--json", "json_lines", is_flag=True, help="JSON lines on stdout, one a change; the last has the sums.")
@pass_context
def command(context: Context, seconds: float | None, *, json_lines: bool) -> None:
    """Ask the site as visitors do, with the bypass and without, and say whenever they meet something else than before.

    Changes nothing, and works in every state, also while a walk is under way.
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
        say("Asking until ctrl-C.", err=True)
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
        say(f"Not served for {report.downtime_seconds:.2f} of {report.seconds:.1f} s.")
