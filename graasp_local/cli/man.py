"""The man page, generated from the same commands as `--help`. Pure."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator
from datetime import date

import click

from graasp_local.cli.examples import EXAMPLES

_WIDTH = 72


def man_page(root: click.Group, version: str, made_on: date) -> str:
    """The whole page in man's format: every verb with its options and examples, and the exit codes."""
    context = click.Context(root, info_name="graasp-local", **root.context_settings)
    return "\n".join(_lines(root, context, version, made_on)) + "\n"


def _lines(root: click.Group, context: click.Context, version: str, made_on: date) -> Iterator[str]:
    yield f'.TH GRAASP-LOCAL 1 "{made_on.isoformat()}" "graasp-local {_escaped(version)}"'
    yield ".nh"  # a hyphen in a command would be typed
    yield from (".SH NAME", r"graasp-local \- run and deploy a self-hosted Graasp")
    yield from (".SH SYNOPSIS", r"graasp-local [\-\-site DIR] COMMAND [OPTION]...", ".SH DESCRIPTION")
    yield from _paragraphs(root.help or "")
    yield from _options(root, context)
    yield ".SH COMMANDS"
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if command is not None:
            yield from _command(command, context, name)
    yield ".SH EXIT STATUS"
    yield from _paragraphs(root.epilog or "")


def _command(command: click.Command, context: click.Context, name: str) -> Iterator[str]:
    below = click.Context(command, parent=context, info_name=name)
    typed = f"graasp-local {name} {' '.join(command.collect_usage_pieces(below))}"
    yield f'.SS "{_escaped(typed)}"'
    yield from _paragraphs(command.help or "")
    yield from _options(command, below)
    for example, what in EXAMPLES[name]:
        yield from (".TP", rf"\fB{_escaped(example)}\fR", *_wrapped(what))
    if isinstance(command, click.Group):
        for child, part in command.commands.items():
            yield from _command(part, context, f"{name} {child}")


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context) if isinstance(parameter, click.Option) else None
        if record is not None:
            yield from (".TP", rf"\fB{_escaped(record[0])}\fR", *_wrapped(record[1]))


def _paragraphs(text: str) -> Iterator[str]:
    """Paragraphs below a heading; the lines of one that begins with \\b stay as they are."""
    for number, paragraph in enumerate(text.split("\n\n")):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        if number:
            yield ".PP"
        if lines[:1] == ["\b"]:
            yield from (".nf", *map(_escaped, lines[1:]), ".fi")
        else:
            yield from _wrapped(" ".join(lines))


def _wrapped(text: str) -> Iterator[str]:
    """Lines of a length that a person can edit; man fills them again."""
    for line in textwrap.wrap(text, _WIDTH, break_long_words=False, break_on_hyphens=False):
        yield _escaped(line)


def _escaped(text: str) -> str:
    """Text that man shows literally: a line that begins with a dot or a quote would otherwise be a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped
