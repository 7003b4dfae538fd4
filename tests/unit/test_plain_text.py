"""What others wrote reaches a terminal without anything that it obeys: one filter before everything that speaks."""

from __future__ import annotations

import ast
import json
import os
import pty
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st

from graasp_local.cli.main import cli
from graasp_local.errors import Refused
from graasp_local.journal.events import StepOutput
from graasp_local.journal.read import output_of
from graasp_local.journal.write import Journal
from graasp_local.site.create import init_site
from graasp_local.tui.log_model import printable
from graasp_local.wording import plain_line, plain_text, plain_values

HOSTILE = {
    "colour": "a\x1b[31mb",
    "cursor and screen": "a\x1b[2J\x1b[1;1Hb",
    "private modes": "a\x1b[?1049hb",
    "clipboard": "a\x1b]52;c;cm0gLXJmIC8=\x07b",
    "clipboard, ended otherwise": "a\x1b]52;c;cm0gLXJmIC8=\x1b\\b",
    "title": "a\x1b]0;root@server\x07b",
    "link": "a\x1b]8;;http://evil.example\x1b\\b",
    "device control": 'a\x1bP$q"p\x1b\\b',
    "application program": "a\x1b_Gi=1;AAAA\x1b\\b",
    "C1 CSI": "a\x9b2Jb",
    "C1 OSC": "a\x9d52;c;QQ==\x9cb",
    "C1 DCS": "a\x90q\x9cb",
    "character set": "a\x1b(0b",
    "reset": "a\x1bcb",
    "doubled": "a\x1b\x1b[2Jb",
    "nested": "a\x1b[\x1b[2Jb",
    "backspace": "a\x08\x08b",
    "carriage return": "a\rb",
    "bell and vertical tab": "a\x07\x0b\x0cb",
    "delete": "a\x7fb",
    "direction": "a\u202e\u2066b\u2069\u200f",
    "odd ends of lines": "a\u2028\u2029\x85b",
    "no text": "a\udcffb",
    "no end": "a\x1b]52;c;QQ==",
}


def harmless(text: str) -> bool:
    return all(char in "\t\n" or (ord(char) >= 0x20 and not 0x7F <= ord(char) <= 0x9F) for char in text) and not (
        {*text} & {*"\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\ud800\udcff"}
    )


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_nothing_is_left_that_a_terminal_obeys(text: str) -> None:
    assert harmless(plain_text(text))
    assert harmless(printable(text))
    plain_text(text).encode()
    if text.endswith("b") and "[\x1b" not in text:
        assert plain_text(text).replace("\N{REPLACEMENT CHARACTER}", "") in ("ab", "a\nb")


@given(st.text(alphabet=st.sampled_from("\x1b\x9b\x9d\x9c\x07[]52;cmHP_\\\r\n\t ab\u202e")))
def test_whatever_it_is_made_of(text: str) -> None:
    assert harmless(plain_text(text))
    assert plain_text(plain_text(text)) == plain_text(text)


@pytest.mark.parametrize("text", ["", "plain", "tabs\tand\nlines", "é 日本語 🎉 ✓ …", "no\u00a0break"])
def test_text_stays_as_it_is(text: str) -> None:
    assert plain_text(text) == text


def test_a_name_adds_no_line_and_values_stay_json() -> None:
    assert plain_line("core\n  ✓ all is fine") == "core   ✓ all is fine"
    told = plain_values({"a": ["x\x1b[2J", 1, None, {"b": "\r"}], "c": True})
    assert told == {"a": ["x", 1, None, {"b": ""}], "c": True}


def test_errors_and_the_journal_hold_none_of_it(tmp_path: Path) -> None:
    error = Refused("registry said \x1b]52;c;QQ==\x07no", "\x1b[2J", "\x9b1m`docker login`")
    assert error.sentences == ("registry said no", "`docker login`")
    journal = Journal(tmp_path, "deploy", 0.0)
    journal.write(StepOutput(0, "applied \x1b[31m0001\x1b[0m\r"), 0.0)
    journal.close()
    (file,) = tmp_path.glob("*.jsonl")
    assert json.loads(file.read_text())["text"] == "applied 0001"
    # Written by an earlier graasp-local, or by someone else.
    file.write_text(file.read_text().replace("applied 0001", "applied \\u001b[31m0001"))
    assert [plain_text(line) for line in output_of(file)] == ["applied 0001"]


