"""A collection of the paper's size from its text to scored rankings: time, memory and disk of each stage.

    python benchmarks/paper_size.py --encoder STATIC_VECTORS --folder FOLDER [--passages 18000000] [--kills 5]

Passages have 100 words, in five sentences out of 20,000; words are pieces of the encoder's vocabulary, with Zipfian
frequencies. Each passage comes with two generated questions in each of seven languages, which stand for its first two
sentences; words of another script share no vector with the passage. Each of the 2,000 queries is a part of two questions of
its passage, so only generated questions can lead to it. The commands are a user's: stage=prepare, encode and score. `--kills 5`
kills a command five times at random moments, at most twice in each stage, and runs it again. If you interrupt the benchmark,
run it again: it continues. Results are in FOLDER/result.json. FOLDER is kept; remove it yourself.
"""

import argparse
import gzip
import json
import os
import platform
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import suppress
from itertools import accumulate
from pathlib import Path
from typing import Any, TextIO

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

SENTENCES, SENTENCE_WORDS, PASSAGE_SENTENCES, QUESTION_WORDS, QUERY_WORDS = 20_000, 20, 5, 8, 5
QUERIES = 2_000
SCRIPTS = {
    "ar": r"[\u0620-\u064a]+",
    "bn": r"[\u0985-\u09cd]+",
    "fi": r"[a-zäö]+",
    "ja": r"[\u3040-\u30ff\u4e00-\u9fff]+",
    "ko": r"[\uac00-\ud7a3]+",
    "ru": r"[а-яё]+",
    "te": r"[\u0c05-\u0c4d]+",
}
ALPHAS = [round(0.1 * number, 1) for number in range(1, 11)]
POLL_SECONDS = 0.2
FILES = ("corpus.jsonl.gz", "generated.jsonl.gz", "queries.jsonl", "qrels.tsv")


class Texts:
    """The sentences of the passages, and for each of them its question in each language."""

    def __init__(self, encoder: Path) -> None:
        from xdr.encoders.static_encoder import read_static_vectors

        _, tokenizer = read_static_vectors(encoder)
        words = sorted(piece.lstrip("\u2581") for piece in tokenizer.get_vocab() if len(piece.lstrip("\u2581")) > 1)
        rng = random.Random(0)
        self.sentences = _sentences(rng, [word for word in words if re.fullmatch("[a-z]+", word)], SENTENCE_WORDS)
        self.questions = {
            language: _sentences(rng, [word for word in words if re.fullmatch(script, word)], QUESTION_WORDS)
            for language, script in SCRIPTS.items()
        }


def _sentences(rng: random.Random, words: Sequence[str], length: int) -> list[str]:
    shuffled = rng.sample(words, len(words))
    weights = list(accumulate(1 / rank for rank in range(1, len(words) + 1)))
    return [" ".join(rng.choices(shuffled, cum_weights=weights, k=length)) for _ in range(SENTENCES)]


def write(folder: Path, encoder: Path, passages: int) -> None:
    from xdr.storage.files import replacing_file

    texts, rng = Texts(encoder), random.Random(1)
    queries = set(rng.sample(range(passages), min(QUERIES, passages)))
    with (
        replacing_file(folder / "corpus.jsonl.gz") as corpus_file,
        replacing_file(folder / "generated.jsonl.gz") as generated_file,
        replacing_file(folder / "queries.jsonl") as query_file,
        replacing_file(folder / "qrels.tsv") as qrels_file,
        _zipped(corpus_file) as corpus,
        _zipped(generated_file) as generated,
        query_file.open("w", encoding="utf-8") as query_lines,
        qrels_file.open("w", encoding="utf-8") as qrels,
    ):
        for number in range(passages):
            chosen = [int(rng.random() * SENTENCES) for _ in range(PASSAGE_SENTENCES)]
            text = " ".join(texts.sentences[one] for one in chosen)
            _line(corpus, {"docid": f"p{number}", "title": f"title {number}", "text": text})
            asked = {language: [questions[one] for one in chosen[:2]] for language, questions in texts.questions.items()}
            _line(generated, {"docid": f"p{number}", "generated_queries": asked})
            if number in queries:
                language = list(SCRIPTS)[number % len(SCRIPTS)]
                halves = [" ".join(question.split()[:QUERY_WORDS]) for question in asked[language]]
                _line(query_lines, {"query_id": f"q{number}", "query": " ".join(halves), "lang": language})
                qrels.write(f"q{number}\t0\tp{number}\t1\n")


def _zipped(path: Path) -> Any:
    return gzip.open(path, "wt", compresslevel=1, encoding="utf-8")


def _line(file: TextIO, values: dict[str, Any]) -> None:
    file.write(json.dumps(values, ensure_ascii=False) + "\n")


