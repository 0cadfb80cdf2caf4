"""Settings of stage=sweep: the question of a study, and how its sweep is read. Without torch."""

import re
from dataclasses import dataclass

from xdr.errors import UserError


@dataclass(frozen=True)
class FigureSettings:
    """`x`, `y`, `panels` and `lines` are settings that the sweep varies, or `system`. With `y`, the figure is a surface."""

    x: str | None = None
    y: str | None = None
    lines: list[str] | None = None
    panels: str | None = None

    def __post_init__(self) -> None:
        if self.x is None and (self.y or self.lines or self.panels):
            raise UserError("sweep.figure.x must name a setting where sweep.figure has other settings, got null")


@dataclass(frozen=True)
class SweepSettings:
    """How a sweep is read. `baseline` and `answer` are words of points' names, such as `baseline share=0.5`. `names` says what
    such words, and the parts of a system's name, are called on the page."""

    question: str | None
    metric: str | None
    baseline: str
    repeated: list[str]
    answer: str | None
    chosen: list[str]
    choose_from: str | None
    note: str | None
    names: dict[str, str] | None
    figure: FigureSettings

    def __post_init__(self) -> None:
        if self.chosen and self.choose_from is None:
            raise UserError(
                "sweep.choose_from must be given with sweep.chosen, got null. Give a folder of the same sweep on other queries"
            )

    def in_words(self, name: str) -> str:
        """A point's name as the study calls it: `sum@noise-worst share=0.5` has the words `sum`, `noise-worst`, `share=0.5`."""
        if not self.names:
            return name
        words = (word for part in name.split() for word in ([part] if "=" in part else re.split("[@+]", part)))
        return ", ".join(self.names.get(word, word) for word in words)
