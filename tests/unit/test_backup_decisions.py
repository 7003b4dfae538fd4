"""What a backup's manifest holds, which backups may go, and which database takes whose place."""

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from graasp_local.backup.manifest import (
    DatabasePart,
    Manifest,
    ManifestError,
    Part,
    SettingsPart,
    StoredFile,
    VolumePart,
    as_json,
    from_json,
)
from graasp_local.backup.names import is_in_place, left_over, renames_in, renames_out, restored_name
from graasp_local.backup.retention import FRESH_SECONDS, Policy, expired, fresh, needed_for_a_rollback
from graasp_local.errors import NeedsYou

NOW = 1_800_000_000.0
DAY = 86400.0
VERSIONS = ("1.0.0", "1.1.0", "1.2.0")


def backup(number: int, age: float, version: str = "1.0.0", before: str = "", project: str = "graasp") -> Manifest:
    at = datetime.fromtimestamp(NOW - age, UTC).isoformat()
    part = DatabasePart("graasp", StoredFile("graasp.dump", 10, "0" * 64), {"public.item": 3}, 1000)
    return Manifest(f"{number:04d}", at, project, "0.1.0", version, 16, (part,), before)


stored_files = st.builds(
    StoredFile,
    st.from_regex(r"[a-z]{1,8}\.(dump|tar|age)", fullmatch=True),
    st.integers(0, 2**50),
    st.from_regex(r"[0-9a-f]{64}", fullmatch=True),
)
parts: st.SearchStrategy[Part] = st.one_of(
    st.builds(DatabasePart, st.text(), stored_files, st.dictionaries(st.text(), st.integers(0)), st.integers(0)),
    st.builds(VolumePart, st.text(), stored_files, st.integers(0), st.integers(0)),
    st.builds(SettingsPart, st.text(), stored_files),
)
moments = st.datetimes(datetime(2020, 1, 1), datetime(2090, 1, 1), timezones=st.just(UTC)).map(datetime.isoformat)
manifests = st.builds(
    Manifest,
    st.text(),
    moments,
    st.text(),
    st.text(),
    st.text(),
    st.integers(10, 20),
    st.lists(parts).map(tuple),
    st.text(),
)


@st.composite
def collections(draw: st.DrawFn) -> list[Manifest]:
    """Backups of a few years, some of them dated in the future, some taken by deployments."""
    ages = draw(st.lists(st.floats(-10 * DAY, 1000 * DAY), max_size=30))
    return [
        backup(number, age, draw(st.sampled_from(VERSIONS)), draw(st.sampled_from(["", "1.1.0"])))
        for number, age in enumerate(ages)
    ]


policies = st.builds(Policy, st.integers(1, 20), st.integers(0, 400))


@given(manifests)
def test_a_manifest_is_read_as_it_was_written(manifest: Manifest) -> None:
    assert from_json(json.loads(json.dumps(as_json(manifest)))) == manifest


@given(manifests, st.data())
def test_a_manifest_without_one_of_its_keys_is_refused(manifest: Manifest, data: st.DataObject) -> None:
    told = as_json(manifest)
    del told[data.draw(st.sampled_from(sorted(told.keys() - {"before"})))]
    with pytest.raises(ManifestError):
        from_json(told)


@pytest.mark.parametrize("file", ["../../.env", "/etc/passwd", ".hidden", "a/b"])
def test_a_manifest_cannot_name_a_file_outside_of_its_backup(file: str) -> None:
    told = as_json(backup(1, 0))
    told["parts"][0]["file"] = file
    with pytest.raises(ManifestError, match="outside"):
        from_json(told)


@pytest.mark.parametrize("told", [None, [], "text", {"format": 2}, {"format": 1}])
def test_what_is_not_a_manifest_is_refused(told: object) -> None:
    with pytest.raises(ManifestError):
        from_json(told)


@given(collections(), policies, st.sets(st.sampled_from([f"{n:04d}" for n in range(30)])))
def test_what_is_needed_never_expires(backups: list[Manifest], policy: Policy, needed: set[str]) -> None:
    assert not needed & set(expired(backups, policy, needed, NOW))


