"""Shows a plan before anything is done: its steps, what to know about them, and how long they will close the site."""

from __future__ import annotations

from graasp_local.cli.speaking import say
from graasp_local.planning.estimate import Estimate
from graasp_local.planning.plan import Plan, render
from graasp_local.site.site import Site


def show_plan(site: Site, plan: Plan, estimate: Estimate | None, running: str, *, err: bool) -> None:
    """`running` is what `running_requests` says about requests that are in flight now."""
    from graasp_local.site.check import told_powers

    say(render(plan), err=err)
    for sentence in told_powers(site) if plan.steps else ():
        say(sentence, err=err, fg="yellow")
    if running:
        say(running, err=err, fg="yellow")
    _say_forecast(plan, estimate, err=err)


def _say_forecast(plan: Plan, estimate: Estimate | None, *, err: bool) -> None:
    """A sentence, and a line for each part that counts; nothing if the site is already closed, or will stay closed."""
    if plan.keeps_open:
        say("The site stays open.", err=err)
    elif estimate is not None:
        say(f"Expected downtime: {estimate.described()}", err=err)
        for line in estimate.lines():
            say(line, err=err, dim=True)
