"""What sentence-transformers' files on the Hugging Face hub say about a model."""

from pathlib import Path

FILES = [
    "modules.json",
    "config_sentence_transformers.json",
    "xdr.json",
    "*sentence_bert_config.json",
    "*_Pooling/config.json",
    "*_StaticEmbedding/*",
    "*_Dense/config.json",
    "*_Dense/model.safetensors",
    "*_Normalize/config.json",
    "*_MultiVectorMask/config.json",
]
"""Everything but the weights and the tokenizer of a transformer, which transformers finds by itself."""


def sentence_transformers_folder(path: str) -> Path | None:
    """The folder with sentence-transformers' files of a model, given its folder or hub name; None if there are none, or if the
    hub cannot be reached and its cache has none."""
    folder = Path(path)
    if not folder.exists():
        from huggingface_hub import snapshot_download
        from huggingface_hub.errors import HfHubHTTPError, HFValidationError, LocalEntryNotFoundError

        try:
            folder = Path(snapshot_download(path, allow_patterns=FILES))
        except (HfHubHTTPError, HFValidationError, LocalEntryNotFoundError):
            return None
    return folder if (folder / "modules.json").is_file() else None
