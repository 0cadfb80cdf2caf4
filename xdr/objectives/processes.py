"""This process among those of a distributed training."""

from torch import distributed


def world_size() -> int:
    return distributed.get_world_size() if distributed.is_available() and distributed.is_initialized() else 1


def rank() -> int:
    return distributed.get_rank() if world_size() > 1 else 0
