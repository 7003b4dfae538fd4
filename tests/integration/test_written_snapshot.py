"""A deployment on a server without room for a snapshot: the database goes to a file, and comes back from it."""

from __future__ import annotations

from graasp_local.cli.context import Context
from graasp_local.clock import InterruptionFlag
from graasp_local.journal.events import OperationEnded, Outcome
from graasp_local.operations import deployments, run
from graasp_local.operations.steps.written_snapshot import written_snapshots
from graasp_local.planning.plan import Plan
from graasp_local.planning.plan_deploy import DeployRequest, plan_deploy
from graasp_local.planning.requests import Deploy
from graasp_local.planning.safety_copy import SafetyCopy
from graasp_local.planning.states import ObservedState
from graasp_local.version import Version
from tests.integration.demo_site import DemoSite


def deploy_without_room(site: DemoSite, version: str) -> OperationEnded:
    """As `deploy` does it where the disk is small; what is on this machine's disk does not matter then."""
    world = Context(site.directory).world(InterruptionFlag())
    request = DeployRequest(Version.parse(version))

    def planner(observed: ObservedState) -> Plan:
        forecast = deployments.forecast(world, observed, request.version, world.images.image_facts(request.version))
        return plan_deploy(observed, request, forecast, SafetyCopy.FILE)

    *_, ended = run.run(world, Deploy(version), planner=planner)
    assert isinstance(ended, OperationEnded)
    return ended


def test_a_failed_deployment_is_rolled_back_from_the_file_and_the_next_one_succeeds(site: DemoSite) -> None:
    for number in range(50):
        site.create_item(f"item {number}")
    before = site.item_names()
    failed = deploy_without_room(site, "1.3.0-never-healthy")
    assert failed.outcome is Outcome.ROLLED_BACK, failed.problem
    assert "swap-back" in [step.name for step in failed.steps]
    told = site.status()
    assert (told["state"], told["version"], told["unfinished"]) == ("running", "1.0.0", None)
    assert site.item_names() == before

    deployed = deploy_without_room(site, "1.1.0")
    assert deployed.outcome is Outcome.DONE, deployed.problem
    assert site.item_names() == before
    # One file is left, which a rollback would need.
    store = written_snapshots(Context(site.directory).site)
    assert len(store.usable()) == 1
    site.run("rollback", "--discard-written-since")
    assert site.status()["version"] == "1.0.0"
    assert site.item_names() == before
