"""The cache of the Hugging Face hub stands in for the hub."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from huggingface_hub.utils import filter_repo_objects
from transformers import AutoTokenizer

from xdr.encoders.encoder import load_encoder
from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.hub import FILES
from xdr.encoders.input_format import InputFormat
from xdr.encoders.tokenization import HuggingFaceTokenizer, TextTokenizer
from xdr.encoders.transformer_encoder import TransformerEncoder, load_backbone
from xdr.encoders.vector_layers import Dense

REVISION = "0" * 40
CODE = """
import sys
from xdr.encoders.encoder import load_encoder
from xdr.errors import UserError
import numpy
for pooling in (None, "first"):
    try:
        encoder = load_encoder("org/name", pooling=pooling)
    except UserError as error:
        print(error)
    else:
        print(encoder.queries.pooling, encoder.queries.normalize, encoder.tokenizer.input_format)
        numpy.save(sys.argv[1], encoder.encode_queries(["Saimaa"]))
"""
"""The cache is that of a process: its folder is read once."""


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    repository = tmp_path / "hub" / "models--org--name"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text(REVISION)
    return repository / "snapshots" / REVISION


def load_by_name(tmp_path: Path) -> list[str]:
    """What is printed without a pooling, and with `first`."""
    environment = os.environ | {"HF_HOME": str(tmp_path), "HF_HUB_OFFLINE": "1"}
    command = [sys.executable, "-c", CODE, str(tmp_path / "vectors.npy")]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert process.returncode == 0, process.stderr
    return process.stdout.splitlines()


def test_pooling_and_prefixes_are_those_of_the_files_on_the_hub(
    small_models: dict[str, Path], snapshot: Path, tmp_path: Path
) -> None:
    import numpy as np

    backbone = small_models["bert"]
    encoder = TransformerEncoder(load_backbone(str(backbone), torch.float32, "packed"), "mean", True, "packed")
    own = InputFormat(24, 48, "query: ", "passage: ")
    save_encoder(encoder, TextTokenizer(HuggingFaceTokenizer(AutoTokenizer.from_pretrained(backbone)), own), snapshot)
    without, first = load_by_name(tmp_path)
    assert without == f"mean True {own}"
    np.testing.assert_array_equal(np.load(tmp_path / "vectors.npy"), load_encoder(str(snapshot)).encode_queries(["Saimaa"]))
    assert "pooling must be mean, as org/name says, got first" in first


def test_all_that_a_folder_holds_beside_transformer_and_tokenizer_is_asked_of_the_hub(
    small_models: dict[str, Path], tmp_path: Path
) -> None:
    backbone = load_backbone(str(small_models["bert"]), torch.float32, "packed")
    encoder = TransformerEncoder(backbone, "mean", True, "packed", [Dense(64, 8, True, torch.nn.Tanh())])
    tokenizer = HuggingFaceTokenizer(AutoTokenizer.from_pretrained(small_models["bert"]))
    save_encoder(encoder, TextTokenizer(tokenizer, InputFormat(24, 48)), tmp_path / "folder")
    files = {path.relative_to(tmp_path / "folder").as_posix() for path in (tmp_path / "folder").rglob("*") if path.is_file()}
    of_transformers = {"config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"}
    assert set(filter_repo_objects(files, allow_patterns=FILES)) == files - of_transformers


def test_a_plain_backbone_on_the_hub_needs_a_pooling(small_models: dict[str, Path], snapshot: Path, tmp_path: Path) -> None:
    shutil.copytree(small_models["bert"], snapshot)
    without, first = load_by_name(tmp_path)
    assert "pooling must be given for a plain backbone, got none. org/name has no files" in without
    assert first.startswith("first False")
