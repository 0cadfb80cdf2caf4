"""Folders for the hub: an encoder in sentence-transformers' layout, and generated questions; each with its card."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from xdr.errors import UserError, first_line
from xdr.storage.files import creating_folder


@dataclass(frozen=True)
class PublishSettings:
    """`name` is None where nothing is pushed yet."""

    name: str | None
    licence: str | None
    results: str | None
    push: bool
    private: bool

    def __post_init__(self) -> None:
        if self.name is not None and self.name.count("/") != 1:
            raise UserError(f"publish.name must be ORG/NAME, got {self.name}")
        if self.push and (self.name is None or self.licence is None):
            raise UserError("publish.push=true needs publish.name=ORG/NAME and publish.licence")

    def named(self, kind: str) -> str:
        """The name on the hub; `kind` is `model` or `questions`."""
        name = self.name or "ORG/NAME"
        return name if kind == "model" else f"{name}-{kind}"


def write_folder(folder: Path, card: str, write: Callable[[Path], None]) -> None:
    """What `write` puts into the folder, and the card; all or nothing."""
    with creating_folder(folder) as partial:
        write(partial)
        (partial / "README.md").write_text(card, encoding="utf-8")


def push(folder: Path, name: str, repo_type: str, private: bool) -> str:
    """Uploads the folder. Returns the address."""
    from huggingface_hub import HfApi

    api = HfApi()
    try:
        address = api.create_repo(name, repo_type=repo_type, private=private, exist_ok=True)
        api.upload_folder(repo_id=name, folder_path=folder, repo_type=repo_type, commit_message="Upload by xdr")
    except Exception as error:  # of the hub's client, or of the network
        raise UserError(f"{folder} is written, and pushing it to {name} failed: {first_line(error)}. Try again") from error
    return str(address)
