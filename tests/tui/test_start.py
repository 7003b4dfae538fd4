"""What is not done before the first content is on the screen, which takes little longer than a plain Textual hello."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import pytest
from textual.css.stylesheet import Stylesheet
from textual.pilot import Pilot
from textual.theme import Theme

from graasp_local.tui.app import GraaspApp
from graasp_local.tui.remembered import remember
from graasp_local.tui.theme import DARK, LIGHT
from tests.tui.conftest import drive, until
from tests.tui.fakes import FakeAccess

LATER = (
    "graasp_local.journal.events",
    "graasp_local.journal.read",
    "graasp_local.operations",
    "graasp_local.planning.plan",
    "graasp_local.planning.estimate",
    "graasp_local.tui.leaving",
    "graasp_local.tui.messages",
    "graasp_local.tui.operation_run",
    "graasp_local.tui.operation_view",
    "graasp_local.tui.verbs_done",
    "graasp_local.tui.watching",
    "docker",
    "psycopg",
    "python_on_whales",
)


def test_code_that_observes_plans_and_operates_is_imported_later() -> None:
    code = "import sys, graasp_local.cli.tui, graasp_local.tui.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    early = [name for name in done.stdout.split() if name.startswith(LATER)]
    assert early == []


@pytest.mark.parametrize("theme", [DARK, LIGHT], ids=lambda theme: theme.name)
def test_styles_are_parsed_once_whichever_theme_is_remembered(
    theme: Theme, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    remember(theme=theme.name)
    again: list[Stylesheet] = []
    reparse = Stylesheet.reparse

    def counted(sheet: Stylesheet) -> None:
        again.append(sheet)
        reparse(sheet)

    monkeypatch.setattr(Stylesheet, "reparse", counted)

    async def look(pilot: Pilot[None], app: GraaspApp) -> None:
        assert app.theme == theme.name
        assert app.has_class("-dark-mode") is theme.dark
        assert app.screen.styles.background.hex.lower() == theme.background
        assert again == []

    drive(FakeAccess(tmp_path / "school"), look)


def test_garbage_is_collected_again_once_something_is_on_the_screen(tmp_path: Path) -> None:
    async def look(pilot: Pilot[None], app: GraaspApp) -> None:
        await until(pilot, lambda: app.view is not None)
        assert gc.isenabled()

    gc.disable()
    try:
        drive(FakeAccess(tmp_path / "school"), look)
    finally:
        gc.unfreeze()
        gc.enable()
