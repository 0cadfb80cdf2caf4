"""Open an encoder from a checkpoint, a folder or the hub."""

from pathlib import Path

import torch
from torch import nn
from transformers import AutoTokenizer

from xdr.encoders.encoder_folder import is_encoder_folder, load_encoder_folder, truncate
from xdr.encoders.hub import sentence_transformers_folder
from xdr.encoders.input_format import DEFAULT_FORMAT, Batching, EncoderOptions
from xdr.encoders.packing import is_causal
from xdr.encoders.pooling import POOLINGS
from xdr.encoders.static_encoder import StaticEncoder, read_static_vectors
from xdr.encoders.tokenization import (
    HuggingFaceTokenizer,
    StaticTokenizer,
    TextTokenizer,
    TokenizeTexts,
    append_end_token,
    ends_texts,
)
from xdr.encoders.transformer_encoder import TransformerEncoder, load_config, load_transformer, num_positions
from xdr.errors import UserError, loading
from xdr.storage.model_folders import ENCODER, GENERATOR, MODEL, PASSAGE_ENCODER


def open_encoder(
    checkpoint: str, options: EncoderOptions | None = None, *, dtype: torch.dtype = torch.float32
) -> tuple[nn.Module, nn.Module | None, TextTokenizer]:
    """Returns the encoder of queries, that of passages if it is another, and the tokenizer. `checkpoint` is a Lightning
    checkpoint of ours, the output folder of a training, an encoder in sentence-transformers' layout or a plain backbone in
    Hugging Face's (by folder or hub name), or a folder of static vectors. Only plain backbones need a pooling."""
    with loading(f"the encoder in {checkpoint}"):
        return _opened(checkpoint, options or EncoderOptions(), dtype)


def _opened(checkpoint: str, options: EncoderOptions, dtype: torch.dtype) -> tuple[nn.Module, nn.Module | None, TextTokenizer]:
    path = Path(checkpoint).expanduser()
    if path.is_file():
        queries, passages, tokenizer = _from_checkpoint(path, dtype)
    elif is_encoder_folder(path / ENCODER):
        queries, passages, tokenizer = _from_training(path, dtype)
    elif (path / "vectors.npy").is_file():
        queries, tokenizer = open_static(path, options)
        return queries, None, tokenizer
    else:
        if path.is_dir():
            _require_model(path)
        queries, tokenizer = open_model(checkpoint, options, dtype=dtype, parameter="checkpoint")
        return queries, None, tokenizer
    return queries, passages, _as_asked(checkpoint, queries, tokenizer, options)


def open_model(
    path: str,
    options: EncoderOptions,
    *,
    batching: Batching | None = None,
    dtype: torch.dtype = torch.float32,
    parameter: str = "path",
) -> tuple[nn.Module, TextTokenizer]:
    """An encoder in sentence-transformers' layout, or a plain backbone, by folder or hub name. `parameter` names `path` in
    errors."""
    with loading(f"the encoder in {path}"):
        return _opened_model(path, options, batching, dtype, parameter)


def _opened_model(
    path: str, options: EncoderOptions, batching: Batching | None, dtype: torch.dtype, parameter: str
) -> tuple[nn.Module, TextTokenizer]:
    local = Path(path).expanduser()
    source = str(local) if local.exists() else path
    folder = sentence_transformers_folder(source)
    if folder is not None:
        encoder, tokenizer = load_encoder_folder(folder, weights=source, batching=batching, dtype=dtype)
        return encoder, _as_asked(path, encoder, tokenizer, options)
    load_config(source, parameter=parameter)
    if options.pooling is None:
        raise UserError(
            f"pooling must be given for a plain backbone, got none. {path} has no files of sentence-transformers, which would "
            f"name it. Choose one of {', '.join(POOLINGS)}"
        )
    encoder = load_transformer(source, options.pooling, bool(options.normalize), batching, dtype)
    tokenizer = AutoTokenizer.from_pretrained(source)
    if options.end_token is None and options.pooling == "last" and is_causal(encoder.backbone.config):
        append_end_token(tokenizer)
    return encoder, _as_asked(path, encoder, TextTokenizer(HuggingFaceTokenizer(tokenizer), DEFAULT_FORMAT), options)


