"""The session's stack, reset before each test."""

from __future__ import annotations

import pytest

from graasp_local.testing import Factory


def test_an_item_is_listed(api, graasp_reset):
    made = Factory(graasp_reset).item("hello")
    assert [item["id"] for item in api("items").json()] == [made["id"]]


def test_the_next_test_finds_nothing_of_it(api):
    assert api("items").json() == []


@pytest.mark.graasp(state="restricted")
def test_a_closed_site_answers_those_with_the_bypass(api, graasp_reset):
    assert api("items").status_code == 503
    assert api("items", headers=graasp_reset.get_bypass_headers()).json() == []
