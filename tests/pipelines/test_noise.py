"""An evaluation on noisy queries, compared with sentence-transformers and numpy."""

import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pyarrow.parquet as pq
import pytest
from numpy.typing import NDArray

from conf import entry
from evaluate import main
from tests.pipelines.test_evaluate import QUICK_EVALUATION
from tests.stand_ins import DEV, NUM_DEV, PASSAGES, some, write_collection
from xdr.encoders.small import build_small_bert
from xdr.errors import UserError
from xdr.noise.query_noise import QueryNoise
from xdr.tasks.retrieval_setup import noisy_queries
from xdr.text.prompts import passage_text

EXAMPLES = some(DEV, NUM_DEV)
NOISE = ["noise=typos", "noise.versions=3", "noise.share=0.5"]


def unit_vectors(bert: Path, texts: Sequence[str]) -> NDArray[np.float64]:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(bert), device="cpu")  # a plain folder: the mean of the tokens
    model.max_seq_length = 64
    return np.asarray(model.encode(list(texts), normalize_embeddings=True), np.float64)


def reciprocal_ranks(queries_QD: NDArray[np.float64], passages_ND: NDArray[np.float64], slack: float) -> NDArray[np.float64]:
    """Of the passage that answers, within 10 ranks, if others must be better by `slack` to stand above it. The collection has
    one such passage for each query."""
    rows = {passage.passage_id: row for row, passage in enumerate(PASSAGES)}
    scores_QN = queries_QD @ passages_ND.T
    own_Q1 = np.take_along_axis(scores_QN, np.array([[rows[e.positives[0].passage_id]] for e in EXAMPLES]), axis=1)
    rank_Q = (scores_QN > own_Q1 + slack).sum(axis=1) + (slack > 0)
    return np.where(rank_Q <= 10, 1 / rank_Q, 0.0)


def test_mean_and_worst_of_the_versions_are_those_of_numpy(tmp_path: Path) -> None:
    output, data = tmp_path / "run", tmp_path / "data"
    data.mkdir()
    write_collection(data)
    passages = [passage_text(passage) for passage in PASSAGES]
    bert = build_small_bert(passages, tmp_path / "bert", seed=0, hidden=32, layers=1)
    settings = ["data=collection", f"data.path={data}", f"checkpoint={bert}", f"artifacts_dir={tmp_path}", *NOISE]
    settings += ["evaluation.pooling=mean", "evaluation.normalize=true", "evaluation.metrics=[MRR@10]", "search.depth=20"]
    settings += ["evaluation.headline=MRR@10", "evaluation.query_length=64", "evaluation.passage_length=64"]
    main(entry.compose("evaluate", [*QUICK_EVALUATION[1:], *settings, f"output_dir={output}"]))
    lines = [json.loads(line) for line in (output / "noisy_queries.jsonl").read_text(encoding="utf-8").splitlines()]
    queries = [example.query for example in EXAMPLES]
    assert [(line["query_id"], line["version"]) for line in lines] == [(q.query_id, v) for v in (1, 2, 3) for q in queries]
    assert sum(line["text"] != line["clean"] for line in lines) > 0.95 * len(lines)
    texts = [query.text for query in queries] + [line["text"] for line in lines]
    vectors_VQD = unit_vectors(bert, texts).reshape(4, NUM_DEV, -1)
    passages_ND = unit_vectors(bert, passages)
    table = pq.read_table(output / "per_query.parquet").to_pylist()
    found: dict[str, list[float]] = {row["system"]: [] for row in table}
    for row in table:
        found[row["system"]].append(row["value"])
    assert list(found) == ["baseline", "baseline@noise-mean", "baseline@noise-worst"]
    for slack, sign in ((-5e-4, 1), (5e-4, -1)):  # vectors are stored in half precision
        clean_Q, *noisy = (reciprocal_ranks(queries_QD, passages_ND, slack) for queries_QD in vectors_VQD)
        for values_Q, bound_Q in zip(found.values(), (clean_Q, np.mean(noisy, axis=0), np.min(noisy, axis=0)), strict=True):
            assert (sign * (np.array(values_Q) - bound_Q) >= -1e-9).all()
        assert np.mean(noisy) > np.min(noisy, axis=0).mean() + 0.001
    compared = json.loads((output / "significance.json").read_text())["comparisons"]
    assert {(each["system"], each["baseline"]) for each in compared} == {(name, "baseline") for name in list(found)[1:]}
    assert "baseline@noise-worst" in (output / "report.html").read_text(encoding="utf-8")
    robustness = json.loads((output / "robustness.json").read_text())["systems"]["baseline"]
    languages = np.array([example.query.language for example in EXAMPLES])
    of_language = [[np.mean(np.array(values)[languages == code]) for code in set(languages)] for values in found.values()]
    clean, mean, worst = map(np.mean, of_language)
    assert robustness["noise-mean"]["drop"]["macro"]["mean_difference"] == pytest.approx(mean - clean)
    assert robustness["noise-worst"]["relative_drop"]["value"] == pytest.approx(worst / clean - 1)
    made_by = {line["query_id"] + " " + operator for line in lines for operator in line["operators"]}
    operators = Counter(each.split()[1] for each in made_by)
    assert {name: each["n"] for name, each in robustness["drop_by_operator"].items()} == operators and len(operators) == 5
    assert [path.name for path in (output / "runs").iterdir()] == ["baseline.trec"]


def test_noise_that_would_mean_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="noise must be none with stage=prepare"):
        main(entry.compose("evaluate", ["stage=prepare", *NOISE]))
    noise = QueryNoise({"swap": 1}, 0.5, 1, 3, 1, 1, 1)
    assert noisy_queries(None, [], None) is None
    assert noisy_queries(noise, [], None) is not None
    with pytest.raises(UserError, match="noise must be none with passages that were generated for queries"):
        noisy_queries(noise, [], SimpleNamespace())  # type: ignore[arg-type]  # what is fused does not matter
    with pytest.raises(UserError, match=r"noise\.share is set, but noise is none"):
        entry.compose("evaluate", ["+noise.share=0.5"])
