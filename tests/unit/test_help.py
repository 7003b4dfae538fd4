"""`--help` of every command has examples that can be typed; the man page has all of them."""

from __future__ import annotations

import copy
import shlex
from collections.abc import Iterator
from datetime import date

import click
import pytest
from click.testing import CliRunner

from graasp_local.cli.examples import EXAMPLES
from graasp_local.cli.main import cli
from graasp_local.cli.man import man_page
from graasp_local.verbs import COMMAND_LINE_VERBS


def parse(name: str, command: click.Command, words: list[str]) -> None:
    """Have click judge the words; files that are named need not be there. Raises click.UsageError."""
    judged = copy.copy(command)
    judged.params = [copy.copy(parameter) for parameter in command.params]
    for parameter in judged.params:
        if isinstance(parameter.type, click.Path):
            parameter.type = click.Path()
    judged.make_context(name, words)


def parsed(typed: str) -> None:
    """Have the command line judge a command without carrying it out. Raises click.UsageError."""
    words = shlex.split(typed.partition(" > ")[0])
    assert words[0] == "graasp-local"
    if words[1] == "--site":
        words = [words[0], *words[3:]]
    context = click.Context(cli)
    command = cli.get_command(context, words[1])
    assert command is not None
    rest = words[2:]
    if isinstance(command, click.Group) and rest and rest[0] in command.commands:
        command, rest = command.commands[rest[0]], rest[1:]
    parse(words[1], command, rest)


def commands_under(group: click.Group, above: str = "") -> Iterator[str]:
    """The name of every command of a group and of the groups under it, as typed."""
    context = click.Context(group)
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        yield f"{above}{name}"
        if isinstance(command, click.Group):
            yield from commands_under(command, f"{above}{name} ")


COMMANDS = list(commands_under(cli))


def test_there_are_commands_under_verbs() -> None:
    assert {*COMMAND_LINE_VERBS, "secrets rotate", "images save", "config check"} <= {*COMMANDS}


def test_every_command_has_examples() -> None:
    assert list(EXAMPLES) == COMMANDS


@pytest.mark.parametrize("name", COMMANDS)
def test_help_of_a_command_ends_with_two_or_three_examples_of_it(name: str) -> None:
    told = CliRunner().invoke(cli, [*name.split(), "--help"], terminal_width=200).output
    assert 2 <= len(EXAMPLES[name]) <= 3
    for typed, what in EXAMPLES[name]:
        assert f"\n    {typed}\n        {what}\n" in told.partition("Examples:")[2]
        assert f" {name} " in f"{typed} "


@pytest.mark.parametrize("typed", [typed for examples in EXAMPLES.values() for typed, _ in examples])
def test_an_example_can_be_typed(typed: str) -> None:
    parsed(typed)


def test_an_option_that_does_not_exist_is_found() -> None:
    with pytest.raises(click.UsageError):
        parsed("graasp-local deploy --version 1.0.0 --no-such-option")


def test_the_man_page_has_every_verb_and_option() -> None:
    page = man_page(cli, "1.2.3", date(2026, 1, 2)).replace("\\-", "-")
    assert [typed for told in EXAMPLES.values() for typed, _ in told if f"\\fB{typed}\\fR" not in page] == []
    context = click.Context(cli)
    for verb in COMMAND_LINE_VERBS:
        assert f'.SS "graasp-local {verb} ' in page
        command = cli.get_command(context, verb)
        assert command is not None
        for parameter in command.params:
            if isinstance(parameter, click.Option) and not parameter.hidden:
                assert parameter.opts[-1] in page
