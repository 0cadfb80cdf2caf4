import numpy as np
import pytest
import scipy.stats

from xdr.evaluation.coverage import Balance, Share, balance_of, coverage_of, warn_of_augmentation, warn_of_bank


def test_coverage_by_hand() -> None:
    """Four passages with 3, 0, 1 and 2 texts; the first and the second are relevant."""
    counts = {"fi": np.array([2, 0, 1, 0]), "te": np.array([1, 0, 0, 2])}
    found = coverage_of(counts, np.array([True, True, False, False]))
    assert found.passages == Share(3, 4) and (found.least, found.mean, found.greatest) == (0, 1.5, 3)
    assert found.by_language == {"fi": Share(2, 4), "te": Share(2, 4)}
    assert found.balance == Balance(Share(1, 2), Share(2, 2))
    assert found.as_json()["relevant"] == {"covered": 1, "number": 2, "share": 0.5}


def test_p_is_fishers() -> None:
    balance = Balance(Share(30, 40), Share(100, 300))
    assert balance.p == pytest.approx(scipy.stats.fisher_exact([[30, 10], [100, 200]]).pvalue)


@pytest.mark.parametrize(
    ("relevant", "others", "says"),
    [
        ((240, 240), (3125, 3125), ""),
        (
            (240, 240),
            (0, 3125),
            "a gain is an artefact of the pool: 100 % of the relevant passages and 0 % of the others",
        ),
        ((0, 240), (400, 400), "a loss may be an artefact of the pool: 0 % of the relevant"),
        ((4, 4), (5, 8), ""),  # chance explains it
        ((9_900, 10_000), (9_750, 10_000), ""),  # a point and a half
        ((240, 240), (0, 0), ""),  # nothing else to compare with
        ((0, 0), (40, 80), ""),  # no qrels
    ],
)
def test_relevant_passages_that_have_texts_more_often_than_the_others_are_warned_of(
    relevant: tuple[int, int], others: tuple[int, int], says: str
) -> None:
    found = warn_of_augmentation(Balance(Share(*relevant), Share(*others)))
    assert (says in found[0]) if says else not found


def test_a_bank_about_one_side_of_the_pool_is_warned_of_in_the_right_direction() -> None:
    """What the bank asks about falls: a bank about the others lifts the relevant passages."""
    about_others, about_relevant = Balance(Share(0, 240), Share(400, 400)), Balance(Share(240, 240), Share(0, 400))
    assert "a gain by the correction may be an artefact" in warn_of_bank(about_others)[0]
    assert "a loss by the correction may be an artefact" in warn_of_bank(about_relevant)[0]
    assert not warn_of_bank(balance_of(np.ones(9, bool), np.arange(9) < 3))
