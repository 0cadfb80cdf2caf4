"""A transformer as a text encoder: backbone, pooling, further layers, optional truncation and L2 normalization.

B texts, L tokens of the longest, T tokens of all, D dimensions.
"""

import inspect
from collections.abc import Sequence
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import AutoConfig, AutoModel

from xdr.encoders.input_format import Batching, LoraOptions
from xdr.encoders.packing import BERT_LIKE, FIRST_POSITION, NAME, packed_inputs, states_of_one_token
from xdr.encoders.pooling import pool, token_of
from xdr.encoders.texts import Texts, by_length, pad, select
from xdr.encoders.vector_layers import output_dimension
from xdr.errors import UserError, first_line, loading
from xdr.storage.model_folders import require_model_name

NUM_GROUPS = 4
"""The number of groups of similar length that `grouped` splits a batch into."""


class TransformerEncoder(nn.Module):
    """Every `batching` gives the same vectors to rounding. `layers` follow the pooling. With a `truncate_dim`, the first
    dimensions are kept (Matryoshka), and normalized afterwards, so that inner products are cosines."""

    def __init__(
        self,
        backbone: Any,
        pooling: str,
        normalize: bool,
        batching: Batching,
        layers: Sequence[nn.Module] = (),
        truncate_dim: int | None = None,
    ) -> None:
        super().__init__()
        self.backbone = backbone
        self.pooling = pooling
        self.layers = nn.Sequential(*layers)
        self.truncate_dim = truncate_dim
        self.normalize = normalize
        self.batching: Batching = batching

    @property
    def dimension(self) -> int:
        return self.truncate_dim or self.full_dimension

    @property
    def full_dimension(self) -> int:
        """The dimension before vectors are truncated."""
        pooled: int = self.backbone.config.hidden_size * (self.pooling.count("+") + 1)
        return output_dimension(self.layers, pooled)

    def forward(self, texts: Texts) -> Tensor:
        vectors_BD: Tensor = self.layers(getattr(self, f"_{self.batching}")(texts))
        vectors_BD = vectors_BD[:, : self.truncate_dim]
        return F.normalize(vectors_BD.float(), dim=-1) if self.normalize else vectors_BD

    def _padded(self, texts: Texts) -> Tensor:
        ids_BL, mask_BL = pad(texts, self.backbone.config.pad_token_id or 0)
        hidden_BLD = self._last_hidden_state(input_ids=ids_BL, attention_mask=mask_BL.long())
        return pool(self.pooling, hidden_BLD[mask_BL], texts.starts_B, texts.lengths_B)

    def _grouped(self, texts: Texts) -> Tensor:
        order_B = by_length(texts)
        parts = [self._padded(select(texts, rows)) for rows in order_B.tensor_split(NUM_GROUPS) if len(rows)]
        return torch.cat(parts)[order_B.argsort()]

    def _packed(self, texts: Texts) -> Tensor:
        order_B = by_length(texts)
        ordered = select(texts, order_B)
        config, token = self.backbone.config, token_of(self.pooling)
        if token is not None and config.model_type in BERT_LIKE and not config.is_decoder:
            rows_B = token(ordered.starts_B, ordered.lengths_B)
            return states_of_one_token(self.backbone, ordered, rows_B)[order_B.argsort()]
        hidden_TD = self._last_hidden_state(**packed_inputs(ordered, config.model_type))[0]
        return pool(self.pooling, hidden_TD, ordered.starts_B, ordered.lengths_B)[order_B.argsort()]

    def _last_hidden_state(self, **inputs: Any) -> Tensor:
        """Without a cache of keys and values, which decoders would fill."""
        cache = {"use_cache": False} if getattr(self.backbone.config, "use_cache", False) else {}
        hidden: Tensor = self.backbone(**inputs, **cache).last_hidden_state
        return hidden


def load_config(path: str, subfolder: str = "", parameter: str = "path") -> Any:
    """The configuration of a backbone, by folder or hub name. `parameter` names `path` in the error."""
    require_model_name(parameter, path)
    try:
        return AutoConfig.from_pretrained(path, subfolder=subfolder)
    except Exception as error:  # transformers has errors of many kinds
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
    with loading(f"the model in {path}"):
        backbone, found = AutoModel.from_pretrained(path, config=config, output_loading_info=True, **arguments)
    if missing := sorted(found["missing_keys"]):  # transformers would give them random values
        raise UserError(f"the model in {path} is not whole: its files lack {missing[0]} and {len(missing) - 1} other weights")
    return backbone


def load_transformer(
    path: str,
    pooling: str,
    normalize: bool,
    batching: Batching | None,
    dtype: torch.dtype,
    subfolder: str = "",
    layers: Sequence[nn.Module] = (),
) -> TransformerEncoder:
    """Without a `batching`, packed where the backbone can be packed, else grouped."""
    if batching is None:
        batching = "packed" if load_config(path, subfolder).model_type in FIRST_POSITION else "grouped"
    return TransformerEncoder(load_backbone(path, dtype, batching, subfolder), pooling, normalize, batching, layers)


def num_positions(config: Any) -> int | None:
    """How many tokens a text can have; None if there is no limit. RoBERTa's table has two more positions for padding."""
    size = getattr(config, "max_position_embeddings", None)
    return size - FIRST_POSITION.get(config.model_type, 0) if size else None


def set_dropout(backbone: Any, probability: float) -> None:
    """Of hidden states and of attention."""
    for module in backbone.modules():
        if isinstance(module, nn.Dropout):
            module.p = probability
        elif hasattr(module, "attention_dropout"):
            module.attention_dropout = probability


def adapt(backbone: Any, *, gradient_checkpointing: bool, lora: LoraOptions) -> Any:
    """With a rank above 0, freezes the backbone and adds low-rank updates, which are trained."""
    if gradient_checkpointing:
        backbone.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    if not lora.rank:
        return backbone
    try:
        import peft
    except ImportError as error:
        raise UserError("lora_rank needs the package `peft`. Install it with: pip install 'xdr[lora]'") from error
    targets = None if lora.targets is None else list(lora.targets)  # None: those that peft names for the family
    settings = peft.LoraConfig(r=lora.rank, lora_alpha=lora.alpha, lora_dropout=lora.dropout, target_modules=targets)
    try:
        adapted = peft.get_peft_model(backbone, settings)
    except ValueError as error:
        kind = backbone.config.model_type
        layers = sorted({name.rsplit(".", 1)[-1] for name, part in backbone.named_modules() if isinstance(part, nn.Linear)})
        raise UserError(
            f"lora_targets must name linear layers of a {kind} backbone, such as {', '.join(layers)}, got {targets}. "
            f"{first_line(error)}"
        ) from None
    if gradient_checkpointing:
        adapted.enable_input_require_grads()
    return adapted
