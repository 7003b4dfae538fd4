"""`graasp-local compose -- …`."""

from __future__ import annotations

import os

import click

from graasp_local.cli.context import Context, pass_context


@click.command("compose", context_settings={"ignore_unknown_options": True})
@click.option(
    "--for-version", "version_text", help="Use another version than the selected one, and show `migrate` too."
)
@click.option(
    "--for-database",
    "server",
    nargs=2,
    metavar="IMAGE VOLUME",
    help="Use another database server than the selected one, as an upgrade of Postgres does.",
)
@click.argument("arguments", nargs=-1, type=click.UNPROCESSED)
@pass_context
def command(
    context: Context, version_text: str | None, server: tuple[str, str] | None, arguments: tuple[str, ...]
) -> None:
    """Run docker compose with the site's files, environment and project name, such as `compose -- ps`.

    It goes past states, gate, lock and journal: meant for looking, and for repeating what a walk has shown.
    """
    from graasp_local.engine.compose import Compose, compose_version, forget_shell_overrides
    from graasp_local.planning.server import DatabaseServer
    from graasp_local.site import prepare
    from graasp_local.site.selection import Release
    from graasp_local.version import Version

    if version_text and server:
        raise click.UsageError("Only one of --for-version and --for-database can be given.")
    candidate = Version.parse(version_text) if version_text else DatabaseServer(*server) if server else None
    prepare.refuse_if_not_ours(context.site)
    prepare.prepare(context.site)
    compose_version()
    forget_shell_overrides(context.site)
    compose, selection = Compose(context.site, lambda _: None), context.site.selection
    if isinstance(candidate, Version) and candidate == selection.version:
        compose.use_release(Release(candidate, selection.images))
    words = ["docker", "compose", *compose.arguments(candidate), *arguments]
    os.execvp("docker", words)  # noqa: S606
