"""One table for the command line, the keys, the palette and the help: nothing of it is left out anywhere."""

from __future__ import annotations

from collections import Counter

import click
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from graasp_local.cli.main import cli
from graasp_local.tui.app import GraaspApp
from graasp_local.tui.drawing.help import WORDS, help_lines
from graasp_local.tui.screens.in_terminal import InTerminalScreen
from graasp_local.tui.terminal import Terminal
from graasp_local.tui.tones import text_of
from graasp_local.tui.verbs_done import Verbs
from graasp_local.verbs import COMMAND_LINE_VERBS, TABLE, Verb, Where, shown_key
from tests.tui.conftest import drive, screen_text
from tests.tui.fakes import FakeAccess

WITH_KEYS = [row for row in TABLE if row.key]
TERMINAL_ONLY = [row for row in TABLE if row.where is Where.COMMAND_LINE]


def test_the_command_line_lists_the_table() -> None:
    assert cli.list_commands(click.Context(cli)) == list(COMMAND_LINE_VERBS)


@pytest.mark.parametrize("name", COMMAND_LINE_VERBS)
def test_every_verb_of_the_command_line_is_a_command(name: str) -> None:
    command = cli.get_command(click.Context(cli), name)
    assert command is not None
    assert command.name == name


def test_no_key_means_two_things() -> None:
    assert [key for key, count in Counter(row.key for row in WITH_KEYS).items() if count > 1] == []


@pytest.mark.parametrize("row", WITH_KEYS, ids=lambda row: row.name)
def test_every_key_does_something_and_is_explained(row: Verb) -> None:
    assert hasattr(Verbs, f"do_{row.name.replace('-', '_')}")
    assert WORDS[row.name] in text_of(help_lines(70))
    assert shown_key(row.key) in text_of(help_lines(70))


def test_the_palette_has_every_verb_by_its_name(access: FakeAccess) -> None:
    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        assert [command.title for command in app.get_system_commands(app.screen)] == [row.name for row in TABLE]

    drive(access, steps)


@pytest.mark.parametrize("row", TERMINAL_ONLY, ids=lambda row: row.name)
def test_a_verb_without_a_screen_is_run_in_the_terminal(row: Verb, access: FakeAccess) -> None:
    ran: list[tuple[str, list[str]]] = []

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        app.verbs.run_in_terminal = lambda name, arguments: ran.append((name, [*arguments]))  # type: ignore[method-assign]
        app.action_verb(row.name)
        await pilot.pause()
        assert isinstance(app.screen, InTerminalScreen)
        assert row.summary in screen_text(app)
        app.screen.query_one(Input).value = "--what 'is it'"
        await pilot.press("enter")

    drive(access, steps, terminal=Terminal(0, 2))
    assert ran == [(row.name, ["--what", "is it"])]


def test_read_only_and_a_browser_show_a_command_without_running_it(access: FakeAccess) -> None:
    ran: list[str] = []

    async def steps(pilot: Pilot[None], app: GraaspApp) -> None:
        app.verbs.run_in_terminal = lambda name, arguments: ran.append(name)  # type: ignore[method-assign]
        app.action_verb("compose")
        await pilot.pause()
        assert "Run it in a terminal" in screen_text(app)
        await pilot.press("enter")

    drive(access, steps, terminal=Terminal(0, 2), read_only=True)
    drive(access, steps, terminal=None)
    assert ran == []
