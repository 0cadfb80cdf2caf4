"""The types of all settings. Misspelt keys and wrong types are found against these before anything heavy is loaded.

Values stand in the YAML files; types of a benchmark's settings are those of its class, which is their one home.
"""

from dataclasses import MISSING as NO_DEFAULT
from dataclasses import Field, dataclass, fields, make_dataclass
from enum import Enum
from typing import Any

from hydra.core.config_store import ConfigStore
from omegaconf import MISSING

from xdr.data.afriqa import AfriQa
from xdr.data.collection_folder import CollectionFolder
from xdr.data.dpr_nq import DprNaturalQuestions
from xdr.data.sample import Sample
from xdr.data.tevatron import TevatronFiles
from xdr.data.xor_tydi import XorTydi
from xdr.data.xquad_r import XquadR


class Stage(Enum):
    """What evaluate.py does."""

    prepare = "prepare"


@dataclass
class Train:
    data: Any = MISSING
    output_dir: str = MISSING


@dataclass
class Evaluate:
    stage: Stage = MISSING
    data: Any = MISSING
    output_dir: str = MISSING
    artifacts_dir: str = MISSING


BENCHMARKS = (AfriQa, CollectionFolder, DprNaturalQuestions, Sample, TevatronFiles, XorTydi, XquadR)


def register() -> None:
    store = ConfigStore.instance()
    store.store(name="train_schema", node=Train)
    store.store(name="evaluate_schema", node=Evaluate)
    for benchmark in BENCHMARKS:
        store.store(group="data/schema", name=benchmark.__name__, node=_schema_of(benchmark))


def _schema_of(benchmark: type) -> type:
    own = [(field.name, _setting_type(field), MISSING) for field in fields(benchmark)]
    assert all(field.default is NO_DEFAULT or field.init for field in fields(benchmark))
    return make_dataclass(benchmark.__name__, [("_target_", str, MISSING), ("strict", bool, True), *own])


def _setting_type(field: Field) -> Any:
    """Tuples are lists in YAML."""
    return list[str] if field.type == tuple[str, ...] else field.type
