"""A benchmark's passages as a store: made on first use, found again by what it was made from."""

from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.passage_store import STORE_FORMAT, PassageStore, convert_passages
from xdr.data.problems import Problems
from xdr.storage.fingerprint import Json, fingerprint, identify_files


def open_collection(
    benchmark: Benchmark,
    artifacts_dir: Path,
    problems: Problems,
    progress: Callable[[int], None] = lambda num_passages: None,
) -> PassageStore:
    """An edited or other file, other settings, or the other strictness make another store; nothing stale is used."""
    assert is_dataclass(benchmark) and not isinstance(benchmark, type)
    settings: dict[str, Json] = {name: _plain(value) for name, value in asdict(benchmark).items()}
    made_from: dict[str, Json] = {
        "benchmark": type(benchmark).__name__,
        "settings": settings,
        "sources": identify_files(benchmark.passage_sources()),
        "strict": problems.strict,
        "format": STORE_FORMAT,
    }
    folder = artifacts_dir / "collections" / fingerprint(made_from)
    return convert_passages(benchmark.passages(problems), folder, made_from, progress, problems.report)


def _plain(value: object) -> Json:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    assert value is None or isinstance(value, bool | int | float | str)
    return value
