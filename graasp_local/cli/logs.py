"""`graasp-local logs [SERVICE]`."""

from __future__ import annotations

import click

from graasp_local.cli.context import Context, pass_context
from graasp_local.cli.speaking import say
from graasp_local.errors import UsageError


@click.command("logs")
@click.argument("service", required=False)
@click.option("-f", "--follow", is_flag=True, help="Follow the log until Ctrl-C.")
@click.option(
    "-n",
    "--lines",
    type=click.IntRange(0, 1_000_000),
    default=100,
    show_default=True,
    help="Number of lines to start with.",
)
@pass_context
def command(context: Context, service: str | None, *, follow: bool, lines: int) -> None:
    """Show the log of SERVICE, or of all services."""
    from graasp_local.engine.site.logs import log_lines

    names = [definition.name for definition in context.site.services]
    if service and service not in names:
        raise UsageError(f"There is no service {service[:64]!r}.", "", f"The services are: {', '.join(names)}.")
    try:
        for name, line in log_lines(context.engine(), service, lines=lines, follow=follow):
            say(line if service else f"{name:<10} {line}")
    except KeyboardInterrupt:
        return
