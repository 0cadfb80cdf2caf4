"""Token encoders in folders of sentence-transformers 6 (`MultiVectorEncoder`), read and written.

It reads those of PyLate and of Stanford's ColBERT too: `MultiVectorEncoder(theirs).save(folder)` writes one that xdr reads.
"""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import nn

from xdr.encoders.encoder_folder import is_encoder_folder, load_tokenizer
from xdr.encoders.hub import sentence_transformers_folder
from xdr.encoders.input_format import Batching, EncoderOptions, InputFormat
from xdr.encoders.packing import FIRST_POSITION
from xdr.encoders.tokenization import HuggingFaceTokenizer, TextTokenizer
from xdr.encoders.transformer_encoder import load_backbone, load_config
from xdr.encoders.vector_layers import load_layer, save_layer
from xdr.errors import UserError, loading
from xdr.late_interaction.token_encoder import TokenChoice, TokenEncoder
from xdr.storage.files import creating_folder
from xdr.storage.model_folders import ENCODER, MODEL, read_modules, read_settings, write_settings

_TOKENS = "token_embeddings"
_MASK, _TRANSFORMER_SETTINGS = "MultiVectorMask", "sentence_bert_config.json"
_TYPES = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Dense": "sentence_transformers.base.modules.dense.Dense",
    _MASK: "sentence_transformers.multi_vector_encoder.modules.multi_vector_mask.MultiVectorMask",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}


def is_token_encoder_folder(folder: Path) -> bool:
    return is_encoder_folder(folder) and _MASK in _modules(folder)


def open_token_encoder(checkpoint: str, dtype: torch.dtype = torch.float32) -> tuple[TokenEncoder, TextTokenizer]:
    """From a checkpoint or the output folder of a training, or from a folder or hub name in sentence-transformers' layout."""
    path = Path(checkpoint).expanduser()
    if path.is_file():
        encoder, tokenizer = open_token_encoder(str(path.parent / MODEL / ENCODER), dtype)
        with loading(f"the checkpoint {path}"):
            state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
            own = {key.removeprefix("bi_encoder."): value for key, value in state.items() if key.startswith("bi_encoder.")}
            encoder.load_state_dict(own)
        return encoder, tokenizer
    source = source_of(checkpoint)
    folder = sentence_transformers_folder(source)
    if folder is None or not is_token_encoder_folder(folder):
        raise UserError(
            "a late-interaction encoder must be a checkpoint or the output folder of a training with model=colbert, or a "
            f"folder or hub name in the layout of sentence-transformers' MultiVectorEncoder, got {checkpoint}"
        )
    with loading(f"the encoder in {checkpoint}"):
        return load_token_encoder(folder, weights=source, dtype=dtype)


def source_of(path: str) -> str:
    """The encoder in the output folder of a training; else the folder or hub name itself."""
    local = Path(path).expanduser()
    if is_encoder_folder(local / ENCODER):
        return str(local / ENCODER)
    return str(local) if local.exists() else path


def load_token_encoder(
    folder: Path,
    options: EncoderOptions | None = None,
    *,
    weights: str | None = None,
    batching: Batching | None = None,
    dtype: torch.dtype = torch.float32,
) -> tuple[TokenEncoder, TextTokenizer]:
    """Only lengths and prefixes count of the options. `weights` is the hub name of the transformer if `folder` does not hold
    its weights."""
    modules = _modules(folder)
    names = [name for name in modules if name != _MASK]
    dense = [name for name in names if name.startswith("Dense")]
    if names != ["Transformer", *dense, "Normalize"]:
        raise UserError(
            f"the modules of {folder} must be Transformer, Dense, MultiVectorMask and Normalize, got {', '.join(modules)}"
        )
    similarity = read_settings(folder / "config_sentence_transformers.json").get("similarity_fn_name")
    if similarity not in (None, "maxsim"):
        raise UserError(f"similarity_fn_name of {folder} must be maxsim, got {similarity}")
    source, subfolder = weights or str(folder), modules["Transformer"]
    layers = [load_layer("Dense", folder / modules[name], dtype, of=_TOKENS) for name in dense]
    config = load_config(source, subfolder)
    batching = batching or ("packed" if config.model_type in FIRST_POSITION else "grouped")
    tokenizer = load_tokenizer(folder, source, subfolder, config)
    settings = read_settings(folder / subfolder / _TRANSFORMER_SETTINGS)
    tokens = _read_choice(
        settings.get("query_expansion") or {}, read_settings(folder / modules[_MASK] / "config.json"), tokenizer
    )
    form = (options or EncoderOptions()).input_format(_input_format(settings, tokenizer.input_format))
    encoder = TokenEncoder(load_backbone(source, dtype, batching, subfolder), layers, batching, tokens)
    return encoder, TextTokenizer(tokenizer.tokenize, form)


