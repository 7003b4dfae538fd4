"""What was asked for: as it can be typed again, whole in the journal, and kept by `resume`."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click
import pytest
from click.testing import CliRunner

from graasp_local.cli.main import cli
from graasp_local.journal.events import OperationStarted, StepStarted
from graasp_local.journal.read import read_operations
from graasp_local.operations import run
from graasp_local.planning.plan import Strategy
from graasp_local.planning.requests import (
    ChangeState,
    Deploy,
    OnFailure,
    Request,
    Restore,
    Resume,
    Rollback,
    Rotate,
    UpgradeDatabase,
    as_record,
    from_record,
)
from graasp_local.planning.states import InfraState
from tests.unit.fakes import FakeWorld

HOLD = OnFailure.HOLD
EVERYTHING = Deploy(
    "1.1.0",
    no_backup=True,
    strategy=Strategy.ROLLING_IF_POSSIBLE,
    hold=True,
    on_failure=HOLD,
    drain_limit=2.5,
    migration_limit=60.0,
    probe=True,
)
REQUESTS: list[tuple[Request, str]] = [
    (ChangeState(InfraState.DB_ONLY), "apply db-only"),
    (ChangeState(InfraState.STOPPED, 300.0), "apply stopped --drain-limit 300"),
    (Deploy("1.1.0"), "deploy --version 1.1.0"),
    (
        EVERYTHING,
        "deploy --version 1.1.0 --no-backup --strategy rolling-if-possible --hold --on-failure hold --drain-limit 2.5 "
        "--migration-limit 60 --probe",
    ),
    (Resume(), "resume"),
    (Resume(HOLD), "resume --on-failure hold"),
    (Rollback(), "rollback"),
    (Rollback(discard_written_since=True), "rollback --discard written-since"),
    (
        Restore("/my backups/a", ("graasp", "files"), replace_what_is_there=True),
        "restore '/my backups/a' --only graasp --only files --discard current-data",
    ),
    (UpgradeDatabase(17, "postgres:17"), "upgrade-database --to 17 --image postgres:17"),
    (Rotate(("JWT_SECRET", "TOKEN")), "secrets rotate JWT_SECRET TOKEN"),
]


@pytest.mark.parametrize(("request_", "words"), REQUESTS)
def test_it_says_what_can_be_typed_again_and_the_command_line_takes_that(request_: Request, words: str) -> None:
    assert request_.command == f"graasp-local {words}"
    command: Any = cli
    arguments = shlex.split(words)
    while hasattr(command, "get_command"):
        name, *arguments = arguments
        command = command.get_command(None, name)
        assert command is not None
    command.make_context("graasp-local", arguments)  # raises where it does not understand


@pytest.mark.parametrize(
    ("typed", "asked_for"),
    [("./it's one", "{here}/it's one"), ("/my backups/a", "/my backups/a"), ("0001", "0001"), ("latest", "latest")],
)
def test_a_backup_that_is_named_by_its_path_can_be_named_so_from_anywhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, asked_for: str
) -> None:
    asked: list[Request] = []
    monkeypatch.setattr("graasp_local.cli.operating.operation", lambda _context, request, _how: asked.append(request))
    monkeypatch.setattr("graasp_local.cli.context.Context.refuse_if_not_ours", lambda _self: None)
    monkeypatch.chdir(tmp_path)
    CliRunner().invoke(cli, ["restore", typed, "--dry-run"], catch_exceptions=False)
    (request,) = asked
    assert isinstance(request, Restore)
    assert request.backup == asked_for.format(here=tmp_path)


@pytest.mark.parametrize("request_", [request for request, _ in REQUESTS])
def test_a_journal_keeps_it_whole(request_: Request) -> None:
    assert from_record(json.loads(json.dumps(as_record(request_)))) == request_


def started(fake: FakeWorld, request: Request, until: str = "") -> OperationStarted:
    """Run until a step has begun, then be gone, or to the end; returns the first event."""
    first = None
    for event in run.run(fake.world, request):
        first = first or event
        if isinstance(event, StepStarted) and event.name == until:
            break
    assert isinstance(first, OperationStarted)
    return first


def test_resume_keeps_everything_that_was_asked_for(running: FakeWorld) -> None:
    asked = Deploy("1.1.0", no_backup=True, hold=True, on_failure=HOLD, drain_limit=2.5, migration_limit=60.0)
    started(running, asked, until="stop-graasp")
    first = started(running, Resume())
    assert (first.request, first.asked, first.command) == (Resume(), asked, "graasp-local resume")
    names = [step.name for step in first.plan.steps]
    assert "backup" not in names
    assert first.plan.target is InfraState.RESTRICTED
    limit = next(step.limit_seconds for step in first.plan.steps if step.name == "migrate")  # type: ignore[union-attr]
    assert limit == 60.0


def test_a_second_resume_keeps_it_too_and_may_say_something_else_about_a_failure(running: FakeWorld) -> None:
    asked = Deploy("1.1.0", hold=True, on_failure=HOLD)
    started(running, asked, until="stop-graasp")
    started(running, Resume(), until="stop-graasp")
    first = started(running, Resume(OnFailure.ROLLBACK), until="migrate")
    assert first.asked == Deploy("1.1.0", hold=True)


def test_resume_holds_after_a_failure_if_that_was_asked_for(running: FakeWorld) -> None:
    started(running, Deploy("1.1.0", on_failure=HOLD), until="stop-graasp")
    running.engine.migration_code = 1
    *_, ended = run.run(running.world, Resume())
    assert ended.outcome == "failed"  # type: ignore[union-attr]


def test_the_journal_says_who_agreed_to_discard_what(running: FakeWorld) -> None:
    started(running, Deploy("1.1.0"))
    started(running, Rollback(discard_written_since=True))
    record = read_operations(running.world.site.journal_directory)[-1]
    assert record.request == Rollback(discard_written_since=True)
    assert record.command == "graasp-local rollback --discard written-since"
    assert record.operation.endswith("-rollback")


@pytest.mark.parametrize(
    ("words", "values"),
    [
        ("rollback --discard-written-since", {"discard": True}),
        ("rollback --yes --discard written-since", {"discarded": "written-since", "yes": True}),
        ("restore latest --replace-what-is-there", {"replace": True}),
        ("restore latest --yes --discard current-data", {"discarded": "current-data", "yes": True}),
        ("remove-old-database --confirm graasp", {"confirm": "graasp"}),
        ("remove-old-database --yes --discard old-database", {"discarded": "old-database", "yes": True}),
    ],
)
def test_consent_to_a_loss_names_it_and_the_old_names_still_work(words: str, values: dict[str, Any]) -> None:
    verb, *arguments = words.split()
    command: Any = cli
    params = command.get_command(None, verb).make_context(verb, arguments).params
    assert {name: params[name] for name in values} == values


def test_consent_to_another_loss_does_not_count() -> None:
    command: Any = cli
    with pytest.raises(click.BadParameter):
        command.get_command(None, "rollback").make_context("rollback", ["--discard", "current-data"])