def open_static(folder: Path, options: EncoderOptions) -> tuple[StaticEncoder, TextTokenizer]:
    """Static vectors without a layer of their own: model2vec's layout, or `vectors.npy` beside `pieces.txt`."""
    vectors_VD, vocabulary = read_static_vectors(folder)
    encoder = StaticEncoder(vectors_VD, bool(options.normalize))
    return encoder, _as_asked(str(folder), encoder, TextTokenizer(StaticTokenizer(vocabulary), DEFAULT_FORMAT), options)


def _as_asked(path: str, encoder: nn.Module, tokenizer: TextTokenizer, options: EncoderOptions) -> TextTokenizer:
    """The tokenizer with the lengths and prefixes that the user asked for; the encoder is truncated as asked. Pooling and
    normalization cannot be changed."""
    for name, own in (("pooling", getattr(encoder, "pooling", "mean")), ("normalize", encoder.normalize)):
        asked = getattr(options, name)
        if asked not in (None, own):
            raise UserError(f"{name} must be {own}, as {path} says, got {asked}. Leave it out (null)")
    if isinstance(encoder, TransformerEncoder):
        truncate(encoder, options.truncate_dim)
        _end_as_asked(path, tokenizer.tokenize, options.end_token)
    elif unfit := next((name for name in ("truncate_dim", "end_token") if getattr(options, name) is not None), None):
        raise UserError(f"{unfit} must be null for static vectors, got {getattr(options, unfit)}")
    input_format = options.input_format(tokenizer.input_format)
    most = num_positions(encoder.backbone.config) if isinstance(encoder, TransformerEncoder) else None
    for name in ("query_length", "passage_length"):
        length = getattr(input_format, name)
        if most is not None and length > most:
            raise UserError(f"{name} must be at most {most}, the positions of the model, got {length}")
    return TextTokenizer(tokenizer.tokenize, input_format)


def _end_as_asked(path: str, tokenize: TokenizeTexts, asked: bool | None) -> None:
    assert isinstance(tokenize, HuggingFaceTokenizer)
    if asked:
        append_end_token(tokenize.tokenizer)
    elif asked is False and ends_texts(tokenize.tokenizer):
        raise UserError(f"end_token must be true or null, got false. The tokenizer of {path} appends its end token")


def _require_model(folder: Path) -> None:
    if (folder / GENERATOR).is_dir():
        raise UserError(f"checkpoint must be an encoder, got {folder}, which holds a generator")
    if not is_encoder_folder(folder) and not (folder / "config.json").is_file():
        raise UserError(
            "checkpoint must be a checkpoint file, the output folder of a training, or an encoder in Hugging Face's or "
            f"sentence-transformers' layout, got {folder}"
        )


def _from_training(folder: Path, dtype: torch.dtype) -> tuple[nn.Module, nn.Module | None, TextTokenizer]:
    queries, tokenizer = load_encoder_folder(folder / ENCODER, dtype=dtype)
    if not is_encoder_folder(folder / PASSAGE_ENCODER):
        return queries, None, tokenizer
    return queries, load_encoder_folder(folder / PASSAGE_ENCODER, dtype=dtype)[0], tokenizer


def _from_checkpoint(path: Path, dtype: torch.dtype) -> tuple[nn.Module, nn.Module | None, TextTokenizer]:
    """Checkpoints hold weights; the folder beside them holds the configuration and the tokenizer."""
    folder = path.parent / MODEL
    if not is_encoder_folder(folder / ENCODER):
        raise UserError(f"checkpoint must be that of an encoder, with {folder / ENCODER} beside it, got {path}")
    queries, passages, tokenizer = _from_training(folder, dtype)
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    for name, tower in (("encoder", queries), ("passage_encoder", passages)):
        if tower is None:
            continue
        prefix = f"bi_encoder.{name}."
        weights = {key.removeprefix(prefix): value for key, value in state.items() if key.startswith(prefix)}
        if weights.keys() != tower.state_dict().keys():
            raise UserError(
                f"checkpoint must hold the weights of a whole encoder, got {path} with low-rank updates or other parts. "
                "Give the output folder of the training"
            )
        tower.load_state_dict(weights)
    return queries, passages, tokenizer
