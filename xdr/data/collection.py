"""A benchmark's passages as a store, made on first use."""

from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.lines import require_file
from xdr.data.passage_store import STORE_FORMAT, PassageStore, convert_passages
from xdr.data.problems import Problems
from xdr.errors import UserError
from xdr.storage.fingerprint import Json, fingerprint
from xdr.storage.sources import identify_files


def open_collection(
    benchmark: Benchmark,
    artifacts_dir: Path,
    problems: Problems,
    progress: Callable[[int], None] = lambda num_passages: None,
) -> PassageStore:
    """Opens the store of these settings, this strictness and these files as they are now; makes it where there is none."""
    made_from: dict[str, Json] = {
        "benchmark": _name(benchmark),
        "settings": _settings(benchmark),
        "sources": identify_files(map(require_file, benchmark.passage_sources()), whole=problems.whole_files),
        "strict": problems.strict,
        "format": STORE_FORMAT,
    }
    folder = artifacts_dir / "collections" / fingerprint(made_from)
    return convert_passages(benchmark.passages(problems), folder, made_from, progress, problems.report)


def _name(benchmark: Benchmark) -> str:
    """With its module for a class outside xdr, where two may have one name."""
    kind = type(benchmark)
    return kind.__name__ if kind.__module__.startswith("xdr.") else f"{kind.__module__}.{kind.__qualname__}"


def _settings(benchmark: Benchmark) -> dict[str, Json]:
    if not is_dataclass(benchmark) or isinstance(benchmark, type):
        raise UserError(f"a benchmark must be a dataclass, so that its settings can be stored, got {_name(benchmark)}")
    return {name: _plain(value) for name, value in asdict(benchmark).items()}


def _plain(value: object) -> Json:
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    return value if value is None or isinstance(value, bool | int | float | str) else str(value)
