"""Model folders of strangers: their code is not run, and what they refer to lies inside."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from xdr.encoders.encoder import load_encoder
from xdr.errors import UserError

CODE = "from pathlib import Path\nPath({marker!r}).write_text('ran')\nclass Evil:\n    pass\n"


def with_code(model: Path, folder: Path, **config: object) -> tuple[Path, Path]:
    """A copy of a model folder with code that leaves a file when it is imported, and that file."""
    shutil.copytree(model, folder)
    marker = folder.parent / "ran"
    (folder / "evil.py").write_text(CODE.format(marker=str(marker)))
    (folder / "config.json").write_text(json.dumps({**json.loads((folder / "config.json").read_text()), **config}))
    return folder, marker


@pytest.mark.parametrize(
    "config",
    [
        {"auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil", "AutoTokenizer": ["evil.Evil", None]}},
        {"_attn_implementation_internal": "someone/evil", "_attn_implementation": "someone/evil"},
        {"model_type": "evil", "auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"}},
    ],
    ids=["auto_map", "kernels", "unknown type"],
)
def test_code_of_a_model_folder_is_not_run(small_models: dict[str, Path], tmp_path: Path, config: dict) -> None:
    folder, marker = with_code(small_models["bert"], tmp_path / "model", **config)
    said = ""
    try:
        load_encoder(str(folder), pooling="mean").encode_queries(["?"])
    except UserError as error:
        said = str(error)
    assert not marker.exists()
    assert len(said.splitlines()) <= 1


@pytest.mark.parametrize(
    "module",
    [
        {"type": "evil.Evil", "path": ""},
        {"type": "sentence_transformers.models.Dense", "path": "../outside"},
        {"type": "sentence_transformers.models.Dense", "path": "/etc"},
    ],
    ids=["foreign", "above", "absolute"],
)
def test_modules_of_an_encoder_come_from_its_folder(small_models: dict[str, Path], tmp_path: Path, module: dict) -> None:
    folder, marker = with_code(small_models["bert"], tmp_path / "model")
    for place in (folder, tmp_path):  # inside, it is a good module
        save_dense(place / "outside")
    modules = [("Transformer", ""), ("Pooling", "1_Pooling"), ("Dense", "outside")]
    described = [{"type": f"sentence_transformers.models.{kind}", "path": path} for kind, path in modules]
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling" / "config.json").write_text(json.dumps({"pooling_mode_mean_tokens": True}))
    (folder / "modules.json").write_text(json.dumps(described))
    assert load_encoder(str(folder)).encode_queries(["?"]).shape == (1, 8)
    (folder / "modules.json").write_text(json.dumps([*described[:2], module]))
    with pytest.raises(UserError, match=r"the modules of|the path of Dense in .*modules\.json") as said:
        load_encoder(str(folder))
    assert len(str(said.value).splitlines()) == 1 and not marker.exists()


def save_dense(folder: Path) -> None:
    folder.mkdir()
    described = {"in_features": 64, "out_features": 8, "bias": False, "activation_function": "torch.nn.Identity"}
    (folder / "config.json").write_text(json.dumps(described))
    save_file({"linear.weight": torch.zeros(8, 64)}, folder / "model.safetensors")
