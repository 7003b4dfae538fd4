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
    r"|\bneeds it (on|off|open|closed)\b|\bchanged for visitors\b|\bby the forecast\b"
    r"|\bin turns\b|\bgets? to finish\b"
    r"|\bserves without it\b|\bmakes of it\b|\bhas ended instead\b|\bwithout a word\b"
    r"|\bclosed time\b|\ball is well\b|\bsees to it\b|\bnot foreseen\b"
    r"|\b(colour|honour|neighbour|behaviour)\w*|\b\w+(anis|ialis|gnis)(e|ed|es|ing|ation)\b",  # as in the US
    re.IGNORECASE,
)
OLD_NAMES = re.compile(
    r"\b(put|puts|putting)( it| them)? back\b|\b(gone|goes|going) (back|on)\b"
    r"|\btaken away\b|\btakes away\b|\b(went|goes|gone) through\b|\blet (images )?go\b|\bletting go\b"
    r"|\b(is|are) (said|told|seen|led)\b(?! apart\b)|\btold (to|by)\b|\blies\b|\bshut\b"
    r"|\bwho (comes|tries|brings|has)\b|\blooked (at|into)\b|\b(nobodys|somebodys|elses)\b|\bones own\b"
    r"|\bleads? (to|nowhere|somewhere|where)\b|(?<!there )\bis no (?!longer\b|\w+ed\b)"
    r"|\bon the way there\b|\bwent down\b|\bgoes down\b|\bgiven up\b|\bno (obstacle|hindrance)\b"
)
"""Words of the old dialect that only names still used, where they are short of a sentence."""

PAGES = [
    *(ROOT / name for name in ("README.md", "CONTRIBUTING.md", "CHANGELOG.md", "scripts/demo-images/README.md")),
    *sorted((ROOT / "docs").glob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
]
STACK = sorted(file for name in ("compose", "nginx") for file in (ROOT / name).rglob("*") if file.is_file())
SCRIPTS = sorted(file for file in (ROOT / "scripts").rglob("*") if file.is_file() and "__pycache__" not in file.parts)
TESTS = sorted((ROOT / "tests").rglob("*.py"))
PROGRAMS = [
    *TESTS,
    *(file for file in SCRIPTS if file.suffix == ".py" or "python" in file.read_text().partition("\n")[0]),
]
QUOTED = re.compile(
    r"\bCREATE \w+ |\btouched\b|\bno colou?r\b|\bcolour\b|\bwalk-started\b|\bUSER nobody\b|\bnobody turned away$"
)
"""What tests hand to other programs, the records of an older version, and what the tables of the matrix quote."""
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


def names(program: Path) -> Iterator[tuple[int, str]]:
    """Line and name of the file and of every function and class in it; a case of the matrix is named in its results."""
    yield 1, program.stem
    for node in ast.walk(ast.parse(program.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not (
            "matrix" in program.parts and node.name.startswith("test_")
        ):
            yield node.lineno, node.name


def old_names(name: str) -> list[str]:
    words = name.replace("_", " ").replace("-", " ")
    return [found.group() for pattern in (OLD_WORDS, OLD_NAMES) for found in pattern.finditer(words)]


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


@pytest.mark.parametrize(
    "page",
    [*PAGES, *STACK, *(file for file in SCRIPTS if file.suffix != ".py")],
    ids=lambda page: str(page.relative_to(ROOT)),
)
def test_a_page_a_file_of_the_stack_and_a_script_speak_plainly(page: Path) -> None:
    lines = enumerate(QUOTED.sub("", page.read_text().partition(GENERATED)[0]).splitlines(), 1)
    assert [(number, old_words(line), line) for number, line in lines if old_words(line)] == []


@pytest.mark.parametrize("program", PROGRAMS, ids=lambda program: str(program.relative_to(ROOT)))
def test_a_test_and_a_program_of_ours_speak_plainly(program: Path) -> None:
    if program == Path(__file__):
        return
    found = [(line, old_names(name), name) for line, name in names(program)]
    texts = [
        (line, text) for line, text in read_by_a_person(program) if " " in text.strip() and not QUOTED.search(text)
    ]
    found += [(line, old_words(text), text) for line, text in (*texts, *read_by_a_programmer(program))]
    assert [(line, words, text) for line, words, text in found if words] == []


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
        "core is stopped, but running needs it on.",
        "Nothing was changed for visitors.",
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


@pytest.mark.parametrize(
    "name",
    [
        "test_what_failed_is_taken_back",
        "test_a_file_that_cannot_be_read_is_said",
        "test_letting_go_twice_is_letting_go_once",
        "test_a_stack_is_nobodys_orphan",
        "migration_lies",
        "a-way-back",
    ],
)
def test_the_old_words_are_found_in_names(name: str) -> None:
    assert old_names(name)


@pytest.mark.parametrize("name", ["test_a_rollback_restores_the_rows", "test_every_answer_is_told_apart"])
def test_plain_names_are_left_alone(name: str) -> None:
    assert old_names(name) == []


def test_a_list_of_names_reads_as_one_says_it() -> None:
    assert [listed(names) for names in ((), ("a",), ("a", "b"), ("a", "b", "c"))] == ["", "a", "a and b", "a, b and c"]
