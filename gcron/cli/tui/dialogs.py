"""What lies over a screen: a question, and the help."""

from __future__ import annotations

from rich.text import Text
from textual.app import ComposeResult
from textual.binding import Binding
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Static

__all__ = ["Help", "Question"]

_HELP = """\
enter   the runs of a job; the output of a run
t       trigger: run the job now
p       pause the job, or resume it
s       stop its runs, or a service (asks first)
/       show only jobs with this in their name
esc     back; all jobs again
q       quit            Ctrl-Z  suspend

LAST TEN, the newest last:
. succeeded      F failed         T timed out
K killed         S did not start  o was stopped
- skipped        m missed         ? lost, unknown

A job's own page: gcron status JOB
More: gcron help control"""


class _Dialog(ModalScreen[bool]):
    """A box in the middle of the screen."""

    DEFAULT_CSS = """
    _Dialog { align: center middle; }
    _Dialog > Vertical {
        width: auto; max-width: 90%; height: auto; max-height: 90%; padding: 1 2;
        border: round $primary; background: $surface; overflow-y: auto;
    }
    _Dialog Static { width: auto; max-width: 100%; height: auto; }
    """

    def __init__(self, text: str, keys: str) -> None:
        super().__init__()
        self._text = text
        self._keys = keys

    def compose(self) -> ComposeResult:
        """See `Screen`."""
        with Vertical():
            yield Static(Text(self._text))
            yield Static(Text(f"\n{self._keys}", "bold"))

    def action_answer(self, answer: bool) -> None:
        """End the dialog with this answer."""
        self.dismiss(answer)


class Question(_Dialog):
    """Asks for yes or no; everything but y is no."""

    BINDINGS = [
        Binding("y", "answer(True)", "Yes"),
        Binding("n,escape,enter,q", "answer(False)", "No"),
    ]

    def __init__(self, text: str) -> None:
        super().__init__(text, "y  yes      n  no")


class Help(_Dialog):
    """Shows the keys."""

    BINDINGS = [Binding("escape,enter,q,question_mark", "answer(False)", "Back")]

    def __init__(self) -> None:
        super().__init__(_HELP, "esc  back")
