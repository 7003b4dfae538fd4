"""How each kind of step is done. One function a step; a step yields lines to show and raises if it fails.

Decides nothing about which steps there are: that is the plan's. Every step looks first and does only what is missing,
so that each can be repeated.
"""

from graasp_local.operations.steps.performer import Performer

__all__ = ["Performer"]
