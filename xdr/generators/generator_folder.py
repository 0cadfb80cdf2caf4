"""Saving a generator in Hugging Face's layout, and loading one.

`xdr.json` beside Hugging Face's files holds the task, the languages and their first tokens. A folder from elsewhere, or a hub
name, has no such file and is used with the task it is given.
"""

import copy
import json
import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSeq2SeqLM, AutoTokenizer, GenerationConfig

from xdr.encoders.fingerprints import fingerprint_model
from xdr.errors import UserError, first_line, loading
from xdr.generators.causal_generator import CausalGenerator, CausalTokenizer
from xdr.generators.query_generator import GeneratorTokenizer, QueryGenerator, choose_language_tokens
from xdr.generators.settings import Task
from xdr.storage.files import creating_folder, read_json
from xdr.storage.model_folders import GENERATOR, MODEL
from xdr.text.identification import LanguageIdentifier, load_identifier, save_identifier

AnyGenerator = QueryGenerator | CausalGenerator
AnyTokenizer = GeneratorTokenizer | CausalTokenizer
T5_FAMILY = ("mt5", "t5", "umt5")
_XDR, _IDENTIFIER = "xdr.json", "identifier.npz"
_EMBEDDING, _HEAD = "model.shared.weight", "model.lm_head.weight"


class _Trained(NamedTuple):
    """What `xdr.json` says."""

    task: Task
    language_tokens: dict[str, int]


class _Family(NamedTuple):
    models: Any
    """transformers' class that loads or builds a model of the family."""
    generator: Callable[[Any], AnyGenerator]
    tokenizer: Callable[[Any, Task, _Trained | None], AnyTokenizer]


def load_generator(path: str, task: Task, dtype: torch.dtype = torch.float32) -> tuple[Any, Any]:
    """Loads a folder or a hub name for `task`. A folder that was trained for another task is refused."""
    config = _config(path)
    family = _family(config, path)
    trained = _trained(Path(path))
    if trained is not None:
        task = _require_same_task(path, trained.task, task)
    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(_is_no_warning_of_untied_heads)
    try:
        with loading(f"the generator in {path}"):
            model = family.models.from_pretrained(path, config=config, dtype=dtype)
            tokenizer = AutoTokenizer.from_pretrained(path)
    finally:
        logger.removeFilter(_is_no_warning_of_untied_heads)
    return family.generator(model), family.tokenizer(tokenizer, task, trained)


def open_generator(
    checkpoint: str, task: Task, dtype: torch.dtype = torch.float32
) -> tuple[Any, Any, LanguageIdentifier | None]:
    """Opens a Lightning checkpoint of xdr, the output folder of a training, a generator's folder, or a hub name. A generator
    that xdr trained keeps its task and takes only the lengths from `task`, and the prompt if there is one."""
    path = Path(checkpoint).expanduser()
    folder = path.parent / MODEL if path.is_file() else path / GENERATOR if (path / GENERATOR).is_dir() else path
    trained = _trained(folder)
    if trained is not None:
        own = trained.task
        task = replace(
            task,
            direction=own.direction,
            language_at=own.language_at,
            languages=own.languages,
            prompt=task.prompt or own.prompt,
        )
    if path.is_file():
        generator, tokenizer = _load_checkpoint(path, folder, task, trained, dtype)
    else:
        generator, tokenizer = load_generator(str(folder) if folder.is_dir() else checkpoint, task, dtype)
    identifier = folder / _IDENTIFIER
    return generator, tokenizer, load_identifier(identifier) if identifier.is_file() else None


def _load_checkpoint(
    path: Path, folder: Path, task: Task, trained: _Trained | None, dtype: torch.dtype
) -> tuple[AnyGenerator, AnyTokenizer]:
    if trained is None:
        raise UserError(f"{path} is not a checkpoint of a generator: it needs {folder} beside it, with {_XDR}")
    with loading(f"the checkpoint {path}"):
        state = torch.load(path, map_location="cpu", weights_only=True)["state_dict"]
    weights: dict[str, Tensor] = {name.removeprefix("generator."): value for name, value in state.items()}
    config = _config(str(folder))
    family = _family(config, str(folder))
    model = family.models.from_config(config, dtype=dtype)
    if family is _T5 and not torch.equal(weights[_EMBEDDING], weights[_HEAD]):
        untie(model)
    generator = family.generator(model)
    if weights.keys() != generator.state_dict().keys():
        raise UserError(
            f"checkpoint must hold the weights of a whole generator, got {path} with low-rank updates or other parts. Give the "
            "output folder of the training"
        )
    generator.load_state_dict(weights)
    return generator.eval(), family.tokenizer(AutoTokenizer.from_pretrained(folder), task, trained)


def untie(model: Any) -> None:
    """Gives the model an output matrix of its own, as google/mt5-* have it. transformers shares the embedding in every model
    that it makes from a configuration, and then loads two matrices into the one without a warning."""
    model.lm_head = nn.Linear(model.config.d_model, model.config.vocab_size, bias=False, dtype=model.shared.weight.dtype)


