"""`scripts/test --matrix` as CONTRIBUTING has it, typed in a copy of the checkout with one case: it writes its page."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.checkout import ROOT, checkout
from tests.unit.test_console_blocks import from_page

(MATRIX,) = from_page("CONTRIBUTING.md", "scripts/test --matrix")
CASE = "deploy 1.1.0, the answer of preflight is lost"


def test_the_matrix_writes_what_its_cases_saw_into_the_page(tmp_path: Path) -> None:
    here = checkout(tmp_path / "graasp-local")
    (here / ".venv").symlink_to(ROOT / ".venv")  # so that nothing has to be installed
    git = ["git", "-C", str(here), "-c", "user.name=a", "-c", "user.email=a@school.example"]
    for words in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "--message", "a copy"]):
        subprocess.run([*git, *words], check=True, capture_output=True)
    page = here / "docs" / "reliability.md"
    done = subprocess.run(
        f"{MATRIX} -k 'test_lost_answers and test_deploying and preflight'",
        shell=True,
        cwd=here,
        capture_output=True,
        text=True,
        timeout=500,
    )
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"
    by_hand, _, table = page.read_text().partition("<!-- The matrix begins")
    assert by_hand == (ROOT / "docs" / "reliability.md").read_text().partition("<!-- The matrix begins")[0]
    assert "1 of " in table
    rows = [line for line in table.splitlines() if line.startswith("| ") and not line.startswith("| what was done")]
    assert len(rows) == 1
    assert CASE in rows[0]