def choose_tokens(
    tokenizer: TextTokenizer, query_tokens: int, attend: bool, skipped_words: Sequence[str], expansion_token: str | None = None
) -> TokenChoice:
    """Words that are no token of the tokenizer are not skipped."""
    assert isinstance(tokenizer.tokenize, HuggingFaceTokenizer)
    inner = tokenizer.tokenize.tokenizer
    expansion = inner.mask_token_id if inner.mask_token_id is not None else inner.eos_token_id
    if expansion_token is not None:
        expansion = inner.convert_tokens_to_ids(expansion_token)
    if query_tokens and expansion is None:
        raise UserError("query_expansion must be false for a tokenizer without a mask token and an end token, got true")
    ids = {word: inner.convert_tokens_to_ids(word) for word in skipped_words}
    known = tuple(i for word, i in ids.items() if i is not None and (i != inner.unk_token_id or word == inner.unk_token))
    return TokenChoice(query_tokens, expansion or 0, expansion_token, attend, tuple(skipped_words), known)


def _read_choice(expansion: dict[str, Any], mask: dict[str, Any], tokenizer: TextTokenizer) -> TokenChoice:
    tasks, words = mask.get("skiplist_tasks") or ["document"], mask.get("skiplist_words") or []
    if mask.get("keep_only_token_ids") or (words and tasks != ["document"]):
        raise UserError(
            "MultiVectorMask must have the skiplist_tasks document, and no keep_only_token_ids, got "
            f"{', '.join(tasks)} and {mask.get('keep_only_token_ids')}"
        )
    return choose_tokens(
        tokenizer, int(expansion.get("length", 0)), bool(expansion.get("attend")), words, expansion.get("token")
    )


def _input_format(settings: dict[str, Any], form: InputFormat) -> InputFormat:
    """With the strategy `fixed`, the length of an expansion is the longest of a query, and with `min` only the shortest."""
    expansion = settings.get("query_expansion") or {}
    longest = expansion["length"] if expansion.get("strategy") == "fixed" else settings.get("query_length")
    passages = settings.get("document_length")
    return replace(form, query_length=longest or form.query_length, passage_length=passages or form.passage_length)


def save_token_encoder(encoder: TokenEncoder, tokenizer: TextTokenizer, folder: Path) -> None:
    """Writes the folder under another name, then renames it. `folder` must not exist."""
    assert isinstance(tokenizer.tokenize, HuggingFaceTokenizer)
    form, tokens = tokenizer.input_format, encoder.tokens
    with creating_folder(folder) as partial:
        encoder.backbone.save_pretrained(partial)
        tokenizer.tokenize.tokenizer.save_pretrained(partial)
        names = ["Transformer", *["Dense"] * len(encoder.layers), _MASK, "Normalize"]
        paths = ["", *(f"{place}_{name}" for place, name in enumerate(names[1:], 1))]
        for layer, path in zip(encoder.layers, paths[1:], strict=False):
            _save_dense(layer, partial / path)
        for path in paths[-2:]:
            (partial / path).mkdir()
        mask = {"skiplist_words": list(tokens.skipped_words), "skiplist_tasks": ["document"], "keep_only_token_ids": None}
        write_settings(partial / paths[-2] / "config.json", mask)
        normalize = {"module_input_name": _TOKENS, "module_output_name": _TOKENS}
        write_settings(partial / paths[-1] / "config.json", normalize)
        described = [
            {"idx": place, "name": str(place), "path": path, "type": _TYPES[name]}
            for place, (name, path) in enumerate(zip(names, paths, strict=True))
        ]
        write_settings(partial / "modules.json", described)
        lengths = {"query_length": form.query_length, "document_length": form.passage_length}
        settings = {**lengths, "query_expansion": _expansion(tokens, form), "module_output_name": _TOKENS}
        write_settings(partial / _TRANSFORMER_SETTINGS, settings)
        prompts = {"query": form.query_prefix, "document": form.passage_prefix}
        whole = {"model_type": "MultiVectorEncoder", "prompts": prompts, "similarity_fn_name": "maxsim"}
        write_settings(partial / "config_sentence_transformers.json", whole)


def _expansion(tokens: TokenChoice, form: InputFormat) -> dict[str, Any] | None:
    if not tokens.query_tokens:
        return None
    strategy = "fixed" if tokens.query_tokens == form.query_length else "min"
    return {"strategy": strategy, "attend": tokens.attend, "token": tokens.expansion_token, "length": tokens.query_tokens}


def _save_dense(layer: nn.Module, folder: Path) -> None:
    save_layer(layer, folder)
    of_tokens = {"module_input_name": _TOKENS, "module_output_name": _TOKENS}
    write_settings(folder / "config.json", {**read_settings(folder / "config.json"), **of_tokens})


def _modules(folder: Path) -> dict[str, str]:
    """The path of each module by its name. Dense layers after the first are Dense2, Dense3 ..."""
    found: dict[str, str] = {}
    for name, path in read_modules(folder):
        number = sum(known.startswith(name) for known in found)
        found[f"{name}{number + 1}" if number else name] = path
    return found
