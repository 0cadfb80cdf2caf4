"""Builds what an experiment names. `python train.py experiment=sample`; `--help` tells the rest."""

from typing import TYPE_CHECKING

from conf import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(settings: "DictConfig") -> None:
    """Reads the training and dev examples, checks each, and says what is there."""
    benchmark = entry.build(settings.data, "strict")
    from rich.console import Console

    from xdr.data.problems import Problems
    from xdr.data.summary import as_table, count_examples

    console = Console()
    problems = Problems(settings.data.strict)
    counts = [row for split in ("train", "dev") for row in count_examples(split, benchmark.examples(split, problems))]
    console.print(as_table("Training examples", counts))
    for note in problems.report():
        console.print(note, style="yellow", markup=False)


if __name__ == "__main__":
    entry.run("train", main)
