"""What is a version, and which is newer."""

from __future__ import annotations

from itertools import pairwise

import pytest

from graasp_local.errors import ExitCode, UsageError
from graasp_local.version import Version, version_said_by_core


@pytest.mark.parametrize("text", ["2.14.2", "v2.14.2", "0.0.1", "1.3.0-migration-fails", "1.0.0-rc.1"])
def test_versions(text: str) -> None:
    assert str(Version.parse(text)) == text.removeprefix("v")


@pytest.mark.parametrize(
    "text",
    [
        *["", "1..0", "$(reboot)", "../x", "1.2", "1.2.3.4", "vv1.2.3", "1.2.3+build", "1.2.3-", "01.2.3", "1.2.3\n"],
        *["latest", "1.2.3 ", "\uff11.2.3", "1.2.3-a/b", "x" * 10_000, "1.2.3-" + "a" * 10_000],
    ],
)
def test_what_is_not_a_version_is_refused_in_a_short_sentence(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        Version.parse(text)
    assert refused.value.exit_code is ExitCode.USAGE
    assert len(refused.value.what) < 150


def test_the_order_is_that_of_semantic_versions() -> None:
    ordered = [
        "1.0.0-alpha",
        "1.0.0-alpha.1",
        "1.0.0-beta.2",
        "1.0.0-beta.11",
        "1.0.0-rc.1",
        "1.0.0",
        "1.2.0",
        "1.10.0",
    ]
    versions = [Version.parse(text) for text in ordered]
    assert sorted(map(Version.parse, reversed(ordered))) == versions
    for older, newer in pairwise(versions):
        assert older < newer
        assert older <= newer
        assert older <= Version.parse(str(older))
        assert newer > older
        assert newer >= older
        assert not older >= newer


@pytest.mark.parametrize(
    ("answer", "version"),
    [
        ('{"version":"v2.14.2","buildTimestamp":"2026-07-08"}', "2.14.2"),
        ("v2.13.7 @ 2026-03-11T10:00:00Z", "2.13.7"),
        ("2.9.0 @ today", "2.9.0"),
        ("<html>oops", "<html>oops"),
        ("", ""),
    ],
)
def test_core_says_its_version_in_two_ways(answer: str, version: str) -> None:
    assert version_said_by_core(answer) == version
