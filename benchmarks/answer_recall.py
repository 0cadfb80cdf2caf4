"""R@2kt and R@5kt compared with XOR-TyDi's script: python benchmarks/answer_recall.py --afriqa DIR --xor-tydi DIR

200 questions with 100 passages each, out of 3,000 real passages. Both implementations take turns and must give equal values.
`random` ranks random passages for XOR-TyDi's questions. `lexical` ranks by the words that an AfriQA question shares with a
passage, and mostly finds the answer. The sweep has 20 systems that differ like neighboring alphas. Loading NLTK is not timed.
"""

import argparse
import math
import platform
import random
import re
import statistics
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import ParamSpec, TypeVar

import nltk
import numpy as np
from numpy.typing import NDArray

from xdr.benchmarks.afriqa import AfriQa
from xdr.benchmarks.xor_tydi import read_questions
from xdr.data.problems import Problems
from xdr.evaluation.answer_recall import answer_recall
from xdr.evaluation.word_tokens import english_word_tokenizer
from xdr.text.records import Query

ENGLISH = ("bem", "ha", "ig", "rw", "tw", "yo", "zu")
QUESTIONS, DEPTH, POOL, SYSTEMS, ROUNDS = 200, 100, 3000, 20, 5
BUDGETS = (2000, 5000)

Ranking = list[int]
Arguments = ParamSpec("Arguments")
Result = TypeVar("Result")
Scores = NDArray[np.float64]


def official(queries: Sequence[Query], rankings: Sequence[Ranking], texts: Sequence[str]) -> dict[int, list[float]]:
    """As eval_xor_retrieve.py does it: one pass over everything for each budget."""
    word_tokenize = english_word_tokenizer()
    values: dict[int, list[float]] = {}
    for max_token_num in BUDGETS:
        values[max_token_num] = []
        for query, ranking in zip(queries, rankings, strict=True):
            span_answers = [answer for answer in query.answers if answer not in ["yes", "no"]]
            if len(span_answers) == 0:
                values[max_token_num].append(math.nan)
                continue
            tokens: list[str] = []
            for passage in ranking:
                tokens += word_tokenize(texts[passage])
                if len(tokens) >= max_token_num:
                    break
            concatenated = " ".join(tokens[:max_token_num])
            values[max_token_num].append(float(any(answer in concatenated for answer in span_answers)))
    return values


def ours(
    queries: Sequence[Query], rankings: dict[str, list[Ranking]], texts: Sequence[str]
) -> dict[str, dict[int, list[float]]]:
    recalls = answer_recall(queries, rankings, texts.__getitem__, BUDGETS)
    return {system: {budget: values.tolist() for budget, values in recall.values.items()} for system, recall in recalls.items()}


def lexical_scores(queries: Sequence[Query], texts: Sequence[str]) -> Scores:
    """Inverse document frequencies of the words that question and passage share."""
    words = [set(re.findall(r"\w+", text.lower())) for text in texts]
    frequency = Counter(word for of_text in words for word in of_text)
    scores = np.zeros((len(queries), len(texts)))
    for q, query in enumerate(queries):
        for word in set(re.findall(r"\w+", query.text.lower())) & frequency.keys():
            scores[q] += math.log(len(texts) / frequency[word]) * np.array([word in of_text for of_text in words])
    return scores


def sweep(scores: Scores) -> dict[str, list[Ranking]]:
    """The first system ranks by `scores`; the others add increasing amounts of the same noise."""
    noise = np.random.default_rng(0).normal(0, scores.std(), scores.shape)
    return {
        f"a{i}": [row[:DEPTH].tolist() for row in np.argsort(-(scores + 0.01 * i * noise), axis=1, kind="stable")]
        for i in range(SYSTEMS)
    }


def compare(name: str, queries: Sequence[Query], scores: Scores, texts: Sequence[str]) -> None:
    systems = sweep(scores)
    first = {"a0": systems["a0"]}
    theirs_one, ours_one = [], []
    for _ in range(ROUNDS):
        seconds, expected = timed(official, queries, first["a0"], texts)
        theirs_one.append(seconds)
        seconds, values = timed(ours, queries, first, texts)
        ours_one.append(seconds)
        assert_equal(values, {"a0": expected})
    theirs_sweep, expected_sweep = [], {}
    for system, rankings in systems.items():
        seconds, expected_sweep[system] = timed(official, queries, rankings, texts)
        theirs_sweep.append(seconds)
    ours_sweep = []
    for _ in range(ROUNDS):
        seconds, values = timed(ours, queries, systems, texts)
        ours_sweep.append(seconds)
        assert_equal(values, expected_sweep)
    shared = statistics.fmean(len({*a} & {*b}) / DEPTH for a, b in zip(systems["a0"], systems["a19"], strict=True))
    recalls = ", ".join(f"R@{budget // 1000}kt {np.nanmean(expected[budget]):.2f}" for budget in BUDGETS)
    print(f"{name}: {recalls}; first and last system of the sweep share {shared:.0%} of a ranking")
    print(
        f"  one system   script {spread(theirs_one)} s, ours {spread(ours_one)} s: {ratio(theirs_one, ours_one)} x   (target 3)"
    )
    total = sum(theirs_sweep)
    times = total / statistics.median(ours_sweep)
    print(f"  {SYSTEMS} systems   script {total:8.2f} s in all,     ours {spread(ours_sweep)} s: {times:.0f} x   (target 20)")


def timed(function: Callable[Arguments, Result], *arguments: Arguments.args, **named: Arguments.kwargs) -> tuple[float, Result]:
    """Returns the seconds and the result."""
    started = time.perf_counter()
    result = function(*arguments, **named)
    return time.perf_counter() - started, result


def assert_equal(found: dict[str, dict[int, list[float]]], expected: dict[str, dict[int, list[float]]]) -> None:
    assert found.keys() == expected.keys()
    for system, by_budget in expected.items():
        for budget, values in by_budget.items():
            np.testing.assert_array_equal(found[system][budget], values)


def spread(values: list[float]) -> str:
    return f"{statistics.median(values):.2f} ({min(values):.2f} - {max(values):.2f})"


def ratio(theirs: list[float], ours: list[float]) -> str:
    return f"{statistics.median(theirs) / statistics.median(ours):.1f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--afriqa", type=Path, required=True, help="AfriQA's folder `data`")
    parser.add_argument("--xor-tydi", type=Path, required=True, help="the folder of XOR-TyDi's official files")
    arguments = parser.parse_args()
    rng = random.Random(0)
    benchmark = AfriQa(str(arguments.afriqa), ENGLISH, "translated")
    texts = [passage.text for passage in benchmark.passages(Problems(strict=False)) if passage.text]
    texts = rng.sample(texts, min(POOL, len(texts)))
    random_queries = list(read_questions(arguments.xor_tydi / "xor_dev_retrieve_eng_span_v1_1.jsonl", Problems()))
    lexical_queries = list(benchmark.queries("dev", Problems(strict=False)))
    english_word_tokenizer()("Warm up.")
    print(f"{platform.platform()}, Python {platform.python_version()}, NLTK {nltk.__version__}, {len(texts):,} passages")
    chosen = rng.sample(random_queries, QUESTIONS)
    compare("random", chosen, np.random.default_rng(1).random((QUESTIONS, len(texts))), texts)
    chosen = rng.sample(lexical_queries, QUESTIONS)
    compare("lexical", chosen, lexical_scores(chosen, texts), texts)


if __name__ == "__main__":
    main()
