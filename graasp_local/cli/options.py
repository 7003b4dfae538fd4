"""Options that several verbs share."""

from __future__ import annotations

import math
import re
from collections.abc import Callable
from typing import Any, TypeVar

import click

_Command = TypeVar("_Command", bound=Callable[..., Any])

dry_run = click.option("--dry-run", is_flag=True, help="Check, show the plan, and change nothing.")

json_lines = click.option(
    "--json", "json_lines", is_flag=True, help="Print one JSON line for each event; the last has the outcome."
)

yes = click.option(
    "-y", "--yes", is_flag=True, help="Do not ask for confirmation. Without a terminal, nothing is asked."
)

yes_without_loss = click.option(
    "-y", "--yes", is_flag=True, help="Do not ask for confirmation. Discarding data needs --discard as well."
)


def discard(what: str, told: str) -> Callable[[_Command], _Command]:
    """A script's consent to losing `what`; without it, `discarded` is None."""
    return click.option("--discard", "discarded", type=click.Choice([what]), help=told)


class Seconds(click.FloatRange):
    """A number within its range; `nan` compares as neither below nor above it, and would never be waited for."""

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> float:
        found = float(super().convert(value, param, ctx))
        if math.isnan(found):
            self.fail(f"{value} is not a number of seconds.", param, ctx)
        return found


lock_wait = click.option(
    "--lock-wait",
    type=Seconds(0, 86400),
    default=0.0,
    metavar="SECONDS",
    help="Wait up to this long for another graasp-local command on this site, instead of refusing at once.",
)

drain_limit = click.option(
    "--drain-limit",
    type=Seconds(0, 3600),
    default=10.0,
    show_default=True,
    help="Seconds to wait for running requests, such as uploads, once the site is closed. Then they are cut off.",
)


class Duration(click.ParamType[float]):
    """`60s`, `2m`, `1h`, or a bare number of seconds; greater than zero."""

    name = "duration"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, int | float):
            return float(value)
        found = re.fullmatch(r"(\d+(?:\.\d+)?) ?(s|m|min|h)?", str(value).strip())
        seconds = float(found[1]) * {"m": 60, "min": 60, "h": 3600}.get(found[2], 1) if found else 0.0
        if not 0 < seconds < 366 * 86400:
            self.fail(f"{value!r} is not a duration, such as 60s, 2m or 1h.", param, ctx)
        return seconds


max_downtime = click.option(
    "--max-downtime",
    type=Duration(),
    metavar="DURATION",
    help="Refuse to start if the forecast says that the site may be closed for longer than this: 60s, 2m, or a bare "
    "number of seconds.",
)

on_failure = click.option(
    "--on-failure",
    type=click.Choice(["rollback", "hold"]),
    default="rollback",
    show_default=True,
    help="What to do after a failure while the site is closed: roll back, or leave everything as it is.",
)
