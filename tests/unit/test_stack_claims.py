"""Who owns a stack for tests: found again after its process is gone, taken over once, never while it is in use."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from msgspec.structs import replace

from graasp_local.errors import Refused
from graasp_local.testing.claims import IDLE_SECONDS, Claims, Left, Record

ENGINE = "unix:///engine.sock"
NOW = 1_000_000.0


@pytest.fixture
def claims(tmp_path: Path) -> Claims:
    return Claims(tmp_path / "claims")


def record(project: str, **known: object) -> Record:
    return replace(Record(project, ENGINE, "/site"), **known)


def orphans(claims: Claims, engine: str = ENGINE, now: float = NOW) -> list[str]:
    return [claim.record.project for claim in claims.orphans(engine, now)]


def test_a_stack_in_use_is_not_an_orphan(claims: Claims) -> None:
    claims.make(record("mine"))
    assert orphans(claims) == []


def test_a_stack_whose_process_was_killed_is_one(claims: Claims) -> None:
    script = (
        "import os, signal, sys; from pathlib import Path; from graasp_local.testing.claims import Claims, Record\n"
        f"Claims(Path({str(claims.root)!r})).make(Record('killed', {ENGINE!r}, '/site'))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    assert subprocess.run([sys.executable, "-c", script]).returncode == -signal.SIGKILL
    assert orphans(claims, engine="unix:///another.sock") == []
    assert orphans(claims) == ["killed"]


def test_an_orphan_is_taken_by_one_run_only(claims: Claims) -> None:
    claims.make(record("left")).release()
    first = list(claims.orphans(ENGINE, NOW))
    assert [claim.record.project for claim in first] == ["left"]
    assert orphans(claims) == []


def test_a_released_stack_is_gone(claims: Claims) -> None:
    claim = claims.make(record("gone"))
    claim.give_up()
    assert not claim.directory.exists()
    assert orphans(claims) == []


def test_a_kept_stack_is_left_alone_however_old(claims: Claims) -> None:
    claim = claims.make(record("kept", left=Left.KEPT, left_at=0.0))
    claim.release()
    assert orphans(claims) == []
    assert [left.record.project for left in claims.left()] == ["kept"]


def test_an_idle_stack_waits_for_a_run_with_its_settings_and_not_for_ever(claims: Claims) -> None:
    claims.make(record("idle", left=Left.IDLE, left_at=NOW, fingerprint="abc")).release()
    assert orphans(claims, now=NOW + IDLE_SECONDS - 1) == []
    assert list(claims.idle(ENGINE, "other")) == []
    (taken,) = claims.idle(ENGINE, "abc")
    assert taken.record.project == "idle"
    assert list(claims.idle(ENGINE, "abc")) == []  # taken already
    taken.release()
    assert orphans(claims, now=NOW + IDLE_SECONDS + 1) == ["idle"]


def test_one_that_was_killed_before_it_wrote_anything_down_is_removed(claims: Claims) -> None:
    claims.make(record("first")).give_up()
    (claims.root / "empty").mkdir()
    assert orphans(claims) == []
    assert not (claims.root / "empty").exists()


def test_a_directory_that_cannot_be_written_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(Refused, match="cannot be written"):
        Claims(tmp_path / "file").make(record("any"))
