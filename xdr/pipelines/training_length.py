"""How many steps and validations a training has, from Lightning's settings."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from xdr.errors import UserError


@dataclass(frozen=True)
class Length:
    """Steps of the optimizer, validations between them, and epochs: a fraction of one where `max_steps` ends it."""

    num_steps: int
    num_validations: int
    num_epochs: float

    @classmethod
    def of(cls, num_batches: int, trainer: Mapping[str, Any]) -> "Length":
        """`num_batches` in an epoch; `trainer` holds the arguments of Lightning's Trainer."""
        for name in ("accumulate_grad_batches", "check_val_every_n_epoch", "val_check_interval"):
            if trainer[name] is not None and trainer[name] <= 0:
                raise UserError(f"trainer.{name} must be above 0, got {trainer[name]}")
        accumulated, epochs, most = trainer["accumulate_grad_batches"], trainer["max_epochs"], trainer["max_steps"]
        in_epoch = -(-num_batches // accumulated)
        ends = [end for end in (-1 if epochs is None else epochs * in_epoch, most) if end >= 0]
        if not ends or min(ends) == 0:
            raise UserError("trainer.max_epochs or trainer.max_steps must end the training: one above 0, and none 0")
        num_steps = min(ends)
        every, interval = trainer["check_val_every_n_epoch"], trainer["val_check_interval"]
        if every is None:
            return cls(num_steps, num_steps * accumulated // interval, num_steps / in_epoch)
        apart = num_batches if interval is None else int(interval * num_batches) if isinstance(interval, float) else interval
        num_validations = num_steps // in_epoch // every * (num_batches // max(1, apart))
        return cls(num_steps, num_validations, num_steps / in_epoch)
