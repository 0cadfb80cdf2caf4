"""The batch of a retriever's training.

Q: queries of this process. P: their passages. K: known positives of a query, or its twins. V: its versions.
"""

from typing import NamedTuple

from torch import Tensor

from xdr.encoders.texts import Texts


class TrainBatch(NamedTuple):
    """Each query has P/Q passages, a positive first. `passages` holds each distinct passage once; `places_P` says where.
    `queries` holds the queries, and behind them their twins; `twin_places_QK` says where, -1 where a query has fewer than K.
    `version_places_QV` says the same of the versions that the hardest is chosen from; in a batch with twins they are the twins.

    Keys are numbers that stand for passage ids; rows of `positives_QK` are padded with -1. `teacher_P` holds a teacher's
    scores, nan without a teacher. Languages are numbers: `language_key`."""

    queries: Texts
    twin_places_QK: Tensor
    version_places_QV: Tensor
    passages: Texts
    places_P: Tensor
    keys_P: Tensor
    positives_QK: Tensor
    teacher_P: Tensor
    query_languages_Q: Tensor
    passage_languages_P: Tensor
    query_ids: list[str]
