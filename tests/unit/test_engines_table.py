"""The table of engines: what was seen before and is not seen now stays; and engines of a directory."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from click.testing import CliRunner

from tests.engines.checks import CHECKS
from tests.engines.engines import ENGINES, engines_in
from tests.engines.run import main, put_together
from tests.engines.table import BEGIN, END, Row, written

ALL_WELL = dict.fromkeys(CHECKS, "1 s")


def row(name: str, engine: str = "28.5.2", **results: str) -> Row:
    return Row(name, engine, "classic", "1.24 to 1.51", "2.40.3", "3.11.7", "2026-11-28, abc", {**ALL_WELL, **results})


def test_a_run_replaces_its_own_row_and_keeps_the_others(tmp_path: Path) -> None:
    file = tmp_path / "page.md"
    file.write_text(f"# Page\n\n{BEGIN}\n{END}\n\nThe rest.\n")
    file.write_text(written(file, [row("one"), row("two")]))
    file.write_text(written(file, [row("two", "29.0.0"), row("three")]))
    lines = [line for line in file.read_text().splitlines() if line.startswith("| ")]
    assert [line.split(" | ")[0] for line in lines] == ["| run", "| one", "| two", "| three"]
    assert "29.0.0" in lines[2]
    assert written(file, []) == file.read_text()
    assert file.read_text().startswith("# Page\n")
    assert file.read_text().endswith("\nThe rest.\n")


def test_a_check_that_failed_or_was_not_come_to_did_not_go_through() -> None:
    assert row("one").passed
    assert not row("one", states="failed").passed
    assert not Row("one", "", "", "", "", "", "", {"states": "1 s"}).passed


def test_each_engine_has_a_name_of_its_own() -> None:
    assert len({engine.name for engine in ENGINES}) == len(ENGINES)


def a_program(directory: Path, name: str, said: str) -> Path:
    directory.mkdir(parents=True, exist_ok=True)
    program = directory / name
    program.write_text(f"#!/bin/sh\necho '{said}'\n")
    program.chmod(0o755)
    return program


def test_an_engine_in_a_directory_is_known_by_its_version_with_each_store(tmp_path: Path) -> None:
    a_program(tmp_path, "dockerd", "Docker version 29.0.1-rc.1, build abc")
    told = CliRunner().invoke(main, ["--programs", str(tmp_path), "--list"])
    assert told.output.splitlines() == ["29.0.1-rc.1, classic", "29.0.1-rc.1, containerd"]
    told = CliRunner().invoke(main, ["--programs", str(tmp_path), "rootless"])
    assert (told.exit_code, "No engine is called rootless" in told.output) == (2, True)


@pytest.mark.parametrize("said", [None, "Docker of some version"])
def test_a_directory_without_an_engine_is_refused(tmp_path: Path, said: str | None) -> None:
    if said is not None:
        a_program(tmp_path, "dockerd", said)
    told = CliRunner().invoke(main, ["--programs", str(tmp_path), "--list"])
    assert (told.exit_code, "dockerd" in told.output) == (2, True)


def test_an_older_engine_is_given_the_containerd_of_its_time(tmp_path: Path) -> None:
    assert {engine.suite for engine in engines_in(tmp_path, "25.0.17")} == {"trixie"}
    assert {engine.suite for engine in engines_in(tmp_path, "29.7.2")} == {"sid"}


def test_the_programs_of_a_directory_are_used_instead_of_those_of_the_suite(tmp_path: Path) -> None:
    suite, programs = tmp_path / "suite", tmp_path / "programs"
    plugins = "libexec/docker/cli-plugins"
    there = (("sbin", "dockerd"), ("bin", "containerd"), (plugins, "docker-compose"), (plugins, "docker-buildx"))
    for place, name in there:
        a_program(suite / "usr" / place, name, "of the suite")
    for name in ("dockerd", "docker-proxy", "docker-compose"):
        a_program(programs, name, "of the directory")
    home = put_together(tmp_path / "home", suite, programs)
    path = f"{home}/usr/sbin:{home}/usr/bin"
    said = {
        name: subprocess.check_output([str(shutil.which(name, path=path))], text=True).strip()
        for name in ("dockerd", "docker-proxy", "containerd")
    }
    assert said == {"dockerd": "of the directory", "docker-proxy": "of the directory", "containerd": "of the suite"}
    found = {
        name: subprocess.check_output([home / "usr" / plugins / name], text=True).strip()
        for name in ("docker-compose", "docker-buildx")
    }
    assert found == {"docker-compose": "of the directory", "docker-buildx": "of the suite"}
