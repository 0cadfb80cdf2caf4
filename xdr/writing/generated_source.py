"""Opening generated texts, importing them from the format of the published xQG data, and exporting them to it.

xQG's files hold `docid, title, text, generated_queries: {lang: [text, ...]}`, one line a passage, in any order, in any number
of files. An import brings them into the collection's order, shard by shard, and is cached by the files' fingerprint.
"""

import gzip
import json
from collections import defaultdict
from collections.abc import Callable, Container, Sequence
from itertools import islice
from pathlib import Path
from typing import IO

from xdr.data.benchmark import Benchmark
from xdr.data.generated_queries import read_generated_queries
from xdr.data.passage_store import PassageStore
from xdr.data.problems import Problems
from xdr.errors import ArtefactError, DataError, UserError
from xdr.storage.files import read_json, replacing_file
from xdr.storage.fingerprint import Json, fingerprint
from xdr.storage.ledger import ShardLedger
from xdr.storage.locks import locked
from xdr.storage.places import place
from xdr.storage.remote import fetched, in_mirror
from xdr.storage.sources import identify_files
from xdr.text.records import GeneratedTexts
from xdr.writing.generated_store import KIND, GeneratedStore, write_texts
from xdr.writing.people_questions import PREFIX, write_questions

IMPORTED_SHARD = 10_000
_CHUNK = 50_000
IMPORT_FORMAT = 1


def open_generated(
    source: str,
    passages: PassageStore,
    artifacts_dir: Path,
    progress: Callable[[int], None] = lambda number: None,
    *,
    whole_files: bool = False,
) -> GeneratedStore:
    """`source` is a folder that stage=generate wrote, its output folder, or files in xQG's format: a name, or a pattern such as
    `xqg/shard_*.jsonl`. Texts about another collection are refused. `whole_files` as in `Problems`."""
    path = place(source)
    if isinstance(path, Path) and (path / "generated.json").is_file():
        source = str(read_json(path / "generated.json")["generated"])
        path = place(source)
    stored = in_mirror(source, artifacts_dir) or path
    if isinstance(stored, Path) and fetched(stored / "manifest.json"):
        return _fitting(GeneratedStore(stored), passages)
    files = [] if path.is_dir() else sorted(path.parent.glob(path.name))
    if not files:
        raise DataError(
            "augmentation.source must be a folder of stage=generate, or a file or pattern of JSON lines",
            file=source,
            remedy="Nothing of that name exists",
        )
    return import_generated(files, passages, artifacts_dir, progress, whole_files=whole_files)


def open_texts(
    source: str | None,
    benchmark: Benchmark,
    passages: PassageStore,
    artifacts_dir: Path,
    progress: Callable[[int], None] = lambda number: None,
    *,
    whole_files: bool = False,
) -> GeneratedStore:
    """`source` is what `open_generated` takes; or `questions:SPLIT`, the questions of the benchmark's examples; or None, the
    texts that the benchmark comes with."""
    if source is not None and not source.startswith(PREFIX):
        return open_generated(source, passages, artifacts_dir, progress, whole_files=whole_files)
    own = benchmark.generated_file()
    if source is not None:
        own = write_questions(benchmark, source.removeprefix(PREFIX), artifacts_dir / "questions")
    if own is None:
        raise UserError(
            "augmentation.source must be given: a folder that stage=generate left, or files in the format of the published xQG "
            "data. This collection has no generated.jsonl"
        )
    return import_generated([own], passages, artifacts_dir, progress, whole_files=whole_files)


def _fitting(store: GeneratedStore, passages: PassageStore) -> GeneratedStore:
    if store.made_by.get("direction") != "passage_from_query" and store.made_by.get("sources") != passages.fingerprint:
        raise ArtefactError(
            f"the texts in {store.folder} must be about the collection in {passages.folder} (fingerprint "
            f"{passages.fingerprint}), got texts about another collection ({store.made_by.get('sources')})"
        )
    return store


def import_generated(
    files: Sequence[Path],
    passages: PassageStore,
    artifacts_dir: Path,
    progress: Callable[[int], None],
    *,
    whole_files: bool = False,
) -> GeneratedStore:
    """Reads the files twice: first to sort their lines into shards, then to write each shard in the collection's order. A
    passage without a line has no texts."""
    made_from: dict[str, Json] = {
        "files": identify_files(files, whole=whole_files),
        "sources": passages.fingerprint,
        "num_sources": len(passages),
        "shard_size": IMPORTED_SHARD,
        "format": IMPORT_FORMAT,
    }
    folder = artifacts_dir / "generated" / fingerprint(made_from)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with locked(folder.parent / f".{folder.name}.lock"):  # another process that imports these files waits
        if not fetched(folder / "manifest.json"):
            _import(files, passages, folder, made_from, progress)
    return GeneratedStore(folder)


