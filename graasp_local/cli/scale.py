"""`graasp-local scale SERVICE=NUMBER`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, pass_context
from graasp_local.cli.speaking import can_ask, say
from graasp_local.errors import ExitCode, GraaspLocalError, UsageError


@click.command("scale")
@click.argument("sizes", nargs=-1, required=True, metavar="SERVICE=NUMBER...")
@options.dry_run
@options.json_lines
@options.yes
@options.lock_wait
@pass_context
def command(
    context: Context, sizes: tuple[str, ...], *, dry_run: bool, json_lines: bool, yes: bool, lock_wait: float
) -> None:
    """Set how many containers of core or workers run. Writes the number to .env, then starts or removes containers.

    This neither closes nor opens the site, and no visitor's request is cut off.
    """
    from graasp_local.cli.operating import OperationOptions, operation, refusals_as_json
    from graasp_local.clock import InterruptionFlag, SystemClock
    from graasp_local.files import write_atomically
    from graasp_local.lock import Patience, held_lock
    from graasp_local.operations.plans import shown_plan
    from graasp_local.planning.requests import Scale
    from graasp_local.settings.rotation import with_options
    from graasp_local.settings.table import REPLICAS

    with refusals_as_json(wanted=json_lines):
        wanted = _wanted(sizes)
        request = Scale(tuple(f"{service}={number}" for service, number in wanted.items()))
        if dry_run:
            operation(context, request, OperationOptions(dry_run=True, as_json=json_lines, ask=False))
        context.refuse_if_not_ours()
        plan = shown_plan(context.world(InterruptionFlag()), request).plan
        if plan.hint and not yes and can_ask():
            say(plan.hint, err=True)
            if not click.confirm("Go ahead?", default=True, err=True):
                say("Nothing was changed.", err=True)
                sys.exit(ExitCode.DONE)
        file = context.site.env_file
        settings = {REPLICAS[service]: str(number) for service, number in wanted.items()}
        patience = Patience(lock_wait, SystemClock(), InterruptionFlag())
        with held_lock(context.site.lock_file, request.command, patience):
            before = context.site.read_env()
            after = with_options(before, settings)
            write_atomically(file, after, mode=0o600)
    context.forget_site()
    said = " and ".join(f"{key}={number}" for key, number in settings.items())
    say(f"Wrote {said} to {file}.", err=True)
    if not plan.steps:
        say("No container has to be started or removed.", err=True)
    try:
        operation(context, request, OperationOptions(dry_run=False, as_json=json_lines, ask=False, lock_wait=lock_wait))
    except (SystemExit, GraaspLocalError, KeyboardInterrupt) as ended:
        # Anything but an exit code means that nothing was begun, so then the old number is restored too.
        refused = not isinstance(ended, SystemExit) or ended.code in (ExitCode.REFUSED, ExitCode.LOCKED)
        if refused and file.read_text() == after:
            write_atomically(file, before, mode=0o600)
        raise


def _wanted(sizes: Sequence[str]) -> dict[str, int]:
    """How many of each service. Raises UsageError."""
    from graasp_local.settings.rules import value_error
    from graasp_local.settings.table import REPLICAS

    wanted: dict[str, int] = {}
    for size in sizes:
        service, _, number = size.partition("=")
        if service not in REPLICAS:
            raise UsageError(
                f"{service[:64]!r} cannot be scaled: only {' and '.join(REPLICAS)} can.",
                "Nothing was changed.",
                "For example: `graasp-local scale core=2`.",
            )
        said = value_error(REPLICAS[service], number)
        if said or service in wanted:
            said = said or "is given twice"
            raise UsageError(
                f"The number of containers of {service} {said}.",
                "Nothing was changed.",
                f"For example: `graasp-local scale {service}=2`.",
            )
        wanted[service] = int(number)
    return wanted
