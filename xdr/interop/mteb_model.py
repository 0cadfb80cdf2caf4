"""An encoder, with or without generated queries in its passages, as MTEB searches with models.

Q queries, P passages, D dimensions.
"""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
import torch
from numpy.typing import NDArray

from xdr.data.generated_queries import read_generated_queries
from xdr.data.problems import Problems
from xdr.encoders.encoder import Encoder
from xdr.errors import UserError
from xdr.retrieval.in_memory import fuse, search
from xdr.vectors.fusion import Alpha

if TYPE_CHECKING:
    from mteb.models.model_meta import ModelMeta

Texts: TypeAlias = Mapping[str, Mapping[str, Sequence[str]]]
"""By the id of a passage and by language."""


class MtebModel:
    """Satisfies MTEB's protocols for searching and for encoding. Get one from `mteb_model`."""

    def __init__(self, encoder: Encoder, meta: "ModelMeta", generated: Texts, fusion: str, alpha: Alpha) -> None:
        self.mteb_model_meta = meta
        self._encoder, self._generated, self._fusion, self._alpha = encoder, generated, fusion, alpha
        self._ids: list[str] = []
        self._vectors_PD: NDArray[np.float32] = np.zeros((0, encoder.dimension), np.float32)

    def index(self, corpus: Any, **settings: Any) -> None:
        self._ids = list(corpus["id"])
        titles = corpus["title"] if "title" in corpus.column_names else [""] * len(self._ids)
        texts = [(title or "", text or "") for title, text in zip(titles, corpus["text"], strict=True)]
        self._vectors_PD = self._encoder.encode_passages(texts)
        if self._generated:
            self._vectors_PD = fuse(self._vectors_PD, self._generated_vectors(), self._fusion, self._alpha)

    def _generated_vectors(self) -> list[NDArray[np.float32]]:
        texts = [[text for own in self._generated.get(name, {}).values() for text in own] for name in self._ids]
        if not any(texts):
            raise UserError(f"generated must have texts for passages of this corpus, got none for {', '.join(self._ids[:3])}")
        vectors_QD = self._encoder.encode_queries([text for own in texts for text in own])
        ends = np.cumsum([len(own) for own in texts])
        return np.split(vectors_QD, ends[:-1])

    def search(
        self, queries: Any, *, top_k: int, top_ranked: Mapping[str, Sequence[str]] | None = None, **settings: Any
    ) -> dict[str, dict[str, float]]:
        query_ids, queries_QD = list(queries["id"]), self._encoder.encode_queries(list(queries["text"]))
        if top_ranked is None:
            k = min(top_k, len(self._ids))
            return search(queries_QD, self._vectors_PD, k, query_ids=query_ids, passage_ids=self._ids)
        rows = {name: row for row, name in enumerate(self._ids)}
        found: dict[str, dict[str, float]] = {}
        for query_id, query_D in zip(query_ids, queries_QD, strict=True):
            candidates = list(top_ranked[query_id])
            vectors_ND = self._vectors_PD[[rows[name] for name in candidates]]
            k = min(top_k, len(candidates))
            found |= search(query_D[None], vectors_ND, k, query_ids=[query_id], passage_ids=candidates)
        return found

    def encode(self, inputs: Iterable[Mapping[str, Any]], *, prompt_type: Any = None, **settings: Any) -> NDArray[np.float32]:
        """For tasks of other kinds. Texts are passages where MTEB says so, else queries."""
        as_passages = str(getattr(prompt_type, "value", prompt_type)) == "document"
        encode = self._encoder.encode_passages if as_passages else self._encoder.encode_queries
        return np.concatenate([encode(list(batch["text"])) for batch in inputs])

    def similarity(self, embeddings1: Any, embeddings2: Any) -> torch.Tensor:
        """Inner products, with which xdr's encoders are trained and searched."""
        return _tensor(embeddings1) @ _tensor(embeddings2).T

    def similarity_pairwise(self, embeddings1: Any, embeddings2: Any) -> torch.Tensor:
        return (_tensor(embeddings1) * _tensor(embeddings2)).sum(dim=-1)


def mteb_model(
    encoder: Encoder,
    name: str = "xdr/encoder",
    *,
    generated: Texts | str | Path | None = None,
    fusion: str = "unit_of_mean",
    alpha: Alpha = 0.3,
) -> MtebModel:
    """A model for `mteb.evaluate`. `generated` are texts about the passages of the task's corpus, which are fused into their
    vectors: `{passage id: {language: [text, ...]}}`, or a file of `stage=export`.

    >>> import mteb  # doctest: +SKIP
    >>> model = mteb_model(load_encoder("outputs/train/my-encoder"), "me/my-encoder")  # doctest: +SKIP
    >>> mteb.evaluate(model, mteb.get_tasks(["XQuADRetrieval"]), cache=None)  # doctest: +SKIP
    """
    try:
        from mteb.models.model_meta import ModelMeta
    except ImportError as error:
        raise UserError("mteb_model needs the package `mteb`. Run pip install 'xdr[mteb]'") from error
    if isinstance(generated, str | Path):
        generated = {text.source_id: text.texts for text in read_generated_queries(generated, Problems())}
    known = {"name": name, "revision": "1", "embed_dim": encoder.dimension, "framework": ["PyTorch"]}
    meta = ModelMeta.create_empty({**known, "similarity_fn_name": "dot"})
    return MtebModel(encoder, meta, generated or {}, fusion, alpha)


def _tensor(vectors: Any) -> torch.Tensor:
    tensor = torch.as_tensor(vectors)
    return tensor if tensor.dim() > 1 else tensor[None]
