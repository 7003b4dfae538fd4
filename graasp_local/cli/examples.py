"""Two or three examples for the `--help` of every command, under a verb too: what is typed, what that does. Pure."""

from __future__ import annotations

import click

EXAMPLES: dict[str, tuple[tuple[str, str], ...]] = {
    "init": (
        ("graasp-local init /srv/graasp", "ask for domain, HTTPS, mail and optional parts"),
        (
            "graasp-local init /srv/graasp --yes --url https://graasp.school.example --acme",
            "ask nothing; HTTPS with Let's Encrypt",
        ),
        ("graasp-local init demo --demo", "create a site with demo images, to try things out"),
    ),
    "status": (
        ("graasp-local status", "show the state, each service, and what to type next"),
        ("graasp-local status --json", "the same, as JSON"),
    ),
    "plan": (
        ("graasp-local plan restricted", "show what `apply restricted` would do now"),
        ("graasp-local plan db-only --from running", "the same from another state, without an engine"),
    ),
    "apply": (
        ("graasp-local apply restricted", "show the maintenance page to visitors"),
        ("graasp-local apply running", "open the site again, or fix what has drifted"),
        ("graasp-local apply stopped --dry-run", "show the plan only"),
    ),
    "scale": (
        ("graasp-local scale core=2", "start a second core next to the first; visitors notice nothing"),
        (
            "graasp-local scale core=3 workers=2 --dry-run",
            "show what would be done, and whether there is enough memory",
        ),
        ("graasp-local scale core=1", "go back to one core; no request is cut off"),
    ),
    "nodes": (
        ("graasp-local nodes", "list the machines of the Swarm, and what runs where"),
        ("graasp-local nodes --json", "the same, as JSON"),
    ),
    "deploy": (
        (
            "graasp-local deploy --version 2.14.2 --dry-run",
            "run the checks, and show the plan and the expected downtime",
        ),
        ("graasp-local deploy --version 2.14.2", "deploy it, after asking"),
        ("graasp-local deploy --version 2.14.2 --hold", "deploy it for a test, before visitors see it"),
    ),
    "resume": (
        ("graasp-local resume", "finish what was interrupted"),
        ("graasp-local resume --yes --json", "the same from a script"),
    ),
    "rollback": (
        ("graasp-local rollback --dry-run", "show what would be done, and what would be lost"),
        ("graasp-local rollback", "undo the last deployment, after asking"),
        ("graasp-local rollback --yes --discard written-since", "the same without questions, discarding newer data"),
    ),
    "upgrade-database": (
        ("graasp-local upgrade-database --to 17 --dry-run", "check, and show the plan"),
        ("graasp-local upgrade-database --to 17", "upgrade, after asking"),
    ),
    "remove-old-database": (
        ("graasp-local remove-old-database", "show what would be removed, and ask"),
        ("graasp-local remove-old-database --discard old-database", "the same from a script"),
    ),
    "backup": (
        ("graasp-local backup", "back up databases and files"),
        ("graasp-local backup --passphrase-file /root/passphrase", "back up .env too, encrypted"),
        ("graasp-local backup verify latest --trial-restore", "prove that the newest backup can be restored"),
    ),
    "backup list": (
        ("graasp-local backup list", "list each backup with its name, time, size and version"),
        ("graasp-local backup list --json", "the same, as JSON"),
    ),
    "backup settings": (
        (
            "graasp-local backup settings latest --passphrase-file /root/passphrase",
            "print the .env from the newest backup",
        ),
        (
            "graasp-local backup settings /mnt/0042-20261125-190000/ --passphrase-file /root/passphrase > .env",
            "on a new machine, before `restore`",
        ),
    ),
    "backup verify": (
        ("graasp-local backup verify", "read the newest backup to its end"),
        ("graasp-local backup verify 0042 --trial-restore", "also load this one into temporary databases, and compare"),
    ),
    "restore": (
        ("graasp-local restore latest --dry-run", "show what would be replaced"),
        ("graasp-local restore 0042", "restore the backup whose name begins with 0042, after asking"),
        ("graasp-local restore latest --only files", "restore only the uploaded files"),
    ),
    "versions": (
        ("graasp-local versions", "list the versions on the engine and in the registry"),
        ("graasp-local versions --json", "the same, as JSON"),
    ),
    "images": (
        ("graasp-local images pull 2.14.2", "download now, deploy later"),
        ("graasp-local images save 2.14.2 graasp-2.14.2.images", "save one file, for a machine without a network"),
        ("graasp-local images load graasp-2.14.2.images", "load it on that machine"),
    ),
    "images complete": (
        ("graasp-local images complete", "complete the images of the selected version"),
        ("graasp-local images complete 2.14.2", "complete those of a version before you deploy it"),
    ),
    "images list": (
        ("graasp-local images list", "list the images of the selected version"),
        ("graasp-local images list 2.14.2 --json", "list those of another version, as JSON"),
    ),
    "images load": (
        ("graasp-local images load graasp-2.14.2.images", "load the version that the file contains"),
        ("graasp-local images load /media/usb/graasp-2.14.2.images", "load it straight from a USB stick"),
    ),
    "images pull": (
        ("graasp-local images pull 2.14.2", "download now, deploy later"),
        ("graasp-local --site /srv/graasp images pull 2.14.2", "the same from any directory"),
    ),
    "images save": (
        ("graasp-local images save 2.14.2 graasp-2.14.2.images", "save a file for a machine without a network"),
        ("graasp-local images save 2.14.2 /media/usb/graasp-2.14.2.images", "save it straight to a USB stick"),
    ),
    "build": (
        ("graasp-local build --version 2.14.2", "build every image that this site needs"),
        (
            "graasp-local build --version 2.14.2 --only client",
            "build only the web client, after PUBLIC_URL was changed",
        ),
    ),
    "history": (
        ("graasp-local history", "list all operations, newest first"),
        ("graasp-local history --last", "show the last one, with its steps and output"),
    ),
    "logs": (
        ("graasp-local logs core --follow", "follow one service until Ctrl-C"),
        ("graasp-local logs --lines 20", "show the last 20 lines of every service"),
    ),
    "probe": (
        ("graasp-local probe", "send requests until Ctrl-C"),
        ("graasp-local probe --seconds 60 --json", "send them for one minute, and report as JSON"),
    ),
    "bypass": (
        ("graasp-local bypass", "print the header, and a link for 8 hours"),
        ("graasp-local bypass --hours 2", "print a link for 2 hours only"),
    ),
    "doctor": (
        ("graasp-local doctor", "check the site and this machine"),
        ("graasp-local doctor --version 2.14.2", "also check that the images of this version are available"),
    ),
    "certificate": (
        ("graasp-local certificate show", "show names, issuer and expiry"),
        ("graasp-local certificate renew", "renew it if it is due: once a day, from a timer"),
    ),
    "certificate renew": (
        ("graasp-local certificate renew", "renew it if it is due"),
        ("graasp-local certificate renew --now", "renew it even if it is not due, for example to change the authority"),
    ),
    "certificate show": (
        ("graasp-local certificate show", "show names, issuer, expiry, and whether renewal is due"),
        ("graasp-local certificate show --json", "the same, as JSON"),
    ),
    "config": (
        ("graasp-local config check", "list every mistake, with its line"),
        ("graasp-local config show", "show what is set, and the defaults"),
        ("graasp-local config add-missing", "add new settings after an upgrade of graasp-local"),
    ),
    "config add-missing": (
        ("graasp-local config add-missing", "add new settings after an upgrade of graasp-local, and list them"),
        ("graasp-local --site /srv/graasp config add-missing", "the same from any directory"),
    ),
    "config check": (
        ("graasp-local config check", "list every mistake, with its line and how to fix it"),
        ("graasp-local config check --json", "the same, as JSON"),
    ),
    "config show": (
        ("graasp-local config show", "show every setting, but no secret"),
        ("graasp-local config show --secrets", "show secrets too; check first who can see your screen"),
    ),
    "secrets": (
        ("graasp-local secrets list", "list the secrets; values are never shown"),
        ("graasp-local secrets rotate JWT_SECRET --dry-run", "show what a new value breaks, and the plan"),
        ("graasp-local secrets rotate --all", "rotate everything, after asking"),
    ),
    "secrets list": (
        ("graasp-local secrets list", "list every secret, its last rotation, and what a new value breaks"),
        ("graasp-local secrets list --json", "the same, as JSON"),
    ),
    "secrets rotate": (
        ("graasp-local secrets rotate JWT_SECRET --dry-run", "show what a new value breaks, and the plan"),
        ("graasp-local secrets rotate JWT_SECRET GRAASP_DB_PASSWORD", "rotate these two, after asking"),
        ("graasp-local secrets rotate --all --yes", "rotate everything, from a script"),
    ),
    "compose": (
        ("graasp-local compose -- ps", "list the containers as Compose sees them"),
        ("graasp-local compose -- exec db psql -U graasp -d graasp", "open a database prompt"),
    ),
    "completion": (
        (
            "graasp-local completion bash > ~/.local/share/bash-completion/completions/graasp-local",
            "set up completion in bash",
        ),
        ("graasp-local completion man > ~/.local/share/man/man1/graasp-local.1", "install the man page"),
    ),
    "tui": (
        ("graasp-local tui --read-only", "watch, without being able to change anything"),
        ("graasp-local tui --serve", "open it in a browser on this machine"),
    ),
}


def add_to(command: click.Command, name: str) -> None:
    """Show the examples of a verb below its options, and those of the commands under it below theirs."""
    lines = (f"  {typed}\n      {what}" for typed, what in EXAMPLES[name])
    command.epilog = "\b\nExamples:\n" + "\n".join(lines)  # click does not rewrap the lines after a \\b
    if isinstance(command, click.Group):
        for under, part in command.commands.items():
            add_to(part, f"{name} {under}")
