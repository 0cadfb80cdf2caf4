"""A transformer as a text encoder: backbone, pooling, optional L2 normalization.

B texts, L tokens of the longest, T tokens of all, D dimensions.
"""

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from xdr.encoders.input_format import Batching
from xdr.encoders.packing import FIRST_POSITION, NAME, packed_inputs, states_of_one_token
from xdr.encoders.pooling import POOLINGS
from xdr.encoders.texts import Texts, by_length, pad, select
from xdr.errors import UserError, first_line

NUM_GROUPS = 4
"""The number of groups of similar length that `grouped` splits a batch into."""


class TransformerEncoder(nn.Module):
    """Every `batching` gives the same vectors to rounding."""

    def __init__(self, backbone: Any, pooling: str, normalize: bool, batching: Batching) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.normalize = normalize
        self.batching: Batching = batching
        self.dimension: int = backbone.config.hidden_size

    def forward(self, texts: Texts) -> Tensor:
        vectors_BD = getattr(self, f"_{self.batching}")(texts)
        return F.normalize(vectors_BD.float(), dim=-1) if self.normalize else vectors_BD

    def _padded(self, texts: Texts) -> Tensor:
        ids_BL, mask_BL = pad(texts, self.backbone.config.pad_token_id or 0)
        hidden_BLD = self.backbone(input_ids=ids_BL, attention_mask=mask_BL.long()).last_hidden_state
        return POOLINGS[self.pooling].pool(hidden_BLD[mask_BL], texts.starts_B, texts.lengths_B)

    def _grouped(self, texts: Texts) -> Tensor:
        order_B = by_length(texts)
        parts = [self._padded(select(texts, rows)) for rows in order_B.tensor_split(NUM_GROUPS) if len(rows)]
        return torch.cat(parts)[order_B.argsort()]

    def _packed(self, texts: Texts) -> Tensor:
        order_B = by_length(texts)
        ordered = select(texts, order_B)
        pooling = POOLINGS[self.pooling]
        if pooling.token is not None:
            rows_B = pooling.token(ordered.starts_B, ordered.lengths_B)
            return states_of_one_token(self.backbone, ordered, rows_B)[order_B.argsort()]
        inputs = packed_inputs(ordered, self.backbone.config.model_type)
        hidden_TD = self.backbone(**inputs).last_hidden_state[0]
        return pooling.pool(hidden_TD, ordered.starts_B, ordered.lengths_B)[order_B.argsort()]


def load_config(path: str, subfolder: str = "", parameter: str = "path") -> Any:
    """The configuration of a backbone, by folder or hub name. `parameter` names `path` in the error."""
    try:
        return AutoConfig.from_pretrained(path, subfolder=subfolder)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{parameter} must be a model folder, or the name of a model on the hub that can be reached, got {path}. "
            f"{first_line(error)}"
        ) from None


def load_backbone(path: str, dtype: torch.dtype, batching: Batching, subfolder: str = "") -> Any:
    """A backbone by folder or hub name, without a pooler, which would have no gradients."""
    config = load_config(path, subfolder)
    if batching == "packed" and config.model_type not in FIRST_POSITION:
        raise UserError(
            f"batching must be grouped or padded for a {config.model_type} backbone, got packed. "
            f"Only {', '.join(FIRST_POSITION)} can be packed"
        )
    arguments: dict[str, Any] = {"dtype": dtype, "subfolder": subfolder}
    if batching == "packed":
        arguments["attn_implementation"] = NAME
    if "add_pooling_layer" in inspect.signature(AutoModel._model_mapping[type(config)].__init__).parameters:
        arguments["add_pooling_layer"] = False
    try:
        return AutoModel.from_pretrained(path, config=config, **arguments)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"the model in {path} cannot be loaded: {first_line(error)}") from None


def load_transformer(
    path: str, pooling: str, normalize: bool, batching: Batching | None, dtype: torch.dtype, subfolder: str = ""
) -> TransformerEncoder:
    """Without a `batching`, packed where the backbone can be packed, else grouped."""
    if batching is None:
        batching = "packed" if load_config(path, subfolder).model_type in FIRST_POSITION else "grouped"
    return TransformerEncoder(load_backbone(path, dtype, batching, subfolder), pooling, normalize, batching)


def num_positions(config: Any) -> int | None:
    """How many tokens a text can have; None if there is no limit. RoBERTa's table has two more positions for padding."""
    size = getattr(config, "max_position_embeddings", None)
    return size - FIRST_POSITION.get(config.model_type, 0) if size else None


def adapt(backbone: Any, *, gradient_checkpointing: bool, lora_rank: int) -> Any:
    """With `lora_rank` above 0, freezes the backbone and adds low-rank updates of its attention, which are trained."""
    if gradient_checkpointing:
        backbone.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if not lora_rank:
        return backbone
    try:
        import peft
    except ImportError as error:
        raise UserError("lora_rank needs the package `peft`. Install it with: pip install 'xdr[lora]'") from error
    settings = peft.LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, target_modules=["query", "value"])
    adapted = peft.get_peft_model(backbone, settings)
    if gradient_checkpointing:
        adapted.enable_input_require_grads()
    return adapted
