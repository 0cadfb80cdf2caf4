"""Memory of this process and its GPU: the peak, the limit, and one sentence when a GPU runs out."""

import resource
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import torch

from xdr.errors import UserError


class Memory(NamedTuple):
    """In bytes."""

    kind: str
    peak: float
    limit: float


TO_TRAIN = "Set model.chunk_size (or lower data.batches.size, for a generator), or set trainer.precision=bf16-mixed"
TO_ENCODE = "Lower search.tokens_per_batch, or set trainer.precision=bf16-true"
TO_TEACH = "Lower teacher.tokens_per_batch, or set trainer.precision=bf16-true"
TO_GENERATE = "Lower augmentation.generation.tokens_per_batch, or set trainer.precision=bf16-true"
"""What to do if the memory of a device is too small."""


def measured_memory(device: torch.device) -> list[Memory]:
    """The peak of this process so far, and that of its GPU if it has one."""
    limit = _bytes_in("/proc/meminfo", "MemAvailable") + _bytes_in("/proc/self/status", "VmRSS")
    memory = [Memory("memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0, limit)]
    if device.type == "cuda":
        memory.append(Memory("device memory", torch.cuda.max_memory_allocated(device), torch.cuda.mem_get_info(device)[1]))
    return memory


@contextmanager
def explaining_device_memory(remedy: str) -> Iterator[None]:
    try:
        yield
    except torch.cuda.OutOfMemoryError as error:
        raise UserError(f"the job does not fit into the device's memory. {remedy}. PyTorch says: {error}") from error


def _bytes_in(file: str, name: str) -> float:
    """Infinite on systems without /proc."""
    lines = Path(file).read_text().splitlines() if Path(file).is_file() else []
    return next((int(line.split()[1]) * 1024.0 for line in lines if line.startswith(name)), float("inf"))
