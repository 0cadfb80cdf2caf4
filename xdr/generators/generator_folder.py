"""A generator as a folder in Hugging Face's layout, and from one.

What Hugging Face cannot say (the task, the languages, their pieces) stands in `xdr.json`; a folder from elsewhere, or a hub
name, has none and is read with the settings it is given.
"""

import copy
import hashlib
import json
import logging
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForSeq2SeqLM, AutoTokenizer

from xdr.errors import UserError, did_you_mean, first_line
from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator, choose_language_pieces
from xdr.generators.settings import Task
from xdr.storage.files import creating_folder
from xdr.storage.model_folders import GENERATOR, MODEL
from xdr.text.identification import LanguageIdentifier, load_identifier, save_identifier

FAMILY = ("mt5", "t5", "umt5")
_XDR, _IDENTIFIER = "xdr.json", "identifier.npz"
_EMBEDDING, _HEAD = "model.shared.weight", "model.lm_head.weight"


def load_generator(path: str, task: Task, dtype: torch.dtype = torch.float32) -> tuple[QueryGenerator, GeneratorTokenizer]:
    """`task` is what the folder is to be used for; one that learned another is refused."""
    config = _config(path)
    known = _known(Path(path))
    if known is not None:
        task = _same_task(path, _task(known), task)
    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(_says_that_the_head_is_untied)
    try:
        model = AutoModelForSeq2SeqLM.from_pretrained(path, config=config, dtype=dtype)
        tokenizer = AutoTokenizer.from_pretrained(path)
    except (OSError, ValueError, RuntimeError) as error:
        raise UserError(f"the generator in {path} cannot be loaded: {first_line(error)}") from None
    finally:
        logger.removeFilter(_says_that_the_head_is_untied)
    return QueryGenerator(model), _reader(tokenizer, task, known)


def _says_that_the_head_is_untied(record: logging.LogRecord) -> bool:
    """Of each mT5, whose head is its own and is loaded so: nothing that a user could or should do about."""
    return "NOT tie them" not in record.getMessage()


def _reader(tokenizer: Any, task: Task, known: dict[str, Any] | None) -> GeneratorTokenizer:
    if task.language_at == "prompt":
        pieces = {}
    elif known is not None and known["language_pieces"]:
        pieces = known["language_pieces"]
    elif task.languages:
        pieces = choose_language_pieces(tokenizer, task.languages)
    else:
        raise UserError("language_at=decoder needs a generator that was trained so; this folder does not say that it was")
    return GeneratorTokenizer(tokenizer, task, pieces)


def _same_task(path: str, learned: Task, wanted: Task) -> Task:
    """The folder's own task, with the lengths and languages that are wanted now."""
    for name in ("direction", "language_at"):
        if getattr(learned, name) != getattr(wanted, name):
            raise UserError(
                f"the generator in {path} was trained for {name}={getattr(learned, name)}, and "
                f"{getattr(wanted, name)} is wanted"
            )
    return wanted if wanted.languages else learned


def require_languages(reader: GeneratorTokenizer, languages: tuple[str, ...]) -> None:
    """Each is one that the generator learned, as far as its folder says."""
    learned = reader.task.languages
    if unknown := [code for code in languages if learned and code not in learned]:
        raise UserError(
            f"the generator was not trained to write in '{unknown[0]}'; it knows {' '.join(learned)}. "
            + (did_you_mean(unknown[0], learned) or "Choose among them: augmentation.generation.languages=[...]")
        )


def save_generator(
    generator: QueryGenerator, reader: GeneratorTokenizer, identifier: LanguageIdentifier | None, folder: Path
) -> None:
    """Written aside and renamed; an older folder of that name must have been moved away."""
    with creating_folder(folder) as partial:
        generator.model.save_pretrained(partial)
        _save_rest(reader, identifier, partial)


def save_skeleton(
    generator: QueryGenerator, reader: GeneratorTokenizer, identifier: LanguageIdentifier | None, folder: Path
) -> None:
    """All but the weights: what the weights in a checkpoint belong to."""
    with creating_folder(folder) as partial:
        generator.model.config.save_pretrained(partial)
        _save_rest(reader, identifier, partial)


def _save_rest(reader: GeneratorTokenizer, identifier: LanguageIdentifier | None, folder: Path) -> None:
    reader.tokenizer.save_pretrained(folder)
    known = {"task": asdict(reader.task), "language_pieces": dict(reader.language_pieces)}
    (folder / _XDR).write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
    if identifier is not None:
        save_identifier(identifier, folder / _IDENTIFIER)


