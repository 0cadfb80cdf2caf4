"""Optimiser and schedule."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import LambdaLR


def adamw(module: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.AdamW:
    """Biases and norms are not decayed."""
    return torch.optim.AdamW(_groups(module, weight_decay), lr=learning_rate)


def adafactor(module: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.Adafactor:
    """T5's own optimiser, which keeps a row and a column for each matrix: a third of AdamW's memory."""
    return torch.optim.Adafactor(_groups(module, weight_decay), lr=learning_rate)


def _groups(module: nn.Module, weight_decay: float) -> list[dict[str, Any]]:
    decayed: list[nn.Parameter] = []
    kept: list[nn.Parameter] = []
    for _, parameter in _trained(module):
        (decayed if parameter.ndim > 1 else kept).append(parameter)
    groups = [{"params": decayed, "weight_decay": weight_decay}, {"params": kept, "weight_decay": 0.0}]
    return [group for group in groups if group["params"]]


def linear_schedule(optimizer: torch.optim.Optimizer, num_steps: int, warmup_share: float) -> LambdaLR:
    """Up from zero over the first share of the steps, then down to zero at the end."""
    warmup = round(warmup_share * num_steps)

    def factor(step: int) -> float:
        if step < warmup:
            return step / max(1, warmup)
        return max(0.0, (num_steps - step) / max(1, num_steps - warmup))

    return LambdaLR(optimizer, factor)


def _trained(module: nn.Module) -> Iterator[tuple[str, nn.Parameter]]:
    return ((name, parameter) for name, parameter in module.named_parameters() if parameter.requires_grad)
