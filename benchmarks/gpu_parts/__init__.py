"""The parts of benchmarks/gpu.py: what is checked or measured, in this order, each with its longest time in seconds."""

from pathlib import Path
from typing import NamedTuple


class Machine(NamedTuple):
    """Where a part runs. `tiny`: with small models and few texts. `models` has the folders e5 (multilingual-e5-small) and gemma
    (gemma-3-270m), `data` has xquad-r and afriqa."""

    device: str
    tiny: bool
    out: Path
    models: Path | None = None
    data: Path | None = None


class Figure(NamedTuple):
    """One line of the table. `holds` is None where nothing was wanted."""

    what: str
    value: str
    wanted: str = ""
    holds: bool | None = None


class Part(NamedTuple):
    name: str
    title: str
    function: str
    seconds: float
    packages: tuple[str, ...] = ()


_HERE = "benchmarks.gpu_parts"
PARTS = (
    Part("packing", "Packed attention equals padded attention", f"{_HERE}.encoders:packing", 60),
    Part("search", "Search on the card equals search on the CPU", f"{_HERE}.search:equality", 60),
    Part("encoding", "Encoding", f"{_HERE}.encoders:speed", 90, ("sentence_transformers",)),
    Part("searching", "Exact search", f"{_HERE}.search:speed", 60),
    Part("step", "A training step", f"{_HERE}.training:speed", 90, ("sentence_transformers", "datasets")),
    Part("questions", "Writing questions", f"{_HERE}.generation:speed", 120),
    Part("xquad", "XQuAD with real models", f"{_HERE}.results:xquad", 300),
    Part("afriqa", "AfriQA with a real model", f"{_HERE}.results:afriqa", 120),
    Part("chunks", "Training in chunks equals plain training", f"{_HERE}.training:chunks", 60),
    Part("one_token", "The first and the last token alone", f"{_HERE}.encoders:one_token", 60),
    Part("writing", "Generation", f"{_HERE}.generation:correctness", 90),
    Part("resume", "Killed and resumed training", f"{_HERE}.training:resumed", 120),
    Part("processes", "Two processes on one card", f"{_HERE}.training:two_processes", 120),
    Part("faiss", "faiss", f"{_HERE}.search:with_faiss", 60, ("faiss",)),
    Part("memory", "Out of memory", f"{_HERE}.training:out_of_memory", 60),
)
