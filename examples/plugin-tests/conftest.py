from __future__ import annotations

import pytest
import requests

from graasp_local.testing import GraaspStack


@pytest.fixture(scope="session")
def graasp_configure():
    """What every stack of this suite is made of, besides the options of the command line."""
    return lambda stack: stack.with_env("LOG_LEVEL", "debug")


@pytest.fixture
def api(graasp_reset: GraaspStack):
    """A session that knows where the API is: `api("items")` asks for the items as a visitor would."""

    def ask(path: str, method: str = "GET", **options) -> requests.Response:
        return requests.request(method, f"{graasp_reset.get_url()}/api/{path}", timeout=30, **options)

    return ask
