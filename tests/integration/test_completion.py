"""The completion scripts complete in bash, zsh and fish, and man has nothing to complain about in the man page."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.terminal import at_a_terminal

ENVIRONMENT = {**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "TERM": "dumb"}
TYPED = [
    ("graasp-local secrets ro", "rotate"),
    ("graasp-local apply db", "db-only"),
    ("graasp-local deploy --strat", "--strategy"),
]


def printed(name: str) -> str:
    return run("graasp-local", "completion", name)


def run(*words: str) -> str:
    done = subprocess.run(words, capture_output=True, text=True, env=ENVIRONMENT, timeout=120)
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@pytest.mark.parametrize(("typed", "completed"), TYPED)
def test_bash_completes(typed: str, completed: str, tmp_path: Path) -> None:
    (tmp_path / "script").write_text(printed("bash"))
    asked = (
        f"source {tmp_path}/script; COMP_WORDS=({typed}); COMP_CWORD=$((${{#COMP_WORDS[@]}} - 1)); "
        '$(complete -p graasp-local | grep -o "[^ ]*_completion") graasp-local; echo "${COMPREPLY[*]}"'
    )
    assert run("bash", "--norc", "-c", asked).split() == [completed]


@pytest.mark.parametrize(("typed", "completed"), TYPED)
def test_zsh_completes(typed: str, completed: str, tmp_path: Path) -> None:
    """At a terminal, as `completion --help` says where the script belongs."""
    functions = tmp_path / ".zfunc"
    functions.mkdir()
    (functions / "_graasp-local").write_text(printed("zsh"))
    (tmp_path / ".zshrc").write_text(
        f"PS1='ready> '; fpath+=({functions}); autoload -Uz compinit; compinit -u -d {tmp_path}/dump\n"
    )
    with at_a_terminal("zsh", "-i", environment={**ENVIRONMENT, "ZDOTDIR": str(tmp_path)}) as terminal:
        terminal.wait_for("ready> ")
        terminal.type(f"{typed}\t")
        terminal.wait_for(completed)


@pytest.mark.parametrize(("typed", "completed"), TYPED)
def test_fish_completes(typed: str, completed: str, tmp_path: Path) -> None:
    (tmp_path / "graasp-local.fish").write_text(printed("fish"))
    script = f"source {tmp_path}/graasp-local.fish; complete --do-complete '{typed}'"
    told = run("fish", "--no-config", "--command", script)
    assert [line.partition("\t")[0] for line in told.splitlines()] == [completed]


def test_the_man_page_is_well_formed(tmp_path: Path) -> None:
    page = tmp_path / "graasp-local.1"
    page.write_text(printed("man"))
    assert run("mandoc", "-T", "lint", str(page)) == ""
    shown = re.sub(".\b", "", run("mandoc", "-T", "ascii", str(page)))  # bold is a letter, back, and the letter again
    assert "graasp-local secrets rotate JWT_SECRET --dry-run" in shown
