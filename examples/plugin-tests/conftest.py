from __future__ import annotations

import pytest
import requests

from graasp_local.testing import GraaspStack


@pytest.fixture(scope="session")
def graasp_configure():
    """Configure every stack of this suite, in addition to the command-line options."""
    return lambda stack: stack.with_env("LOG_LEVEL", "debug")


@pytest.fixture
def api(graasp_reset: GraaspStack):
    """Call the API as a visitor: `api("items")` requests the items."""

    def ask(path: str, method: str = "GET", **options) -> requests.Response:
        return requests.request(method, f"{graasp_reset.get_url()}/api/{path}", timeout=30, **options)

    return ask
