"""`graasp-local history [OPERATION]`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from graasp_local.cli.context import Context, pass_context, print_json
from graasp_local.cli.speaking import say
from graasp_local.errors import UsageError

if TYPE_CHECKING:
    from graasp_local.journal.records import OperationRecord


@click.command("history")
@click.argument("operation", required=False)
@click.option("--last", is_flag=True, help="Show the last operation, with its steps and output.")
@click.option(
    "--downtime", is_flag=True, help="Show for each month how long the site was closed, and which operations closed it."
)
@click.option(
    "--json",
    "json_lines",
    is_flag=True,
    help="Print one JSON line for each operation; with --downtime one JSON object.",
)
@pass_context
def command(context: Context, operation: str | None, *, last: bool, downtime: bool, json_lines: bool) -> None:
    """List the site's operations, newest first, or show one with its steps and output."""
    from graasp_local.journal.read import read_journal
    from graasp_local.journal.status import with_its_state
    from graasp_local.lock import current_holder

    _ = context.site.settings
    journal = read_journal(context.site.journal_directory)
    operations = journal.operations
    if downtime and (operation or last):
        raise UsageError("--downtime covers all operations, not one.", "", "Use one of the two.")
    for damaged in journal.damaged:
        say(f"Not shown, because it is damaged: {damaged.file.name}: {damaged.damage}", err=True)
    if downtime:
        from graasp_local.cli.downtime import show_downtime

        show_downtime(context, operations, as_json=json_lines)
        return
    operations = with_its_state(operations, current_holder(context.site.lock_file))
    if operation or last:
        chosen: OperationRecord | None = next((record for record in operations if record.operation == operation), None)
        if last and operations:
            chosen = operations[-1]
        if chosen is None:
            if operation is None:
                raise UsageError("There are no operations yet.", "", "`graasp-local deploy --version X` is the first.")
            raise UsageError(f"There is no operation {operation!r}.", "", "`graasp-local history` lists them.")
        operations = (chosen,)
    if json_lines:
        for record in reversed(operations):
            print_json(record.as_json())
    elif operation or last:
        _print_one(operations[0], context.site.journal_directory / f"{operations[0].operation}.jsonl")
    else:
        _print_list(operations)


def _print_list(operations: tuple[OperationRecord, ...]) -> None:
    from graasp_local.cli.tables import print_table

    if not operations:
        say("No operations yet.", err=True)
        return
    print_table(
        ("OPERATION", "OUTCOME", "SECONDS", "DOWNTIME", "FORECAST", "STATE"),
        [
            (
                record.operation,
                record.ending,
                _seconds(record.seconds),
                _seconds(record.downtime_seconds),
                record.forecast_in_words,
                record.state,
            )
            for record in reversed(operations)
        ],
    )


def _seconds(seconds: float | None) -> str:
    return "" if seconds is None else f"{seconds:.1f}"


def _print_one(record: OperationRecord, file: Path) -> None:
    from graasp_local.journal.read import output_of

    say(f"{record.operation}: {record.ending}, {record.state}")
    say(f"{record.at[:19].replace('T', ' ')} UTC, {record.command}")
    for step, title in zip(record.steps, record.titles, strict=False):
        say(f"  {'✓' if step['outcome'] == 'done' else '✗'} {title}  {step['seconds']:.2f} s")
    if record.seconds is not None:
        say(f"  Total  {_seconds(record.seconds)} s")
    if record.downtime_seconds is not None:
        forecast = f" (forecast: {record.forecast_in_words})" if record.forecast_in_words else ""
        say(f"  The site was closed for {_seconds(record.downtime_seconds)} s{forecast}")
    for line in output_of(file):
        say(f"      {line}")
    for sentence in record.problem:
        say(sentence)