def _import(
    files: Sequence[Path], passages: PassageStore, folder: Path, made_from: dict[str, Json], progress: Callable[[int], None]
) -> None:
    num_shards = -(-len(passages) // IMPORTED_SHARD)
    parts = folder / ".parts"
    parts.mkdir(parents=True, exist_ok=True)
    for leftover in parts.iterdir():
        leftover.unlink()
    languages, most = _sort_into_shards(files, passages, parts, progress)
    # The manifest is written last, so that an import that was killed starts again.
    staged = ShardLedger(folder, KIND, num_shards, {**made_from, "languages": tuple(sorted(languages)), "most": most})
    for shard in staged.missing():
        start = shard * IMPORTED_SHARD
        texts = _of_shard(parts / f"{shard}.jsonl", passages, start, min(start + IMPORTED_SHARD, len(passages)))
        with staged.writing(shard) as partial:
            write_texts(texts, sorted(languages), partial)
    for leftover in parts.iterdir():
        leftover.unlink()
    parts.rmdir()
    ShardLedger.create(folder, KIND, num_shards, staged.made_by)


def _sort_into_shards(
    files: Sequence[Path], passages: PassageStore, parts: Path, progress: Callable[[int], None]
) -> tuple[set[str], int]:
    """Returns the languages, and the largest number of texts that a passage has in one language."""
    languages: set[str] = set()
    most = done = 0
    for file in files:
        lines = read_generated_queries(file, Problems())
        while chunk := list(islice(lines, _CHUNK)):
            rows = passages.require_rows([text.source_id for text in chunk], str(file))
            by_shard: dict[int, list[str]] = defaultdict(list)
            for row, text in zip(rows, chunk, strict=True):
                languages |= set(text.texts)
                most = max(most, *map(len, text.texts.values()), 0)
                by_shard[row // IMPORTED_SHARD].append(json.dumps([row, dict(text.texts)], ensure_ascii=False))
            for shard, shard_lines in by_shard.items():
                with (parts / f"{shard}.jsonl").open("a", encoding="utf-8") as sink:
                    sink.write("\n".join(shard_lines) + "\n")
            done += len(chunk)
            progress(done)
    return languages, most


def _of_shard(part: Path, passages: PassageStore, start: int, stop: int) -> list[GeneratedTexts]:
    by_row: dict[int, dict[str, list[str]]] = {}
    for line in part.read_text(encoding="utf-8").splitlines() if part.exists() else ():
        row, texts = json.loads(line)
        if row in by_row:
            raise DataError(f"docid must be unique, got '{passages[row].passage_id}' twice", field="docid")
        by_row[row] = texts
    return [
        GeneratedTexts(passage.passage_id, {code: tuple(queries) for code, queries in by_row.get(row, {}).items()})
        for row, passage in enumerate(passages.slice(start, stop), start)
    ]


def export_generated(
    store: GeneratedStore,
    passages: PassageStore,
    file: Path,
    progress: Callable[[int], None] = lambda number: None,
    only: Container[int] | None = None,
) -> None:
    """Writes one line for each passage, in the collection's order, gzipped if the name ends in .gz. `only` are the rows of
    passages that are written; None: all."""
    with replacing_file(file) as partial, _opened(partial, gzipped=file.suffix == ".gz") as sink:
        for number, (texts, passage) in enumerate(zip(store, passages, strict=True), 1):
            if only is None or number - 1 in only:
                row = {"docid": passage.passage_id, "title": passage.title, "text": passage.text}
                by_language = {code: list(texts.texts[code]) for code in sorted(texts.texts)}
                sink.write((json.dumps({**row, "generated_queries": by_language}, ensure_ascii=False) + "\n").encode())
            if number % 1000 == 0 or number == len(passages):
                progress(number)


def _opened(path: Path, *, gzipped: bool) -> IO[bytes]:
    return gzip.GzipFile(path, "wb", mtime=0) if gzipped else path.open("wb")  # type: ignore[return-value]  # both write bytes
