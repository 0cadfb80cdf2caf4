"""What the folder of a generator says to those who ask a server that serves it. Needs no torch."""

from pathlib import Path
from typing import NamedTuple

from xdr.errors import UserError
from xdr.generators.settings import Task
from xdr.storage.files import read_json
from xdr.storage.fingerprint import checksum_file, fingerprint
from xdr.storage.model_folders import GENERATOR
from xdr.text.identification import LanguageIdentifier, load_identifier


class Served(NamedTuple):
    """`fingerprint` is that of the folder's files, in place of the name that the server gives the model."""

    task: Task
    identifier: LanguageIdentifier | None
    fingerprint: str


def read_served_folder(checkpoint: str) -> Served:
    """`checkpoint` is the output folder of a training, or a generator's folder."""
    path = Path(checkpoint).expanduser()
    folder = path / GENERATOR if (path / GENERATOR).is_dir() else path
    record = folder / "xdr.json"
    values = read_json(record).get("task") if record.is_file() else None
    if not isinstance(values, dict):
        raise UserError(
            f"checkpoint must be the folder of a generator that train.py left, got {checkpoint}. Set checkpoint=null for other "
            "models of a server"
        )
    identifier = folder / "identifier.npz"
    files = sorted(file for file in folder.iterdir() if file.suffix in (".json", ".safetensors"))
    named = fingerprint({file.name: checksum_file(file) for file in files})
    return Served(Task.from_json(values), load_identifier(identifier) if identifier.is_file() else None, named)
