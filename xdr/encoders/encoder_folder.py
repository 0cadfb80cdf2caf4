"""Save encoders as folders in sentence-transformers' layout, and load such folders.

sentence-transformers has one length for queries and passages; `xdr.json` in the same folder holds both. A folder without
`xdr.json` is read by sentence-transformers' files alone.
"""

import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoTokenizer

from xdr.encoders.input_format import Batching, InputFormat
from xdr.encoders.pooling import POOLINGS
from xdr.encoders.static_encoder import StaticEncoder
from xdr.encoders.tokenization import HuggingFaceTokenizer, StaticTokenizer, TextTokenizer
from xdr.encoders.transformer_encoder import TransformerEncoder, load_transformer, num_positions
from xdr.errors import UserError
from xdr.storage.files import creating_folder

_MODULES = "sentence_transformers.models."
_STATIC, _DENSE = "0_StaticEmbedding", "1_Dense"


def save_encoder(encoder: nn.Module, tokenizer: TextTokenizer, folder: Path) -> None:
    """Writes the folder under another name, then renames it. `folder` must not exist."""
    with creating_folder(folder) as partial:
        if isinstance(encoder, StaticEncoder):
            modules = _save_static(encoder, tokenizer, partial)
        else:
            assert isinstance(encoder, TransformerEncoder)
            modules = _save_transformer(encoder, tokenizer, partial)
        if encoder.normalize:
            modules.append(("Normalize", f"{len(modules)}_Normalize"))
            (partial / modules[-1][1]).mkdir()
        described = [
            {"idx": i, "name": str(i), "path": path, "type": f"{_MODULES}{name}"} for i, (name, path) in enumerate(modules)
        ]
        form = tokenizer.input_format
        prompts = {"query": form.query_prefix, "passage": form.passage_prefix, "document": form.passage_prefix}
        _write(partial / "modules.json", described)
        _write(partial / "config_sentence_transformers.json", {"prompts": prompts, "similarity_fn_name": "dot"})
        _write(partial / "xdr.json", {"query_length": form.query_length, "passage_length": form.passage_length})


def _save_transformer(encoder: TransformerEncoder, tokenizer: TextTokenizer, folder: Path) -> list[tuple[str, str]]:
    assert isinstance(tokenizer.tokenize, HuggingFaceTokenizer)
    backbone = encoder.backbone
    if hasattr(backbone, "merge_and_unload"):  # LoRA
        import copy

        backbone = copy.deepcopy(backbone).merge_and_unload()
    backbone.save_pretrained(folder)
    tokenizer.tokenize.tokenizer.save_pretrained(folder)
    _write(
        folder / "sentence_bert_config.json", {"max_seq_length": tokenizer.input_format.passage_length, "do_lower_case": False}
    )
    (folder / "1_Pooling").mkdir()
    modes = {f"pooling_mode_{entry.sentence_transformers}": encoder.pooling == name for name, entry in POOLINGS.items()}
    _write(folder / "1_Pooling" / "config.json", {"word_embedding_dimension": encoder.dimension, **modes})
    return [("Transformer", ""), ("Pooling", "1_Pooling")]


def _save_static(encoder: StaticEncoder, tokenizer: TextTokenizer, folder: Path) -> list[tuple[str, str]]:
    assert isinstance(tokenizer.tokenize, StaticTokenizer)
    for name in (_STATIC, _DENSE):
        (folder / name).mkdir()
    save_file({"embedding.weight": encoder.embedding.weight.detach().contiguous()}, folder / _STATIC / "model.safetensors")
    tokenizer.tokenize.tokenizer.save(str(folder / _STATIC / "tokenizer.json"))
    head = {f"linear.{name}": value.detach().contiguous() for name, value in encoder.head.state_dict().items()}
    save_file(head, folder / _DENSE / "model.safetensors")
    settings = {"in_features": encoder.dimension, "out_features": encoder.dimension, "bias": True, "use_residual": True}
    _write(folder / _DENSE / "config.json", {**settings, "activation_function": "torch.nn.modules.activation.Tanh"})
    return [("StaticEmbedding", _STATIC), ("Dense", _DENSE)]


def is_encoder_folder(folder: Path) -> bool:
    return (folder / "modules.json").is_file()


