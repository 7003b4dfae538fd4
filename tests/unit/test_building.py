"""Building an image: what is said of it. `docker` is a script here."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from graasp_local.engine.images.building import Build, build_image
from graasp_local.errors import Refused

# BuildKit's output where two stages are built side by side.
SIDE_BY_SIDE = """\
#5 [build 1/2] RUN yarn install
#6 [deps 1/1] RUN yarn workspaces focus
#6 0.100 resolving

#5 [build 1/2] RUN yarn install
#5 0.200 resolving
#5 DONE 0.3s

#6 [deps 1/1] RUN yarn workspaces focus
#6 DONE 0.4s

#7 [build 2/2] RUN yarn build
"""


def a_build(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, output: str, code: int = 0) -> Build:
    (tmp_path / "output").write_text(output)
    docker = tmp_path / "docker"
    docker.write_text(f"#!/bin/sh\ncat {tmp_path}/output\nexit {code}\n")
    docker.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    return Build("graasp:core-v1.0.0", tmp_path / "Dockerfile", tmp_path, {}, tmp_path / "log")


def test_a_step_is_printed_once_though_the_builder_returns_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = a_build(tmp_path, monkeypatch, SIDE_BY_SIDE)
    assert list(build_image(build, lambda _: None)) == [
        "[build 1/2] RUN yarn install",
        "[deps 1/1] RUN yarn workspaces focus",
        "[build 2/2] RUN yarn build",
    ]
    assert not build.log.exists()


def test_a_build_that_fails_shows_its_last_lines_and_keeps_all_of_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    build = a_build(tmp_path, monkeypatch, SIDE_BY_SIDE + "ERROR: 404\n", code=1)
    said: list[str] = []
    with pytest.raises(Refused, match=r"could not be built \(docker build ended with exit code 1\)"):
        said.extend(build_image(build, lambda _: None))
    assert said[-1] == "ERROR: 404"
    assert build.log.read_text() == SIDE_BY_SIDE + "ERROR: 404\n"


def test_errors_come_before_what_follows_them_and_the_builder_s_own_summary_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    talk = [f"#7 0.{n} note {n}" for n in range(40)]
    output = ["#7 0.1 a.ts(47,18): error TS2345: no", *talk, "#7 ERROR: exit code: 2", "------", " > [build 2/2]:", "x"]
    build = a_build(tmp_path, monkeypatch, "\n".join([*output, ""]), code=1)
    said: list[str] = []
    with pytest.raises(Refused):
        said.extend(build_image(build, lambda _: None))
    assert said == ["#7 0.1 a.ts(47,18): error TS2345: no", *talk[-14:], "#7 ERROR: exit code: 2"]
