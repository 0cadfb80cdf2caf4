"""stage=verify: everything in artifacts_dir, read in full and compared with its checksums."""

from collections import Counter
from collections.abc import Callable
from functools import partial
from pathlib import Path

from rich.table import Table

from xdr.data.passage_store import PassageStore
from xdr.errors import ArtefactError
from xdr.sharding.progress import counting
from xdr.storage.ledger import ShardLedger
from xdr.tasks.settings import StageInputs

Check = Callable[[], object]


def verify(inputs: StageInputs) -> None:
    """Names each damaged shard or store with its remedy; artifacts that are unfinished are whole."""
    folder, damages = inputs.artifacts_dir, list[str]()
    found, parts, damaged = Counter[str](), list[tuple[str, Check]](), Counter[str]()
    manifests = (file for name in ("store.json", "manifest.json") for file in folder.rglob(name))
    for artifact in sorted(file.parent for file in manifests if file.parent.suffix != ".partial"):  # of a writer
        try:
            kind, checks = _checks(artifact)
        except ArtefactError as error:
            kind, checks = artifact.parent.name, [partial(_refuse, error)]
        found[kind] += 1
        parts += [(kind, check) for check in checks]
    if not parts:
        raise ArtefactError(f"artifacts_dir must hold what xdr made, got {folder}, in which there is nothing of that kind")
    with counting("shards and collections", inputs.console, len(parts)) as progress:
        for number, (kind, check) in enumerate(parts, start=1):
            try:
                check()
            except ArtefactError as error:
                damages.append(str(error))
                damaged[kind] += 1
            progress(number)
    inputs.console.print(_table(found, Counter(kind for kind, _ in parts), damaged))
    for damage in damages:
        inputs.console.print(damage, style="red", markup=False, soft_wrap=True)
    if damages:
        raise ArtefactError(f"{len(damages):,} of {len(parts):,} shards and collections in {folder} are damaged: see above")


def _checks(artifact: Path) -> tuple[str, list[Check]]:
    if (artifact / "store.json").exists():
        return "collections", [PassageStore(artifact).verify]
    ledger = ShardLedger.open(artifact)
    there = sorted(set(range(ledger.num_shards)) - set(ledger.missing()))
    return ledger.kind, [partial(ledger.whole, shard, fetch=False) for shard in there]


def _refuse(error: ArtefactError) -> None:
    raise error


def _table(found: Counter[str], parts: Counter[str], damaged: Counter[str]) -> Table:
    table = Table("kind")
    for name in ("artifacts", "shards", "damaged"):
        table.add_column(name, justify="right")
    for kind in sorted(found):
        table.add_row(kind, *(f"{counts[kind]:,}" for counts in (found, parts, damaged)))
    return table
