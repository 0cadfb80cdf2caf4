"""Losses of many hidden states over a large vocabulary. The logits of one slice exist at a time.

torch's `linear_cross_entropy` does this for the plain cross entropy alone, and was slower than whole logits on a CPU
(docs/log.md).

Shape suffixes: N labels, D dimensions.
"""

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor

SLICE = 256
"""Labels whose logits exist at one time. With 262,144 tokens each needs several megabytes."""

Losses = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""From hidden states and labels to the loss of each label, and how many labels it counts as."""


def sliced_losses(
    losses_of: Losses, hidden_ND: Tensor, labels_N: Tensor, parameters: Sequence[Tensor]
) -> tuple[Tensor, Tensor]:
    """What `losses_of` returns for all labels. `parameters` are those that it depends on. Gradients are computed slice by slice
    with the losses, so nothing is computed twice; the losses must have one weight in what is differentiated."""
    trained = [parameter for parameter in parameters if parameter.requires_grad]
    if torch.is_grad_enabled() and (hidden_ND.requires_grad or trained):
        losses_N, counts_N = _WithGradients.apply(losses_of, hidden_ND, labels_N, *trained)  # type: ignore[no-untyped-call]
        return losses_N, counts_N
    parts = [losses_of(*one) for one in zip(torch.split(hidden_ND, SLICE), torch.split(labels_N, SLICE), strict=True)]
    return torch.cat([losses for losses, _ in parts]), torch.cat([counts for _, counts in parts])


class _WithGradients(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, losses_of: Losses, hidden_ND: Tensor, labels_N: Tensor, *parameters: Tensor) -> tuple[Tensor, Tensor]:
        hidden_gradient_ND = torch.empty_like(hidden_ND)
        gradients = [torch.zeros_like(parameter) for parameter in parameters]
        losses, counts = [], []
        for start in range(0, len(labels_N), SLICE):
            part = slice(start, start + SLICE)
            with torch.enable_grad():
                own_ND = hidden_ND[part].detach().requires_grad_()
                losses_N, counts_N = losses_of(own_ND, labels_N[part])
                hidden_gradient_ND[part], *own = torch.autograd.grad(losses_N.sum(), [own_ND, *parameters])
            for gradient, added in zip(gradients, own, strict=True):
                gradient += added
            losses.append(losses_N.detach())
            counts.append(counts_N)
        ctx.gradients = [hidden_gradient_ND, *gradients]
        counts_N = torch.cat(counts)
        ctx.mark_non_differentiable(counts_N)
        return torch.cat(losses), counts_N

    @staticmethod
    def backward(ctx: Any, weights_N: Tensor, _: Any) -> tuple[Tensor | None, ...]:
        assert (weights_N == weights_N[0]).all(), "all losses must have one weight"
        gradients, ctx.gradients = ctx.gradients, None
        hidden_gradient_ND, *of_parameters = (gradient.mul_(weights_N[0]) for gradient in gradients)
        return None, hidden_gradient_ND, None, *of_parameters
