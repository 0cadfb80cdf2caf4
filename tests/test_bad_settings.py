"""Odd values of every setting, in every choice of its group: each fits, or is refused in one sentence."""

import copy
import math
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from conf import entry
from conf.schema import BESIDE, check_settings
from xdr.errors import UserError

CONF = Path(__file__).parents[1] / "conf"
NOT_BUILT = ("callbacks", "experiment", "logger", "study", "trainer")
ODD = (
    *(None, True, -1, 0, 3, 10**30, -0.5, 2.5, math.nan, math.inf),
    *("", " ", "wrong", "\0", "\ud800", "x" * 100_000, "a/../../b", "наука"),
    *([], [None], ["wrong"], [-1], [[1]], {"a": 1}),
)
WITHIN = {"augmentation/generation/backend": "augmentation=generated_queries"}
SEPARATE = ("data.batches", "model.optimizer", "data.twins")
"""Nodes that are built by themselves."""


class Choice(NamedTuple):
    script: str
    group: str
    name: str

    def settings(self, folder: Path) -> DictConfig:
        """With all values that have no default."""
        above = [choice for nested, choice in WITHIN.items() if nested == self.group]
        settings = entry.compose_unchecked(self.script, [*above, f"{self.group}={self.name}"])
        values = {
            "path": str(folder),
            "corpus": str(folder / "corpus.jsonl"),
            "queries_by_split": {"dev": "q.jsonl"},
            "languages": ["en"],
            "language": "en",
            "parts": {"a": {"data": "sample"}},
        }
        for key in _without_value(settings):
            OmegaConf.update(settings, key, values.get(key.split(".")[-1], "x"), merge=False)
        return settings


def _without_value(node: DictConfig, above: str = "") -> Iterator[str]:
    for key in map(str, list(node)):
        below = node._get_node(key)
        if OmegaConf.is_missing(node, key):
            yield above + key
        elif isinstance(below, DictConfig) and not below._is_none():
            yield from _without_value(below, f"{above}{key}.")


def choices() -> list[Choice]:
    files = [path.relative_to(CONF) for path in sorted(CONF.glob("*/**/*.yaml"))]
    groups = [(str(file.parent), file.stem) for file in files if file.parts[0] not in (*NOT_BUILT, "hydra")]
    return [Choice(script, *group) for script in ("evaluate", "train") for group in groups if is_there(script, *group)]


def is_there(script: str, group: str, name: str) -> bool:
    chosen = [line.strip() for line in (CONF / f"{script}.yaml").read_text().splitlines()]  # the defaults list
    if group in WITHIN:
        return script == "evaluate"
    return any(line.startswith(f"- {group}:") for line in chosen)


def names(node: DictConfig, above: str) -> Iterator[str]:
    for key in map(str, node):
        below = node._get_node(key)
        if isinstance(below, DictConfig) and not below._is_none():
            yield from names(below, f"{above}.{key}")
        elif key not in ("_target_", "_partial_"):
            yield f"{above}.{key}"


def outcome(settings: DictConfig, unchanged: DictConfig, name: str) -> str:
    """`fits`, or the sentence of the refusal. Any other error fails the test."""
    group = name.split(".")[0]
    node = next((node for node in SEPARATE if name.startswith(f"{node}.")), group)
    try:
        check_settings(settings, unchanged, [name])
        if node == "data":
            entry.build_benchmark(settings)
        elif node == "objective":
            entry.build_objective(settings)
        elif node == "data.twins":
            entry.build_twins(settings)
        else:
            entry.build(settings, node, *(BESIDE.get(node, ())))
    except UserError as error:
        return str(error)
    return "fits"


def outcomes(choice: Choice, folder: Path) -> Counter[str]:
    counted = Counter[str]()
    settings = choice.settings(folder)
    node = OmegaConf.select(settings, choice.group.replace("/", "."))
    if not isinstance(node, DictConfig):
        return counted  # none
    for name in names(node, choice.group.replace("/", ".")):
        changed = copy.deepcopy(settings)
        for odd in ODD:
            try:
                OmegaConf.update(changed, name, odd, merge=False)
            except OmegaConfBaseException:
                continue  # Hydra refuses it
            sentence = outcome(changed, settings, name)
            counted["fits" if sentence == "fits" else "refused"] += 1
            if sentence != "fits":
                assert "\n" not in sentence.strip() and len(sentence) < 700 + len(str(odd)), (name, odd, sentence)
                assert name.split(".")[0] in sentence or name.split(".")[-1] in sentence, (name, odd, sentence)
    return counted


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("collection")
    (folder / "corpus.jsonl").write_text('{"docid": "1", "title": "t", "text": "a"}\n')
    return folder


@pytest.mark.parametrize("choice", choices()[5::41], ids="-".join)
def test_an_odd_value_fits_or_is_refused_in_one_sentence(choice: Choice, folder: Path) -> None:
    outcomes(choice, folder)


@pytest.mark.slow
@pytest.mark.timeout(3600)
def test_every_odd_value_of_every_setting(folder: Path) -> None:
    counted: Counter[str] = sum((outcomes(choice, folder) for choice in choices()), Counter())
    print(dict(counted))
    assert counted["refused"] > 10_000 and counted["fits"] > 3_000
