"""Base classes of the screens: the app with its own type, and closing a box."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar, cast

from textual.screen import ModalScreen, Screen

if TYPE_CHECKING:
    from graasp_local.tui.app import GraaspApp

Result = TypeVar("Result")


class UiScreen(Screen[None]):
    """A full screen."""

    @property
    def ui(self) -> GraaspApp:
        return cast("GraaspApp", self.app)


class UiModal(ModalScreen[Result]):
    """A box over the current screen; the app's keys do not work while it is open."""

    @property
    def ui(self) -> GraaspApp:
        return cast("GraaspApp", self.app)

    def action_close(self) -> None:
        """Close without a choice."""
        self.dismiss(None)
