"""What is told before an operation of how long it will close the site."""

from __future__ import annotations

from graasp_local.cli.speaking import say
from graasp_local.planning.estimate import Estimate
from graasp_local.planning.plan import Plan


def say_forecast(plan: Plan, estimate: Estimate | None, *, err: bool) -> None:
    """A sentence, and a line for each part that counts; nothing where the site is closed already, or stays closed."""
    if plan.keeps_open:
        say("The site stays open.", err=err)
    elif estimate is not None:
        say(f"The site will be closed for {estimate.described()}:", err=err)
        for line in estimate.lines():
            say(line, err=err, dim=True)
