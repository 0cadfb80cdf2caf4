"""Writes the sample in the formats of other benchmarks, and small models in place of pretrained ones."""

import gzip
import json
import random
import re
import shutil
from collections import defaultdict
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file
from tokenizers import Tokenizer

from tests.small_causal import build_small_causal
from xdr.benchmarks.sample import FOLDER, Sample
from xdr.data.problems import Problems
from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.models import SmallBiEncoder
from xdr.encoders.small import build_small_bert, build_small_xlm_roberta
from xdr.generators.small import build_small_mt5
from xdr.text.languages import AFRIQA, MLQA, XNLI, XOR_TYDI, XQUAD_R
from xdr.text.records import Passage, Query, TrainingExample

NUM_TRAIN, NUM_DEV = 128, 64
"""Number of examples, from all languages."""

SAMPLE = Sample()
PASSAGES = list(SAMPLE.passages(Problems()))
TRAIN, DEV = (list(SAMPLE.examples(split, Problems())) for split in ("train", "dev"))


def some(examples: list[TrainingExample], number: int) -> list[TrainingExample]:
    return random.Random(0).sample(examples, number)


def write_collection(
    folder: Path,
    passages: Sequence[Passage] = PASSAGES,
    dev: Sequence[TrainingExample] | None = None,
    train: Sequence[TrainingExample] | None = None,
) -> None:
    """A collection of a user's own, as the README describes it."""
    dev, train = dev or some(DEV, NUM_DEV), train or some(TRAIN, NUM_TRAIN)
    write_lines(folder / "corpus.jsonl", [_passage(passage) for passage in passages])
    write_lines(folder / "queries.jsonl", [_query(example.query) for example in dev])
    write_lines(folder / "train.jsonl", [{**_query(e.query), **_passages(e)} for e in train])
    judged = [f"{example.query.query_id} 0 {example.positives[0].passage_id} 1\n" for example in dev]
    (folder / "qrels.tsv").write_text("".join(judged), encoding="utf-8")


def write_xor_tydi(folder: Path) -> None:
    """The sample's files have the official names, but for the passages. Tevatron's file is added."""
    shutil.copytree(FOLDER, folder, ignore=shutil.ignore_patterns("*.tsv"))
    shutil.copy(FOLDER / "passages.tsv", folder / "enwiki_20190201_w100.tsv")
    write_lines(folder / "xor-t2e-100w.jsonl.gz", [{**_query(e.query), **_passages(e)} for e in some(TRAIN, NUM_TRAIN)])


def write_published_questions(folder: Path) -> None:
    """xQG's files, with one question in each of seven languages, written by people instead of a model."""
    about: dict[str, dict[str, str]] = defaultdict(dict)
    for example in TRAIN:
        if example.query.language != "en":
            about[example.positives[0].passage_id].setdefault(example.query.language, example.query.text)
    rows = [{**_passage(p), "generated_queries": {code: [t] for code, t in about[p.passage_id].items()}} for p in PASSAGES]
    for number, half in enumerate((rows[:70], rows[70:])):
        write_lines(folder / f"shard_{number}.jsonl", half)


def write_natural_questions(folder: Path) -> None:
    for name, examples in (("train", TRAIN), ("dev", DEV)):
        rows = [
            {
                "question": e.query.text,
                "answers": list(e.query.answers),
                "positive_ctxs": [_context(passage) for passage in e.positives],
                "hard_negative_ctxs": [_context(passage) for passage in _others(e)],
            }
            for e in examples
            if e.query.language == "en"
        ]
        _write(folder / f"biencoder-nq-{name}.json.gz", json.dumps(rows))
    _write(folder / "psgs_w100.tsv.gz", (FOLDER / "passages.tsv").read_text(encoding="utf-8"))


def write_swim_ir(folder: Path) -> None:
    """Each pair has a passage of its own, a part of one of the sample's. One in a hundred is dev."""
    rows = []
    for number, example in enumerate(some(TRAIN + DEV, 1000)):
        passage, query = example.positives[0], example.query
        text = " ".join(passage.text.split()[: 20 + number % 40])
        rows.append({"_id": query.query_id, "lang": query.language, "query": query.text, "title": passage.title, "text": text})
    write_lines(folder / "cross_lingual" / "train.jsonl", rows)


def write_afriqa(folder: Path) -> None:
    """Each of AfriQA's languages gets the questions of one language of the sample."""
    languages = sorted({example.query.language for example in TRAIN} - {"en"})
    for code, other in zip((code for code in AFRIQA if code not in ("fon", "sw", "wo")), languages, strict=True):
        for split, examples in (("train", TRAIN), ("dev", DEV)):
            rows = [
                {
                    "id": number,
                    "title": e.positives[0].title,
                    "context": e.positives[0].text,
                    "question_lang": e.query.text,
                    "question_translated": e.query.text,
                    "answer_pivot": {"text": list(e.query.answers)},
                }
                for number, e in enumerate(example for example in examples if example.query.language == other)
            ]
            write_lines(folder / "gold_passages" / code / f"gold_span_passages.afriqa.{code}.en.{split}.json", rows[::2])


def write_parallel(folder: Path) -> None:
    """Questions, and in place of translations the titles of their passages."""
    for code in set(XOR_TYDI) - {"en"}:
        pairs = [(e.query.text, e.positives[0].title) for e in TRAIN if e.query.language == code]
        for name, texts in zip((code, "en"), zip(*pairs, strict=True), strict=True):
            _write(folder / f"{code}-en" / f"{name}.txt", "\n".join(texts))


