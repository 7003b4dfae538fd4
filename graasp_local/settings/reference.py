"""The settings as tables for the reference, generated from the table that the program uses. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from graasp_local.settings.table import OPTIONS, SETTINGS, DatabasePassword, FromOutside, Generated, Setting

BEGIN = "<!-- Made from graasp_local/settings/table.py by scripts/settings-reference; edit that table. -->"
END = "<!-- The end of what is made by scripts/settings-reference. -->"


def with_tables(page: str) -> str:
    """The page with the part between the two marks regenerated. Raises ValueError if a mark is missing."""
    before, begin, rest = page.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the marks of the generated part are missing")
    tables = "\n".join([*_written(), "", *_optional(), "", *_secrets()])
    return f"{before}{BEGIN}\n\n{tables}\n\n{END}{after}"


def _written() -> Iterator[str]:
    yield "Written by `init`:"
    yield ""
    yield "| key | meaning | form | at `init` |"
    yield "|---|---|---|---|"
    for setting in SETTINGS:
        form = setting.expected if setting.required else f"{setting.expected}; may be left out"
        yield f"| `{setting.key}` | {_cell(setting.comment)} | {_cell(form)} | {_at_init(setting)} |"


def _optional() -> Iterator[str]:
    yield "These may be left out; `init` writes them as comments:"
    yield ""
    yield "| key | meaning | form | default |"
    yield "|---|---|---|---|"
    for option in OPTIONS:
        default = f"`{option.default}`" if option.default else "none"
        yield f"| `{option.key}` | {_cell(option.comment)} | {_cell(option.expected)} | {default} |"


def _secrets() -> Iterator[str]:
    yield "Secrets, and what a new one does (`graasp-local secrets rotate`):"
    yield ""
    yield "| key | what a new one logs out or breaks |"
    yield "|---|---|"
    for setting in SETTINGS:
        match setting.secret:
            case Generated(breaks=breaks):
                yield f"| `{setting.key}` | {_cell(breaks)} |"
            case DatabasePassword(role=role, breaks=breaks):
                yield f"| `{setting.key}` | Set in the database for the role `{role}` as well. {_cell(breaks)} |"
            case FromOutside(why=why):
                yield f"| `{setting.key}` | Cannot be rotated here. {_cell(why)} |"
            case None:
                pass


def _at_init(setting: Setting) -> str:
    return "generated" if setting.is_generated else f"`{setting.default()}`"


def _cell(text: str) -> str:
    return text.replace("|", "\\|")
