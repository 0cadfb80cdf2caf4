"""Any transformer as a text encoder: backbone, pooling, optional L2 norm."""

import inspect
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from xdr.encoders.input_format import Batching, InputFormat
from xdr.encoders.packing import FIRST_POSITION, NAME, packed_inputs, states_of_one_token
from xdr.encoders.pooling import POOLINGS
from xdr.encoders.texts import Texts, by_length, pad, select
from xdr.errors import UserError, first_line

NUM_GROUPS = 4
"""Into how many groups of like length a batch is cut where the backbone cannot pack."""


class TransformerEncoder(nn.Module):
    """`batching` is how a batch meets the backbone: `packed` without padding, `grouped` padded in groups of like length,
    `padded` as one. The vectors are the same to rounding."""

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


def load_backbone(path: str, dtype: torch.dtype, batching: Batching) -> Any:
    """A backbone by folder or hub name, without a pooler that nothing would train."""
    try:
        config = AutoConfig.from_pretrained(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"model.path={path} is no model folder and no hub name that can be reached: {first_line(error)}"
        ) from None
    if batching == "packed" and config.model_type not in FIRST_POSITION:
        known = ", ".join(FIRST_POSITION)
        raise UserError(f"a {config.model_type} backbone cannot pack ({known} can); set model.batching=grouped")
    arguments: dict[str, Any] = {"dtype": dtype}
    if batching == "packed":
        arguments["attn_implementation"] = NAME
    if "add_pooling_layer" in inspect.signature(AutoModel._model_mapping[type(config)].__init__).parameters:
        arguments["add_pooling_layer"] = False
    try:
        return AutoModel.from_pretrained(path, config=config, **arguments)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"the model in {path} cannot be loaded: {first_line(error)}") from None


def refuse_longer(reading: InputFormat, config: Any, group: str) -> None:
    """RoBERTa's table of positions has two more than a text can take."""
    longest = getattr(config, "max_position_embeddings", None)
    for name in ("query_length", "passage_length"):
        length, positions = getattr(reading, name), (longest or 0) - FIRST_POSITION.get(config.model_type, 0)
        if longest and length > positions:
            raise UserError(f"{group}.{name}={length} is more than the {positions} positions that the model has")


def adapt(backbone: Any, *, gradient_checkpointing: bool, lora_rank: int) -> Any:
    """LoRA where `lora_rank` is above zero: the backbone is frozen, and low-rank updates of its attention are trained."""
    if gradient_checkpointing:
        backbone.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if not lora_rank:
        return backbone
    try:
        import peft
    except ImportError as error:
        raise UserError("model.lora_rank needs the package `peft`: pip install 'xdr[lora]'") from error
    settings = peft.LoraConfig(r=lora_rank, lora_alpha=2 * lora_rank, target_modules=["query", "value"])
    adapted = peft.get_peft_model(backbone, settings)
    if gradient_checkpointing:
        adapted.enable_input_require_grads()
    return adapted
