"""Everything after training. `python evaluate.py experiment=sample`; `--help` tells the rest."""

from pathlib import Path
from typing import TYPE_CHECKING

from conf import entry

if TYPE_CHECKING:
    from omegaconf import DictConfig


def main(settings: "DictConfig") -> None:
    """stage=prepare: the collection in its memory-mapped form, and every query and judgement checked against it."""
    benchmark = entry.build_benchmark(settings.data)
    from dataclasses import asdict

    from rich.console import Console

    from xdr.data.collection import open_collection
    from xdr.data.problems import Problems
    from xdr.data.progress import counting
    from xdr.data.summary import as_table, count_benchmark
    from xdr.storage.files import write_json

    console = Console()
    problems = Problems(settings.data.strict)
    with counting("passages", console) as progress:
        store = open_collection(benchmark, Path(settings.artifacts_dir), Problems(settings.data.strict), progress)
    counts = count_benchmark(benchmark, store, problems)
    console.print(as_table(f"{len(store):,} passages, fingerprint {store.fingerprint}", counts))
    for note in [*store.notes, *problems.report()]:
        console.print(note, style="yellow", markup=False)
    report = Path(settings.output_dir) / "collection.json"
    write_json(
        report,
        {
            "store": str(store.folder),
            "fingerprint": store.fingerprint,
            "passages": len(store),
            "notes": [*store.notes, *problems.report()],
            "counts": [asdict(row) for row in counts],
        },
    )
    console.print(f"The collection is in {store.folder}; these figures are in {report}", markup=False, soft_wrap=True)


if __name__ == "__main__":
    entry.run("evaluate", main)
