"""Speed and memory of the passage store: python benchmarks/collection.py [--passages 1000000]

Generates passages of 100 words as TSV, converts them, opens the store in a new process and looks up random ids. All files are
removed.
"""

import argparse
import platform
import random
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

WORDS = 100
LOOKUPS = 10_000


def generate(path: Path, number: int) -> None:
    """About 600 bytes a passage, from a vocabulary with Zipfian frequencies."""
    rng = random.Random(0)
    vocabulary = ["".join(rng.choices("abcdefghijklmnoprstuvwy", k=rng.randint(2, 9))) for _ in range(50_000)]
    weights = [1 / rank for rank in range(1, len(vocabulary) + 1)]
    with path.open("w", encoding="utf-8") as file:
        file.write("id\ttext\ttitle\n")
        for start in range(0, number, 1000):
            words = rng.choices(vocabulary, weights, k=WORDS * min(1000, number - start))
            for i in range(len(words) // WORDS):
                file.write(f"{start + i}\t{' '.join(words[i * WORDS : (i + 1) * WORDS])}\ttitle {start + i}\n")


def convert(source: Path, folder: Path) -> None:
    from xdr.data.passage_store import convert_passages
    from xdr.data.passage_tsv import read_passage_tsv
    from xdr.data.problems import Problems

    started = time.perf_counter()
    store = convert_passages(read_passage_tsv(source, Problems()), folder, {})
    seconds = time.perf_counter() - started
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"conversion       {len(store) / seconds:10,.0f} passages/s   ({len(store):,} in {seconds:.1f} s; target 60,000)")
    print(f"peak memory      {peak:10,.0f} MB             (target 1,000)")


def read(folder: Path) -> None:
    from xdr.data.passage_store import PassageStore

    started = time.perf_counter()
    store = PassageStore(folder)
    print(f"reopening        {time.perf_counter() - started:10.4f} s              (target 1)")
    rng = random.Random(1)
    ids = [str(rng.randrange(len(store))) for _ in range(LOOKUPS)]
    started = time.perf_counter()
    passages = [store[row] for row in store.require_rows(ids, "the benchmark")]
    seconds = time.perf_counter() - started
    assert [passage.passage_id for passage in passages] == ids
    print(f"{LOOKUPS:,} look-ups  {seconds:10.3f} s              (ids to passages; target 1)")
    started = time.perf_counter()
    number = sum(1 for _ in store)
    print(f"reading in order {number / (time.perf_counter() - started):10,.0f} passages/s")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--passages", type=int, default=1_000_000)
    parser.add_argument("--step", choices=["convert", "read"], help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.step == "convert":
        convert(arguments.folder / "passages.tsv", arguments.folder / "store")
    elif arguments.step == "read":
        read(arguments.folder / "store")
    else:
        print(f"{platform.platform()}, Python {platform.python_version()}, {platform.processor() or platform.machine()}")
        with tempfile.TemporaryDirectory() as folder:
            generate(Path(folder) / "passages.tsv", arguments.passages)
            for step in ("convert", "read"):  # one process each, because the peak is that of a process
                subprocess.run([sys.executable, __file__, "--step", step, "--folder", folder], check=True)


if __name__ == "__main__":
    main()
