"""A share of the training examples."""

import pytest

from xdr.benchmarks.sample import Sample
from xdr.data.part_of_training import PartOfTraining
from xdr.data.problems import Problems
from xdr.errors import UserError


def ids(share: float, split: str = "train") -> set[str]:
    return {example.query.query_id for example in PartOfTraining(Sample(), share).examples(split, Problems())}


def test_smaller_shares_are_subsets_and_dev_stays_whole() -> None:
    parts = [ids(share) for share in (0.0625, 0.25, 1.0)]
    assert parts[0] < parts[1] < parts[2]
    assert len(parts[2]) == len(list(Sample().examples("train", Problems())))
    assert len(parts[1]) / len(parts[2]) == pytest.approx(0.25, abs=0.03)
    assert ids(0.0625, "dev") == ids(1.0, "dev")


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(UserError, match="data.share must be above 0 and at most 1, got 0"):
        PartOfTraining(Sample(), 0)
