"""When one server is a true copy of another."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from graasp_local.planning.fingerprint import DatabaseFingerprint, ServerFingerprint, described, differences, in_short

GRAASP = DatabaseFingerprint({"table public.item": "owner graasp"}, {"ltree": "1.2"}, 1, 100)
SERVER = ServerFingerprint({"graasp": "login"}, {"graasp": GRAASP})


def with_graasp(**changed: object) -> ServerFingerprint:
    return replace(SERVER, databases={"graasp": replace(GRAASP, **changed)})


def test_a_copy_is_one() -> None:
    assert differences(SERVER, SERVER) == ()


@pytest.mark.parametrize(
    ("copy", "sentence"),
    [
        (replace(SERVER, roles={}), "role graasp is missing."),
        (replace(SERVER, roles={"graasp": "nologin"}), "role graasp is not the same: login before, nologin now."),
        (replace(SERVER, databases={}), "database graasp is missing."),
        (with_graasp(facts={}), "graasp: table public.item is missing."),
        (with_graasp(facts={**GRAASP.facts, "table x": ""}), "graasp: table x was not there before."),
        (with_graasp(extensions={}), "graasp: extension ltree is missing."),
        (with_graasp(extensions={"ltree": "1.1"}), "graasp: extension ltree is older: 1.2 before, 1.1 now."),
    ],
)
def test_every_difference_is_reported(copy: ServerFingerprint, sentence: str) -> None:
    assert differences(SERVER, copy) == (sentence,)


def test_a_newer_server_may_bring_newer_extensions() -> None:
    copy = with_graasp(extensions={"ltree": "1.10"})
    assert differences(SERVER, copy) == ()
    assert list(described(SERVER, copy)) == ["graasp: 1 table(s), 100 row(s), ltree 1.2 → 1.10"]


def test_many_differences_are_shortened() -> None:
    assert in_short([f"{number}." for number in range(10)]) == "0. 1. 2. 3. 4. 5. 6. 7. And 2 more."
