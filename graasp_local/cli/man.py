"""The man page, generated from the same commands as `--help`. Pure."""

from __future__ import annotations

from collections.abc import Iterator

import click

from graasp_local.cli.examples import EXAMPLES


def man_page(root: click.Group, version: str) -> str:
    """The whole page in man's format: every verb with its options and examples, and the exit codes."""
    context = click.Context(root, info_name="graasp-local")
    return "\n".join(_lines(root, context, version)) + "\n"


def _lines(root: click.Group, context: click.Context, version: str) -> Iterator[str]:
    yield f'.TH GRAASP-LOCAL 1 "" "graasp-local {_escaped(version)}"'
    yield from (".SH NAME", r"graasp-local \- run and deploy a self-hosted Graasp")
    yield from (".SH SYNOPSIS", r"graasp-local [\-\-site DIR] VERB [OPTION]...", ".SH DESCRIPTION")
    yield from _paragraphs(root.help or "")
    yield from _options(root, context)
    yield ".SH VERBS"
    for name in root.list_commands(context):
        command = root.get_command(context, name)
        if command is None:
            continue
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
        yield from (".IP", rf"\fB{_escaped(example)}\fR", ".br", _escaped(what))
    if isinstance(command, click.Group):
        for child, part in command.commands.items():
            yield from _command(part, context, f"{name} {child}")


def _options(command: click.Command, context: click.Context) -> Iterator[str]:
    for parameter in command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None:
            yield from (".TP", rf"\fB{_escaped(record[0])}\fR", _escaped(record[1]))


def _paragraphs(text: str) -> Iterator[str]:
    for paragraph in text.split("\n\n"):
        lines = [line.strip() for line in paragraph.strip().splitlines()]
        as_it_is = lines[:1] == ["\b"]
        yield ".PP"
        for line in lines[1:] if as_it_is else [" ".join(lines)]:
            yield _escaped(line)
            if as_it_is:
                yield ".br"


def _escaped(text: str) -> str:
    """Text that man shows literally: a line that begins with a dot or a quote would otherwise be a request."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{escaped}" if escaped[:1] in (".", "'") else escaped
