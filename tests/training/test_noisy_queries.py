"""Training on noisy queries: which texts an epoch shows, and which settings are refused."""

from dataclasses import replace
from pathlib import Path
from typing import get_args

import pytest
from omegaconf import OmegaConf

from conf import targets
from tests.training.test_twins import CONSISTENCY, batches, examples
from tests.training.test_two_processes import Letters
from xdr.data.training_set import choose_query, choose_twins
from xdr.encoders.input_format import InputFormat
from xdr.encoders.tokenization import TextTokenizer
from xdr.errors import UserError
from xdr.noise.query_noise import Operator, QueryNoise
from xdr.text.records import Passage, Query, TrainingExample
from xdr.training.bi_encoder_data import BiEncoderData
from xdr.training.twins import NOISE, check_twins, try_objective, with_noise

CONF = Path(__file__).parents[2] / "conf" / "noise"
SWAP = QueryNoise({"swap": 1}, share=1.0, edits=1, shortest=3, window=1, versions=3, seed=1)


def shown(query_id: str, epoch: int, noisy: float = 0.5, seed: int = 7) -> str:
    return choose_query(Query(query_id, "telephone", "en"), noisy, seed, epoch, SWAP.rewording).text


def test_a_query_is_noisy_with_the_probability_and_another_one_in_each_epoch() -> None:
    texts = [shown(f"q{i}", epoch) for i in range(100) for epoch in range(6)]
    assert 240 < texts.count("telephone") < 360
    assert {shown("q1", epoch, 0.0) for epoch in range(9)} == {"telephone"}
    assert "telephone" not in {shown("q1", epoch, 1.0) for epoch in range(9)}
    assert [shown("q1", epoch) for epoch in range(6)] == [shown("q1", epoch) for epoch in range(6)]  # as after a kill
    assert [shown("q1", epoch) for epoch in range(6)] != [shown("q1", epoch, seed=8) for epoch in range(6)]


def test_versions_take_turns_over_the_epochs() -> None:
    texts = [shown("q1", epoch, 1.0) for epoch in range(9)]
    assert texts[:3] == texts[3:6] == texts[6:]
    assert len(set(texts)) > 1


def test_batches_hold_noisy_queries_and_twins_are_versions_of_the_clean_ones() -> None:
    data = with_noise(examples([0, 0]), replace(batches(2), noisy=1.0), NOISE, SWAP)
    example = TrainingExample(Query("q", "telephone", "en"), (Passage("p", "", "text"),))
    twins = choose_twins(example, 4, 0, 0, data.reword)
    assert len(set(twins)) > 1 and all(sorted(twin) == sorted("telephone") != list("telephone") for twin in twins)
    module = BiEncoderData(data, [], TextTokenizer(Letters(), InputFormat(8, 8)), replace(batches(2), noisy=1.0), 0)
    batch, clean = module.first_batch(), BiEncoderData(examples([0, 0]), [], module._tokenizer, batches(0), 0).first_batch()
    assert batch.twin_places_QK.tolist() == [[2, 3], [4, 5]]
    assert batch.query_ids == clean.query_ids
    assert batch.queries.ids_T.tolist()[:6] != clean.queries.ids_T.tolist()  # abc is bac or acb
    check_twins(data, batches(2), NOISE)
    try_objective(CONSISTENCY, batch)


def test_noise_that_nothing_uses_and_noise_that_is_missing_are_refused() -> None:
    data = examples([0])
    assert with_noise(data, batches(0), None, None) is data
    with pytest.raises(UserError, match=r"data\.batches\.noisy must be above 0 with a noise, got 0"):
        with_noise(data, batches(0), None, SWAP)
    with pytest.raises(UserError, match=r"noise must say what noise is with data\.batches\.noisy=0\.5, got none"):
        with_noise(data, replace(batches(0), noisy=0.5), None, None)
    with pytest.raises(UserError, match=r"noise must say what noise is with data\.twins=noise, got none"):
        with_noise(data, batches(1), NOISE, None)
    with pytest.raises(UserError, match=r"noisy must be from 0 to 1, got 2"):
        replace(batches(0), noisy=2.0)


def test_every_file_of_the_group_can_be_built() -> None:
    level = OmegaConf.load(CONF / "level.yaml")
    files = {path.stem: path for path in CONF.glob("*.yaml")}
    assert set(files) == {*get_args(Operator), "typos", "mixed", "level", "none"}
    for name in set(files) - {"level", "none"}:
        settings = OmegaConf.merge(level, OmegaConf.load(files[name]), {"share": 0.4})
        del settings["defaults"]
        noise = targets.build(settings, (), "noise")
        assert isinstance(noise, QueryNoise) and noise.share == 0.4
        assert name in (*noise.operators, "typos", "mixed")
