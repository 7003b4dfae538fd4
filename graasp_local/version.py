"""A version of Graasp: which texts are versions, and which version is newer.

Refuses everything that could not be a release of Graasp or a safe image tag. Pure.
"""

from __future__ import annotations

import re

from msgspec import Struct

from graasp_local.errors import UsageError

# Semantic versions without build metadata, because an image tag cannot hold a plus sign.
_VERSION = re.compile(
    r"v?(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})\.(0|[1-9]\d{0,5})(?:-([0-9A-Za-z]+(?:[.-][0-9A-Za-z]+)*))?"
)
_LONGEST = 64

Images = tuple[tuple[str, str], ...]
"""The exact images of a version, each as a pair of its variable in compose.yaml, such as CORE_IMAGE, and the image."""


class Version(Struct, frozen=True):
    """`major.minor.patch`, with an optional pre-release; ordered as semantic versions are."""

    major: int
    minor: int
    patch: int
    prerelease: str = ""

    @classmethod
    def parse(cls, text: str) -> Version:
        """Read `1.2.3` or `v1.2.3-rc.1`. Raises UsageError for anything else."""
        match = _VERSION.fullmatch(text) if len(text) <= _LONGEST else None
        if match is None:
            shown = text if len(text) <= _LONGEST else text[:_LONGEST] + "…"
            raise UsageError(
                f"{shown!r} is not a version." if text else "The version is empty.",
                "Nothing was changed.",
                "A version looks like 2.14.2 or v2.14.2; `graasp-local versions` lists those that can be deployed.",
            )
        major, minor, patch, prerelease = match.groups()
        return cls(int(major), int(minor), int(patch), prerelease or "")

    @classmethod
    def parse_or_none(cls, text: str) -> Version | None:
        """The same, for texts that may be anything (image tags)."""
        try:
            return cls.parse(text)
        except UsageError:
            return None

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}.{self.patch}" + (f"-{self.prerelease}" if self.prerelease else "")

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, Version):
            return NotImplemented
        return self._sort_key() < other._sort_key()

    # By hand: a Struct already has all comparisons, so total_ordering would not add any.
    def __le__(self, other: object) -> bool:
        return self == other or self < other

    def __gt__(self, other: object) -> bool:
        return not self <= other

    def __ge__(self, other: object) -> bool:
        return not self < other

    def _sort_key(self) -> tuple[int, int, int, bool, list[tuple[bool, int, str]]]:
        identifiers = [
            (False, int(part), "") if part.isdigit() else (True, 0, part) for part in self.prerelease.split(".") if part
        ]
        return self.major, self.minor, self.patch, not self.prerelease, identifiers


def version_said_by_core(answer: str) -> str:
    """The version in the answer from core's version route, without its `v`.

    The answer is JSON `{"version": …}` since Graasp 2.13.9, the text `X @ timestamp` before.
    """
    json_version = re.search(r'"version"\s*:\s*"([^"]*)"', answer)
    said = json_version.group(1) if json_version else answer.partition("@")[0]
    return said.strip().strip('"').removeprefix("v")
