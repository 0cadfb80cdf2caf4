"""Rows of a data set on the Hugging Face hub, streamed by `datasets`. Nothing is downloaded unless a source begins with
`hub:`, and no code of the data set is run."""

from collections.abc import Iterator
from typing import Any

from xdr.data.rows import Row
from xdr.errors import DataError, UserError, first_line


def hub_rows(source: str) -> Iterator[Row]:
    """`hub:ORG/NAME:SPLIT`, `hub:ORG/NAME/CONFIG:SPLIT`, or one JSON-lines file of a repository:
    `hub:ORG/NAME/FOLDER/FILE.jsonl.gz`. The default SPLIT is `train`. ORG/NAME may be a folder of this machine."""
    try:
        import datasets
    except ImportError as error:
        raise UserError("a hub id needs the package `datasets`. Run pip install 'xdr[hub]'") from error
    name, _, split = source.removeprefix("hub:").partition(":")
    if not name.strip("/"):
        raise DataError("a hub id must be ORG/NAME, got nothing", file=source)
    try:
        stream: Any = datasets.load_dataset(**_arguments(name), split=split or "train", streaming=True)
        for number, values in enumerate(stream, 1):
            yield Row(values, source, number)
    except (OSError, ValueError, TypeError, RuntimeError, datasets.exceptions.DatasetsError) as error:
        if isinstance(error, DataError):
            raise
        remedy = "Is the id right, and is there a network? A local copy works too: give its file"
        raise DataError(f"the data set cannot be read: {first_line(error)}", file=source, remedy=remedy) from error


def _arguments(name: str) -> dict[str, Any]:
    if name.startswith(("/", ".", "~")):  # a local folder in the hub's layout
        return {"path": name}
    parts = name.split("/")
    if len(parts) > 2 and "." in parts[-1]:  # one file; this also reads repositories that still carry a loading script
        return {"path": "json", "data_files": f"hf://datasets/{name}"}
    return {"path": "/".join(parts[:2]), **({"name": "/".join(parts[2:])} if len(parts) > 2 else {})}
