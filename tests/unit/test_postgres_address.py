"""Waiting for a Postgres that is coming back: for a bounded time, on whatever port it comes back on."""

from __future__ import annotations

import pytest

from graasp_local.errors import NeedsYou
from graasp_local.postgres.address import PATIENCE_SECONDS, once_it_answers
from tests.unit.fakes import FakeClock


def test_a_server_that_answers_is_not_waited_for() -> None:
    clock = FakeClock()
    assert once_it_answers(lambda: ("127.0.0.1", 5001), clock, lambda host, port: True)() == ("127.0.0.1", 5001)
    assert clock.seconds == FakeClock().seconds


def test_a_server_that_returns_on_another_port_is_found_there() -> None:
    looks = iter([None, 5001, 5001, 5002])
    accepting = {5002}

    def address() -> tuple[str, int]:
        port = next(looks)
        if port is None:
            raise NeedsYou("The database has no port.")
        return "127.0.0.1", port

    found = once_it_answers(address, FakeClock(), lambda host, port: port in accepting)
    assert found() == ("127.0.0.1", 5002)


def test_patience_has_an_end_and_then_the_address_is_what_it_is() -> None:
    clock = FakeClock()
    assert once_it_answers(lambda: ("127.0.0.1", 5001), clock, lambda host, port: False)() == ("127.0.0.1", 5001)
    assert clock.seconds - FakeClock().seconds == pytest.approx(PATIENCE_SECONDS, abs=0.2)


def test_a_server_without_an_address_is_reported() -> None:
    def address() -> tuple[str, int]:
        raise NeedsYou("The database has no port.")

    with pytest.raises(NeedsYou, match="no port"):
        once_it_answers(address, FakeClock(), lambda host, port: True)()
