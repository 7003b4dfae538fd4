"""The lock: one holder, named, and freed by its death."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from graasp_local.clock import InterruptionFlag
from graasp_local.errors import Interrupted, Locked
from graasp_local.lock import Patience, current_holder, held_lock
from tests.unit.fakes import FakeClock


def test_the_second_learns_who_the_first_is(tmp_path: Path) -> None:
    with held_lock(tmp_path / "lock", "graasp-local deploy --version 1.1.0"):
        holder = current_holder(tmp_path / "lock")
        assert holder is not None
        assert holder.pid == os.getpid()
        with (
            pytest.raises(Locked, match=rf"deploy --version 1\.1\.0` \(process {os.getpid()} on"),
            held_lock(tmp_path / "lock", "x"),
        ):
            pass
    assert current_holder(tmp_path / "lock") is None


def test_the_lock_is_free_again_after_its_holder(tmp_path: Path) -> None:
    for _ in range(2):
        with held_lock(tmp_path / "lock", "x"):
            pass


def test_the_death_of_the_holder_frees_it(tmp_path: Path) -> None:
    code = (
        "import sys, time, pathlib\n"
        "from graasp_local.lock import held_lock\n"
        "with held_lock(pathlib.Path(sys.argv[1]), 'doomed'):\n"
        "    print('held', flush=True); time.sleep(60)\n"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(tmp_path / "lock")], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "held\n"
    assert current_holder(tmp_path / "lock") is not None
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert current_holder(tmp_path / "lock") is None
    with held_lock(tmp_path / "lock", "next"):
        pass


def test_a_waiting_command_gets_the_lock_when_it_becomes_free(tmp_path: Path) -> None:
    first = held_lock(tmp_path / "lock", "first")
    first.__enter__()
    clock = FakeClock()
    began = clock.seconds

    def release_after_three_seconds() -> None:
        if clock.seconds > began + 3:
            first.__exit__(None, None, None)

    clock.on_sleep = release_after_three_seconds
    with held_lock(tmp_path / "lock", "second", Patience(60, clock, InterruptionFlag())):
        assert clock.seconds - began == pytest.approx(3.2)


def test_after_the_wait_the_holder_is_named(tmp_path: Path) -> None:
    clock = FakeClock()
    began = clock.seconds
    with (
        held_lock(tmp_path / "lock", "first"),
        pytest.raises(Locked, match="`first`"),
        held_lock(tmp_path / "lock", "second", Patience(5, clock, InterruptionFlag())),
    ):
        pass
    assert clock.seconds - began == pytest.approx(5.0, abs=0.25)


def test_waiting_can_be_interrupted(tmp_path: Path) -> None:
    clock, interruption = FakeClock(), InterruptionFlag()
    clock.on_sleep = interruption.request
    with (
        held_lock(tmp_path / "lock", "first"),
        pytest.raises(Interrupted),
        held_lock(tmp_path / "lock", "second", Patience(60, clock, interruption)),
    ):
        pass