def save_generator(
    generator: AnyGenerator, tokenizer: AnyTokenizer, identifier: LanguageIdentifier | None, folder: Path
) -> None:
    """Writes the folder in one step. An older folder of that name must have been moved away."""
    model = generator.model
    if hasattr(model, "merge_and_unload"):  # LoRA
        model = copy.deepcopy(model).merge_and_unload()
    with creating_folder(folder) as partial:
        model.save_pretrained(partial)
        _save_rest(tokenizer, identifier, partial)


def save_without_weights(
    generator: AnyGenerator, tokenizer: AnyTokenizer, identifier: LanguageIdentifier | None, folder: Path
) -> None:
    """Writes what the weights of a Lightning checkpoint belong to."""
    with creating_folder(folder) as partial:
        generator.model.config.save_pretrained(partial)
        _save_rest(tokenizer, identifier, partial)


def _save_rest(tokenizer: AnyTokenizer, identifier: LanguageIdentifier | None, folder: Path) -> None:
    tokenizer.huggingface.save_pretrained(folder)
    trained = {"task": tokenizer.task.to_json(), "language_tokens": dict(tokenizer.language_tokens)}
    (folder / _XDR).write_text(json.dumps(trained, indent=2) + "\n", encoding="utf-8")
    if identifier is not None:
        save_identifier(identifier, folder / _IDENTIFIER)


def fingerprint_generator(generator: AnyGenerator, tokenizer: AnyTokenizer) -> str:
    """A fingerprint of weights, configuration, end tokens, tokenizer, task and language tokens."""
    ends = generator.model.generation_config.eos_token_id
    described = [ends, tokenizer.task.to_json(), dict(tokenizer.language_tokens)]
    return fingerprint_model(generator, generator.model.config, tokenizer.huggingface, described)


def _t5_tokenizer(tokenizer: Any, task: Task, trained: _Trained | None) -> GeneratorTokenizer:
    if task.language_at == "prompt":
        tokens = {}
    elif trained is not None and trained.language_tokens:
        tokens = trained.language_tokens
    elif task.languages:
        tokens = choose_language_tokens(tokenizer, task.languages)
    else:
        raise UserError(
            f"language_at must be prompt for a generator without {_XDR}, got decoder. The folder does not name its "
            "language tokens"
        )
    return GeneratorTokenizer(tokenizer, task, tokens)


def _causal_generator(model: Any) -> CausalGenerator:
    """Of a folder's settings for `generate`, only the special tokens are kept: how texts are sampled is xdr's to say."""
    own = model.generation_config
    kept = {name: getattr(own, name) for name in ("bos_token_id", "eos_token_id", "pad_token_id")}
    model.generation_config = GenerationConfig(**kept)
    return CausalGenerator(model)


def _causal_tokenizer(tokenizer: Any, task: Task, trained: _Trained | None) -> CausalTokenizer:
    if task.language_at == "decoder":
        raise UserError("language_at must be prompt for a causal language model, got decoder")
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return CausalTokenizer(tokenizer, task)


_T5 = _Family(AutoModelForSeq2SeqLM, QueryGenerator, _t5_tokenizer)
_CAUSAL = _Family(AutoModelForCausalLM, _causal_generator, _causal_tokenizer)


def _require_same_task(path: str, trained: Task, wanted: Task) -> Task:
    """Returns the task to use: the trained languages and prompt, unless new ones are wanted."""
    for name in ("direction", "language_at"):
        if getattr(trained, name) != getattr(wanted, name):
            raise UserError(
                f"{name} must be {getattr(trained, name)} for the generator in {path}, which was trained so, "
                f"got {getattr(wanted, name)}"
            )
    return replace(wanted, languages=wanted.languages or trained.languages, prompt=wanted.prompt or trained.prompt)


def _config(path: str) -> Any:
    try:
        config = copy.deepcopy(AutoConfig.from_pretrained(path))
    except Exception as error:  # transformers has errors of many kinds
        raise UserError(
            f"path must be a model folder or a hub name that can be reached, got {path}: {first_line(error)}"
        ) from None
    return config


def _family(config: Any, path: str) -> _Family:
    if config.model_type in T5_FAMILY:
        return _T5
    if any(name.endswith(("ForCausalLM", "LMHeadModel")) for name in config.architectures or ()):
        return _CAUSAL
    raise UserError(
        f"a generator must be of the T5 family ({', '.join(T5_FAMILY)}) or a causal language model, got {config.model_type} in "
        f"{path}"
    )


def _trained(folder: Path) -> _Trained | None:
    if not (folder / _XDR).is_file():
        return None
    values: Any = read_json(folder / _XDR)
    if "task" not in values:
        raise UserError(f"{folder} must be the folder of a generator, got another model's: its {_XDR} names no task")
    return _Trained(
        Task.from_json(values["task"]), values.get("language_tokens", values.get("language_pieces"))
    )  # its name in older folders


def _is_no_warning_of_untied_heads(record: logging.LogRecord) -> bool:
    """transformers warns about every mT5, whose output matrix is its own and is loaded as such."""
    return "NOT tie them" not in record.getMessage()
