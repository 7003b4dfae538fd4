"""The heading of a request's plan. Pure."""

from __future__ import annotations

from graasp_local.planning.plan import Strategy
from graasp_local.planning.requests import (
    ChangeState,
    Deploy,
    Request,
    Restore,
    Resume,
    Rollback,
    Rotate,
    Scale,
    UpgradeDatabase,
)


def headline(request: Request) -> str:
    """The request as a heading."""
    match request:
        case ChangeState(state=state):
            return f"Change the state to {state}"
        case Deploy(version=version, hold=hold, strategy=strategy):
            held = " and hold it behind the gate" if hold else ""
            how = " without closing the site" if strategy is Strategy.ROLLING else ""
            return f"Deploy {version}{held}{how}"
        case Resume():
            return "Finish what was left unfinished"
        case Rollback(discard_written_since=discard):
            return "Undo the last deployment" + (" and discard what was written since" if discard else "")
        case Restore(backup=backup):
            return f"Restore the backup {backup}"
        case UpgradeDatabase() | Rotate() | Scale():
            return request.command
