"""What decides a generated text is in the fingerprint, so that texts on disk are never used with another generator."""

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.changed_files import changed, fields_without_effect_on_fingerprints
from tests.encoders.conftest import TEXTS
from tests.small_causal import build_small_causal
from xdr.generators.generator import Request
from xdr.generators.generator_folder import fingerprint_generator, open_generator
from xdr.generators.settings import GenerationSettings, Sampling, Task
from xdr.text.records import Passage
from xdr.writing.huggingface_backend import open_in_process

TASK = Task("query_from_passage", "prompt", 200, 8, ("fi", "ru"))
EVERY_TOKEN = Sampling(top_k=0, top_p=1.0, temperature=1.0, output_length=8)


@pytest.fixture(params=["mt5", "causal"])
def folder(request: pytest.FixtureRequest, small_mt5: Path, tmp_path: Path) -> Path:
    if request.param == "causal":
        return build_small_causal(tmp_path / "g")
    shutil.copytree(small_mt5, tmp_path / "g")
    return tmp_path / "g"


def _print(folder: Path) -> str:
    generator, tokenizer, _ = open_generator(str(folder), TASK)
    return fingerprint_generator(generator, tokenizer)


OF_MT5 = {"feed_forward_proj": "relu", "layer_norm_epsilon": 0.1, "relative_attention_max_distance": 3}
OF_CAUSAL = {"hidden_activation": "silu", "rms_norm_eps": 0.1, "sliding_window": 3, "query_pre_attn_scalar": 8}


def test_a_changed_configuration_changes_the_fingerprint(folder: Path) -> None:
    before = _print(folder)
    assert _print(folder) == before
    fields: dict[str, Any] = OF_MT5 if "feed_forward_proj" in (folder / "config.json").read_text() else OF_CAUSAL
    for field, value in fields.items():
        with changed(folder / "config.json", (field,), value):
            assert _print(folder) != before, field


@pytest.mark.slow
def test_no_field_of_a_file_changes_texts_alone(folder: Path) -> None:
    def texts() -> tuple[np.ndarray, str]:
        generator, tokenizer, _ = open_generator(str(folder), TASK)
        writer = open_in_process(generator.eval(), tokenizer, EVERY_TOKEN, GenerationSettings(("fi",), 1, 200, 0, 4096, 1))
        writer.begin(1)
        asked = [Request(tokenizer.task.template, Passage(str(i), "", text), "fi", 1) for i, text in enumerate(TEXTS[:3])]
        written = dict(writer.write(asked))
        drawn = [text.text for place in sorted(written) for text in written[place].texts]
        return np.array(drawn), fingerprint_generator(generator, tokenizer)

    stale, told = fields_without_effect_on_fingerprints(folder, texts)
    assert not stale
    assert told >= 4
