"""`graasp-local doctor`."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING

import click

from graasp_local.cli.context import Context, pass_context, print_json
from graasp_local.cli.speaking import say

if TYPE_CHECKING:
    from graasp_local.doctor.findings import Finding

_COLOURS = {"fails": "red", "warning": "yellow", "unknown": "cyan", "ok": "green"}


@click.command("doctor")
@click.option(
    "--version", "version_text", metavar="X", help="Check the images of version X. Default: the deployed version."
)
@click.option("--json", "json_object", is_flag=True, help="Print one JSON object.")
@pass_context
def command(context: Context, version_text: str | None, *, json_object: bool) -> None:
    """Check the site and its machine, and say how to fix what is wrong. Changes nothing.

    Exits with 10 if something would make a deployment fail. What cannot be checked is reported as unknown.
    """
    from graasp_local.clock import InterruptionFlag
    from graasp_local.doctor.findings import exit_code
    from graasp_local.doctor.gather import gather
    from graasp_local.doctor.judge import judge
    from graasp_local.version import Version

    version = Version.parse(version_text) if version_text is not None else None
    if sys.stderr.isatty():
        say("Checking the engine, the registry and the network; this takes a few seconds.", err=True)
    findings = judge(gather(context.site, lambda: context.world(InterruptionFlag()), version))
    code = exit_code(findings)
    if json_object:
        print_json(
            {
                "exit_code": int(code),
                "findings": [
                    {"check": f.check, "verdict": f.verdict.value, "said": f.said, "fix": f.fix} for f in findings
                ],
            }
        )
    else:
        _print(findings)
    sys.exit(code)


def _print(findings: Sequence[Finding]) -> None:
    width = max(len(finding.check) for finding in findings)
    for finding in findings:
        say(f"{finding.verdict.value:<7}", nl=False, fg=_COLOURS[finding.verdict.value])
        say(f"  {finding.check:<{width}}  {finding.said}")
        if finding.fix:
            say(f"{'':<7}  {'':<{width}}  → {finding.fix}")
    counted = {verdict: sum(f.verdict.value == verdict for f in findings) for verdict in _COLOURS}
    words = {
        "fails": "failing",
        "warning": "warning" if counted["warning"] == 1 else "warnings",
        "unknown": "unknown",
        "ok": "ok",
    }
    said = ", ".join(f"{count} {words[verdict]}" for verdict, count in counted.items() if count)
    found = counted["warning"] or counted["unknown"]
    end = " Nothing was found that would make a deployment fail." if found else ""
    say(f"{said}.{' A deployment would fail.' if counted['fails'] else end}", err=True)
