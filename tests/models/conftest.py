from pathlib import Path

import pytest

from xdr.models.small import build_small_bert, build_small_mt5, build_small_xlm_roberta

TEXTS = [
    "Saimaa is the largest lake in Finland.",
    "Missä Saimaa sijaitsee?",
    "Где течёт Волга?",
    "김치는 언제 담가요?",
    "The Volga flows through Russia into the Caspian Sea, and it is the longest river in Europe.",
    "富士山の高さは？",
    "a",
    "తాజ్ మహల్ ఎక్కడ ఉంది?",
]


@pytest.fixture(scope="session")
def small_models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A BERT and an XLM-R without dropout, so that two ways of one computation can be compared."""
    folder = tmp_path_factory.mktemp("small")
    builders = {"bert": build_small_bert, "xlm-roberta": build_small_xlm_roberta}
    return {name: build(TEXTS, folder / name, seed=1, hidden=64, layers=2, dropout=0.0) for name, build in builders.items()}


@pytest.fixture(scope="session")
def small_mt5(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With a head of its own, as google/mt5-* have."""
    return build_small_mt5(TEXTS, tmp_path_factory.mktemp("mt5") / "model", seed=1, hidden=64, layers=2)
