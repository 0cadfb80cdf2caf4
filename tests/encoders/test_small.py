from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModel, AutoModelForSeq2SeqLM, AutoTokenizer

from xdr.benchmarks.sample import Sample
from xdr.data.problems import Problems
from xdr.encoders.small import build_small_bert, build_small_xlm_roberta, save_seeded
from xdr.generators.small import build_small_mt5

BUILDERS: list[Callable[..., Path]] = [build_small_bert, build_small_xlm_roberta, build_small_mt5]


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Everything that is written in the sample, in eight scripts."""
    passages = [f"{passage.title} {passage.text}" for passage in Sample().passages(Problems())]
    return passages + [query.text for split in ("train", "dev") for query in Sample().queries(split, Problems())]


@pytest.mark.parametrize("build", BUILDERS)
def test_no_text_of_the_sample_holds_an_unknown_token(build: Callable[..., Path], texts: list[str], tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(build(texts, tmp_path, seed=1, hidden=32, layers=1))
    assert not any(tokenizer.unk_token_id in ids for ids in tokenizer(texts).input_ids)


@pytest.mark.parametrize("build", BUILDERS)
def test_equal_seeds_make_equal_files(build: Callable[..., Path], texts: list[str], tmp_path: Path) -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    folders = [build(texts, tmp_path / str(i), seed=seed, hidden=32, layers=1) for i, seed in enumerate((1, 1, 2))]
    assert torch.equal(torch.random.get_rng_state(), before), "the caller's randomness is left alone"
    first, second, other = ([(f.name, f.read_bytes()) for f in sorted(folder.iterdir())] for folder in folders)
    assert first == second
    assert first != other


@pytest.mark.parametrize("build", BUILDERS[:2])
def test_encoders_load_as_any_hugging_face_model(build: Callable[..., Path], texts: list[str], tmp_path: Path) -> None:
    folder = build(texts, tmp_path, seed=1)
    model, tokenizer = AutoModel.from_pretrained(folder, add_pooling_layer=False), AutoTokenizer.from_pretrained(folder)
    batch = tokenizer(texts[-2:], padding=True, return_tensors="pt")
    assert model(**batch).last_hidden_state.shape == (*batch.input_ids.shape, 128)


def test_the_generator_has_a_head_of_its_own_and_keeps_it(texts: list[str], tmp_path: Path) -> None:
    folder = build_small_mt5(texts, tmp_path, seed=1)
    model, tokenizer = AutoModelForSeq2SeqLM.from_pretrained(folder), AutoTokenizer.from_pretrained(folder)
    assert not torch.equal(model.lm_head.weight, model.shared.weight)
    assert model.config.vocab_size == len(tokenizer)
    text = texts[-1]
    assert tokenizer.decode(tokenizer(text).input_ids, skip_special_tokens=True) == text


def test_other_processes_see_a_whole_folder_or_none(tmp_path: Path) -> None:
    """torchrun starts all processes at once, and each makes the model."""
    folder = tmp_path / "model"

    class Saved:
        def save_pretrained(self, path: Path) -> None:
            assert not folder.exists()
            (path / f"{len(list(path.iterdir()))}.json").write_text("{}")

    assert save_seeded(Saved, Saved(), folder, seed=0) == folder
    assert sorted(path.name for path in folder.iterdir()) == ["0.json", "1.json"]
