"""Says, before an operation, how long it will close the site."""

from __future__ import annotations

from graasp_local.cli.speaking import say
from graasp_local.planning.estimate import Estimate
from graasp_local.planning.plan import Plan


def say_forecast(plan: Plan, estimate: Estimate | None, *, err: bool) -> None:
    """A sentence, and a line for each part that counts; nothing if the site is already closed, or will stay closed."""
    if plan.keeps_open:
        say("The site stays open.", err=err)
    elif estimate is not None:
        say(f"The site will be closed for {estimate.described()}:", err=err)
        for line in estimate.lines():
            say(line, err=err, dim=True)
