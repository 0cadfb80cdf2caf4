"""Keeps the best generated questions of every passage and language, for another evaluation with fewer but better ones:

    python evaluate.py stage=export ... augmentation.source=RUN augmentation.export=questions.jsonl
    python docs/choose_questions.py questions.jsonl ENCODER chosen.jsonl --by round_trip --keep 3
    python evaluate.py ... augmentation.source=chosen.jsonl

round_trip: those whose own passage leads the other passages of the file by most, in the encoder's similarity.
found: of those, only the ones whose own passage comes first; a passage may keep none.
central: those nearest to the mean of the passage's questions in the language.
diverse: the most central one, then each time the one least like those that are kept.
first: the first ones, to compare with.
"""

import argparse
import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

import xdr

Vectors = NDArray[np.float32]
ORDERS = ("round_trip", "found", "central", "diverse", "first")


def best_first(by: str, questions: Vectors, leads: Vectors) -> list[int]:
    """The places of the questions in which they are kept."""
    if by == "first":
        return list(range(len(questions)))
    order = np.argsort(-(leads if by in {"round_trip", "found"} else questions @ questions.mean(0)), kind="stable").tolist()
    if by == "found":
        return [place for place in order if leads[place] > 0]
    return farthest_first(questions, order[0]) if by == "diverse" else order


def farthest_first(questions: Vectors, first: int) -> list[int]:
    """Each is as far as possible from all before it."""
    similar, order = questions @ questions.T, [first]
    while len(order) < len(questions):
        nearest = similar[:, order].max(1)
        nearest[order] = np.inf
        order.append(int(nearest.argmin()))
    return order


def leads_of(questions: Vectors, passages: Vectors, own: int) -> Vectors:
    """How much nearer each question is to its own passage than to the nearest other one."""
    scores = questions @ passages.T
    mine = scores[:, own].copy()
    scores[:, own] = -np.inf
    return mine - scores.max(1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", type=Path, help="what stage=export wrote")
    parser.add_argument("encoder", help="a folder, a checkpoint or a hub name")
    parser.add_argument("out", type=Path)
    parser.add_argument("--by", choices=ORDERS, default="round_trip")
    parser.add_argument("--keep", type=int, default=3, help="questions of a passage in a language")
    parser.add_argument("--query-prefix", help="default: the prompt of the encoder's folder")
    parser.add_argument("--passage-prefix", help="likewise")
    arguments = parser.parse_args()

    rows = [json.loads(line) for line in arguments.questions.read_text(encoding="utf-8").splitlines()]
    prefixes = {"query_prefix": arguments.query_prefix, "passage_prefix": arguments.passage_prefix}
    encoder = xdr.load_encoder(arguments.encoder, **prefixes, normalize=True, passage_length=512, query_length=64)
    passages = encoder.encode_passages([f"{row['title']} {row['text']}".strip() for row in rows])
    asked, kept = 0, 0
    with arguments.out.open("w", encoding="utf-8") as file:
        for own, row in enumerate(rows):
            for language, texts in row["generated_queries"].items():
                questions = encoder.encode_queries(texts)
                order = best_first(arguments.by, questions, leads_of(questions, passages, own)) if texts else []
                row["generated_queries"][language] = [texts[place] for place in order[: arguments.keep]]
                asked, kept = asked + len(texts), kept + len(row["generated_queries"][language])
            file.write(json.dumps(row, ensure_ascii=False) + "\n")
    print(f"{kept:,} of {asked:,} questions are kept")


if __name__ == "__main__":
    main()
