"""Optimizers with their learning rate schedule. Importing this module does not import torch."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from torch import nn


class Optimizer(Protocol):
    """`build` returns what Lightning's `configure_optimizers` may return, for a training of `num_steps` optimizer steps."""

    def build(self, module: "nn.Module", num_steps: int) -> Any: ...


@dataclass(frozen=True)
class AdamW:
    """The learning rate rises linearly over the first share of the steps, then falls linearly to zero."""

    learning_rate: float
    weight_decay: float
    warmup_share: float

    def build(self, module: "nn.Module", num_steps: int) -> Any:
        from torch import optim

        optimizer = optim.AdamW(parameter_groups(module, self.weight_decay), lr=self.learning_rate)
        return with_linear_schedule(optimizer, num_steps, self.warmup_share)


@dataclass(frozen=True)
class Adafactor:
    """T5's own optimizer, with the schedule of `AdamW`. It takes a third of AdamW's memory: it keeps a row and a column for
    each matrix."""

    learning_rate: float
    weight_decay: float
    warmup_share: float

    def build(self, module: "nn.Module", num_steps: int) -> Any:
        from torch import optim

        optimizer = optim.Adafactor(parameter_groups(module, self.weight_decay), lr=self.learning_rate)
        return with_linear_schedule(optimizer, num_steps, self.warmup_share)


def parameter_groups(module: "nn.Module", weight_decay: float) -> list[dict[str, Any]]:
    """Trained parameters. Vectors (biases, norms) and scalars are not decayed."""
    trained = [parameter for parameter in module.parameters() if parameter.requires_grad]
    groups = [
        {"params": [parameter for parameter in trained if parameter.ndim > 1], "weight_decay": weight_decay},
        {"params": [parameter for parameter in trained if parameter.ndim <= 1], "weight_decay": 0.0},
    ]
    return [group for group in groups if group["params"]]


def with_linear_schedule(optimizer: Any, num_steps: int, warmup_share: float) -> dict[str, Any]:
    from torch.optim.lr_scheduler import LambdaLR

    warmup = round(warmup_share * num_steps)

    def factor(step: int) -> float:
        if step < warmup:
            return step / max(1, warmup)
        return max(0.0, (num_steps - step) / max(1, num_steps - warmup))

    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": LambdaLR(optimizer, factor), "interval": "step"}}
