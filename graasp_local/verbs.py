"""The one table of what a person can do: verbs of the command line, keys, and lines of the command palette.

The command line lists its verbs with their `summary`; the terminal UI binds those that have a key, and offers the whole
table in its palette. Does not know how anything is done. Pure.
"""

from __future__ import annotations

from enum import StrEnum
from typing import NamedTuple


class Where(StrEnum):
    """Where a verb can be used."""

    BOTH = "both"
    COMMAND_LINE = "command-line"
    SCREEN = "screen"


class Effect(StrEnum):
    """What a verb can do to a site: `--read-only` allows only LOOKS."""

    LOOKS = "looks"
    CHANGES = "changes"


class Verb(NamedTuple):
    """One row: `name` as typed, `key` and `label` as in the key bar (which leaves out a key without a label)."""

    name: str
    summary: str
    key: str = ""
    label: str = ""
    where: Where = Where.BOTH
    effect: Effect = Effect.LOOKS


TABLE = (
    Verb("init", "create a site: .env with generated secrets", "i", "Init", effect=Effect.CHANGES),
    Verb("status", "show the state of the site, and what differs", "u", "Refresh"),
    Verb("plan", "show what `apply` would do, and why", "p", "Plan"),
    Verb("apply", "change the state: running, restricted, db-only or stopped", "s", "State", effect=Effect.CHANGES),
    Verb(
        "scale",
        "run more, or fewer, containers of core and workers",
        where=Where.COMMAND_LINE,
        effect=Effect.CHANGES,
    ),
    Verb("nodes", "list the machines of the site, and what runs on each", where=Where.COMMAND_LINE),
    Verb("deploy", "deploy a version of Graasp", "d", "Deploy", effect=Effect.CHANGES),
    Verb("resume", "finish an operation that was interrupted", "c", "Resume", effect=Effect.CHANGES),
    Verb(
        "rollback",
        "undo the last deployment, or an unfinished operation",
        "z",
        "Roll back",
        effect=Effect.CHANGES,
    ),
    Verb(
        "upgrade-database",
        "upgrade the database to a newer major version of Postgres",
        where=Where.COMMAND_LINE,
        effect=Effect.CHANGES,
    ),
    Verb(
        "remove-old-database",
        "remove what an upgrade of Postgres kept",
        where=Where.COMMAND_LINE,
        effect=Effect.CHANGES,
    ),
    Verb(
        "backup",
        "back up databases, files and settings; list and verify backups",
        where=Where.COMMAND_LINE,
        effect=Effect.CHANGES,
    ),
    Verb("restore", "restore a backup, here or on another machine", "R", "Restore", effect=Effect.CHANGES),
    Verb("versions", "list the versions that can be deployed", "v", "Versions"),
    Verb(
        "images", "list, fetch, save or load the images of a version", where=Where.COMMAND_LINE, effect=Effect.CHANGES
    ),
    Verb(
        "build",
        "build the images of a version from source",
        where=Where.COMMAND_LINE,
        effect=Effect.CHANGES,
    ),
    Verb("history", "list earlier operations, or show one", "h", "History"),
    Verb("logs", "show the logs of services", "l", "Logs"),
    Verb("probe", "send requests as visitors do, with and without the bypass", where=Where.COMMAND_LINE),
    Verb("bypass", "print the header and link that pass a closed gate", "b", "Bypass"),
    Verb("doctor", "check site and machine, and say how to fix what is wrong", where=Where.COMMAND_LINE),
    Verb(
        "certificate",
        "show or renew the certificate of the site",
        where=Where.COMMAND_LINE,
        effect=Effect.CHANGES,
    ),
    Verb("config", "check the settings of the site, or show them", where=Where.COMMAND_LINE),
    Verb(
        "secrets",
        "list the secrets of the site, or rotate them",
        where=Where.COMMAND_LINE,
        effect=Effect.CHANGES,
    ),
    Verb("compose", "run docker compose with the site's files", where=Where.COMMAND_LINE),
    Verb("completion", "print a completion script for your shell, or the man page", where=Where.COMMAND_LINE),
    Verb("tui", "open the terminal UI, or serve it to a browser", where=Where.COMMAND_LINE),
    Verb("open", "open the site in a browser", "o", "Open", Where.SCREEN),
    Verb("shell", "open a shell in the selected service", "e", "Shell", Where.SCREEN, Effect.CHANGES),
    Verb("restart", "restart the selected service", "r", "Restart", Where.SCREEN, Effect.CHANGES),
    Verb("details", "show image, health, usage and settings of the selected service", "D", "Details", Where.SCREEN),
    Verb("maintenance-page", "show the maintenance page", "m", "Page", Where.SCREEN),
    Verb("watch", "show the running operation", "w", "Watch", Where.SCREEN),
    Verb("sites", "list the sites that were opened in the terminal UI, and open another", "S", "Sites", Where.SCREEN),
    Verb("theme", "switch between dark and light", "t", "Theme", Where.SCREEN),
    Verb("help", "show the keys", "question_mark", "Help", Where.SCREEN),
    Verb("quit", "close the terminal UI", "q", "Quit", Where.SCREEN),
)

COMMAND_LINE_VERBS = {verb.name: verb.summary for verb in TABLE if verb.where is not Where.SCREEN}
"""What `graasp-local --help` lists."""


def verb(name: str) -> Verb:
    """The row with this name."""
    return next(row for row in TABLE if row.name == name)


def shown_key(key: str) -> str:
    """A key as printed on a keyboard."""
    names = {"question_mark": "?", "slash": "/", "escape": "esc", "space": "space", "left": "←", "right": "→"}
    return names.get(key, key.replace("ctrl+", "^"))
