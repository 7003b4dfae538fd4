"""Ports of a stack: nginx's is one that nothing else picks by chance; a machine with too few is refused."""

from __future__ import annotations

import socket

import pytest

from graasp_local.testing import ports
from graasp_local.testing.recipe import ports_of


@pytest.mark.parametrize("picked_from", [range(32768, 61000), range(15000, 65000), range(20001, 65536)])
def test_nginxs_port_is_outside_the_range_that_others_pick_from(picked_from: range) -> None:
    found = {ports.port_outside(picked_from) for _ in range(200)}
    assert not found & {*picked_from}
    assert min(found) >= 20000
    assert max(found) < 65536


def test_where_others_pick_from_all_ports_it_is_one_of_them() -> None:
    assert ports.port_outside(range(1024, 65536)) in range(20000, 65536)


def test_a_port_that_is_found_free_can_be_listened_on() -> None:
    with socket.create_server(("127.0.0.1", ports.free_port())):
        pass


def test_the_engine_picks_one_for_the_database_and_each_part_that_is_on() -> None:
    assert ports_of(()) == ("db", "umami")
    assert ports_of(("mailpit", "etherpad", "nudenet")) == ("db", "umami", "etherpad", "mailpit")
