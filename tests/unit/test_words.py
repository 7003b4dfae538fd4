"""What a person reads is plain English: words of the old dialect do not come back."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OLD_WORDS = re.compile(
    r"\bmend(s|ed|ing)?\b"  # fix
    r"|\banew\b|\bonce more\b"  # again, restart, recreate
    r"|\bmeanwhile\b"
    r"|\b(is|are) no (a |an )?\w+( \w+)? that\b"  # is not a
    r"|(?<!there )\b(is|are) no (address|directory|file|JSON|setting|site)\b"
    r"|\bthere is not\b|\bwhich there\b"
    r"|\b(is|are|be) meant\b|\bperhaps\b"  # did you mean
    r"|\b(somebody|nobody|everybody|anybody)\b"  # name the actor
    r"|\bwhich (lies|lie)\b|\blies (beside|in|on)\b"  # is
    r"|\b(take|takes|taken|took) (it )?back\b|\blet go\b"  # undo, roll back; delete
    r"|\bbr(ing|ings|ought) (it )?back\b"  # restore
    r"|\bcannot be had\b"
    r"|\btouched\b"  # changed
    r"|\bat work on\b"  # running
    r"|\bwalks?\b",  # operation; deployment, rollback, restore
    re.IGNORECASE,
)

STILL_TO_DO: set[str] = set()
"""Rooms of the package whose sentences are not gone through yet."""

PAGES = [
    ROOT / name for name in ("README.md", "docs/install.md", "docs/deploy.md", "docs/operate.md", "docs/recover.md")
]


def read_by_a_person(module: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every sentence in a module's literals, what is filled in left out, and of every help text."""
    tree = ast.parse(module.read_text())
    inside = {id(part) for node in ast.walk(tree) if isinstance(node, ast.JoinedStr) for part in ast.walk(node)}
    helps = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, ast.FunctionDef) and isinstance(node.body[0], ast.Expr)
        if any(
            ".command(" in ast.unparse(decorator) or ".group(" in ast.unparse(decorator)
            for decorator in node.decorator_list
        )
    }
    skipped = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)} - helps
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.JoinedStr):
            yield node.lineno, "".join(str(part.value) for part in node.values if isinstance(part, ast.Constant))
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in inside:
            yield node.lineno, node.value


def sentences(text: str) -> str:
    """A text without what is typed or read by programs."""
    compatible = r"\bwalk (?:closes|or rolling)|does the same as walk|kept until somebody removes it|^WALK .*"
    return re.sub(rf"`[^`\n]*`|{compatible}", "", text)


def old_words(text: str) -> list[str]:
    return [found.group() for found in OLD_WORDS.finditer(sentences(text))]


@pytest.mark.parametrize(
    "module",
    [m for m in sorted((ROOT / "graasp_local").rglob("*.py")) if not STILL_TO_DO & {m.relative_to(ROOT).parts[1]}],
    ids=lambda module: str(module.relative_to(ROOT)),
)
def test_a_module_speaks_plainly(module: Path) -> None:
    said = [(line, text, old_words(text)) for line, text in read_by_a_person(module) if " " in text.strip()]
    assert [(line, words, text) for line, text, words in said if words] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_speaks_plainly(page: Path) -> None:
    lines = enumerate(page.read_text().splitlines(), 1)
    assert [(number, old_words(line), line) for number, line in lines if old_words(line)] == []


@pytest.mark.parametrize(
    "sentence",
    ["Mend the file.", "It is no site.", "Nobody can log in.", "perhaps files is meant", "It was not touched."],
)
def test_the_old_words_are_found(sentence: str) -> None:
    assert old_words(sentence)
