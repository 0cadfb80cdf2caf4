"""Late interaction in memory: texts in, token vectors and scores out.

Q queries, P passages, K candidates of a query, N pairs, L and M tokens of the longest query and passage, D dimensions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from xdr.encoders.fingerprints import fingerprint_encoder
from xdr.encoders.texts import Texts, by_length, select
from xdr.encoders.tokenization import TextTokenizer
from xdr.late_interaction.max_similarity import MOST_PRODUCTS, joined, max_similarity, max_similarity_of_pairs
from xdr.late_interaction.token_encoder import TokenEncoder
from xdr.late_interaction.token_encoder_folder import open_token_encoder
from xdr.retrieval.rankings import PassageIds, Rankings, merge_rankings, top_k
from xdr.text.records import Passage, Query

TEXTS_AT_ONCE, QUERIES_AT_ONCE = 128, 256
"""Texts encoded together, and queries scored together."""
BLOCK = 1024
"""Passages whose vectors are in memory: 94 MB with 180 tokens and 128 dimensions."""


@dataclass(frozen=True)
class LateInteraction:
    """An encoder that scores. Nothing is kept between calls: passages are encoded block by block, scored and forgotten, so a
    collection of any size fits."""

    encoder: TokenEncoder
    tokenizer: TextTokenizer

    @property
    def fingerprint(self) -> str:
        return fingerprint_encoder(self.encoder, None, self.tokenizer)

    def encode_queries(self, texts: Sequence[str]) -> Tensor:
        """Token vectors (Q, L, D), with zeros behind the tokens of shorter queries."""
        return self._encoded(self.encoder.encode_queries, self.tokenizer.queries(texts))

    def encode_passages(self, passages: Sequence[Passage]) -> Tensor:
        """Token vectors (P, M, D), with zeros behind the tokens of shorter passages."""
        return self._encoded(self.encoder.encode_passages, self.tokenizer.passages(passages))

    def score(self, queries: Sequence[Query | str], passages: Sequence[Passage]) -> list[float]:
        """The score of each pair of a query and a passage. Equal texts are encoded once."""
        asked = [query if isinstance(query, str) else query.text for query in queries]
        texts, records = list(dict.fromkeys(asked)), list(dict.fromkeys(passages))
        place_of_text, place_of_record = ({value: i for i, value in enumerate(values)} for values in (texts, records))
        rows_N = np.array([place_of_record[passage] for passage in passages], np.int64)
        places_N = np.array([place_of_text[query] for query in asked], np.int64)
        return [float(score) for score in self._scores_of_pairs(texts, places_N, rows_N, records.__getitem__)]

    def rerank(
        self,
        queries: Sequence[str],
        rankings: Mapping[str, Rankings],
        passage_at: Callable[[int], Passage],
        passage_ids: PassageIds,
    ) -> dict[str, Rankings]:
        """The passages that each system ranks, ordered by the scores of late interaction. `passage_at` and `passage_ids` turn
        rows of the collection into passages and ids. Each passage is encoded once for all systems."""
        rows_QC = np.concatenate([ranking.rows_QK for ranking in rankings.values()], axis=1)
        places_QC = np.arange(len(queries)).repeat(rows_QC.shape[1])
        scores_QC = self._scores_of_pairs(queries, places_QC, rows_QC.ravel(), passage_at).reshape(rows_QC.shape)
        ends = np.cumsum([ranking.rows_QK.shape[1] for ranking in rankings.values()])[:-1]
        parts = zip(np.split(scores_QC, ends, axis=1), np.split(rows_QC, ends, axis=1), strict=True)
        return {
            system: top_k(scores_QK, rows_QK, rows_QK.shape[1], passage_ids)
            for system, (scores_QK, rows_QK) in zip(rankings, parts, strict=True)
        }

    def search(
        self,
        queries: Sequence[str],
        num_passages: int,
        k: int,
        passage_at: Callable[[int], Passage],
        passage_ids: PassageIds,
    ) -> Rankings:
        """The k best of all passages: exact, with the scores of all pairs."""
        queries_QLD = self.encode_queries(queries)
        best: Rankings | None = None
        for start in range(0, num_passages, BLOCK):
            rows_P = np.arange(start, min(start + BLOCK, num_passages))
            passages_PMD = self.encode_passages([passage_at(int(row)) for row in rows_P])
            parts_QP = [max_similarity(part_QLD, passages_PMD).cpu() for part_QLD in torch.split(queries_QLD, QUERIES_AT_ONCE)]
            scores_QP = torch.cat(parts_QP).numpy()
            found = Rankings(scores_QP, np.broadcast_to(rows_P, scores_QP.shape).copy())
            parts = [found] if best is None else [best, found]
            best = merge_rankings(parts, min(k, start + len(rows_P)), passage_ids)
        assert best is not None, "a collection has passages"
        return best

    def _scores_of_pairs(
        self,
        queries: Sequence[str],
        places_N: NDArray[np.int64],
        rows_N: NDArray[np.int64],
        passage_at: Callable[[int], Passage],
    ) -> NDArray[np.float32]:
        """Of the query at a place with the passage of a row. Each passage is encoded once."""
        scores_N = np.empty(len(rows_N), np.float32)
        if not len(rows_N):
            return scores_N
        queries_QLD = self.encode_queries(queries)
        distinct, numbers_N = np.unique(rows_N, return_inverse=True)
        order_N = np.argsort(numbers_N, kind="stable")
        for start in range(0, len(distinct), BLOCK):
            first, last = np.searchsorted(numbers_N[order_N], [start, start + BLOCK])
            passages_PMD = self.encode_passages([passage_at(int(row)) for row in distinct[start : start + BLOCK]])
            at_once = max(1, MOST_PRODUCTS // (passages_PMD[0].numel() + queries_QLD[0].numel()))
            for pairs_N in np.split(order_N[first:last], range(at_once, last - first, at_once)):
                asked_N, of_N = (torch.from_numpy(x[pairs_N]).to(passages_PMD.device) for x in (places_N, numbers_N - start))
                scores_N[pairs_N] = max_similarity_of_pairs(queries_QLD[asked_N], passages_PMD[of_N]).cpu().numpy()
        return scores_N

    @torch.no_grad()
    def _encoded(self, encode: Callable[[Texts], Tensor], texts: Texts) -> Tensor:
        """The vectors of texts, in float32 where the encoder is."""
        order_B = by_length(texts)
        device = next(self.encoder.parameters()).device
        batches = [select(texts, rows) for rows in torch.split(order_B, TEXTS_AT_ONCE)]
        return joined([encode(Texts(*(part.to(device) for part in batch))).float() for batch in batches])[order_B.argsort()]


def load_late_interaction(checkpoint: str, device: str = "cpu") -> LateInteraction:
    """From a checkpoint or the output folder of a training with `model=colbert`, or from a folder or hub name in the layout of
    sentence-transformers' MultiVectorEncoder.

    >>> model = load_late_interaction("outputs/train/sample-colbert")  # doctest: +SKIP
    >>> model.score(["Missä Saimaa sijaitsee?"], [Passage("1", "Saimaa", "A lake in Finland.")])  # doctest: +SKIP
    [21.3]
    """
    encoder, tokenizer = open_token_encoder(checkpoint)
    return LateInteraction(encoder.to(device).eval(), tokenizer)
