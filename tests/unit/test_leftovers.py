"""Docker commands of a killed graasp-local: found by their mark alone, waited for, ended when they take too long."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from graasp_local.engine.leftovers import MARK, wait_for_leftovers


@contextmanager
def docker_command(directory: Path, site: Path | None) -> Iterator[subprocess.Popen[bytes]]:
    """A process that is called docker and runs until its input ends."""
    program = directory / "docker"
    program.write_text("#!/bin/sh\necho begun\nread line\n")
    program.chmod(0o755)
    environment = {**os.environ, **({MARK: str(site)} if site else {})}
    process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment)
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.readline()
    try:
        yield process
    finally:
        process.stdin.close()
        process.stdout.close()
        process.wait()


def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    with docker_command(tmp_path, tmp_path) as process:
        wait_for_leftovers(tmp_path, patience_seconds=0)
        assert process.poll() is not None


def test_one_that_ends_by_itself_is_left_to(tmp_path: Path) -> None:
    with docker_command(tmp_path, tmp_path) as process:
        assert process.stdin is not None
        process.stdin.write(b"\n")
        process.stdin.flush()
        wait_for_leftovers(tmp_path)
        assert process.wait() == 0


def test_those_of_other_sites_and_of_people_are_left_alone(tmp_path: Path) -> None:
    for site in (tmp_path / "another", None):
        with docker_command(tmp_path, site) as process:
            wait_for_leftovers(tmp_path, patience_seconds=0)
            assert process.poll() is None