def test_a_journal_of_others_is_shown_without_it(tmp_path: Path) -> None:
    site = init_site(tmp_path / "site", {"COMPOSE_PROJECT_NAME": "plain"}, demo=True)
    journal = Journal(site.journal_directory, "deploy", 0.0)
    journal.close()
    (file,) = site.journal_directory.glob("*.jsonl")
    record = {"at": "1970-01-01T00:00:00.000+00:00", "format": 1, "pid": 1, "event": "step-output", "index": 0}
    started = {
        **record,
        "event": "operation-started",
        "operation": file.stem,
        "command": "x\x1b]0;hacked\x07y",
        "target": "running",
    }
    started |= {"version": None, "upgrade": None, "came_from": "", "previous_version": "", "snapshot": "", "plan": []}
    started |= {"migrated_before": False, "restore": None}
    lines = [json.dumps(started), json.dumps({**record, "text": "a\x1b]52;c;QQ==\x07b\x9b2J"})]
    file.write_text("\n".join(lines) + "\n")
    shown = on_a_terminal("--site", str(site.directory), "history", file.stem)
    assert "hacked" not in shown
    assert ", xy" in shown
    assert "ab" in shown
    assert harmless(shown.replace("\r\n", "\n"))
    told = CliRunner().invoke(cli, ["--site", str(site.directory), "history", file.stem, "--json"])
    assert json.loads(told.stdout)["operation"] == file.stem


def test_a_mistyped_argument_is_repeated_without_it() -> None:
    hostile = "a\x1b]52;c;QQ==\x07b\x9b2Jc\x1b[31md"
    for words in (("status", f"--{hostile}"), ("apply", hostile), ("status", hostile), (f"-{hostile}",), (hostile,)):
        shown = on_a_terminal(*words, code=2)
        assert harmless(shown.replace("\r\n", "\n")), words
        assert "Error: " in shown


def test_what_docker_compose_says_is_shown_without_it(tmp_path: Path) -> None:
    site = init_site(tmp_path / "site", {"COMPOSE_PROJECT_NAME": "plain"}, demo=True)
    docker = tmp_path / "docker"
    docker.write_text(
        "#!/bin/sh\ncase $* in\n*' version --short'|*' version '*) echo 2.29.1 ;;\n"
        "*) printf 'out \\033]52;c;QQ==\\007put\\n'; printf 'err\\033[2Jor: %s\\n' \"$*\" >&2; exit 17 ;;\nesac\n"
    )
    docker.chmod(0o755)
    path = {"PATH": f"{tmp_path}:{os.environ['PATH']}"}
    shown = on_a_terminal("--site", str(site.directory), "compose", "--", "logs", code=17, env=path)
    assert harmless(shown.replace("\r\n", "\n"))
    assert "out put" in shown
    assert "error: compose " in shown
    # A program in a container has the terminal to itself.
    command = ("--profile", "exec", "exec", "core", "sh")
    shown = on_a_terminal("--site", str(site.directory), "compose", "--", *command, code=17, env=path)
    assert not harmless(shown.replace("\r\n", "\n"))


def on_a_terminal(*words: str, code: int = 0, env: Mapping[str, str] | None = None) -> str:
    """What a terminal is sent."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "graasp_local.cli.main", *words]
    process = subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs, env={**os.environ, **(env or {})}
    )
    os.close(theirs)
    sent = b""
    try:
        while piece := os.read(ours, 65536):
            sent += piece
    except OSError:  # the other side has closed it
        pass
    finally:
        os.close(ours)
    assert process.wait() == code, sent
    return sent.decode()


def test_the_command_line_speaks_through_the_filter_only() -> None:
    """Of click and rich, `print` included: each place that goes past it is one of these, with what it writes."""
    may = {
        ("speaking.py", "echo"),
        ("context.py", "echo"),  # JSON, which has no control codes
        ("backup.py", "echo"),  # the .env of a backup, into a file
        ("completion.py", "echo"),  # our own script
    }
    found = set()
    for file in (Path(__file__).parents[2] / "graasp_local" / "cli").glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if not isinstance(node, ast.Call):
                continue
            called = node.func
            if isinstance(called, ast.Attribute) and called.attr in ("echo", "secho"):
                found.add((file.name, called.attr))
            if isinstance(called, ast.Name) and called.id == "print":
                found.add((file.name, "print"))
            if isinstance(called, ast.Attribute) and called.attr == "print":
                text = ast.unparse(node.args[0])
                assert text.startswith(("plain_text(", "self._ended_line(")) or "probe, " in text or text == "table", (
                    text
                )
    assert found <= may
