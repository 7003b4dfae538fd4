"""`graasp-local upgrade-database --to 17`."""

from __future__ import annotations

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, pass_context


@click.command("upgrade-database")
@click.option(
    "--to", "major", type=click.IntRange(10, 99), help="Major version of Postgres. Default: that of the image."
)
@click.option(
    "--image",
    help=(
        "Postgres image. Default: DB_IMAGE in .env if it is of that major version, otherwise the current image with "
        "another tag."
    ),
)
@options.dry_run
@options.json_lines
@options.yes
@options.on_failure
@options.drain_limit
@options.lock_wait
@options.max_downtime
@pass_context
def command(
    context: Context,
    major: int | None,
    image: str | None,
    *,
    dry_run: bool,
    json_lines: bool,
    yes: bool,
    on_failure: str,
    drain_limit: float,
    lock_wait: float,
    max_downtime: float | None,
) -> None:
    """Upgrade the database to a newer major version of Postgres: from 15 to 16 or 17, or from 16 to 17.

    A new server is filled next to the old one and compared with it; only then does the site switch to
    it. Until then, visitors see the maintenance page, and umami is off too. The old volume is kept.
    """
    from graasp_local.cli.operating import OperationOptions, operation
    from graasp_local.planning.requests import OnFailure, UpgradeDatabase

    options = OperationOptions(
        dry_run=dry_run,
        as_json=json_lines,
        ask=not yes and not json_lines,
        lock_wait=lock_wait,
        max_downtime=max_downtime,
    )
    operation(context, UpgradeDatabase(major, image, OnFailure(on_failure), drain_limit), options)
