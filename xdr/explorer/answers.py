"""What the page asks, answered as plain values for JSON.

N passages.
"""

import threading
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xdr.errors import UserError, shown
from xdr.evaluation.answer_recall import span_answers
from xdr.evaluation.metric_names import counts_ranks
from xdr.evaluation.per_query import means
from xdr.explorer.finished import Finished
from xdr.explorer.gains import Change, most_changed
from xdr.explorer.query_vectors import QueryVectors
from xdr.explorer.scores import Products, best_rows, ranks
from xdr.explorer.shares import Shares, shares
from xdr.tasks.systems import BASELINE
from xdr.text.languages import find_language
from xdr.text.records import Passage, Query
from xdr.vectors.fusion import Alpha

Answer: TypeAlias = dict[str, Any]

LONGEST_QUESTION = 2_000
MOST_LISTED = 200
"""Questions in the list. More are found by their words."""
MOST_RANKED = 100
MOST_CHANGED = 10
_KEPT_BYTES = 1 << 26
_SNIPPET = 160
_FORMULAS = {
    "sum": "(1 − a) q·p + a q·s: linear in alpha",
    "mean": "(1 − a) q·p + a q·s / c: linear in alpha",
    "unit_mean": "q·unit((1 − a) unit(p) + a unit(s)): not linear, because the vector is scaled to norm 1",
    "unit_of_mean": "q·unit((1 − a) unit(p) + a s / c): not linear, because the vector is scaled to norm 1",
    "hyde_mean": "q·(p + s) / (c + 1): without alpha",
}
"""q, p and s are the vectors of the question, of the passage, and the sum over its c generated questions."""


class Asked(NamedTuple):
    """A question of the evaluation by its id, or a new one by its text."""

    query: Query
    relevance: Mapping[int, int]
    is_stored: bool


