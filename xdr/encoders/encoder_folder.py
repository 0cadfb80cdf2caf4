"""Save encoders as folders in sentence-transformers' layout, and load such folders.

sentence-transformers has one length for queries and passages; `xdr.json` in the same folder holds both. A folder without
`xdr.json` is read by sentence-transformers' files alone.
"""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from torch import nn
from transformers import AutoTokenizer

from xdr.encoders.input_format import Batching, InputFormat
from xdr.encoders.pooling import POOLINGS, poolings_of
from xdr.encoders.static_encoder import StaticEncoder
from xdr.encoders.tokenization import HuggingFaceTokenizer, StaticTokenizer, TextTokenizer, lowercase
from xdr.encoders.transformer_encoder import TransformerEncoder, load_transformer, num_positions
from xdr.encoders.vector_layers import cutting, is_cutting, load_layer, save_layer
from xdr.errors import UserError
from xdr.storage.files import creating_folder
from xdr.storage.model_folders import read_modules, read_settings, write_settings

_MODULES = "sentence_transformers.models."
_FLAG = "pooling_mode_"
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
        prompts = {"query": form.query_prefix, "document": form.passage_prefix, "passage": form.passage_prefix}
        cut = getattr(encoder, "truncate_dim", None) if not encoder.normalize else None
        settings = {"prompts": prompts, "similarity_fn_name": "dot"} | ({"truncate_dim": cut} if cut else {})
        write_settings(partial / "modules.json", described)
        write_settings(partial / "config_sentence_transformers.json", settings)
        write_settings(partial / "xdr.json", {"query_length": form.query_length, "passage_length": form.passage_length})


def _save_transformer(encoder: TransformerEncoder, tokenizer: TextTokenizer, folder: Path) -> list[tuple[str, str]]:
    assert isinstance(tokenizer.tokenize, HuggingFaceTokenizer)
    backbone = encoder.backbone
    if hasattr(backbone, "merge_and_unload"):  # LoRA
        import copy

        backbone = copy.deepcopy(backbone).merge_and_unload()
    backbone.save_pretrained(folder)
    tokenizer.tokenize.tokenizer.save_pretrained(folder)
    write_settings(
        folder / "sentence_bert_config.json", {"max_seq_length": tokenizer.input_format.passage_length, "do_lower_case": False}
    )
    (folder / "1_Pooling").mkdir()
    write_settings(folder / "1_Pooling" / "config.json", _pooling_settings(encoder))
    modules = [("Transformer", ""), ("Pooling", "1_Pooling")]
    for layer in _layers_to_save(encoder):
        modules.append((type(layer).__name__, f"{len(modules)}_{type(layer).__name__}"))
        save_layer(layer, folder / modules[-1][1])
    return modules


def _pooling_settings(encoder: TransformerEncoder) -> dict[str, Any]:
    """Several poolings, whose order counts, need sentence-transformers 6; one is written for older versions too."""
    chosen = poolings_of(encoder.pooling)
    dimension = {"word_embedding_dimension": encoder.backbone.config.hidden_size}
    if len(chosen) > 1:
        return {**dimension, "pooling_mode": [pooling.sentence_transformers for pooling in chosen]}
    return {**dimension, **{pooling.flag: pooling is chosen[0] for pooling in POOLINGS.values()}}


def _layers_to_save(encoder: TransformerEncoder) -> list[nn.Module]:
    """sentence-transformers truncates after it has normalized. Where truncated vectors are normalized, a layer truncates."""
    if encoder.truncate_dim is None or not encoder.normalize:
        return list(encoder.layers)
    layer = cutting(encoder.full_dimension, encoder.truncate_dim)
    return [*encoder.layers, layer.to(next(encoder.parameters()).dtype)]


def _save_static(encoder: StaticEncoder, tokenizer: TextTokenizer, folder: Path) -> list[tuple[str, str]]:
    assert isinstance(tokenizer.tokenize, StaticTokenizer)
    for name in (_STATIC, _DENSE):
        (folder / name).mkdir()
    save_file({"embedding.weight": encoder.embedding.weight.detach().contiguous()}, folder / _STATIC / "model.safetensors")
    tokenizer.tokenize.tokenizer.save(str(folder / _STATIC / "tokenizer.json"))
    head = {f"linear.{name}": value.detach().contiguous() for name, value in encoder.head.state_dict().items()}
    save_file(head, folder / _DENSE / "model.safetensors")
    settings = {"in_features": encoder.dimension, "out_features": encoder.dimension, "bias": True, "use_residual": True}
    write_settings(folder / _DENSE / "config.json", {**settings, "activation_function": "torch.nn.modules.activation.Tanh"})
    return [("StaticEmbedding", _STATIC), ("Dense", _DENSE)]


def is_encoder_folder(folder: Path) -> bool:
    return (folder / "modules.json").is_file()