@given(collections(), policies)
def test_only_what_is_both_old_and_beyond_the_count_expires(backups: list[Manifest], policy: Policy) -> None:
    gone = set(expired(backups, policy, (), NOW))
    for kind in (True, False):
        group = sorted((b for b in backups if bool(b.before) is kind), key=lambda b: (b.taken_at, b.name))
        for older_than_newest, one in enumerate(reversed(group)):
            if one.name in gone:
                assert older_than_newest >= policy.count
                assert NOW - one.taken_at > policy.days * DAY


@given(collections(), policies, st.sampled_from(VERSIONS), st.sampled_from(VERSIONS))
def test_a_rollback_keeps_its_newest_backup(
    backups: list[Manifest], policy: Policy, selected: str, previous: str
) -> None:
    needed = needed_for_a_rollback(backups, (selected, previous))
    left = [one for one in backups if one.name not in expired(backups, policy, needed, NOW)]
    for version in (selected, previous):
        before = [one.taken_at for one in backups if one.version == version]
        after = [one.taken_at for one in left if one.version == version]
        assert max(after, default=None) == max(before, default=None)


@given(collections(), policies)
def test_expiring_twice_equals_expiring_once(backups: list[Manifest], policy: Policy) -> None:
    gone = expired(backups, policy, (), NOW)
    left = [one for one in backups if one.name not in gone]
    assert expired(left, policy, (), NOW) == ()


@pytest.mark.parametrize(
    ("age", "version", "project", "is_fresh"),
    [
        (0, "1.0.0", "graasp", True),
        (FRESH_SECONDS, "1.0.0", "graasp", True),
        (FRESH_SECONDS + 1, "1.0.0", "graasp", False),
        (-5, "1.0.0", "graasp", False),
        (0, "1.1.0", "graasp", False),
        (0, "1.0.0", "another", False),
    ],
)
def test_what_a_deployment_may_rely_on(age: float, version: str, project: str, is_fresh: bool) -> None:
    one = backup(1, age, version, project=project)
    assert fresh([one], "graasp", "1.0.0", NOW) == (one if is_fresh else None)


def renamed(existing: set[str], renames: tuple[tuple[str, str], ...]) -> set[str]:
    for old, new in renames:
        assert old in existing
        assert new not in existing
        existing = existing - {old} | {new}
    return existing


BOTH = ("graasp", "umami")


def test_the_swap_keeps_what_was_there() -> None:
    loaded = {*BOTH, "graasp_restored_0007", "umami_restored_0007"}
    assert renames_in(BOTH, "0007", loaded) == (
        ("graasp", "graasp_before_0007"),
        ("graasp_restored_0007", "graasp"),
        ("umami", "umami_before_0007"),
        ("umami_restored_0007", "umami"),
    )


@given(st.sets(st.sampled_from(BOTH)))
def test_a_swap_is_completed_and_then_left_alone(done_before: set[str]) -> None:
    existing = {*BOTH, *(restored_name(database, "0007") for database in BOTH)}
    existing = renamed(existing, renames_in(sorted(done_before), "0007", existing))
    existing = renamed(existing, renames_in(BOTH, "0007", existing))
    assert all(is_in_place(database, "0007", existing) for database in BOTH)
    assert renames_in(BOTH, "0007", existing) == ()


@given(st.sets(st.sampled_from(BOTH)))
def test_a_rollback_restores_whatever_was_swapped(swapped: set[str]) -> None:
    before = {*BOTH, *(restored_name(database, "0007") for database in BOTH)}
    existing = renamed(before, renames_in(sorted(swapped), "0007", before))
    existing = renamed(existing, renames_out(BOTH, "0007", existing))
    assert set(BOTH) <= existing
    assert len(existing) == len(before)
    assert renames_out(BOTH, "0007", existing) == ()


def test_a_swap_without_what_was_restored_is_refused() -> None:
    with pytest.raises(NeedsYou, match="graasp_restored_0007"):
        renames_in(("graasp",), "0007", {"graasp", "graasp_restored_0006"})


def test_only_what_other_restores_left_is_left_over() -> None:
    existing = {
        "graasp",
        "umami",
        "graasp_before_0007",
        "graasp_before_0006",
        "umami_undone_0003",
        "graasp_trial",
        "x_before_1",
    }
    assert left_over(existing, ["0007"]) == ("graasp_before_0006", "graasp_trial", "umami_undone_0003")