def fingerprint_generator(generator: QueryGenerator, reader: GeneratorTokenizer) -> str:
    """Of all that its texts depend on: weights, pieces, task."""
    digest = hashlib.sha256()
    for name, value in sorted(generator.state_dict().items()):
        digest.update(f"{name} {tuple(value.shape)} {value.dtype}".encode())
        digest.update(value.detach().cpu().contiguous().view(torch.uint8).numpy().data)
    digest.update(reader.tokenizer.backend_tokenizer.to_str().encode())
    digest.update(json.dumps([asdict(reader.task), dict(reader.language_pieces)], sort_keys=True).encode())
    return digest.hexdigest()[:32]


def _task(known: dict[str, Any]) -> Task:
    return Task(**{**known["task"], "languages": tuple(known["task"]["languages"])})


def _identifier_of(folder: Path) -> LanguageIdentifier | None:
    return load_identifier(folder / _IDENTIFIER) if (folder / _IDENTIFIER).is_file() else None


def open_generator(
    checkpoint: str, task: Task, dtype: torch.dtype = torch.float32
) -> tuple[QueryGenerator, GeneratorTokenizer, LanguageIdentifier | None]:
    """A Lightning checkpoint of ours, the output folder of a training, a generator's folder, or a hub name. `task` counts where
    the folder does not say what it learned."""
    path = Path(checkpoint).expanduser()
    if path.is_file():
        return _from_checkpoint(path, task, dtype)
    folder = path / GENERATOR if (path / GENERATOR).is_dir() else path
    known = _known(folder)
    if known is not None:
        task = replace(_task(known), input_length=task.input_length, output_length=task.output_length)
    generator, reader = load_generator(str(folder) if folder.is_dir() else checkpoint, task, dtype)
    return generator, reader, _identifier_of(folder)


def _from_checkpoint(
    path: Path, task: Task, dtype: torch.dtype
) -> tuple[QueryGenerator, GeneratorTokenizer, LanguageIdentifier | None]:
    folder = path.parent / MODEL
    known = _known(folder)
    if known is None:
        raise UserError(
            f"{path} is no checkpoint of a generator: {folder}, which says what its weights belong to, is not there"
        )
    state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    weights = {name.removeprefix("generator."): value for name, value in state.items()}
    model = AutoModelForSeq2SeqLM.from_config(_config(str(folder)), dtype=dtype)
    if not torch.equal(weights[_EMBEDDING], weights[_HEAD]):
        untie(model)
    generator = QueryGenerator(model)
    load_weights(generator, weights)
    task = replace(_task(known), input_length=task.input_length, output_length=task.output_length)
    reader = _reader(AutoTokenizer.from_pretrained(folder), task, known)
    return generator.eval(), reader, _identifier_of(folder)


def untie(model: Any) -> None:
    """A head of its own. transformers ties that of every new mT5 to the embedding, whatever the config says; google/mt5-* have
    their own."""
    model.lm_head = nn.Linear(model.config.d_model, model.config.vocab_size, bias=False, dtype=model.shared.weight.dtype)


def load_weights(generator: QueryGenerator, weights: dict[str, Tensor]) -> None:
    """Into a model whose head is the embedding, weights that have two would be loaded one over the other, without a word."""
    model = generator.model
    tied = model.lm_head.weight is model.shared.weight
    if tied and not torch.equal(weights[_EMBEDDING], weights[_HEAD]):
        raise UserError(
            "these weights have an output matrix of their own, and the model shares its one with the embedding; build the "
            "model from the folder that the training began with"
        )
    generator.load_state_dict(weights)


def _config(path: str) -> Any:
    try:
        config = copy.deepcopy(AutoConfig.from_pretrained(path))
    except (OSError, ValueError) as error:
        raise UserError(f"{path} is no model folder and no hub name that can be reached: {first_line(error)}") from None
    if config.model_type not in FAMILY:
        raise UserError(f"{path} holds a {config.model_type} model; a generator is one of the T5 family: {', '.join(FAMILY)}")
    return config


def _known(folder: Path) -> dict[str, Any] | None:
    if not (folder / _XDR).is_file():
        return None
    known: dict[str, Any] = json.loads((folder / _XDR).read_text(encoding="utf-8"))
    if "task" not in known:
        raise UserError(f"{folder} is a folder of xdr's, and no generator: {_XDR} names no task")
    return known
