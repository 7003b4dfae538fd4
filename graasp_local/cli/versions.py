"""`graasp-local versions`."""

from __future__ import annotations

import click

from graasp_local.cli.context import Context, pass_context, print_json
from graasp_local.cli.speaking import say


@click.command("versions")
@click.option("--json", "json_object", is_flag=True, help="Print one JSON object.")
@pass_context
def command(context: Context, *, json_object: bool) -> None:
    """List the versions of Graasp on this machine and in the registry, newest first; * marks the selected one."""
    from graasp_local.engine.images.versions import DEFAULT_REPOSITORY, find_versions

    selected = context.site.selected_version
    repository = context.site.settings.values.get("GRAASP_REPOSITORY") or DEFAULT_REPOSITORY
    found = find_versions(context.engine(), repository)
    if json_object:
        print_json(
            {
                "repository": found.repository,
                "registry_problem": found.problem or None,
                "versions": [
                    {
                        "version": str(entry.version),
                        "local": entry.local,
                        "published": entry.published,
                        "selected": entry.version == selected,
                    }
                    for entry in found.versions
                ],
            }
        )
        return
    for entry in found.versions:
        where = ", ".join(
            word for word, there in (("on the engine", entry.local), ("in the registry", entry.published)) if there
        )
        say(f"{'*' if entry.version == selected else ' '} {entry.version!s:<28} {where}")
    if found.problem:
        say(f"The registry of {found.repository} did not answer ({found.problem}).", err=True)
    elif not found.versions:
        say(f"No version of {found.repository} was found.", err=True)
