"""graasp-local's pytest plugin: fixtures with a stack, and a report of it for a failed test. See docs/testing.md.

pytest loads it wherever graasp-local is installed, so it imports nothing else of graasp-local until a test uses a
stack.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from graasp_local.testing.stack import GraaspStack

Configure = Callable[["GraaspStack"], "GraaspStack"]

_FIXTURES = ("graasp_stack", "graasp_session", "graasp_reset")
_FAILED = pytest.StashKey[bool]()

_MARKER = (
    "graasp(version, state, env, override, profiles, images): how the test's graasp_stack is configured; "
    "with graasp_reset only the state"
)


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("graasp", "a Graasp for tests (graasp-local)")
    group.addoption("--graasp-version", metavar="VERSION", help="The version of Graasp in the stacks.")
    group.addoption(
        "--graasp-images",
        metavar="IMAGES",
        help="demo (the default), registry, a repository, or images by service: core=IMAGE,workers=IMAGE.",
    )
    group.addoption(
        "--graasp-keep", action="store_true", help="Leave the stack of a failed test running, and say how to open it."
    )
    group.addoption(
        "--graasp-reuse",
        action="store_true",
        help="Reuse an idle stack of an earlier run with the same version and settings, and leave one at the end.",
    )


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", _MARKER)


@pytest.fixture(scope="session")
def graasp_configure() -> Configure:
    """The configuration of every stack of the suite: override it in conftest.py to add `with_…` calls."""
    return lambda stack: stack


@pytest.fixture(scope="session")
def _graasp_new(pytestconfig: pytest.Config, graasp_configure: Configure) -> Callable[[], GraaspStack]:
    def new() -> GraaspStack:
        from graasp_local.testing.stack import GraaspStack

        stack = graasp_configure(GraaspStack())
        if version := pytestconfig.getoption("graasp_version"):
            stack.with_version(version)
        if images := pytestconfig.getoption("graasp_images"):
            source, repository, named = images_given(images)
            stack.with_images(source, repository=repository, **named)
        if pytestconfig.getoption("graasp_reuse"):
            stack.with_reuse()
        if pytestconfig.getoption("graasp_keep"):
            stack.with_keeping()
        return stack

    return new


@pytest.fixture
def graasp_stack(request: pytest.FixtureRequest, _graasp_new: Callable[[], GraaspStack]) -> Iterator[GraaspStack]:
    """A stack for this test alone, configured by its markers."""
    stack = _graasp_new()
    for marker in reversed([*request.node.iter_markers("graasp")]):  # the nearest one wins
        _as_marked(stack, marker)
    with stack:
        yield stack
        _end(stack, request.config, failed=request.node.stash.get(_FAILED, False))


@pytest.fixture(scope="session")
def graasp_session(pytestconfig: pytest.Config, _graasp_new: Callable[[], GraaspStack]) -> Iterator[GraaspStack]:
    """One stack for the whole session, and one for each worker of pytest-xdist."""
    with _graasp_new() as stack:
        if not stack.has_snapshot and stack.state != "stopped":
            stack.snapshot()
        yield stack
        _end(stack, pytestconfig, failed=pytestconfig.stash.get(_FAILED, False))


@pytest.fixture
def graasp_reset(request: pytest.FixtureRequest, graasp_session: GraaspStack) -> GraaspStack:
    """The session's stack, reset to its initial data, version and state."""
    from graasp_local.errors import UsageError

    graasp_session.reset()
    for marker in reversed([*request.node.iter_markers("graasp")]):
        if {*marker.kwargs} - {"state"}:
            raise UsageError(
                f"{request.node.name}: graasp_reset is the session's stack; a marker can change its state only.",
                "",
                "Use graasp_stack, or override graasp_configure for all stacks of the suite.",
            )
        if "state" in marker.kwargs and graasp_session.state != marker.kwargs["state"]:
            graasp_session.apply(marker.kwargs["state"])
    return graasp_session


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed and call.when != "teardown":
        stacks = {id(stack): (name, stack) for name, stack in _stacks(item)}
        for name, stack in stacks.values():
            item.stash[_FAILED] = True
            if name != "graasp_stack":
                item.config.stash[_FAILED] = True
            text = stack.describe()
            if item.config.getoption("graasp_keep"):
                text += f"\nkept: graasp-local --site {stack.site.directory} status"
                text += "\n      python -m graasp_local.testing --clean removes it"
            report.sections.append((f"Graasp ({name})", text))
    return report


def images_given(text: str) -> tuple[str | None, str, dict[str, str]]:
    """Parse --graasp-images: a source, a repository, or images by service. Raises UsageError."""
    from graasp_local.errors import UsageError

    if text in ("demo", "registry"):
        return text, "", {}
    if "=" not in text:
        return None, text, {}
    named = dict(part.split("=", 1) for part in text.split(",") if "=" in part)
    if len(named) != len(text.split(",")) or not all((name and image) for name, image in named.items()):
        raise UsageError(
            f"--graasp-images={text} does not name images by service.",
            "Nothing was started.",
            "Write core=IMAGE,workers=IMAGE, or demo, or registry, or a repository.",
        )
    return None, "", named


def _as_marked(stack: GraaspStack, marker: pytest.Mark) -> None:
    """Configure a stack as the marker says. Raises UsageError for an argument that the marker does not take."""
    from graasp_local.errors import UsageError

    known: dict[str, Callable[[Any], object]] = {
        "version": stack.with_version,
        "state": stack.with_state,
        "env": lambda settings: stack.with_envs(**settings),
        "override": stack.with_override,
        "profiles": lambda names: stack.with_profiles(*([names] if isinstance(names, str) else names)),
        "images": lambda images: stack.with_images(images) if isinstance(images, str) else stack.with_images(**images),
    }
    unknown = [*map(repr, marker.args), *(key for key in marker.kwargs if key not in known)]
    if unknown:
        raise UsageError(
            f"@pytest.mark.graasp cannot be given {', '.join(unknown)}.", "", f"It takes {', '.join(known)}, by name."
        )
    for key, value in marker.kwargs.items():
        known[key](value)


def _stacks(item: pytest.Item) -> Iterator[tuple[str, GraaspStack]]:
    """The started stacks of a test."""
    fixtures = getattr(item, "funcargs", {})
    for name in _FIXTURES:
        stack = fixtures.get(name)
        if stack is not None and stack.is_started:
            yield name, stack


def _end(stack: GraaspStack, config: pytest.Config, *, failed: bool) -> None:
    if failed and config.getoption("graasp_keep") and stack.is_started:
        stack.keep()
