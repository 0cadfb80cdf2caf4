"""Generators and backends as settings."""

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from tests.encoders.conftest import TEXTS
from xdr.errors import UserError
from xdr.generators.generator import Request
from xdr.generators.generator_folder import open_generator, save_generator
from xdr.generators.models import SequenceToSequenceGenerator, SmallGenerator
from xdr.generators.settings import GenerationSettings, Sampling, Task
from xdr.text.records import Passage
from xdr.writing.backends import CTranslate2, HuggingFace, Wanted


def test_settings_need_no_torch() -> None:
    code = "import sys, xdr.generators.models, xdr.writing.backends; assert not {'torch', 'transformers'} & sys.modules.keys()"
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_small_generator_is_made_once_and_then_read(tmp_path: Path) -> None:
    settings = SmallGenerator(32, 1, "query_from_passage", "prompt", 24, 16, None)
    assert settings.task == Task("query_from_passage", "prompt", 24, 16)
    first, tokenizer = settings.build(settings.task, tmp_path / "initial", 0, TEXTS)
    again, _ = settings.build(settings.task, tmp_path / "initial", 1, [])
    assert torch.equal(first.model.shared.weight, again.model.shared.weight)
    assert tokenizer.task == settings.task


def test_gradient_checkpointing_is_switched_on(small_mt5: Path) -> None:
    settings = SequenceToSequenceGenerator(str(small_mt5), "query_from_passage", "prompt", 24, 16, None, True)
    generator, _ = settings.build(settings.task, Path("unused"), 0, [])
    assert generator.model.encoder.gradient_checkpointing


def test_a_backend_is_opened_by_its_settings_and_says_what_its_texts_depend_on(small_mt5: Path, tmp_path: Path) -> None:
    task, sampling = Task("query_from_passage", "prompt", 24, 16), Sampling(1, 1.0, 1.0, 4)
    wanted = Wanted(str(small_mt5), task, sampling, GenerationSettings(("fi",), 1, 24, 0, 100, 0), "32-true", tmp_path)
    request = Request(task.template, Passage("1", "", TEXTS[0]), "fi", 1)
    for settings in (HuggingFace(), CTranslate2("float32")):
        loaded = settings.load(wanted)
        assert loaded.task == task and loaded.models is not None
        generator = loaded.on(torch.device("cpu"))
        generator.begin(0)
        ((place, reply),) = generator.write([request])
        assert place == 0 and 0 < reply.texts[0].num_tokens <= 4
    with pytest.raises(UserError, match="overflows in the T5 family"):
        HuggingFace().load(replace(wanted, precision="16-mixed"))
    assert HuggingFace().made_by("bf16-true") == {"name": "huggingface", "precision": "bf16-true"}
    assert CTranslate2("int8").made_by("bf16-true") == {"name": "ctranslate2", "compute_type": "int8"}
    with pytest.raises(UserError, match="compute_type must be one of float32, int8, .*, got int7"):
        CTranslate2("int7")  # type: ignore[arg-type]  # what is refused


def test_a_folder_of_an_earlier_version_still_loads(small_mt5: Path, tmp_path: Path) -> None:
    task = Task("query_from_passage", "decoder", 24, 16, ("fi", "ru"))
    generator, tokenizer, _ = open_generator(str(small_mt5), task)
    save_generator(generator, tokenizer, None, tmp_path / "g")
    values = json.loads((tmp_path / "g" / "xdr.json").read_text())
    values["language_pieces"] = values.pop("language_tokens")
    (tmp_path / "g" / "xdr.json").write_text(json.dumps(values))
    assert open_generator(str(tmp_path / "g"), task)[1].language_tokens == tokenizer.language_tokens
