"""What a person wants of the site, before there is a plan: a change of state, or a deployment.

Says the same command as the command line would take, and makes its plan with the same functions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from graasp_local.planning.plan import Strategy
from graasp_local.planning.plan_deploy import DeployRequest
from graasp_local.planning.states import InfraState
from graasp_local.version import Version

if TYPE_CHECKING:
    from graasp_local.operations.run import Planner
    from graasp_local.ports.world import World


class ChangeState(Struct, frozen=True):
    """Bring the site into a state."""

    target: InfraState
    rolls_back = False

    @property
    def command(self) -> str:
        return f"graasp-local apply {self.target}"

    @property
    def name(self) -> str:
        return f"apply-{self.target}"

    @property
    def headline(self) -> str:
        return f"Bring the site to {self.target}"

    def planner(self, world: World) -> Planner:
        from graasp_local.operations import run

        return lambda observed: run.transition_plan(world, observed, self.target)


class DeployVersion(Struct, frozen=True):
    """Deploy a version; with `end` restricted it stops behind the gate, to be tested with the bypass.

    `strategy` is None for the one that the site's settings say.
    """

    version: Version
    end: InfraState = InfraState.RUNNING
    strategy: Strategy | None = None
    rolls_back = True
    """What fails behind the closed gate is put back, as the command line does where nothing else is asked."""

    @property
    def command(self) -> str:
        hold = " --hold" if self.end is InfraState.RESTRICTED else ""
        strategy = f" --strategy {self.strategy}" if self.strategy else ""
        return f"graasp-local deploy --version {self.version}{hold}{strategy}"

    @property
    def name(self) -> str:
        return f"deploy-{self.version}"

    @property
    def headline(self) -> str:
        held = " and hold it behind the gate" if self.end is InfraState.RESTRICTED else ""
        how = " without closing the site" if self.strategy is Strategy.ROLLING else ""
        return f"Deploy {self.version}{held}{how}"

    def planner(self, world: World) -> Planner:
        from graasp_local.operations import run

        strategy = self.strategy or Strategy(world.site.settings.deploy_strategy)
        request = DeployRequest(self.version, self.end, strategy=strategy, needs_way_back=True)
        return lambda observed: run.deployment_plan(world, observed, request)


class ResumeDeployment(Struct, frozen=True):
    """Go on with the deployment that was left unfinished."""

    command = "graasp-local resume"
    name = "resume"
    headline = "Go on with what was left unfinished"
    rolls_back = True

    def planner(self, world: World) -> Planner:
        from graasp_local.operations import recovery

        return lambda observed: recovery.resume_plan(world, observed)


class RollBack(Struct, frozen=True):
    """Put the site back to before its last deployment, if that discards nothing."""

    command = "graasp-local rollback"
    name = "rollback"
    headline = "Undo the last deployment"
    rolls_back = True

    def planner(self, world: World) -> Planner:
        from graasp_local.operations import recovery

        return lambda observed: recovery.rollback_plan(world, observed)


class RollBackAndDiscard(Struct, frozen=True):
    """The same, and what was written since is put away with its database: somebody has typed the site's name for it."""

    command = "graasp-local rollback --discard-written-since"
    name = "rollback"
    headline = "Undo the last deployment and discard what was written since"
    rolls_back = True

    def planner(self, world: World) -> Planner:
        from graasp_local.operations import recovery

        return lambda observed: recovery.rollback_plan(world, observed, recovery.WrittenSince.DISCARD)


class RestoreBackup(Struct, frozen=True):
    """Bring back everything of a backup, by its name: somebody has typed the site's name for it."""

    backup: str
    name = "restore"
    rolls_back = True

    @property
    def command(self) -> str:
        return f"graasp-local restore {self.backup}"

    @property
    def headline(self) -> str:
        return f"Bring back the backup {self.backup}"

    def planner(self, world: World) -> Planner:
        from graasp_local.operations import restores

        return lambda observed: restores.restore_plan(world, observed, restores.Wanted(self.backup))


Intention = ChangeState | DeployVersion | ResumeDeployment | RollBack | RollBackAndDiscard | RestoreBackup
