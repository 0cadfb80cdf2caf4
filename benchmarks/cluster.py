"""What engine=ray costs on one machine, beside engine=local:

    python benchmarks/cluster.py --encoder ENCODER [--passages 2400] [--shards 5] [--rounds 2]

Encodes generated passages of 100 words with one process and one thread, in turns. A shard's time is that between its entry in
the ledger and the one before, so it leaves out the start of the process, of the cluster and of its worker, which is in the time
of the command. Choose passages and shards so that a shard takes about a minute. All files are removed.
"""

import argparse
import csv
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from benchmarks.collection import generate

ROOT = Path(__file__).parents[1]
ENGINES = {"local": ["engine=local"], "ray": ["engine=ray", "engine.workers=1"]}


def encode(engine: str, collection: Path, output: Path, encoder: Path, shard_size: int) -> tuple[float, list[float]]:
    """Seconds of the command, and of each shard but the first."""
    command = [sys.executable, str(ROOT / "evaluate.py"), "stage=encode", "data=collection", f"data.path={collection}"]
    command += [f"checkpoint={encoder}", f"search.shard_size={shard_size}", "logger=csv", *ENGINES[engine]]
    command += ["trainer.devices=1", "trainer.accelerator=cpu", "evaluation.pooling=mean", f"output_dir={output}"]
    started = time.perf_counter()
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, env={**os.environ, "OMP_NUM_THREADS": "1"})
    seconds = time.perf_counter() - started
    ends = sorted(file.stat().st_mtime for file in output.glob("artifacts/embeddings/*/shard-*/shard.json"))
    return seconds, [after - before for before, after in pairwise(ends)]


def write(folder: Path, passages: int) -> None:
    generate(folder / "passages.tsv", passages)
    with (
        (folder / "passages.tsv").open(encoding="utf-8") as tsv,
        (folder / "corpus.jsonl").open("w", encoding="utf-8") as corpus,
    ):
        for row in csv.DictReader(tsv, delimiter="\t"):
            corpus.write(json.dumps({"docid": row["id"], "title": row["title"], "text": row["text"]}) + "\n")


def shown(values: list[float]) -> str:
    return f"{statistics.median(values):.1f} s ({min(values):.1f} - {max(values):.1f})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=2400)
    parser.add_argument("--shards", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=2)
    arguments = parser.parse_args()
    shard_size = -(-arguments.passages // arguments.shards)
    print(f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} CPUs")
    commands: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    shards: dict[str, list[float]] = {engine: [] for engine in ENGINES}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(folder, arguments.passages)
        for round_ in range(arguments.rounds):
            for engine in ENGINES:
                output = folder / f"{engine}-{round_}"
                seconds, of_shards = encode(engine, folder, output, arguments.encoder.absolute(), shard_size)
                commands[engine].append(seconds)
                shards[engine] += of_shards
    for engine in ENGINES:
        print(f"{engine:6s} a shard {shown(shards[engine])}, the command {shown(commands[engine])}")
    ratio = statistics.median(shards["ray"]) / statistics.median(shards["local"])
    print(f"a shard with Ray takes {ratio:.3f} times as long (wanted: at most 1.05)")


if __name__ == "__main__":
    main()
