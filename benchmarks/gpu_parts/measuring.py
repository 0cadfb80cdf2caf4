"""Times, memory and work, measured on a card or a CPU."""

import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

import torch

from benchmarks.gpu_parts import Figure

PEAK_TERAFLOPS = {"H100": 989.0, "H200": 989.0, "A100": 312.0, "L4": 121.0, "L40S": 362.0, "A10": 125.0, "T4": 65.0}
"""Dense bf16 (T4: fp16), by the maker's data sheets."""


def synchronized(device: str) -> None:
    if device == "cuda":
        torch.cuda.synchronize()


def in_turn(ways: Mapping[str, Callable[[], Any]], device: str, rounds: int) -> dict[str, list[float]]:
    """Seconds of each way in each round, after one that does not count. The order changes from round to round."""
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    for number in range(rounds + 1):
        names = list(ways) if number % 2 else list(ways)[::-1]
        for name in names:
            synchronized(device)
            started = time.perf_counter()
            ways[name]()
            synchronized(device)
            if number:
                seconds[name].append(time.perf_counter() - started)
    return seconds


def spread(values: list[float]) -> str:
    return f"{_shown(statistics.median(values))} ({_shown(min(values))} - {_shown(max(values))})"


def _shown(value: float) -> str:
    return f"{value:,.2f}" if value >= 1 else f"{value:.3g}"


def ratio(what: str, slower: list[float], faster: list[float], wanted: float) -> Figure:
    """How many times as fast as the slower way, round by round."""
    ratios = [a / b for a, b in zip(slower, faster, strict=True)]
    return Figure(what, spread(ratios), f"at least {wanted:g}", statistics.median(ratios) >= wanted)


def share_of_peak(flops: float, seconds: float, device: str) -> tuple[str, float]:
    """The rate, and its share of the card's bf16 peak; 0 where the peak is not known."""
    rate = flops / seconds / 1e12
    name = torch.cuda.get_device_name() if device == "cuda" else ""
    peak = next((value for card, value in PEAK_TERAFLOPS.items() if card in name), 0.0)
    share = rate / peak if peak else 0.0
    return f"{rate:,.2f} Tflop/s" + (f", {share:.0%} of the peak" if peak else ""), share


def peak_memory(work: Callable[[], Any], device: str) -> str:
    """What the work allocates at most on the card, above what was there before."""
    if device != "cuda":
        work()
        return "not measured on a CPU"
    torch.cuda.reset_peak_memory_stats()
    before = torch.cuda.memory_allocated()
    work()
    torch.cuda.synchronize()
    return f"{(torch.cuda.max_memory_allocated() - before) / 2**20:,.0f} MiB"
