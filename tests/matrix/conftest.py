"""The fault matrix: sites and an engine to damage, and the results that docs/reliability.md is made from."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest

from tests.matrix.matrix_site import MatrixSite
from tests.matrix.private_engine import PrivateEngine
from tests.matrix.record import Record


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--matrix-results", type=Path, help="Append what each case did and saw to this file.")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if Path(__file__).parent in item.path.parents:
            item.add_marker("matrix")


@pytest.fixture(scope="session")
def private_engine() -> Iterator[PrivateEngine]:
    engine = PrivateEngine()
    engine.start()
    try:
        engine.load_demo_images()
        yield engine
    finally:
        engine.stop()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MatrixSite]:
    """A site on the machine's engine, for faults that affect only this site."""
    site = MatrixSite(tmp_path_factory.mktemp("matrix") / "site")
    try:
        site.make_ready()
        yield site
    finally:
        site.down()


@pytest.fixture(autouse=True)
def as_it_should_be(request: pytest.FixtureRequest) -> None:
    """Repair the site after a failed case, so that the next case does not fail because of it."""
    if "site" in request.fixturenames and request.session.stash.get(_LAST_FAILED, False):
        request.session.stash[_LAST_FAILED] = False
        request.getfixturevalue("site").fix()


@pytest.fixture
def record(request: pytest.FixtureRequest) -> Record:
    """What a case reports, in words for the table."""
    record = Record(*_family_and_case(request.node))
    request.node.stash[_RECORD] = record
    return record


_RECORD = pytest.StashKey[Record]()
_LAST_FAILED = pytest.StashKey[bool]()


def _family_and_case(node: pytest.Item) -> tuple[str, str]:
    module = node.getparent(pytest.Module)
    assert module is not None
    assert module.obj.__doc__ is not None
    title = module.obj.__doc__.partition("\n")[0].partition(":")[0].rstrip(".")
    return title, node.nodeid.partition("::")[2]


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Iterator[None]:
    report = yield  # type: ignore[func-returns-value,unused-ignore]
    file = item.config.getoption("--matrix-results")
    record = item.stash.get(_RECORD, None)
    if report.failed:  # type: ignore[attr-defined]
        item.session.stash[_LAST_FAILED] = True
    if call.when == "call" and file is not None and record is not None:
        line = {
            **record.as_json(),
            "passed": report.passed,  # type: ignore[attr-defined]
            "seconds": round(report.duration, 1),  # type: ignore[attr-defined]
            "at": datetime.now(UTC).strftime("%Y-%m-%d %H:%M"),
            "commit": _commit(),
        }
        with file.open("a") as results:
            results.write(json.dumps(line) + "\n")
    return report


@cache
def _commit() -> str:
    """The commit on which this run's cases run, with a `+` if there are uncommitted changes."""
    repository = Path(__file__).parents[2]
    named = ["git", "-C", str(repository), "describe", "--always", "--exclude=*", "--dirty=+"]
    return subprocess.run(named, capture_output=True, text=True, check=True).stdout.strip()
