"""An encoder as a folder that sentence-transformers loads, and from one.

What sentence-transformers cannot say (two lengths) stands in `xdr.json` beside its own files; a folder without it, from
elsewhere, is read by those files alone.
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
from xdr.encoders.transformer_encoder import TransformerEncoder, load_backbone
from xdr.errors import UserError
from xdr.storage.files import creating_folder

_MODULES = "sentence_transformers.models."
_STATIC, _DENSE = "0_StaticEmbedding", "1_Dense"


def save_encoder(encoder: nn.Module, tokenizer: TextTokenizer, folder: Path) -> None:
    """Written aside and renamed; an older folder of that name must have been moved away."""
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
        reading = tokenizer.input_format
        prompts = {"query": reading.query_prefix, "passage": reading.passage_prefix, "document": reading.passage_prefix}
        _write(partial / "modules.json", described)
        _write(partial / "config_sentence_transformers.json", {"prompts": prompts, "similarity_fn_name": "dot"})
        _write(partial / "xdr.json", {"query_length": reading.query_length, "passage_length": reading.passage_length})


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


def load_encoder(
    folder: Path, *, batching: Batching = "packed", dtype: torch.dtype = torch.float32
) -> tuple[nn.Module, TextTokenizer]:
    """From sentence-transformers' layout, ours or anybody's, as far as it holds what xdr computes."""
    modules = [(str(m["type"]).rsplit(".", 1)[-1], folder / str(m["path"])) for m in _read_list(folder / "modules.json")]
    names = [name for name, _ in modules]
    normalize = names[-1:] == ["Normalize"]
    if normalize:
        modules, names = modules[:-1], names[:-1]
    if names == ["Transformer", "Pooling"]:
        return _load_transformer(folder, modules[0][1], modules[1][1], normalize, batching, dtype)
    if names in (["StaticEmbedding"], ["StaticEmbedding", "Dense"]):
        return _load_static(folder, [path for _, path in modules], normalize)
    raise UserError(
        f"{folder}: xdr cannot compute a model of {', '.join(names)}; it reads Transformer + Pooling and StaticEmbedding"
    )


def _load_transformer(
    folder: Path, backbone_folder: Path, pooling_folder: Path, normalize: bool, batching: Batching, dtype: torch.dtype
) -> tuple[nn.Module, TextTokenizer]:
    pooling = _read(pooling_folder / "config.json")
    mode = str(pooling.get("pooling_mode", "")) or "+".join(
        key.removeprefix("pooling_mode_") for key, value in pooling.items() if key.startswith("pooling_mode_") and value
    )
    known = {entry.sentence_transformers: name for name, entry in POOLINGS.items()}
    known |= {long.removesuffix("_token").removesuffix("_tokens"): name for long, name in known.items()}
    if mode not in known:
        raise UserError(f"the pooling of {pooling_folder} must be one of {', '.join(sorted(known))}, got '{mode}'")
    backbone = load_backbone(str(backbone_folder), dtype, batching)
    encoder = TransformerEncoder(backbone, known[mode], normalize, batching)
    tokenizer = AutoTokenizer.from_pretrained(backbone_folder)
    settings = _read(backbone_folder / "sentence_bert_config.json")
    longest = int(
        settings.get("max_seq_length") or _longest(tokenizer.model_max_length, backbone.config.max_position_embeddings)
    )
    return encoder, TextTokenizer(HuggingFaceTokenizer(tokenizer), _reading(folder, longest))


def _longest(of_tokenizer: int, num_positions: int) -> int:
    """Since version 6 sentence-transformers keeps its length in the tokenizer, which without one says 10^30."""
    return min(of_tokenizer if of_tokenizer < 10**6 else 512, num_positions)


def _load_static(folder: Path, parts: list[Path], normalize: bool) -> tuple[nn.Module, TextTokenizer]:
    vectors_VD = load_file(parts[0] / "model.safetensors")
    encoder = StaticEncoder(vectors_VD.get("embedding.weight", vectors_VD.get("embeddings", torch.empty(0, 0))), normalize)
    if len(parts) > 1:
        settings = _read(parts[1] / "config.json")
        if not settings.get("use_residual") or not str(settings.get("activation_function")).endswith(".Tanh"):
            raise UserError(f"{parts[1]}: xdr computes `x + tanh(W x + b)` there, and this layer is another")
        weights = load_file(parts[1] / "model.safetensors")
        encoder.head.load_state_dict({name.removeprefix("linear."): value for name, value in weights.items()})
    tokenizer = Tokenizer.from_file(str(parts[0] / "tokenizer.json"))
    return encoder, TextTokenizer(StaticTokenizer(tokenizer), _reading(folder, 512))


def _reading(folder: Path, longest: int) -> InputFormat:
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
