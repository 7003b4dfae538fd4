"""A separate stack for a test that changes the version."""

from __future__ import annotations

import pytest
import requests

from graasp_local.testing import Factory


@pytest.mark.graasp(version="1.0.0")
def test_what_was_written_before_a_migration_is_there_after_it(graasp_stack):
    Factory(graasp_stack).item("from 1.0.0")
    deployment = graasp_stack.deploy("1.1.0")
    assert deployment.outcome == "done"
    items = requests.get(f"{graasp_stack.get_url()}/api/items", timeout=30).json()
    assert [(item["name"], "lang" in item) for item in items] == [("from 1.0.0", True)]
