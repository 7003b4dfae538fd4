"""`graasp-local config check`, `config show` and `config add-missing`."""

from __future__ import annotations

import sys

import click

from graasp_local.cli.context import Context, pass_context, print_json
from graasp_local.cli.speaking import say
from graasp_local.errors import ExitCode


@click.group("config")
def command() -> None:
    """Check the settings of the site, show them, or add what a newer graasp-local needs."""


@command.command("check")
@click.option("--json", "json_object", is_flag=True, help="Print one JSON object.")
@pass_context
def check(context: Context, *, json_object: bool) -> None:
    """Check .env and the compose files. Exits with 2 if there are errors, otherwise with 0."""
    from graasp_local.settings.rules import Severity
    from graasp_local.site.check import check_configuration

    found = check_configuration(context.site, _memory_here())
    error_count = sum(finding.severity is Severity.ERROR for finding in found)
    warning_count = len(found) - error_count
    if json_object:
        print_json(
            {
                "file": str(context.site.env_file),
                "errors": error_count,
                "warnings": warning_count,
                "problems": [
                    {
                        "severity": finding.severity.value,
                        "file": str(finding.file),
                        "line": finding.line,
                        "key": finding.key or None,
                        "said": finding.said,
                        "fix": finding.fix,
                    }
                    for finding in found
                ],
            }
        )
    else:
        for finding in found:
            say(f"{finding.severity}: {finding.said}")
            say(f"    {finding.fix}")
        say(_summary(error_count, warning_count), err=True)
    sys.exit(ExitCode.USAGE if error_count else ExitCode.DONE)


@command.command("add-missing", short_help="Add to .env what a newer graasp-local needs.")
@pass_context
def add_missing(context: Context) -> None:
    """Add to .env what a newer graasp-local needs and can generate, such as a new secret."""
    from graasp_local.site.create import add_missing as add

    context.refuse_if_not_ours()
    added = add(context.site)
    for key in added:
        say(key)
    say("Added to .env." if added else "Nothing to add: .env already has everything that can be generated.", err=True)


def _memory_here() -> int | None:
    """The memory of the engine's machine in bytes, if that is this machine."""
    import os

    from graasp_local.engine.reach.addresses import is_on_this_machine

    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") if is_on_this_machine() else None


def _summary(error_count: int, warning_count: int) -> str:
    if not error_count and not warning_count:
        return "No problems found."
    counted = [f"{count} {word}{'' if count == 1 else 's'}" for count, word in _words(error_count, warning_count)]
    meaning = "no command works until the errors are fixed" if error_count else "commands still work"
    return f"{' and '.join(counted)}: {meaning}."


def _words(error_count: int, warning_count: int) -> list[tuple[int, str]]:
    return [(count, word) for count, word in ((error_count, "error"), (warning_count, "warning")) if count]


@command.command("show", short_help="Show every setting and its value.")
@click.option("--secrets", "show_secrets", is_flag=True, help="Show secret values too.")
@click.option("--json", "json_object", is_flag=True, help="Print one JSON object.")
@pass_context
def show(context: Context, *, show_secrets: bool, json_object: bool) -> None:
    """Show every setting, its value, and whether that is from .env or the default. Secrets are hidden."""
    from graasp_local.cli.tables import print_table
    from graasp_local.settings.rules import read
    from graasp_local.settings.shown import shown_settings, without_secrets

    settings = list(shown_settings(read(context.site.read_env()).values))
    if not show_secrets:
        settings = [without_secrets(shown) for shown in settings]
    if json_object:
        print_json({"settings": [{"key": s.key, "from": s.source.value, "value": s.value} for s in settings]})
        return
    rows = [(s.key, s.source.value, "(hidden)" if s.value is None else s.value) for s in settings]
    print_table(["KEY", "FROM", "VALUE"], rows)
