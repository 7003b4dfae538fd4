"""What a person reads, code included, is plain English: words of the old dialect do not come back."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

from graasp_local.wording import listed

ROOT = Path(__file__).parents[2]
OLD_WORDS = re.compile(
    r"\bmend(s|ed|ing)?\b"  # fix
    r"|\banew\b|\bonce more\b"  # again, restart, recreate
    r"|\bmeanwhile\b"
    r"|\b(is|are) no (a |an )?\w+( \w+)? that\b"  # is not a
    r"|(?<!there )\b(is|are) no (address|directory|file|JSON|setting|site|\w+ of)\b"
    r"|\bthere is not\b|\bwhich there\b"
    r"|\b(is|are|be) meant\b|\bperhaps\b"  # did you mean
    r"|\b(somebody|nobody|everybody|anybody)\b"  # name the actor
    r"|\bwhich (lies|lie)\b|\blies (beside|in|on)\b"  # is
    r"|\b(take|takes|taken|took) (it )?back\b|\blet go\b"  # undo, roll back; delete
    r"|\bbr(ing|ings|ought) (it )?back\b"  # restore
    r"|\bcannot be had\b"
    r"|\btouched\b"  # changed
    r"|\bat work on\b"  # running
    r"|\bwalks?\b"  # operation; deployment, rollback, restore
    r"|\bways? back\b|\bwent through\b|\b(has|have) gone through\b"  # rollback; succeeded
    r"|\b(lead|leads|led) (visitors|nowhere)\b"  # route
    r"|\bput(s|ting)? away\b|\btaken off\b|\bleft away\b"  # discard; remove; leave out
    r"|\bbe had\b"  # available
    r"|\bbeside\b"  # next to; besides
    r"|\b(take|takes|taking|taken|took) up (the|its|a|an|what)\b(?! space)"  # use
    r"|\blook(s|ed|ing)? whether\b|\bfor a look\b"  # check; inspect
    r"|\bseen to work\b|\bsaid twice\b|\bcannot be told\b|\bleft while it\b|\bthen this again\b"
    r"|\bsite is as it was\b|\bvisitors are as they were\b|\bgoes on with it\b|\bgoes no further\b"
    r"|\bserves without it\b|\bmakes of it\b|\bhas ended instead\b|\bwithout a word\b"
    r"|\bclosed time\b|\ball is well\b|\bsees to it\b|\bnot foreseen\b"
    r"|\b(colour|honour|neighbour|behaviour)\w*|\b\w+(anis|ialis|gnis)(e|ed|es|ing|ation)\b",  # as in the US
    re.IGNORECASE,
)

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "scripts/demo-images/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
STACK = sorted(file for name in ("compose", "nginx") for file in (ROOT / name).rglob("*") if file.is_file())
SCRIPTS = sorted(file for file in (ROOT / "scripts").iterdir() if file.is_file())
GENERATED = "<!-- The matrix begins"
"""What stands below it was seen by a run of the matrix, in the words of that time."""


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


def read_by_a_programmer(module: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every comment and of every line of a docstring."""
    text = module.read_text()
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) and isinstance(node.value.value, str):
            for number, line in enumerate(node.value.value.splitlines(), node.lineno):
                yield number, line.strip()


def sentences(text: str) -> str:
    """A text without what is typed or read by programs."""
    compatible = r"\bwalk (?:closes|or rolling)|does the same as walk|kept until somebody removes it|^WALK .*"
    return re.sub(rf"\bBEHAVIOUR\b|`[^`\n]*`|\]\([^)\s]*\)|{compatible}", "", text)


def old_words(text: str) -> list[str]:
    return [found.group() for found in OLD_WORDS.finditer(sentences(text))]


@pytest.mark.parametrize(
    "module",
    sorted((ROOT / "graasp_local").rglob("*.py")),
    ids=lambda module: str(module.relative_to(ROOT)),
)
def test_a_module_speaks_plainly(module: Path) -> None:
    texts = [(line, text) for line, text in read_by_a_person(module) if " " in text.strip()]
    found = [(line, old_words(text), text) for line, text in (*texts, *read_by_a_programmer(module))]
    assert [(line, words, text) for line, words, text in found if words] == []


@pytest.mark.parametrize("page", [*PAGES, *STACK, *SCRIPTS], ids=lambda page: str(page.relative_to(ROOT)))
def test_a_page_a_file_of_the_stack_and_a_script_speak_plainly(page: Path) -> None:
    lines = enumerate(page.read_text().partition(GENERATED)[0].splitlines(), 1)
    assert [(number, old_words(line), line) for number, line in lines if old_words(line)] == []


@pytest.mark.parametrize(
    "sentence",
    [
        "Mend the file.",
        "It is no site.",
        "The server is no service of this site.",
        "Nobody can log in.",
        "perhaps files is meant",
        "It was not touched.",
        "There is no way back.",
        "nginx leads visitors to core.",
        "the organisation's colours",
        "The settings with which it was last seen to work.",
        "`graasp-local resume` goes on with it.",
        "A new server is filled beside the old one.",
        "The next command takes up the settings.",
    ],
)
def test_the_old_words_are_found(sentence: str) -> None:
    assert old_words(sentence)


@pytest.mark.parametrize(
    "sentence",
    [
        "The old one, besides core, may take up to 2 GiB.",
        "This may lead to data loss.",
        "Requests go through nginx.",
        "otherwise it is raised",
        "Organize the colors.",
    ],
)
def test_plain_english_is_left_alone(sentence: str) -> None:
    assert old_words(sentence) == []


def test_a_list_of_names_reads_as_one_says_it() -> None:
    assert [listed(names) for names in ((), ("a",), ("a", "b"), ("a", "b", "c"))] == ["", "a", "a and b", "a, b and c"]
