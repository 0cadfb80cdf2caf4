"""What a teacher does, whatever its family. Needs no torch.

A new teacher is a class with `load`, in any package that the setting `plugins` lists, and a YAML file in conf/teacher/ whose
`_target_` names it.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from xdr.text.records import Passage, Query

if TYPE_CHECKING:
    import torch
    from torch import nn


class Teacher(Protocol):
    def score(self, queries: Sequence[Query], passages: Sequence[Passage]) -> list[float]:
        """How well each passage answers the query at the same place; higher is better. The scores depend on the pairs of this
        call and on nothing else. There can be any number of pairs: a teacher chooses its batches itself."""
        ...


@dataclass(frozen=True)
class LoadedTeacher:
    """`fingerprint` names everything that the scores depend on besides the pairs and the precision. `models` are moved to a
    device, and `on` opens the teacher there."""

    fingerprint: str
    models: "nn.Module"
    on: "Callable[[torch.device], Teacher]"


class TeacherSettings(Protocol):
    """What `_target_` of a file in conf/teacher/ names."""

    def load(self, precision: str) -> LoadedTeacher:
        """`precision` is the trainer's."""
        ...