def commands(folder: Path, encoder: Path, processes: int) -> dict[str, list[str]]:
    common = ["data=collection", f"data.path={folder / 'collection'}", f"artifacts_dir={folder / 'artifacts'}"]
    common += ["logger=csv"]
    vectors = [f"checkpoint={encoder}", "augmentation=generated_queries", "trainer.accelerator=cpu"]
    vectors += [f"trainer.devices={processes}", f"trainer.strategy={'ddp' if processes > 1 else 'auto'}"]
    score = [f"augmentation.alpha={ALPHAS}".replace(" ", ""), "evaluation.metrics=[recall@10,MRR@10]"]
    score += ["evaluation.headline=recall@10", "evaluation.num_samples=1000"]
    return {
        "prepare": ["stage=prepare", *common, f"output_dir={folder / 'prepare'}"],
        "encode": ["stage=encode", *common, *vectors, f"output_dir={folder / 'encode'}"],
        "score": ["stage=score", *common, *vectors, *score, f"output_dir={folder / 'score'}"],
    }


def measured(command: Sequence[str], log: Path, kill_after: float | None) -> dict[str, Any]:
    """Runs a command. Memory is the largest resident one of a process; `anonymous` leaves out the pages of mapped files, which
    the system can take back."""
    peak = {"VmRSS": 0, "RssAnon": 0}
    started = time.monotonic()
    whole = [sys.executable, str(ROOT / "evaluate.py"), *command]
    with log.open("ab") as output:
        process = subprocess.Popen(whole, stdout=output, stderr=subprocess.STDOUT, start_new_session=True)
        try:
            while process.poll() is None:
                for name, kilobytes in _memory_of(process.pid):
                    peak[name] = max(peak[name], kilobytes)
                time.sleep(POLL_SECONDS)
                if kill_after is not None and time.monotonic() - started > kill_after:
                    os.killpg(process.pid, signal.SIGKILL)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
    return {
        "status": process.wait(),
        "seconds": round(time.monotonic() - started, 1),
        "resident_mb": peak["VmRSS"] // 1024,
        "anonymous_mb": peak["RssAnon"] // 1024,
    }


def _memory_of(session: int) -> Iterator[tuple[str, int]]:
    """In kilobytes, of each process of a session."""
    for status in Path("/proc").glob("[0-9]*/status"):
        with suppress(OSError):  # it has just ended
            if os.getsid(int(status.parent.name)) == session:
                for line in status.read_text().splitlines():
                    name, _, value = line.partition(":")
                    if name in ("VmRSS", "RssAnon"):
                        yield name, int(value.split()[0])


def disk_of(folder: Path) -> dict[str, float]:
    """Gigabytes, by what they hold."""
    artifacts = [path for path in folder.glob("artifacts/*") if path.is_dir()]
    parts = {"text": folder / "collection", **{path.name: path for path in artifacts}}
    sizes = {name: [file.stat().st_size for file in path.rglob("*") if file.is_file()] for name, path in parts.items()}
    return {name: round(sum(of_part) / 1e9, 2) for name, of_part in sizes.items()}


def main() -> None:
    from xdr.storage.files import read_json, write_json

    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", type=Path, required=True, help="static vectors, such as a folder of model2vec")
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--passages", type=int, default=18_000_000)
    parser.add_argument("--processes", type=int, default=1, help="which encode and search")
    parser.add_argument("--kills", type=int, default=0)
    arguments = parser.parse_args()
    folder, encoder = arguments.folder.absolute(), arguments.encoder.absolute()
    collection, result = folder / "collection", folder / "result.json"
    collection.mkdir(parents=True, exist_ok=True)
    before: dict[str, Any] = read_json(result) if result.is_file() else {}
    if before.get("passages", arguments.passages) != arguments.passages:
        raise SystemExit(f"{folder} holds a run with {before['passages']:,} passages")
    machine = f"{platform.platform()}, Python {platform.python_version()}, {os.cpu_count()} CPUs"
    found = {"passages": arguments.passages, "machine": machine, "kills": 0, "attempts": [], **before}
    if not all((collection / name).is_file() for name in FILES):
        write(collection, encoder, arguments.passages)
    rng = random.Random(len(found["attempts"]))
    done = {one["stage"] for one in found["attempts"] if one["status"] == 0}
    for stage, command in commands(folder, encoder, arguments.processes).items():
        kills = 0
        while stage not in done:
            is_to_die = found["kills"] < arguments.kills and kills < 2
            limit = rng.uniform(5, 15 + arguments.passages / 50_000) if is_to_die else None
            attempt = measured(command, folder / f"{stage}.txt", limit)
            found["attempts"].append({"stage": stage, **attempt})
            found["disk_gb"] = disk_of(folder)
            write_json(result, found)
            print(stage, attempt, flush=True)
            if attempt["status"] == -signal.SIGKILL and is_to_die:
                found["kills"], kills = found["kills"] + 1, kills + 1
            elif attempt["status"]:
                raise SystemExit(f"{stage} ended with status {attempt['status']}: see {folder / f'{stage}.txt'}")
            else:
                done.add(stage)
    metrics: dict[str, Any] = read_json(folder / "score" / "metrics.json")
    found["recall@10"] = {system: values["recall@10"]["macro"] for system, values in metrics.items()}
    write_json(result, found)
    print(found["disk_gb"], found["recall@10"])


if __name__ == "__main__":
    main()
