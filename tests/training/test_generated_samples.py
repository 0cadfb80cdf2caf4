"""The table of generated texts in the terminal."""

from io import StringIO

from rich.console import Console

from xdr.text.records import Passage
from xdr.training.generated_samples import GeneratedSample, samples_table
from xdr.training.generator_data import Target


def test_texts_cannot_command_the_terminal() -> None:
    source = Passage("1", "[red]Title[/red]", "text", "en")
    sample = GeneratedSample(Target(source, "by\x1b]0;a person\x07", "fi", "fi"), "[bold]kuka\x1b[2J?", 3)
    console = Console(file=StringIO(), width=200, force_terminal=True, color_system=None)
    console.print(samples_table([sample]))
    shown = console.file.getvalue()  # type: ignore[attr-defined]  # a StringIO
    assert "[red]Title[/red]" in shown and "[bold]kuka [2J?" in shown and "by ]0;a person" in shown
    assert "\x1b]" not in shown and "\x1b[2J" not in shown and "\x07" not in shown
