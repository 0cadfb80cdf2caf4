"""Questions that people asked about passages, in the place of generated ones: how much the best questions could bring."""

import hashlib
import json
from collections import defaultdict
from pathlib import Path

from xdr.data.benchmark import Benchmark
from xdr.data.problems import Problems
from xdr.errors import UserError
from xdr.storage.files import replacing_file

PREFIX = "questions:"


def write_questions(benchmark: Benchmark, split: str, folder: Path) -> Path:
    """Writes the questions of a split's examples in the format of the published xQG data. Returns the file, which is named by
    its content."""
    about: dict[str, dict[str, list[str]]] = defaultdict(lambda: defaultdict(list))
    for example in benchmark.examples(split, Problems(strict=False)):
        for passage in example.positives:
            about[passage.passage_id][example.query.language].append(example.query.text)
    if not about:
        raise UserError(f"augmentation.source must name a split with training examples after {PREFIX}, got {split}")
    lines = [json.dumps({"docid": docid, "generated_queries": texts}, ensure_ascii=False) for docid, texts in about.items()]
    content = ("\n".join(lines) + "\n").encode()
    file = folder / f"{hashlib.sha256(content).hexdigest()[:32]}.jsonl"
    if not file.is_file() or file.read_bytes() != content:
        folder.mkdir(parents=True, exist_ok=True)
        with replacing_file(file) as partial:
            partial.write_bytes(content)
    return file
