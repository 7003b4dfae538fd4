"""Whether a secret could be guessed: a placeholder, a pattern, too little variety. Pure.

Judges the value alone. A value that passes is not proven to be random; one that fails surely is not.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise

LEAST_BITS = 40.0
"""The least entropy of a secret, by the variety of its characters: far below a generated one, far above a word."""

_PLACEHOLDER = re.compile(
    r"(change|me|this|it|please|pass|word|passwd|password|secret|token|key|example|sample|default|dummy|test|testing"
    r"|admin|root|user|graasp|postgres|umami|database|my|your|the|here|insert|replace|with|todo|fixme|not|set|none"
    r"|insecure|unsafe|dev|development|local|qwerty|letmein|x{3,}|abc|abcdef)+"
)


def weakness(value: str) -> str | None:
    """Why this value can be guessed, as the end of a sentence that begins with its key; None if it looks random."""
    letters = re.sub(r"[^a-z]", "", value.lower())
    if letters and _PLACEHOLDER.fullmatch(letters):
        return "is a placeholder that an attacker would try first"
    repeated = re.fullmatch(r"(.+?)\1+", value)
    unit = repeated.group(1) if repeated else value
    if _is_sequence(unit) or _bits(unit) < LEAST_BITS:
        return "is too easy to guess"
    return None


def _bits(value: str) -> float:
    """Shannon entropy of the value's own characters, times its length."""
    counts = Counter(value)
    return -sum(count * math.log2(count / len(value)) for count in counts.values())


def _is_sequence(value: str) -> bool:
    """0123456789, abcdef, 9876: the same distance from nearly every character to the next."""
    distances = Counter(ord(second) - ord(first) for first, second in pairwise(value))
    return bool(distances) and max(distances.values()) >= 0.75 * (len(value) - 1)
