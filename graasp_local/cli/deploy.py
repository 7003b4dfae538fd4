"""`graasp-local deploy --version X`."""

from __future__ import annotations

import click

from graasp_local.cli import options
from graasp_local.cli.context import Context, pass_context


@click.command("deploy")
@click.option("--version", "version_text", required=True, help="The version, such as 2.14.2 or v2.14.2.")
@options.dry_run
@options.json_lines
@options.yes
@options.lock_wait
@click.option(
    "--no-backup",
    is_flag=True,
    help="Do not back up the database to a file first. A snapshot inside the database server is still taken.",
)
@click.option(
    "--strategy",
    type=click.Choice(["closed", "rolling", "rolling-if-possible", "walk"]),
    metavar="[closed|rolling|rolling-if-possible]",
    help="closed: close the site during the deployment. rolling: keep it open and replace core while visitors are "
    "served; refused if the version needs a migration. rolling-if-possible: rolling, or closed if it is not possible. "
    "Default: DEPLOY_STRATEGY in .env.",
)
@click.option(
    "--hold",
    is_flag=True,
    help="Leave the site restricted, with the new version, so that you can test it through the bypass.",
)
@options.max_downtime
@options.on_failure
@options.drain_limit
@click.option(
    "--migration-limit",
    type=options.Seconds(1, 86400),
    default=1800.0,
    show_default=True,
    help="Seconds after which a migration is stopped and rolled back.",
)
@click.option(
    "--probe",
    is_flag=True,
    help="Send requests as a visitor during the deployment, and measure the downtime from their answers.",
)
@pass_context
def command(
    context: Context,
    version_text: str,
    *,
    dry_run: bool,
    json_lines: bool,
    yes: bool,
    lock_wait: float,
    no_backup: bool,
    strategy: str | None,
    hold: bool,
    max_downtime: float | None,
    on_failure: str,
    drain_limit: float,
    migration_limit: float,
    probe: bool,
) -> None:
    """Deploy a version: close the site, migrate the database, start the new version, verify it, open the site.

    If the version needs no migration, --strategy rolling deploys it without closing the site.

    Everything that can be checked is checked while the site is still open. If a check fails, nothing is changed.
    """
    from graasp_local.cli.operating import OperationOptions, operation, refusals_as_json
    from graasp_local.errors import UsageError
    from graasp_local.planning.plan import Strategy
    from graasp_local.planning.requests import Deploy, OnFailure
    from graasp_local.version import Version

    with refusals_as_json(wanted=json_lines):
        version = Version.parse(version_text)
        if hold and strategy == Strategy.ROLLING:
            raise UsageError(
                "--hold ends behind the closed gate, but --strategy rolling never closes it.",
                "Nothing was changed.",
                "Pass only one of them.",
            )
        _ = context.site.settings
    request = Deploy(
        str(version),
        no_backup,
        Strategy(strategy) if strategy else None,
        hold,
        OnFailure(on_failure),
        drain_limit,
        migration_limit,
        probe,
    )
    options = OperationOptions(
        dry_run=dry_run,
        as_json=json_lines,
        ask=not yes and not json_lines,
        lock_wait=lock_wait,
        max_downtime=max_downtime,
    )
    operation(context, request, options)
