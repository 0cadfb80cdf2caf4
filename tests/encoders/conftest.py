from pathlib import Path

import numpy as np
import pytest
from tokenizers import Tokenizer, models, pre_tokenizers

from xdr.encoders.small import build_small_bert, build_small_xlm_roberta
from xdr.generators.small import build_small_mt5

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


@pytest.fixture
def static_folder(tmp_path: Path) -> Path:
    """Vectors for eight pieces, and a tokenizer that knows more."""
    pieces = ["▁a", "b", "▁the", "▁lake", "▁volga", "s", "▁", "?"]
    vocabulary = [("<s>", 0.0), ("<unk>", 0.0), *((piece, -float(i)) for i, piece in enumerate([*pieces, "▁other", "x"]))]
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk_id=1, byte_fallback=False))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    folder = tmp_path / "static"
    folder.mkdir()
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "pieces.txt").write_text("\n".join(pieces) + "\n", encoding="utf-8")
    np.save(folder / "vectors.npy", np.arange(32, dtype=np.float16).reshape(8, 4))
    return folder
