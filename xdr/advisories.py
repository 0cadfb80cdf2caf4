"""Versions of packages with known holes through which what xdr reads could run code or harm. Checked without a network."""

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version

from packaging.specifiers import SpecifierSet


@dataclass(frozen=True)
class Advisory:
    package: str
    affected: str
    name: str
    what: str


ADVISORIES = (
    Advisory("jinja2", "<3.1.6", "CVE-2025-27516", "a template can leave its sandbox"),
    Advisory("lightning", "<2.6.6", "GHSA-qqmf-gpg7-g8gw", "hyperparameters of a checkpoint can run code"),
    Advisory("lightning", ">=2.6.2,<2.6.4", "GHSA-w37p-236h-pfx3", "these releases were malicious"),
    Advisory("nltk", "<3.9", "CVE-2024-39705", "its data packages are pickles"),
    Advisory("pyarrow", "<14.0.1", "CVE-2023-47248", "an Arrow or Parquet file can run code"),
    Advisory("ray", "<2.52", "CVE-2025-62593", "a web page can run code on the cluster"),
    Advisory("sentencepiece", "<0.2.1", "CVE-2026-1260", "a model file can overflow the heap"),
    Advisory("torch", "<2.6", "CVE-2025-32434", "a file of weights can run code although weights_only is set"),
    Advisory("torch", "<2.10", "CVE-2026-24747", "a file of weights can corrupt memory although weights_only is set"),
    Advisory("transformers", ">=4.56,<5.3", "CVE-2026-4372", "a model's configuration can run code"),
)
"""As published until October 2026. pyproject.toml allows none of these versions."""


def affected() -> Iterator[tuple[str, Advisory]]:
    """Installed versions, and what is known about them."""
    for advisory in ADVISORIES:
        try:
            installed = version(advisory.package)
        except PackageNotFoundError:
            continue
        if SpecifierSet(advisory.affected).contains(installed, prereleases=True):
            yield installed, advisory
