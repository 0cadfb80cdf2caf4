"""stage=prepare: the collection in its memory-mapped form, with every query and judgement checked against it."""

from dataclasses import asdict

from xdr.data.collection import open_collection
from xdr.data.collection_summary import as_table, count_benchmark
from xdr.data.passage_store import PassageStore
from xdr.sharding.progress import counting
from xdr.storage.files import write_json
from xdr.storage.fingerprint import Json
from xdr.tasks.settings import StageInputs


def collection_of(inputs: StageInputs) -> PassageStore:
    """The benchmark's passages as a store, which is converted on first use."""
    with counting("passages converted", inputs.console) as progress:
        return open_collection(inputs.benchmark, inputs.artifacts_dir, inputs.problems(), progress)


def prepare(inputs: StageInputs) -> None:
    problems = inputs.problems()
    store = collection_of(inputs)
    counts = count_benchmark(inputs.benchmark, store, problems)
    inputs.console.print(as_table(f"{len(store):,} passages, fingerprint {store.fingerprint}", counts))
    notes: list[Json] = [*store.notes, *problems.report()]
    for note in notes:
        inputs.console.print(str(note), style="yellow", markup=False)
    report = inputs.output_dir / "collection.json"
    write_json(
        report,
        {
            "store": str(store.folder),
            "fingerprint": store.fingerprint,
            "passages": len(store),
            "notes": notes,
            "counts": [asdict(row) for row in counts],
        },
    )
    inputs.console.print(f"Collection: {store.folder}\nCounts: {report}", markup=False, soft_wrap=True)
