"""`graasp-local nodes`."""

from __future__ import annotations

import click

from graasp_local.cli.context import Context, pass_context, print_json
from graasp_local.cli.speaking import say

_GIB = 1024**3


@click.command("nodes")
@click.option("--json", "json_object", is_flag=True, help="Print one JSON object.")
@pass_context
def command(context: Context, *, json_object: bool) -> None:
    """List the machines of the site's Swarm, and which of the site's services run on each."""
    from graasp_local.cli.tables import print_table
    from graasp_local.engine.swarm.nodes import swarm_nodes

    if context.site.settings.swarm is None:
        if json_object:
            print_json({"swarm": False, "nodes": []})
        else:
            say("SWARM is off: everything runs on one machine.")
        return
    nodes = swarm_nodes(context.engine())
    if json_object:
        told = [
            {
                "name": node.name,
                "id": node.id,
                "front": node.front,
                "role": node.role,
                "state": node.state,
                "availability": node.availability,
                "labels": dict(node.labels),
                "cpus": node.cpus,
                "memory_bytes": node.memory_bytes,
                "runs": list(node.runs),
            }
            for node in nodes
        ]
        print_json({"swarm": True, "nodes": told})
        return
    rows = [
        [
            node.name,
            f"{node.role}, front" if node.front else node.role,
            node.state,
            node.availability,
            f"{node.cpus:g}",
            f"{node.memory_bytes / _GIB:.1f} GiB",
            ", ".join(f"{key}={value}" for key, value in sorted(node.labels.items())) or "-",
            ", ".join(node.runs) or "-",
        ]
        for node in nodes
    ]
    print_table(["NODE", "ROLE", "STATE", "AVAILABILITY", "CPUS", "MEMORY", "LABELS", "RUNS"], rows)
