"""`graasp-local resume`."""

from __future__ import annotations

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, pass_context


@click.command("resume")
@options.json_lines
@options.yes
@options.lock_wait
@click.option(
    "--on-failure",
    type=click.Choice(["rollback", "hold"]),
    help="What to do after a failure while the site is closed: roll back, or leave everything as it is. "
    "Default: as in the first attempt.",
)
@pass_context
def command(context: Context, *, json_lines: bool, yes: bool, lock_wait: float, on_failure: str | None) -> None:
    """Finish an operation that was killed, interrupted, or held after a failure.

    Every step checks first and does only what is missing, so this runs the same plan again, with the options of the
    first attempt: limits, --no-backup, --strategy, --hold, --probe.
    """
    from graasp_local.cli.operating import OperationOptions, operation
    from graasp_local.planning.requests import OnFailure, Resume

    options = OperationOptions(dry_run=False, as_json=json_lines, ask=not yes and not json_lines, lock_wait=lock_wait)
    operation(context, Resume(OnFailure(on_failure) if on_failure else None), options)
