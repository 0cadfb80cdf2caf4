"""Training on noisy queries: which texts an epoch shows, and which settings are refused."""

import re
from dataclasses import replace
from pathlib import Path
from typing import Any, get_args

import pytest
import torch
from omegaconf import OmegaConf
from torch import nn

from conf import targets
from tests.training.test_twins import CONSISTENCY, batches, examples
from tests.training.test_two_processes import Letters
from xdr.data.training_set import choose_twins, choose_versions
from xdr.encoders.input_format import InputFormat
from xdr.encoders.tokenization import TextTokenizer
from xdr.errors import UserError
from xdr.noise.query_noise import Operator, QueryNoise
from xdr.objectives.token_alignment import TokenAlignment
from xdr.objectives.train_batch import TrainBatch
from xdr.text.records import Passage, Query, TrainingExample
from xdr.training.bi_encoder_data import BiEncoderData
from xdr.training.twins import NOISE, begin_objective, check_twins, try_objective, with_noise

CONF = Path(__file__).parents[2] / "conf" / "noise"
SWAP = QueryNoise({"swap": 1}, share=1.0, edits=1, shortest=3, window=1, versions=3, seed=1)


def shown(query_id: str, epoch: int, noisy: float = 0.5, seed: int = 7) -> str:
    return "".join(choose_versions(Query(query_id, "telephone", "en"), noisy, 1, seed, epoch, SWAP.rewording)) or "telephone"


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


def test_a_query_may_choose_from_versions_that_begin_with_the_one_it_would_have_without_a_choice() -> None:
    query = Query("q1", "telephone", "en")
    one, two, four = (choose_versions(query, 1.0, number, 7, 3, SWAP.rewording) for number in (1, 2, 4))
    assert four[:2] == two and two[:1] == one == [SWAP.rewording(query, 7, 3)]
    assert len(set(four)) > 1 and all(sorted(text) == sorted("telephone") != list("telephone") for text in four)


def test_share_and_number_of_versions_rise_linearly_from_the_first_step_to_the_last() -> None:
    rising = replace(batches(0), noisy=[0.0, 0.5], hardest_of=[1, 8])
    assert [rising.noise_at(progress) for progress in (0.0, 0.5, 1.0, 2.0)] == [(0.0, 1), (0.25, 4), (0.5, 8), (0.5, 8)]
    assert rising.noisiest() == replace(batches(0), noisy=0.5, hardest_of=8)
    assert replace(batches(0), noisy=0.5).noise_at(0.7) == (0.5, 1)


def read(noisy: float | list[float], hardest_of: int | list[int], num_epochs: float, twins: int = 0) -> list[TrainBatch]:
    """The batches of two epochs of four steps."""
    settings = replace(batches(twins), noisy=noisy, hardest_of=hardest_of)
    data = with_noise(examples([0] * 8), settings, NOISE if twins else None, SWAP)
    module = BiEncoderData(data, [], TextTokenizer(Letters(), InputFormat(8, 8)), settings, 0, num_epochs)
    loader = module.train_dataloader()
    found = list(loader)
    loader.sampler.set_epoch(1)  # type: ignore[attr-defined]  # EpochBatches
    return [*found, *loader]


def test_batches_hold_the_versions_that_the_schedule_allows_and_clean_queries() -> None:
    read_batches = read([0.0, 1.0], [1, 4], num_epochs=2)
    widths = [int((batch.version_places_QV >= 0).sum(1).max()) for batch in read_batches]
    assert widths[0] == 0 and widths[-1] in (0, 4) and max(widths) > 1
    assert {batch.version_places_QV.shape for batch in read_batches} == {(2, 4)}
    assert {tuple(batch.queries.ids_T.tolist()[:6]) for batch in read_batches} == {tuple(ord(x) % 20 for x in "abcabc")}
    twins = read(0.0, [2, 4], num_epochs=2, twins=2)
    assert [int((batch.version_places_QV >= 0).sum()) for batch in twins] == [4, 4, 4, 6, 6, 6, 8, 8]
    assert all(torch.equal(batch.twin_places_QK, batch.version_places_QV[:, :2]) for batch in twins)


def test_a_loader_that_resumes_reads_the_versions_that_were_next() -> None:
    settings = replace(batches(0), noisy=[0.0, 1.0], hardest_of=[1, 4])
    data = with_noise(examples([0] * 8), settings, None, SWAP)
    loaders = [
        BiEncoderData(data, [], TextTokenizer(Letters(), InputFormat(8, 8)), settings, 0, 2.0).train_dataloader() for _ in "ab"
    ]
    loaders[0].sampler.set_epoch(1)  # type: ignore[attr-defined]  # EpochBatches
    whole = list(loaders[0])
    loaders[1].load_state_dict({"epoch": 1, "batches": 2})
    for batch, expected in zip(loaders[1], whole[2:], strict=True):
        assert torch.equal(batch.queries.ids_T, expected.queries.ids_T)
        assert torch.equal(batch.version_places_QV, expected.version_places_QV)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"noisy": [0.0, 1.5]}, "noisy must be from 0 to 1, got [0.0, 1.5]"),
        (
            {"noisy": [0.0, 0.5, 1.0]},
            "noisy must be a number, or one for the start of the training and one for its end, got [0",
        ),
        ({"hardest_of": 0}, "hardest_of must be at least 1, got 0"),
        ({"hardest_of": 4}, "data.batches.noisy must be above 0 with data.batches.hardest_of=4, got 0.0. Set it, or"),
        (
            {"hardest_of": 4, "noisy": 0.5, "twins_per_query": 1},
            "noisy must be 0 with data.batches.hardest_of=4 and twins",
        ),
        ({"hardest_of": [1, 4], "twins_per_query": 2}, "data.batches.twins_per_query must be at most hardest_of with"),
    ],
)
def test_noise_that_cannot_be_chosen_is_refused(changes: dict[str, Any], says: str) -> None:
    with pytest.raises(UserError, match=re.escape(says)):
        replace(batches(0), **changes)


def test_token_alignment_has_no_losses_to_choose_by() -> None:
    (batch, *_) = read(1.0, 2, num_epochs=2)
    with pytest.raises(UserError, match=r"data\.batches\.hardest_of must be 1 with objective=token_alignment"):
        begin_objective(TokenAlignment(None, 0.5), nn.Linear(1, 1), TextTokenizer(Letters(), InputFormat(8, 8)), batch)


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
