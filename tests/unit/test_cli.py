"""The command line: every verb, its mistakes, its exit codes; no engine is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from graasp_local.cli import deploy, status
from graasp_local.cli.main import cli, run
from graasp_local.errors import ExitCode, GraaspLocalError
from graasp_local.lock import held_lock
from graasp_local.planning.plan_deploy import DeployRequest
from graasp_local.site.site import Site
from graasp_local.verbs import COMMAND_LINE_VERBS
from graasp_local.version import Version

RUN = [sys.executable, "-m", "graasp_local.cli.main"]
NO_ENGINE = {
    "DOCKER_HOST": "unix:///nowhere/docker.sock",
    "PATH": "/usr/local/bin:/usr/bin:/bin",
    "HOME": "/nonexistent",
}


def call(*words: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*RUN, *words], capture_output=True, text=True, cwd=cwd, env=NO_ENGINE, timeout=60)


@pytest.fixture
def site(tmp_path: Path) -> Path:
    assert CliRunner().invoke(cli, ["init", str(tmp_path / "site"), "--demo"]).exit_code == 0
    return tmp_path / "site"


@pytest.mark.parametrize("verb", COMMAND_LINE_VERBS)
def test_every_verb_explains_itself(verb: str) -> None:
    result = CliRunner().invoke(cli, [verb, "--help"])
    assert result.exit_code == 0
    assert result.output.startswith("Usage:")


def test_help_lists_every_verb_and_exit_code() -> None:
    output = CliRunner().invoke(cli, ["--help"]).output
    assert all(f"  {verb} " in output for verb in COMMAND_LINE_VERBS)
    assert all(f" {code}  " in output for code in (0, 1, 2, 3, 10, 11, 20, 21, 130))


def test_plan_needs_no_engine_when_the_state_is_given(site: Path) -> None:
    result = call("--site", str(site), "plan", "db-only", "--from", "running", "--json")
    assert result.returncode == 0, result.stderr
    assert [step["name"] for step in json.loads(result.stdout)["plan"]] == [
        *["close-gate", "prove-closed", "drain", "stop-graasp"]
    ]


def test_plan_prints_what_would_be_done(site: Path) -> None:
    result = call("--site", str(site), "plan", "running", "--from", "restricted")
    assert result.stdout.splitlines()[0].split("  because ")[0].strip().startswith("1")
    assert "Open the gate" in result.stdout


@pytest.mark.parametrize("verb", [["status"], ["plan", "running"], ["apply", "stopped"], ["versions"], ["logs"]])
def test_an_engine_that_does_not_answer_is_exit_3(site: Path, verb: list[str]) -> None:
    result = call("--site", str(site), *verb)
    assert result.returncode == 3, result.stderr
    assert "No Docker engine answers at unix:///nowhere/docker.sock" in result.stderr
    assert "Traceback" not in result.stderr


def test_a_deployment_without_an_engine_is_exit_3_and_says_so_in_json_too(site: Path) -> None:
    result = call("--site", str(site), "deploy", "--version", "1.0.0", "--json")
    assert result.returncode == 3
    last = json.loads(result.stdout.splitlines()[-1])
    assert (last["outcome"], last["exit_code"], last["steps"]) == ("refused", 3, [])
    assert last["changed"] is False


def test_a_mistake_with_json_is_a_last_line_too(site: Path) -> None:
    result = call("--site", str(site), "deploy", "--version", "1..0", "--json")
    assert (result.returncode, json.loads(result.stdout)["exit_code"]) == (2, 2)


@pytest.mark.parametrize("words", [["--help"], ["plan", "stopped", "--from", "running"]])
def test_a_reader_that_leaves_early_causes_no_error(site: Path, words: list[str]) -> None:
    process = subprocess.Popen(
        [*RUN, "--site", str(site), *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=NO_ENGINE
    )
    assert process.stdout is not None
    process.stdout.close()
    _, errors = process.communicate(timeout=60)
    assert (process.returncode, errors) == (0, b"")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["deploy", "--version", "1..0"], "is not a version"),
        (["deploy", "--version", "$(reboot)"], "is not a version"),
        (["deploy", "--version", "../x"], "is not a version"),
        (["deploy", "--version", "x" * 10_000], "is not a version"),
        (["deploy", "--version", ""], "The version is empty"),
        (["deploy"], "Missing option '--version'"),
        (["apply", "sideways"], "is not one of 'running', 'restricted', 'db-only', 'stopped'"),
        (["aply", "running"], "Did you mean `apply`?"),
        (["plan"], "Missing argument"),
        (["completion", "tcsh"], "is not one of"),
        (["history", "no-such-operation"], "There is no operation 'no-such-operation'"),
        (["logs", "no-such-service"], "There is no service 'no-such-service'"),
    ],
)
def test_a_mistake_is_one_clear_error_and_exit_2(site: Path, words: list[str], said: str) -> None:
    result = call("--site", str(site), *words)
    assert result.returncode == 2, result.stderr
    assert said in result.stderr
    assert len(result.stderr) < 800
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    "words",
    [
        ["apply", "db-only", "--drain-limit", "nan"],
        ["apply", "db-only", "--lock-wait", "nan"],
        ["deploy", "--version", "1.0.0", "--migration-limit", "nan"],
        ["probe", "--seconds", "nan"],
    ],
)
def test_nan_as_seconds_is_a_usage_error(site: Path, words: list[str]) -> None:
    result = CliRunner().invoke(cli, ["--site", str(site), *words])
    assert (result.exit_code, "nan is not a number of seconds" in result.output) == (ExitCode.USAGE, True)


def test_a_directory_without_a_site_is_exit_2(tmp_path: Path) -> None:
    result = call("status", cwd=tmp_path)
    assert result.returncode == 2
    assert "graasp-local init" in result.stderr


def test_the_site_is_found_upwards_from_here(site: Path) -> None:
    below = site / "backups" / "deep"
    below.mkdir(parents=True)
    assert call("plan", "stopped", "--from", "running", cwd=below).returncode == 0


@pytest.mark.parametrize("verb", [["status"], ["apply", "running"], ["deploy", "--version", "1.0.0"], ["bypass"]])
def test_a_missing_secret_is_named_and_nothing_is_done(site: Path, verb: list[str]) -> None:
    env = site / ".env"
    env.write_text(env.read_text().replace("MAINTENANCE_HEADER_SECRET=", "MAINTENANCE_HEADER_SECRET=\n#"))
    result = call("--site", str(site), *verb)
    assert result.returncode == 2
    assert "MAINTENANCE_HEADER_SECRET is empty" in result.stderr
    assert not list((site / "journal").iterdir())


def test_init_says_what_to_do_next_and_never_overwrites(tmp_path: Path) -> None:
    first = call("init", str(tmp_path / "s"), "--port", "8080")
    assert "deploy --version X" in first.stderr
    again = call("init", str(tmp_path / "s"))
    assert (again.returncode, "exists already" in again.stderr) == (2, True)


def test_bypass_prints_the_header_and_a_link(site: Path) -> None:
    told = json.loads(call("--site", str(site), "bypass", "--json").stdout)
    assert told["header"] == "X-Graasp-Maintenance"
    assert told["secret"] in (site / ".env").read_text()
    assert told["link"].startswith("http://localhost:8080/.graasp/bypass?token=")


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts(shell: str) -> None:
    result = call("completion", shell)
    assert result.returncode == 0
    assert "_GRAASP_LOCAL_COMPLETE" in result.stdout


def test_history_distinguishes_running_from_killed(site: Path) -> None:
    begun = {
        "event": "operation-started",
        "at": "2026-01-01T00:00:00.000+00:00",
        "format": 1,
        "pid": 1,
        "operation": "0001-20260101-000000-deploy-1.1.0",
        "command": "graasp-local deploy --version 1.1.0",
        "target": "running",
        "version": "1.1.0",
        "plan": [],
    }
    directory = Site(site).journal_directory
    directory.mkdir(exist_ok=True)
    (directory / "0001-20260101-000000-deploy-1.1.0.jsonl").write_text(json.dumps(begun) + "\n")

    def outcome() -> str:
        result = CliRunner().invoke(cli, ["--site", str(site), "history", "--json"])
        return str(json.loads(result.stdout)["outcome"])

    assert outcome() == "killed"
    with held_lock(Site(site).lock_file, "graasp-local deploy --version 1.1.0"):
        assert outcome() == "under-way"
    with held_lock(Site(site).lock_file, "graasp-local backup"):
        assert outcome() == "killed"


def test_an_unexpected_error_is_exit_1_by_its_class() -> None:
    assert GraaspLocalError.exit_code == 1


@pytest.mark.parametrize(
    ("raised", "said"),
    [
        (KeyboardInterrupt(), "Interrupted: `graasp-local status` shows the state of the site."),
        (click.Abort(), "Interrupted: nothing was changed."),
        (EOFError(), "Interrupted: `graasp-local status` shows the state of the site."),
    ],
)
def test_only_at_a_question_does_an_interruption_say_that_nothing_was_changed(
    raised: BaseException, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise raised

    monkeypatch.setattr(sys, "argv", ["graasp-local", "versions"])
    monkeypatch.setattr(cli, "invoke", interrupted)
    assert run() is ExitCode.INTERRUPTED
    assert capsys.readouterr().err.strip() == said


IMPORTS = """
import sys
sys.argv = ["graasp-local", *{words!r}]
from graasp_local.cli.main import run
run()
heavy = {{"textual", "python_on_whales", "pydantic", "psycopg", "docker", "requests", "rich", "psutil"}}
heavy |= {{"yaml", "dotenv"}}
print(sorted(heavy & set(sys.modules)), file=sys.stderr)
"""


@pytest.mark.parametrize(
    ("words", "allowed"),
    [
        (["--help"], set()),
        (["--version"], set()),
        (["plan", "stopped", "--from", "running"], {"yaml"}),
        (["status"], set()),
        (["history"], set()),
    ],
)
def test_a_verb_imports_only_what_it_needs(site: Path, words: list[str], allowed: set[str]) -> None:
    code = IMPORTS.format(words=["--site", str(site), *words])
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=NO_ENGINE)
    imported = set(json.loads(result.stderr.splitlines()[-1].replace("'", '"')))
    assert imported <= allowed


def test_the_defaults_of_limits_are_those_of_a_plan() -> None:
    usual = DeployRequest(Version(1, 0, 0))
    defaults = {option.name: option.default for option in deploy.command.params}
    assert (defaults["drain_limit"], defaults["migration_limit"]) == (usual.drain_limit, usual.migration_limit)


def test_status_names_the_command_that_is_running(capsys: pytest.CaptureFixture[str]) -> None:
    nothing: dict[str, Any] = {
        **dict.fromkeys(
            ("version", "external_database", "unfinished", "database_problem", "closing", "last_deployment", "url")
        ),
        **dict.fromkeys(("services", "damaged_operations", "migrations", "drift", "lacking", "next"), ()),
    }
    status._print({**nothing, "state": "running", "gate": "open", "operation": "`graasp-local backup` (process 7)"})
    assert "Running now: `graasp-local backup` (process 7)" in capsys.readouterr().out
