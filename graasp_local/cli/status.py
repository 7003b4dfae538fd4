"""`graasp-local status`."""

from __future__ import annotations

from typing import Any

import click

from graasp_local.cli.context import Context, pass_context, print_json
from graasp_local.cli.speaking import say
from graasp_local.wording import seconds_in_words


@click.command("status")
@click.option("--json", "json_object", is_flag=True, help="Print one JSON object.")
@pass_context
def command(context: Context, *, json_object: bool) -> None:
    """Show the state of the site, its services, and what differs from that state."""
    told = _observed(context)
    if json_object:
        print_json(told)
    else:
        _print(told)


def _observed(context: Context) -> dict[str, Any]:
    import time

    from graasp_local.engine.site.containers import observe_site
    from graasp_local.journal.closings import closings, ongoing
    from graasp_local.journal.read import read_recent
    from graasp_local.journal.records import last_deployed, state_left, unfinished_operation
    from graasp_local.journal.status import Situation, next_steps
    from graasp_local.lock import current_holder
    from graasp_local.planning.server import major_of_image, other_major
    from graasp_local.planning.states import Drifted, InState, ServiceGroup, Status, classify, state_name

    site = context.site
    observed = observe_site(site)
    journal = read_recent(site.journal_directory)
    operations = journal.operations
    classification = classify(observed, state_left(operations))
    holder = current_holder(site.lock_file)
    unfinished = unfinished_operation(operations) if holder is None else None
    last = last_deployed(operations)
    now = time.time()
    closed = closings(operations, observed.gate, now)
    lasting = ongoing(closed)
    over = [closing for closing in closed if closing.until is not None]
    selected = site.selected_version
    versions = sorted(observed.graasp_versions)
    steps = [step.command for step in next_steps(Situation(classification, selected, unfinished, holder))]
    # The container's image tells the major version of its files; reading them would take longer than the rest of
    # `status`.
    made_from = [s.image for s in observed.in_group(ServiceGroup.DATABASE) if s.status is not Status.ABSENT]
    external = site.settings.external_database
    wanted = site.database_server.image if external is None else ""
    wrong = other_major(major_of_image(made_from[0]), major_of_image(wanted), wanted) if made_from and wanted else None
    if unfinished or holder:
        wrong = None
    if wrong is not None and wrong.command:
        steps.insert(0, wrong.command)
    return {
        "state": state_name(classification),
        "gate": observed.gate.value,
        "version": " and ".join(versions) or (str(selected) if selected else None),
        "url": site.settings.public_url,
        "site": str(site.directory),
        "services": [
            {
                "service": service.name,
                "group": service.group.value,
                "status": service.status.value,
                "health": service.health.value,
                "version": service.version or None,
                "image": service.image,
                "replicas": {"wanted": service.wanted, "healthy": service.healthy, "unwell": list(service.unwell)},
            }
            for service in observed.services
        ],
        "drift": list(classification.differences) if isinstance(classification, Drifted) else [],
        "lacking": list(classification.lacking) if isinstance(classification, InState) else [],
        "operation": holder.described() if holder else None,
        "unfinished": unfinished.operation if unfinished else None,
        "damaged_operations": [f"{damaged.file.name}: {damaged.damage}" for damaged in journal.damaged],
        "migrations": list(observed.migrations),
        "database_problem": wrong.sentence if wrong else None,
        "external_database": external.where if external else None,
        "last_deployment": {"at": last.at, "version": last.version, "downtime_seconds": last.downtime_seconds}
        if last
        else None,
        "closing": lasting.as_json(now) if lasting else None,
        "last_closing": over[-1].as_json(now) if over else None,
        "next": steps,
    }


def _print(told: dict[str, Any]) -> None:
    from graasp_local.cli.tables import print_table
    from graasp_local.planning.states import Gate

    version = f"version {told['version']}" if told["version"] else "no version deployed yet"
    say(told["state"], nl=False, bold=True)
    edge = {service["status"] for service in told["services"] if service["group"] == "edge"}
    is_up = edge & {"running", "restarting", "paused"}
    gate = f"gate {Gate(told['gate']).in_words}" if is_up else "nginx is off, visitors get no answer"
    say(f" · {gate} · {version} · {told['url']}")
    keys = ("service", "group", "status", "health")
    counted = any(service["replicas"]["wanted"] > 1 or service["replicas"]["unwell"] for service in told["services"])
    rows = [
        [*(service[key] for key in keys), *([_replicas(service)] if counted else []), _image(service)]
        for service in told["services"]
    ]
    print_table([key.upper() for key in (*keys, *(["replicas"] if counted else []), "image")], rows)
    if told["external_database"]:
        say(f"The database is external: {told['external_database']}.")
    if told["operation"]:
        say(f"Running now: {told['operation']}")
    if told["unfinished"]:
        say(f"The operation {told['unfinished']} was left unfinished.")
    for damage in told["damaged_operations"]:
        say(f"The journal is damaged: {damage}")
    for name in told["migrations"]:
        say(f"A migration is running: {name}")
    if told["database_problem"]:
        say(told["database_problem"])
    for sentence in (*told["drift"], *told["lacking"]):
        say(f"- {sentence}")
    if told["closing"]:
        say(_closed_sentence(told["closing"]))
    if told["last_deployment"]:
        last = told["last_deployment"]
        seconds = last["downtime_seconds"]
        downtime = (
            ", without downtime" if seconds == 0 else f", closed for {seconds_in_words(seconds)}" if seconds else ""
        )
        say(f"Last deployment: {last['version']} at {last['at'][:16].replace('T', ' ')} UTC{downtime}.")
    for step in told["next"]:
        say(f"Next: {step}")


def _closed_sentence(closing: dict[str, Any]) -> str:
    by = f" by `{closing['command']}`" if closing["command"] else ""
    since = closing["since"][:19].replace("T", " ")
    return f"Closed for {seconds_in_words(closing['seconds'])}{by}, since {since} UTC."


def _replicas(service: dict[str, Any]) -> str:
    return "{healthy}/{wanted}".format(**service["replicas"])


def _image(service: dict[str, Any]) -> str:
    """An image that is only known by its id is shown as its version, with enough of the id to find it."""
    from graasp_local.images.pins import shortened

    image = shortened(str(service["image"]))
    if not image.startswith("sha256:"):
        return image
    return " ".join(filter(None, (service["version"], f"({image})")))
