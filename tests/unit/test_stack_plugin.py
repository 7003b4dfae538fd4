"""The pytest plugin's options and marker, in a run of pytest of its own; nothing here gets as far as the engine."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from graasp_local.errors import UsageError
from graasp_local.testing.plugin import images_given

PYTEST = [
    sys.executable,
    "-m",
    "pytest",
    "-p",
    "no:graasp_local",
    "-p",
    "graasp_local.testing.plugin",
    "-p",
    "no:cacheprovider",
]


def run(directory: Path, test: str, *options: str) -> str:
    (directory / "test_it.py").write_text(test)
    (directory / "pytest.ini").write_text("[pytest]\n")
    words = [*PYTEST, "--rootdir", str(directory), str(directory), *options]
    return subprocess.run(words, capture_output=True, text=True, cwd=directory).stdout


@pytest.mark.parametrize(
    ("text", "given"),
    [
        ("demo", ("demo", "", {})),
        ("registry", ("registry", "", {})),
        ("localhost/mine/graasp", (None, "localhost/mine/graasp", {})),
        ("core=mine:dev,workers=w", (None, "", {"core": "mine:dev", "workers": "w"})),
    ],
)
def test_images_are_a_source_a_repository_or_services(text: str, given: object) -> None:
    assert images_given(text) == given


@pytest.mark.parametrize("text", ["core=", "=mine", "core=mine,workers"])
def test_other_kinds_of_images_are_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--graasp-images"):
        images_given(text)


def test_the_options_are_in_the_help(tmp_path: Path) -> None:
    said = run(tmp_path, "", "--help")
    for option in ("--graasp-version", "--graasp-images", "--graasp-keep", "--graasp-reuse"):
        assert option in said


def test_a_marker_that_says_something_else_is_refused_before_anything_is_started(tmp_path: Path) -> None:
    test = "import pytest\n@pytest.mark.graasp(version='1.1.0', versoin='1')\ndef test(graasp_stack): pass\n"
    assert "cannot be given versoin" in run(tmp_path, test, "--strict-markers")


def test_a_suite_without_a_stack_loads_none_of_graasp_local(tmp_path: Path) -> None:
    test = "import sys\ndef test(): assert 'graasp_local.testing.stack' not in sys.modules\n"
    assert "1 passed" in run(tmp_path, test)
