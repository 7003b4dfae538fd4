from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.demo_site import DemoSite


@pytest.fixture
def new_site(tmp_path: Path) -> Iterator[DemoSite]:
    """A site without a deployment; removed afterwards with its volumes."""
    site = DemoSite(tmp_path / "site")
    yield site
    site.down()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[DemoSite]:
    """A site for the tests of one module, with 1.0.0 deployed."""
    site = DemoSite(tmp_path_factory.mktemp("module") / "site")
    try:
        site.deploy("1.0.0")
        yield site
    finally:
        site.down()
