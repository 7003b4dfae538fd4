"""What the screens share: the app with its own type; boxes over a screen, and boxes with a list to choose from."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar, TypeVar, cast

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen, Screen

from graasp_local.tui.drawing.keys import KeyHint, key_line
from graasp_local.tui.tones import Line, Tone, plain, wrapped
from graasp_local.tui.widgets.lines import Drawing, Lines
from graasp_local.tui.widgets.rows import Rows

if TYPE_CHECKING:
    from graasp_local.tui.app import GraaspApp

Result = TypeVar("Result")


class _OfTheUi(Screen[Result]):
    """What a thread finds out for one screen is handed over with `call_later`, which may be called from any thread."""

    @property
    def ui(self) -> GraaspApp:
        return cast("GraaspApp", self.app)

    def show(self, name: str, drawing: Drawing) -> None:
        """Draw this from now on in the block of lines with this id."""
        self.query_one(f"#{name}", Lines).show(drawing)


class UiScreen(_OfTheUi[None]):
    """A full screen. Escape goes back to the one below."""

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "app.back", show=False)]


class Box(ModalScreen[Result], _OfTheUi[Result]):
    """A box over the current screen: a text, then what `middle` adds, then the keys.

    The app's own keys do not work while it is open. Every box is closed with escape.
    """

    BINDINGS: ClassVar[list[BindingType]] = [Binding("escape", "close", show=False)]

    def compose(self) -> ComposeResult:
        with Vertical(classes="box"):
            yield Lines(self.text)
            yield from self.middle()
            if self.hints():
                yield Lines(self._keys, id="keys", classes="keys")

    def text(self, width: int) -> tuple[Line, ...]:
        raise NotImplementedError

    def middle(self) -> ComposeResult:
        """Widgets between the text and the keys."""
        return ()

    def hints(self) -> tuple[KeyHint, ...]:
        """The keys that work here; without any, the box has no line of keys."""
        return ()

    def say(self, words: str, tone: Tone = Tone.QUIET) -> None:
        """Show a sentence in the middle's `words`."""
        self.show("words", lambda width: wrapped(words, width, tone) if words else ())

    def action_close(self) -> None:
        """Close without a choice."""
        self.dismiss(None)

    def _keys(self, width: int) -> tuple[Line, ...]:
        return (key_line(self.hints(), (), width),)


class ListBox(Box[Result]):
    """A box with a list; `enter` says what choosing a row does."""

    headline: ClassVar[str]
    enter: ClassVar[str]

    def text(self, width: int) -> tuple[Line, ...]:
        return (plain(self.headline, Tone.STRONG),)

    def middle(self) -> ComposeResult:
        yield Rows()
        yield Lines(id="words", classes="keys")

    def hints(self) -> tuple[KeyHint, ...]:
        return (("enter", self.enter, "screen.choose"), ("esc", "Cancel", "screen.close"))

    def action_choose(self) -> None:
        """What enter does on a row."""
        self.query_one(Rows).action_choose()
