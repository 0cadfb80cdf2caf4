"""Layers between the pooling and the vector, as sentence-transformers' folders have them: dense layers and normalizations.

N vectors, I and O dimensions before and after a layer.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from xdr.errors import UserError, first_line

VECTOR = "sentence_embedding"


class Normalize(nn.Module):
    """In float32, because norms in bfloat16 are from 0.998 to 1.002."""

    def forward(self, x_NI: Tensor) -> Tensor:
        return F.normalize(x_NI.float(), dim=-1)

    def __str__(self) -> str:
        return "Normalize"


class Dense(nn.Module):
    """`activation(W x + b)`, and with `use_residual` the input added to it, projected where the dimension changes."""

    def __init__(self, inputs: int, outputs: int, bias: bool, activation: nn.Module, use_residual: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(inputs, outputs, bias=bias)
        self.activation = activation
        self.use_residual = use_residual
        self.residual = nn.Linear(inputs, outputs, bias=False) if use_residual and inputs != outputs else None

    def forward(self, x_NI: Tensor) -> Tensor:
        x_NI = x_NI.to(self.linear.weight.dtype)
        y_NO: Tensor = self.activation(self.linear(x_NI))
        if self.use_residual:
            y_NO = y_NO + (x_NI if self.residual is None else self.residual(x_NI))
        return y_NO

    def __str__(self) -> str:
        return f"Dense with {_full_name(self.activation)}{' and a residual' if self.use_residual else ''}"


def cutting(inputs: int, outputs: int) -> Dense:
    """The dense layer that keeps the first dimensions: sentence-transformers has no other layer for it."""
    layer = Dense(inputs, outputs, bias=False, activation=nn.Identity())
    with torch.no_grad():
        layer.linear.weight.copy_(torch.eye(outputs, inputs))
    return layer


def is_cutting(layer: nn.Module) -> bool:
    if not isinstance(layer, Dense) or layer.use_residual or layer.linear.bias is not None:
        return False
    weight_OI = layer.linear.weight
    plain = isinstance(layer.activation, nn.Identity) and weight_OI.shape[0] < weight_OI.shape[1]
    return plain and torch.equal(weight_OI, torch.eye(*weight_OI.shape, dtype=weight_OI.dtype))


def output_dimension(layers: Iterable[nn.Module], dimension: int) -> int:
    for layer in layers:
        dimension = layer.linear.out_features if isinstance(layer, Dense) else dimension
    return dimension


def save_layer(layer: nn.Module, folder: Path) -> None:
    folder.mkdir()
    if not isinstance(layer, Dense):
        return
    save_file({name: value.detach().contiguous() for name, value in layer.state_dict().items()}, folder / "model.safetensors")
    linear = layer.linear
    settings: dict[str, Any] = {"in_features": linear.in_features, "out_features": linear.out_features}
    settings |= {"bias": linear.bias is not None}
    settings |= {"activation_function": _full_name(layer.activation)}
    settings |= {"use_residual": True} if layer.use_residual else {}  # versions before 5.7 do not know it
    (folder / "config.json").write_text(json.dumps(settings, indent=2) + "\n", encoding="utf-8")


def load_layer(kind: str, folder: Path, dtype: torch.dtype, of: str = VECTOR) -> nn.Module:
    """`kind` is Dense or Normalize; `of` names what the layer changes in sentence-transformers."""
    path = folder / "config.json"
    settings: dict[str, Any] = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    for name in ("module_input_name", "module_output_name"):
        if settings.get(name) not in (None, of):
            raise UserError(f"{name} in {path} must be {of}, got {settings[name]}")
    return Normalize() if kind == "Normalize" else _load_dense(settings, folder).to(dtype)


def _load_dense(settings: dict[str, Any], folder: Path) -> Dense:
    weights = folder / "model.safetensors"
    if not weights.is_file():
        raise UserError(
            f"the dense layer in {folder} must be in model.safetensors, which is missing. Pickled weights are not read"
        )
    activation = _activation(str(settings.get("activation_function", "torch.nn.modules.activation.Tanh")), folder)
    try:
        sizes = int(settings["in_features"]), int(settings["out_features"])
        layer = Dense(*sizes, bool(settings.get("bias", True)), activation, bool(settings.get("use_residual", False)))
        layer.load_state_dict(load_file(weights))
    except (KeyError, RuntimeError) as error:
        raise UserError(f"the dense layer in {folder} cannot be loaded: {first_line(error)}") from None
    return layer


def _activation(name: str, folder: Path) -> nn.Module:
    found = getattr(nn, name.rsplit(".", 1)[-1], None) if name.startswith("torch.nn.") else None
    try:
        assert isinstance(found, type) and issubclass(found, nn.Module)
        return found()
    except (AssertionError, TypeError):
        raise UserError(
            f"activation_function in {folder / 'config.json'} must be a module of torch.nn that needs no argument, got {name}"
        ) from None


def _full_name(module: nn.Module) -> str:
    return f"{type(module).__module__}.{type(module).__name__}"