def load_encoder_folder(
    folder: Path, *, weights: str | None = None, batching: Batching | None = None, dtype: torch.dtype = torch.float32
) -> tuple[nn.Module, TextTokenizer]:
    """Reads sentence-transformers' layout: Transformer and Pooling, or static embeddings, and what follows them. `weights`
    is the hub name of the transformer if `folder` does not hold its weights."""
    modules = read_modules(folder)
    names, paths = [name for name, _ in modules], [path for _, path in modules]
    normalize = names[-1:] == ["Normalize"]
    if normalize:
        names.pop()
    if names[:2] == ["Transformer", "Pooling"] and set(names[2:]) <= {"Dense", "Normalize"}:
        pooling = _read_pooling(folder / paths[1] / "config.json")
        layers = [load_layer(name, folder / path, dtype) for name, path in zip(names[2:], paths[2:], strict=False)]
        encoder = load_transformer(weights or str(folder), pooling, normalize, batching, dtype, paths[0], layers)
        truncate(encoder, read_settings(folder / "config_sentence_transformers.json").get("truncate_dim"))
        return encoder, load_tokenizer(folder, weights or str(folder), paths[0], encoder.backbone.config)
    if names in (["StaticEmbedding"], ["StaticEmbedding", "Dense"]):
        return _load_static(folder, [folder / path for path in paths[: len(names)]], normalize)
    raise UserError(
        f"the modules of {folder} must be Transformer and Pooling, or StaticEmbedding, with Dense and Normalize after them, "
        f"got {', '.join(names)}"
    )


def truncate(encoder: TransformerEncoder, dimension: int | None) -> None:
    """Keeps the first dimensions of its vectors. A layer that does only this, as `save_encoder` writes it, becomes the setting
    that it was."""
    layers = list(encoder.layers)
    if encoder.normalize and layers and is_cutting(layers[-1]):
        dimension = min(dimension or encoder.dimension, encoder.dimension)
        encoder.layers = nn.Sequential(*layers[:-1])
    if dimension is None:
        return
    if dimension > encoder.dimension:
        raise UserError(f"truncate_dim must be at most {encoder.dimension}, the dimension of the vectors, got {dimension}")
    encoder.truncate_dim = dimension


def _read_pooling(path: Path) -> str:
    """From the older layout with one flag a mode, or the newer one with the name of the mode, or several."""
    settings = read_settings(path)
    if settings.get("include_prompt", True) is False:
        raise UserError(
            f"include_prompt in {path} must be true, got false. xdr cannot leave the tokens of a prompt out of a pooling"
        )
    modes = settings.get("pooling_mode") or [key for key, value in settings.items() if key.startswith(_FLAG) and value]
    modes = [modes] if isinstance(modes, str) else modes
    known = {pooling.sentence_transformers: name for name, pooling in POOLINGS.items()}
    known |= {pooling.flag: name for name, pooling in POOLINGS.items()}
    if not modes or not set(modes) <= known.keys():
        rule = ", ".join(pooling.sentence_transformers for pooling in POOLINGS.values())
        raise UserError(f"the pooling in {path} must be one or more of {rule}, got {', '.join(map(str, modes)) or 'none'}")
    return "+".join(known[mode] for mode in modes)


def load_tokenizer(folder: Path, weights: str, subfolder: str, config: Any) -> TextTokenizer:
    tokenizer = AutoTokenizer.from_pretrained(weights, subfolder=subfolder)
    settings = read_settings(folder / subfolder / "sentence_bert_config.json")
    if settings.get("do_lower_case"):
        lowercase(tokenizer)
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
        settings = read_settings(parts[1] / "config.json")
        if not settings.get("use_residual") or not str(settings.get("activation_function")).endswith(".Tanh"):
            raise UserError(f"the layer in {parts[1]} must be `x + tanh(W x + b)`: use_residual with the activation Tanh")
        weights = load_file(parts[1] / "model.safetensors")
        encoder.head.load_state_dict({name.removeprefix("linear."): value for name, value in weights.items()})
    tokenizer = Tokenizer.from_file(str(parts[0] / "tokenizer.json"))
    return encoder, TextTokenizer(StaticTokenizer(tokenizer), _input_format(folder, 512))


def _input_format(folder: Path, longest: int) -> InputFormat:
    query_prefix, passage_prefix = _prefixes(read_settings(folder / "config_sentence_transformers.json"))
    ours = read_settings(folder / "xdr.json")
    lengths = {name: int(ours.get(name, longest)) for name in ("query_length", "passage_length")}
    return InputFormat(**lengths, query_prefix=query_prefix, passage_prefix=passage_prefix)


def _prefixes(settings: dict[str, Any]) -> tuple[str, str]:
    """The prompts that sentence-transformers' `encode_query` and `encode_document` prepend. Where a folder names none of them,
    both are the default prompt, as in `encode`. An empty `document` beside another `passage` is a default of that library."""
    prompts = {name: text or "" for name, text in (settings.get("prompts") or {}).items()}
    of_passages = [prompts[name] for name in ("document", "passage", "corpus") if name in prompts]
    if "query" in prompts or of_passages:
        return prompts.get("query", ""), next(filter(None, of_passages), "")
    default = prompts.get(settings.get("default_prompt_name") or "", "")
    return default, default
