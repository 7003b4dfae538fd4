"""How tests are spread over workers (`pytest -n`): what shares a site stays together, the longest begins first."""

from __future__ import annotations

import ast
import re
import signal
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

REPOSITORY = Path(__file__).parents[1]
OPERATION = re.compile(r"\.(deploy|apply|start|type)\(|'(apply|restore|resume|rollback|scale)'|killed\(|subprocess")
"""What takes seconds on an engine."""

# What a shell starts in the background ignores ctrl-C, and so would all that the tests start and press it for.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@cache
def _text(file: str) -> str:
    return (REPOSITORY / file).read_text()


@cache
def _functions(file: str) -> dict[str, ast.FunctionDef]:
    return {node.name: node for node in ast.parse(_text(file)).body if isinstance(node, ast.FunctionDef)}


@cache
def _shares(file: str, name: str) -> bool:
    """Whether a test or fixture of a file has something that the file's other tests have too."""
    function = _functions(file).get(name) or _functions(str(Path(file).with_name("conftest.py"))).get(name)
    if function is None:  # a fixture of pytest's own
        return False
    decorators = " ".join(map(ast.unparse, function.decorator_list))
    return "scope=" in decorators or any(_shares(file, argument.arg) for argument in function.args.args)


def _together(nodeid: str) -> str:
    """What runs on one worker, one after the other: a test that shares nothing, a file, or all that harm an engine."""
    file, _, test = nodeid.partition("::")
    if "private_engine" in _text(file):
        return "the private engine"
    name = test.partition("[")[0]
    on_its_own = name in _functions(file) and not _shares(file, name) and "autouse=True" not in _text(file)
    return nodeid if on_its_own else file


def _operations(nodeids: Iterable[str]) -> float:
    """About how long these tests take together, in operations on an engine."""
    total = 0.0
    for nodeid in nodeids:
        file, _, test = nodeid.partition("::")
        function = _functions(file).get(test.partition("[")[0])
        total += 0.5 + (len(OPERATION.findall(ast.unparse(function))) if function else 0)
        total += 5 if "private_engine" in _text(file) or "swarm" in file else 2 if "/matrix/" in file else 0
    return total


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling | None:
    """For `--dist loadfile`: what shares more than a file stays together too, and what shares nothing does not."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class LongestFirst(LoadScopeScheduling):  # type: ignore[misc,unused-ignore]
        def _split_scope(self, nodeid: str) -> str:
            return _together(nodeid)

        def _assign_work_unit(self, node: Any) -> None:
            longest = max(self.workqueue, key=lambda unit: _operations(self.workqueue[unit]))
            self.workqueue.move_to_end(longest, last=False)
            super()._assign_work_unit(node)

    return LongestFirst(config, log)