def write_xquad_r(folder: Path) -> None:
    """Each language has the same English paragraphs, and two equal questions about each, whose answer it contains: one can be
    held out."""
    answered = [e for e in DEV if e.query.language == "en" and e.query.answers[0] in e.positives[0].text][:30]
    for code in XQUAD_R:
        _write(folder / f"{code}.json", json.dumps({"data": [_article(example) for example in answered]}))


def write_mlqa(folder: Path) -> None:
    """Each language has the same English paragraphs."""
    answered = [e for e in DEV if e.query.language == "en" and e.query.answers[0] in e.positives[0].text][:20]
    for code in MLQA:
        name = f"dev-context-{code}-question-{code}.json"
        _write(folder / "dev" / name, json.dumps({"data": [_article(example) for example in answered]}))


def write_miracl(folder: Path) -> None:
    """The sample in place of Swahili."""
    dev = some(DEV, NUM_DEV)
    topics, qrels = (folder / "miracl" / "miracl-v1.0-sw" / kind for kind in ("topics", "qrels"))
    _write(topics / "topics.miracl-v1.0-sw-dev.tsv", "".join(f"{e.query.query_id}\t{e.query.text}\n" for e in dev))
    judged = "".join(f"{e.query.query_id}\tQ0\t{e.positives[0].passage_id}\t1\n" for e in dev)
    _write(qrels / "qrels.miracl-v1.0-sw-dev.tsv", judged)
    write_lines(folder / "miracl-corpus" / "miracl-corpus-v1.0-sw" / "docs-0.jsonl.gz", [_passage(p) for p in PASSAGES])


def write_xnli(folder: Path) -> None:
    """Questions as premises, passages as hypotheses, the same in every language."""
    rows = ["language\tgold_label\tsentence1\tsentence2\tpromptID\tpairID"]
    for code in XNLI:
        for number, example in enumerate(DEV[:10]):
            texts = [example.positives[0].text, *(passage.text for passage in PASSAGES[number : number + 2])]
            for place, (label, text) in enumerate(zip(("entailment", "neutral", "contradiction"), texts, strict=True)):
                rows.append("\t".join([code, label, example.query.text, text, str(number), str(3 * number + place)]))
    _write(folder / "xnli.test.tsv", "\n".join(rows))


def _article(example: TrainingExample) -> dict[str, Any]:
    (passage,) = example.positives
    ends = [match.end() for match in re.finditer(r"\. ", passage.text)]
    breaks = list(zip([0, *ends], [*ends, len(passage.text)], strict=True))
    answers = [{"text": answer, "answer_start": passage.text.find(answer)} for answer in example.query.answers[:1]]
    question = {"id": example.query.query_id, "question": example.query.text, "answers": answers}
    questions = [question, {**question, "id": f"{example.query.query_id}-again"}]
    sentences = [passage.text[start:end] for start, end in breaks]
    paragraph = {"context": passage.text, "sentences": sentences, "sentence_breaks": breaks, "qas": questions}
    return {"title": passage.title, "paragraphs": [paragraph]}


def write_vectors(folder: Path) -> None:
    """Random static vectors in model2vec's layout."""
    build_small_xlm_roberta(_texts(), folder, seed=0, hidden=32, layers=1)
    (folder / "config.json").unlink()
    num_tokens = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab_size()
    vectors_VD = np.random.default_rng(0).standard_normal((num_tokens, 32), dtype=np.float32)
    save_file({"embeddings": vectors_VD}, folder / "model.safetensors")


def write_models(folder: Path) -> None:
    """Small models in place of the hub's: `folder/bert`, `folder/xlm-roberta`, `folder/mt5`, `folder/causal`, and
    `folder/encoder` in sentence-transformers' layout."""
    texts = _texts()
    build_small_bert(texts, folder / "bert", seed=0, hidden=32, layers=1)
    build_small_xlm_roberta(texts, folder / "xlm-roberta", seed=0, hidden=32, layers=1)
    build_small_mt5(texts, folder / "mt5", seed=0, hidden=32, layers=1)
    build_small_causal(folder / "causal")
    settings = SmallBiEncoder("bert", 32, 1, 0.0, "mean", True, 32, 64, "", "")
    bi_encoder, tokenizer = settings.build(folder / "bert", seed=0)
    save_encoder(bi_encoder.encoder, tokenizer, folder / "encoder")


def _texts() -> list[str]:
    return [f"{passage.title} {passage.text}" for passage in PASSAGES] + [example.query.text for example in TRAIN]


def _others(example: TrainingExample) -> list[Passage]:
    relevant = {passage.passage_id for passage in example.positives}
    return [
        passage for passage in random.Random(example.query.query_id).sample(PASSAGES, 9) if passage.passage_id not in relevant
    ]


def _query(query: Query) -> dict[str, Any]:
    return {"query_id": query.query_id, "query": query.text, "lang": query.language, "answers": list(query.answers)}


def _passages(example: TrainingExample) -> dict[str, Any]:
    chosen = (("positive_passages", example.positives), ("negative_passages", _others(example)))
    return {name: [_passage(passage) for passage in passages] for name, passages in chosen}


def _passage(passage: Passage) -> dict[str, str]:
    return {"docid": passage.passage_id, "title": passage.title, "text": passage.text}


def _context(passage: Passage) -> dict[str, str]:
    return {"passage_id": passage.passage_id, "title": passage.title, "text": passage.text}


def write_lines(path: Path, rows: Iterable[object]) -> None:
    _write(path, "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows))


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    content = text.encode()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)