class Answers:
    """Threads of the server share one object."""

    def __init__(self, finished: Finished, vectors: QueryVectors) -> None:
        self._finished, self._vectors = finished, vectors
        qrels = finished.qrels
        self._asked = {
            query.query_id: Asked(query, relevance, True)
            for query, relevance in zip(qrels.queries, qrels.relevance, strict=True)
        }
        self._lock = threading.Lock()
        self._products: OrderedDict[str, Products] = OrderedDict()
        self._most_kept = max(2, _KEPT_BYTES // (24 * len(finished.store)))

    def state(self) -> Answer:
        """What the page shows before a question is asked."""
        finished, fusing = self._finished, self._finished.fusing
        baseline = finished.values[BASELINE]
        metrics = list(baseline.values)
        systems = [name for name in finished.values if name != BASELINE]
        best = max(finished.alphas, key=lambda name: means(finished.values[name], finished.headline).macro, default=None)
        fusion = None
        if fusing is not None:
            of_fusion = fusing.fusion
            fusion = {
                "name": of_fusion.name,
                "formula": _FORMULAS.get(of_fusion.name, "a formula of your own"),
                "takes_alpha": of_fusion.takes_alpha,
                "normalized": of_fusion.normalized,
            }
        return {
            "folder": str(finished.folder),
            "ready": self._vectors.is_ready,
            "problem": self._vectors.problem,
            "remark": finished.remark,
            "num_queries": len(self._asked),
            "num_passages": len(finished.store),
            "languages": [{"code": code, "name": _language(code)} for code in sorted(set(baseline.languages), key=_language)],
            "fusion": fusion,
            "alphas": finished.alphas,
            "best": best,
            "systems": systems,
            "metrics": metrics,
            "headline": finished.headline,
        }

    def questions(self, language: str, words: str) -> Answer:
        """The questions of the evaluation in this language (all: "") that have all the words."""
        wanted = words.casefold().split()
        found = [
            asked.query
            for asked in self._asked.values()
            if language in ("", asked.query.language) and all(word in asked.query.text.casefold() for word in wanted)
        ]
        return {"total": len(found), "questions": [_question(query) for query in found[:MOST_LISTED]]}

    def changes(self, system: str, metric: str, language: str) -> Answer:
        """The questions that gained and lost most with a system, by the values of the evaluation."""
        values = self._finished.values
        if system not in values or metric not in values[system].values:
            raise UserError(f"system and metric must be of this evaluation, got {shown(system)} and {shown(metric)}")
        gained, lost = most_changed(values, BASELINE, system, metric, language or None, MOST_CHANGED)
        return {
            "gained": [self._change(change) for change in gained],
            "lost": [self._change(change) for change in lost],
            "is_rank": counts_ranks(metric),
        }

    def rankings(self, query_id: str, text: str, alpha: float, k: int) -> Answer:
        """The k best passages of the baseline and of the fusion, and where the relevant ones stand."""
        if k < 1:
            raise UserError(f"k must be at least 1, got {k}")
        asked, k = self._ask(query_id, text), min(k, MOST_RANKED)
        products = self._products_of(asked.query.text)
        scores = self._finished.scores
        before_N = scores.baseline(products)
        after_N = scores.fused(products, self._alpha(alpha)) if scores.fusion is not None else before_N
        best = [best_rows(scores.embeddings, scores_N, k) for scores_N in (before_N, after_N)]
        relevant = [row for row, relevance in asked.relevance.items() if relevance > 0]
        rows = list(dict.fromkeys([*best[0], *best[1], *relevant]))
        before, after = (
            dict(zip(rows, ranks(scores.embeddings, scores_N, rows), strict=True)) for scores_N in (before_N, after_N)
        )
        passages = {
            row: {
                **_passage(self._finished.store[row]),
                "row": row,
                "mark": _mark(asked, row, self._finished.store[row]),
                "before": {"rank": before[row], "score": float(before_N[row])},
                "after": {"rank": after[row], "score": float(after_N[row])},
            }
            for row in rows
        }
        return {
            "question": _question(asked.query) | {"stored": asked.is_stored},
            "baseline": [passages[row] for row in best[0]],
            "fused": [passages[row] for row in best[1]] if scores.fusion is not None else None,
            "relevant": [passages[row] for row in sorted(relevant, key=lambda row: before[row])],
        }

    def passage(self, row: int, query_id: str, text: str, alpha: float) -> Answer:
        """A passage, its generated questions, and what each of them adds to the score."""
        asked, finished = self._ask(query_id, text), self._finished
        if not 0 <= row < len(finished.store):
            raise UserError(f"row must be from 0 to {len(finished.store) - 1}, got {row}")
        passage, scores = finished.store[row], finished.scores
        products = self._products_of(asked.query.text)
        before_N = scores.baseline(products)
        answer: Answer = {
            **_passage(passage),
            "text": passage.text,
            "row": row,
            "mark": _mark(asked, row, passage),
            "before": {"rank": ranks(scores.embeddings, before_N, [row])[0], "score": float(before_N[row])},
        }
        if finished.fusing is not None:
            after_N = scores.fused(products, self._alpha(alpha))
            answer["after"] = {"rank": ranks(scores.embeddings, after_N, [row])[0], "score": float(after_N[row])}
            answer["shares"] = self._shares(row, asked, self._alpha(alpha))
        return answer

    def _shares(self, row: int, asked: Asked, alpha: Alpha) -> Answer:
        fusing, scores = self._finished.fusing, self._finished.scores
        assert fusing is not None and scores.texts is not None
        generated = next(fusing.generated.slice(row, row + 1)).texts
        texts = [(code, text) for code in fusing.languages for text in generated.get(code, ())[: fusing.number or None]]
        query_D, *questions = self._vectors.of([asked.query.text, *(text for _, text in texts)])
        questions_TD = np.stack(questions) if questions else np.zeros((0, len(query_D)), np.float32)
        block = scores.embeddings.block(row, 1)
        parts = block.passages()[0], scores.texts.read(block)[0][0]
        of_row = shares(fusing.fusion, alpha, query_D, *parts, questions_TD)
        return {"additive": of_row is not None, **_listed(of_row, texts, query_D, questions_TD)}

    def _change(self, change: Change) -> Answer:
        return {**_question(self._asked[change.query_id].query), "before": change.before, "after": change.after}

    def _ask(self, query_id: str, text: str) -> Asked:
        if query_id:
            if query_id not in self._asked:
                raise UserError(f"query must be of this evaluation, got {shown(query_id)}")
            return self._asked[query_id]
        text = text.strip()
        if (stored := next((asked for asked in self._asked.values() if asked.query.text == text), None)) is not None:
            return stored
        if not 0 < len(text) <= LONGEST_QUESTION:
            raise UserError(f"a question must have 1 to {LONGEST_QUESTION:,} characters, got {len(text):,}")
        return Asked(Query("", text, ""), {}, False)

    def _alpha(self, alpha: float) -> Alpha:
        fusion = self._finished.scores.fusion
        if fusion is None or not fusion.takes_alpha:
            return None
        if not 0 <= alpha <= 1:
            raise UserError(f"alpha must be from 0 to 1, got {alpha}")
        return alpha

    def _products_of(self, text: str) -> Products:
        """Kept for the questions asked last, so that a slide over alphas reads no vectors."""
        with self._lock:
            if text not in self._products:
                self._products[text] = self._finished.scores.products(self._vectors.of([text])[0])
                while len(self._products) > self._most_kept:
                    self._products.popitem(last=False)
            self._products.move_to_end(text)
            return self._products[text]


def _listed(
    of_row: Shares | None, texts: Sequence[tuple[str, str]], query_D: NDArray[np.float32], questions_TD: NDArray[np.float32]
) -> Answer:
    products_T = (questions_TD @ query_D).tolist()
    questions = [
        {"language": code, "language_name": _language(code), "text": text, "product": product, "share": share}
        for (code, text), product, share in zip(
            texts, products_T, of_row.questions if of_row is not None else [None] * len(texts), strict=True
        )
    ]
    of_passage = {"passage": of_row.passage, "rounding": of_row.rounding} if of_row is not None else {}
    return {**of_passage, "questions": questions}


def _question(query: Query) -> Answer:
    code = query.language
    return {"id": query.query_id, "text": query.text, "language": code, "language_name": _language(code) if code else ""}


def _passage(passage: Passage) -> Answer:
    snippet = passage.text if len(passage.text) <= _SNIPPET else passage.text[:_SNIPPET].rsplit(" ", 1)[0] + " …"
    return {"id": passage.passage_id, "title": passage.title, "snippet": snippet, "language": passage.language}


def _mark(asked: Asked, row: int, passage: Passage) -> str:
    """`relevant` where it was judged so; where nothing was judged for the question, whether the text holds an answer."""
    if asked.relevance:
        return "relevant" if asked.relevance.get(row, 0) > 0 else ""
    return "has an answer" if any(answer in passage.text for answer in span_answers(asked.query)) else ""


def _language(code: str) -> str:
    try:
        return find_language(code).name
    except UserError:
        return code
