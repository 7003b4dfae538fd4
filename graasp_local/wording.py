"""Sentences that more than one interface uses, and how lists, sizes and times are put into words. Pure."""

from __future__ import annotations

STOPPING = "Stopping at the next safe point. Press Ctrl-C again to quit now and leave the site half-changed."
PUTTING_BACK = (
    "The rollback is running and will be finished. Press Ctrl-C again to quit now and leave the site half-changed."
)
LEFT_AS_IT_IS = "Left as it is. `graasp-local status` says where the site stands, and what to type next."
"""The answers to a first Ctrl-C, to one during a rollback, and to a second one."""


def listed(names: tuple[str, ...]) -> str:
    """`a`, `a and b`, `a, b and c`; nothing for no names."""
    *others, last = names or ("",)
    return f"{', '.join(others)} and {last}" if others else last


def counted(number: int, noun: str) -> str:
    """`1 container`, `2 containers`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def size_in_words(count: int) -> str:
    """Bytes as `3 MB`, at least 1 MB; from 1000 MB on as `1.2 GB`."""
    return f"{count / 1e9:.1f} GB" if count >= 1e9 else f"{max(1, round(count / 1e6))} MB"


def seconds_in_words(seconds: float) -> str:
    """`30.2 s`; from two minutes on `15 min 47 s`, from two hours on `3 h 5 min`, from two days on `2 d 4 h`."""
    if seconds < 119.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 7200:
        return f"{whole // 60} min {whole % 60} s"
    minutes = round(seconds / 60)
    if minutes < 2880:
        return f"{minutes // 60} h {minutes % 60} min"
    hours = round(seconds / 3600)
    return f"{hours // 24} d {hours % 24} h"


def in_a_sentence(title: str) -> str:
    """A step's title within a sentence: `close the gate`."""
    return title[:1].lower() + title[1:]
