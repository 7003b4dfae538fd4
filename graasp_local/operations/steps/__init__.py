"""How each kind of step is done: one function per step, which yields lines to show and raises if it fails.

Which steps there are is up to the plan. Every step checks first and does only what is missing, so that it can be
repeated.
"""

from graasp_local.operations.steps.draining import give_up_draining
from graasp_local.operations.steps.performer import Performer

__all__ = ["Performer", "give_up_draining"]
