"""How tests are spread over several workers (`pytest -n`): a file's tests share a site, so they stay together."""

from __future__ import annotations

import signal
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from xdist.scheduler import LoadScopeScheduling

REPOSITORY = Path(__file__).parents[1]

# What a shell starts in the background ignores ctrl-C, and so would all that the tests start and press it for.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


@cache
def _together(file: str) -> str:
    """What runs on one worker, one after the other: a file, or all files that hurt the one private engine."""
    return "the private engine" if "private_engine" in (REPOSITORY / file).read_text() else file


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling | None:
    """For `--dist loadfile`: files that share more than their own site stay together too."""
    if config.getoption("dist") != "loadfile":
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByWhatIsShared(LoadScopeScheduling):  # type: ignore[misc,unused-ignore]
        def _split_scope(self, nodeid: str) -> str:
            return _together(nodeid.partition("::")[0])

    return ByWhatIsShared(config, log)
