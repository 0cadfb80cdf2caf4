"""Bi-encoders from their settings."""

from pathlib import Path

import torch

from xdr.data.problems import Problems
from xdr.data.sample import Sample
from xdr.encoders.bi_encoder import BiEncoder
from xdr.encoders.encoder_folder import is_encoder_folder, load_encoder
from xdr.encoders.input_format import DEFAULT_FORMAT, Batching, EncoderOptions, InputFormat
from xdr.encoders.models import SmallBiEncoder, StaticBiEncoder, TransformerBiEncoder
from xdr.encoders.small import build_small_bert, build_small_xlm_roberta
from xdr.encoders.static_encoder import StaticEncoder, read_static_vectors
from xdr.encoders.tokenization import HuggingFaceTokenizer, StaticTokenizer, TextTokenizer
from xdr.encoders.transformer_encoder import TransformerEncoder, adapt, load_backbone, refuse_longer
from xdr.errors import UserError

DTYPES = {"float32": torch.float32, "bfloat16": torch.bfloat16}


def transformer_bi_encoder(
    path: str,
    pooling: str,
    normalize: bool,
    reading: InputFormat,
    tied: bool,
    batching: Batching,
    dtype: str,
    lora_rank: int,
    gradient_checkpointing: bool,
    compile_backbone: bool,
) -> tuple[BiEncoder, TextTokenizer]:
    """`path` is a folder or hub name of a backbone, or a folder in sentence-transformers' layout, whose own pooling, norm and
    prefixes then count."""
    from transformers import AutoTokenizer

    if dtype not in DTYPES:
        raise UserError(f"model.dtype is one of {', '.join(DTYPES)}, and '{dtype}' came")
    if is_encoder_folder(Path(path)):
        encoder, reader = load_encoder(Path(path), batching=batching, dtype=DTYPES[dtype])
        return BiEncoder(encoder, None if tied else load_encoder(Path(path), batching=batching, dtype=DTYPES[dtype])[0]), reader

    if compile_backbone and batching == "packed":
        raise UserError("packed batches have another shape each time, which would be compiled anew; set model.batching=padded")

    def tower() -> TransformerEncoder:
        backbone = load_backbone(path, DTYPES[dtype], batching)
        refuse_longer(reading, backbone.config, "model")
        backbone = adapt(backbone, gradient_checkpointing=gradient_checkpointing, lora_rank=lora_rank)
        if compile_backbone:
            backbone.compile(dynamic=True)  # in place: the names of the weights stay
        return TransformerEncoder(backbone, pooling, normalize, batching)

    bi_encoder = BiEncoder(tower(), None if tied else tower())
    return bi_encoder, TextTokenizer(HuggingFaceTokenizer(AutoTokenizer.from_pretrained(path)), reading)


def static_bi_encoder(path: str, normalize: bool, reading: InputFormat) -> tuple[BiEncoder, TextTokenizer]:
    """Static vectors in model2vec's layout, as `vectors.npy` + `pieces.txt`, or a folder that xdr left."""
    folder = Path(path).expanduser()
    if is_encoder_folder(folder) and not (folder / "vectors.npy").exists() and (folder / "xdr.json").exists():
        encoder, reader = load_encoder(folder)
        return BiEncoder(encoder), reader
    vectors_VD, tokenizer = read_static_vectors(folder)
    return BiEncoder(StaticEncoder(vectors_VD, normalize)), TextTokenizer(StaticTokenizer(tokenizer), reading)


def small_bi_encoder(
    family: str,
    folder: Path,
    seed: int,
    hidden: int,
    layers: int,
    dropout: float,
    pooling: str,
    normalize: bool,
    reading: InputFormat,
) -> tuple[BiEncoder, TextTokenizer]:
    """A new small BERT or XLM-R with the sample's vocabulary, made in `folder` unless it is there."""
    builders = {"bert": build_small_bert, "xlm-roberta": build_small_xlm_roberta}
    if family not in builders:
        raise UserError(f"model.family is one of {', '.join(builders)}, and '{family}' came")
    if not (folder / "config.json").exists():
        sample = Sample()
        texts = [f"{passage.title} {passage.text}" for passage in sample.passages(Problems())]
        texts += [query.text for query in sample.queries("train", Problems())]
        builders[family](texts, folder, seed=seed, hidden=hidden, layers=layers, dropout=dropout)
    return transformer_bi_encoder(str(folder), pooling, normalize, reading, True, "packed", "float32", 0, False, False)


def build_transformer(settings: TransformerBiEncoder) -> tuple[BiEncoder, TextTokenizer]:
    return transformer_bi_encoder(
        settings.path,
        settings.pooling or "first",
        bool(settings.normalize),
        EncoderOptions.of(settings).input_format(DEFAULT_FORMAT),
        settings.tied,
        settings.batching,
        settings.dtype,
        settings.lora_rank,
        settings.gradient_checkpointing,
        settings.compile_backbone,
    )


def build_static(settings: StaticBiEncoder) -> tuple[BiEncoder, TextTokenizer]:
    return static_bi_encoder(settings.path, bool(settings.normalize), settings.options().input_format(DEFAULT_FORMAT))


def build_small(settings: SmallBiEncoder, folder: Path, seed: int) -> tuple[BiEncoder, TextTokenizer]:
    return small_bi_encoder(
        settings.family,
        folder,
        seed,
        settings.hidden,
        settings.layers,
        settings.dropout,
        settings.pooling,
        settings.normalize,
        EncoderOptions.of(settings).input_format(DEFAULT_FORMAT),
    )
