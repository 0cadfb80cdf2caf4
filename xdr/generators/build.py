"""Query generators from their settings."""

from collections.abc import Iterable
from pathlib import Path

from xdr.encoders.small import build_small_mt5
from xdr.generators.generator_folder import load_generator
from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator
from xdr.generators.settings import Task


def query_generator(path: str, task: Task, gradient_checkpointing: bool) -> tuple[QueryGenerator, GeneratorTokenizer]:
    generator, reader = load_generator(path, task)
    if gradient_checkpointing:
        generator.model.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
    return generator, reader


def small_query_generator(
    task: Task, folder: Path, seed: int, hidden: int, layers: int, texts: Iterable[str]
) -> tuple[QueryGenerator, GeneratorTokenizer]:
    """A new small mT5 with a vocabulary for these texts, made in `folder` unless it is there."""
    if not (folder / "config.json").exists():
        build_small_mt5(list(texts), folder, seed=seed, hidden=hidden, layers=layers)
    return load_generator(str(folder), task)
