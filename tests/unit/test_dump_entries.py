"""What of a dump its owner loads, read from pg_restore's own list of it."""

from __future__ import annotations

import pytest

from graasp_local.planning.dump_entries import by_owner, extensions_in, to_load
from graasp_local.postgres.properties import names_in

LISTING = (
    ";",
    "; Archive created at 2026-11-28 20:47:15 UTC",
    "8; 2615 16397 SCHEMA - drizzle graasp",
    "9; 2615 16398 SCHEMA - tools postgres",
    "3; 3079 16418 EXTENSION - ltree ",
    "3525; 0 0 COMMENT - EXTENSION ltree ",
    "2; 3079 16407 EXTENSION - dblink ",
    "3526; 0 0 COMMENT - EXTENSION dblink ",
    "219; 1259 16603 TABLE public item graasp",
    "220; 1259 16612 TABLE public audit postgres",
    "3516; 0 16603 TABLE DATA public item graasp",
    "3533; 0 0 ACL public TABLE item graasp",
    "3534; 0 0 ACL public FUNCTION dblink_connect(text) postgres",
    "3535; 826 16700 DEFAULT ACL public DEFAULT PRIVILEGES FOR TABLES postgres",
    "3536; 3466 16701 EVENT TRIGGER - watch postgres",
)


def test_the_owner_loads_what_is_not_made_already_and_not_the_superusers_to_make() -> None:
    loading = to_load(LISTING, "graasp", {"dblink"}, {"tools"})
    assert [entry.partition(";")[0] for entry in loading.entries] == ["8", "3", "3525", "219", "220", "3516", "3533"]
    assert loading.left_out == (
        "ACL public FUNCTION dblink_connect(text) postgres",
        "DEFAULT ACL public DEFAULT PRIVILEGES FOR TABLES postgres",
        "EVENT TRIGGER - watch postgres",
    )


def test_what_publishes_all_tables_or_connects_to_other_servers_is_left_out_with_its_comments() -> None:
    left_out = (
        "PUBLICATION - all_of_them postgres",
        "COMMENT - PUBLICATION all_of_them postgres",
        "PUBLICATION TABLE public chosen item postgres",
        "PUBLICATION TABLES IN SCHEMA public whole public postgres",
        "COMMENT - SUBSCRIPTION from_elsewhere postgres",
        "COMMENT - EVENT TRIGGER watch postgres",
        "FOREIGN DATA WRAPPER - own_kind postgres",
        "SERVER - elsewhere postgres",
        "COMMENT - SERVER elsewhere postgres",
        "USER MAPPING - USER MAPPING graasp SERVER elsewhere postgres",
        "FOREIGN TABLE public there postgres",
        "COMMENT public FOREIGN TABLE there postgres",
        "SECURITY LABEL public FOREIGN TABLE there postgres",
    )
    loaded = (
        "PUBLICATION - own graasp",
        "COMMENT - PUBLICATION own graasp",
        "PUBLICATION TABLE public own item graasp",
        "COMMENT public TABLE SERVER graasp",
        "TABLE public PUBLICATION postgres",
    )
    lines = [f"{number}; 0 0 {told}" for number, told in enumerate((*left_out, *loaded), 1)]
    loading = to_load(lines, "graasp", (), ())
    assert loading.left_out == left_out
    assert loading.entries == tuple(lines[len(left_out) :])


def test_extensions_are_read_with_names_of_any_kind() -> None:
    assert extensions_in([*LISTING, "4; 3079 16409 EXTENSION - uuid-ossp "]) == ("ltree", "dblink", "uuid-ossp")
    comment = '3527; 0 0 COMMENT - EXTENSION "uuid-ossp" '
    assert to_load([comment], "graasp", {"uuid-ossp"}, ()).entries == ()
    assert to_load([comment], "graasp", (), ()).entries == (comment,)


def test_a_whole_server_is_loaded_by_each_things_own_role_in_the_order_of_the_dump() -> None:
    runs = by_owner(LISTING, "graasp", ("graasp", "postgres"), {"dblink"}, {"tools"})
    assert [(owner, [entry.partition(";")[0] for entry in entries]) for owner, entries in runs] == [
        ("graasp", ["8", "3", "3525", "219"]),
        ("postgres", ["220"]),
        ("graasp", ["3516", "3533"]),
        ("postgres", ["3534", "3535", "3536"]),
    ]


def test_the_schema_that_every_database_has_is_its_owners() -> None:
    lines = ("3540; 0 0 ACL - SCHEMA public pg_database_owner", "3541; 0 0 ACL - SCHEMA public postgres")
    assert to_load(lines, "graasp", (), ()).entries == lines
    roles = ("graasp", "postgres", "pg_database_owner")
    assert by_owner(lines, "graasp", roles, (), ()) == (("graasp", lines[:1]), ("postgres", lines[1:]))


def test_the_longest_role_that_fits_is_the_owner() -> None:
    line = "219; 1259 16603 TABLE public item of graasp"
    assert by_owner([line], "graasp", ("graasp", "of graasp"), (), ()) == (("of graasp", (line,)),)


@pytest.mark.parametrize(
    ("kept", "names"),
    [
        ("evil, public", ["evil", "public"]),
        ('"$user", public', ["$user", "public"]),
        ('"a, b","c""d"', ["a, b", 'c"d']),
        ("", []),
    ],
)
def test_a_list_of_names_is_read_as_postgres_keeps_it(kept: str, names: list[str]) -> None:
    assert names_in(kept) == names
