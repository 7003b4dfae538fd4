"""`graasp-local resume`."""

from __future__ import annotations

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, pass_context


@click.command("resume")
@options.json_lines
@options.yes
@options.lock_wait
@options.on_failure
@pass_context
def command(context: Context, *, json_lines: bool, yes: bool, lock_wait: float, on_failure: str) -> None:
    """Go on with a deployment that was killed, interrupted or held after a failure.

    Every step looks first and does only what is missing, so this is the same walk once more.
    """
    from graasp_local.cli.walking import How, walk
    from graasp_local.operations import recovery

    how = How(dry_run=False, as_json=json_lines, ask=not yes and not json_lines, lock_wait=lock_wait)
    walk(
        context,
        "resume",
        "graasp-local resume",
        how,
        lambda world: lambda observed: recovery.resume_plan(world, observed),
        on_failure,
    )