def load_encoder_folder(
    folder: Path, *, weights: str | None = None, batching: Batching | None = None, dtype: torch.dtype = torch.float32
) -> tuple[nn.Module, TextTokenizer]:
    """Reads sentence-transformers' layout: Transformer + Pooling or static embeddings, each with or without Normalize.
    `weights` is the hub name of the transformer if `folder` does not hold its weights."""
    modules = [(str(m["type"]).rsplit(".", 1)[-1], str(m["path"])) for m in _read_list(folder / "modules.json")]
    names, paths = [name for name, _ in modules], [path for _, path in modules]
    normalize = names[-1:] == ["Normalize"]
    if normalize:
        names.pop()
    if names == ["Transformer", "Pooling"]:
        pooling = _read_pooling(folder / paths[1] / "config.json")
        encoder = load_transformer(weights or str(folder), pooling, normalize, batching, dtype, paths[0])
        return encoder, _load_tokenizer(folder, weights or str(folder), paths[0], encoder.backbone.config)
    if names in (["StaticEmbedding"], ["StaticEmbedding", "Dense"]):
        return _load_static(folder, [folder / path for path in paths[: len(names)]], normalize)
    raise UserError(
        f"the modules of {folder} must be Transformer and Pooling, or StaticEmbedding, with or without Normalize, "
        f"got {', '.join(names)}"
    )


def _read_pooling(path: Path) -> str:
    """From the older layout with one flag a mode, or the newer one with the name of the mode."""
    settings = _read(path)
    mode = str(settings.get("pooling_mode", "")) or "+".join(
        key.removeprefix("pooling_mode_") for key, value in settings.items() if key.startswith("pooling_mode_") and value
    )
    known = {entry.sentence_transformers: name for name, entry in POOLINGS.items()}
    known |= {long.removesuffix("_token").removesuffix("_tokens"): name for long, name in known.items()}
    if mode not in known:
        raise UserError(f"the pooling in {path} must be one of {', '.join(sorted(known))}, got {mode or 'none'}")
    return known[mode]


def _load_tokenizer(folder: Path, weights: str, subfolder: str, config: Any) -> TextTokenizer:
    tokenizer = AutoTokenizer.from_pretrained(weights, subfolder=subfolder)
    settings = _read(folder / subfolder / "sentence_bert_config.json")
    longest = settings.get("max_seq_length") or _longest(tokenizer.model_max_length, num_positions(config))
    return TextTokenizer(HuggingFaceTokenizer(tokenizer), _input_format(folder, int(longest)))


def _longest(of_tokenizer: int, of_model: int | None) -> int:
    """sentence-transformers 6 keeps the length in the tokenizer, whose value is 10^30 where there is none."""
    longest = of_tokenizer if of_tokenizer < 10**6 else 512
    return min(longest, of_model or longest)


def _load_static(folder: Path, parts: list[Path], normalize: bool) -> tuple[nn.Module, TextTokenizer]:
    vectors_VD = load_file(parts[0] / "model.safetensors")
    encoder = StaticEncoder(vectors_VD.get("embedding.weight", vectors_VD.get("embeddings", torch.empty(0, 0))), normalize)
    if len(parts) > 1:
        settings = _read(parts[1] / "config.json")
        if not settings.get("use_residual") or not str(settings.get("activation_function")).endswith(".Tanh"):
            raise UserError(f"the layer in {parts[1]} must be `x + tanh(W x + b)`: use_residual with the activation Tanh")
        weights = load_file(parts[1] / "model.safetensors")
        encoder.head.load_state_dict({name.removeprefix("linear."): value for name, value in weights.items()})
    tokenizer = Tokenizer.from_file(str(parts[0] / "tokenizer.json"))
    return encoder, TextTokenizer(StaticTokenizer(tokenizer), _input_format(folder, 512))


def _input_format(folder: Path, longest: int) -> InputFormat:
    prompts = _read(folder / "config_sentence_transformers.json").get("prompts") or {}
    ours = _read(folder / "xdr.json")
    passage_prefix = prompts.get("passage") or prompts.get("document") or ""
    lengths = {name: int(ours.get(name, longest)) for name in ("query_length", "passage_length")}
    return InputFormat(**lengths, query_prefix=prompts.get("query") or "", passage_prefix=passage_prefix)


def _read(path: Path) -> dict[str, Any]:
    if not path.is_file():
        return {}
    value = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(value, dict)
    return value


def _read_list(path: Path) -> list[dict[str, Any]]:
    value = json.loads(path.read_text(encoding="utf-8"))
    assert isinstance(value, list)
    return value


def _write(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
