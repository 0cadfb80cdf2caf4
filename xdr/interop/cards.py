"""Cards of models and data sets for the hub, in Markdown, made from what a run left."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from xdr.errors import UserError
from xdr.evaluation.per_query import MACRO, means
from xdr.reporting.evaluation_files import ENVIRONMENT, read_comparisons, read_metrics
from xdr.storage.files import read_json
from xdr.text.languages import find_language

_TAGS = ("dense-retrieval", "cross-lingual", "xdr")


def front_matter(**fields: Any) -> str:
    """What the hub reads; fields without a value are left out."""
    given = {name: value for name, value in fields.items() if value}
    return f"---\n{yaml.safe_dump(given, sort_keys=False, allow_unicode=True)}---\n"


def model_card(name: str, licence: str | None, settings: Mapping[str, Any], lengths: tuple[int, int], results: str) -> str:
    """`settings` are those of its training, or empty; `lengths` tokens of a query and of a passage; `results` the section."""
    base = str(settings.get("model", {}).get("path", ""))
    is_hub_name = base.count("/") == 1 and not Path(base).is_absolute()
    head = front_matter(
        license=licence,
        library_name="sentence-transformers",
        pipeline_tag="sentence-similarity",
        tags=["sentence-transformers", *_TAGS],
        base_model=base if is_hub_name else None,
    )
    use = f"""
# {name.split("/")[-1]}

An encoder for retrieval across languages, trained with xdr. A question in one language finds passages in another:
the score is the product of their vectors.

## Use

```python
from sentence_transformers import SentenceTransformer

model = SentenceTransformer("{name}")
queries = model.encode_query(["Missä Saimaa sijaitsee?"])
passages = model.encode_document(["Saimaa Saimaa is a lake in south-eastern Finland."])
scores = queries @ passages.T
```

A passage is its title, a blank and its text. It was trained with {lengths[0]} tokens of a query and {lengths[1]} of a
passage, prompts included; sentence-transformers has one length for both (`model.max_seq_length`). In xdr:
`load_encoder("{name}")`, or `evaluate.py checkpoint={name}`.
"""
    training = f"\n## Training\n\n```yaml\n{_without_paths(settings)}```\n" if settings else ""
    return head + use + training + results


def results_section(folder: Path, encoder: str) -> str:
    """The means of each system and the tests of an evaluation, which must be of this encoder."""
    made_of = read_json(folder / ENVIRONMENT)
    if made_of.get("encoder") != encoder:
        raise UserError(
            f"publish.results must be an evaluation of this encoder ({encoder}), got {folder}, which evaluated "
            f"{made_of.get('encoder')}"
        )
    systems = read_metrics(folder, "publish.results")
    names = list(next(iter(systems.values())).values)
    rows = [[system, *(_points(means(values, name).macro) for name in names)] for system, values in systems.items()]
    tests = [
        [each["system"], each["metric"], f"{100 * each['mean_difference']:+.1f}", _p(each), str(each["n"])]
        for each in read_comparisons(folder)
        if each["language"] == MACRO and each["metric"] == names[0]
    ]
    section = f"\n## Results\n\nMeans over languages, in per cent.\n\n{_table(['system', *names], rows)}"
    if tests:
        head = ["system", "metric", "difference", "p, corrected", "queries"]
        section += f"\nPaired tests against `baseline`, over all languages:\n\n{_table(head, tests)}"
    return section


def questions_card(
    name: str, licence: str | None, counts: Mapping[str, int], made_by: Mapping[str, Any], num_sources: int
) -> str:
    """`counts` are texts by language."""
    languages = [find_language(code).name for code in counts]
    head = front_matter(license=licence, language=list(counts), task_categories=["text-retrieval"], tags=[*_TAGS, "synthetic"])
    table = _table(["language", "questions"], [[code, f"{number:,}"] for code, number in counts.items()])
    return f"""{head}
# {name.split("/")[-1]}

Questions in {", ".join(languages)} about {num_sources:,} passage{"s" if num_sources != 1 else ""}, **written by a model and not
by people**. They may be wrong, and carry the faults of that model.

## Use

```python
from datasets import load_dataset

questions = load_dataset("{name}", split="train")
```

Each line has `docid`, `title`, `text` and `generated_queries`: a list of questions for each language. In xdr, the file is
an `augmentation.source`.

{table}
## Made by

```yaml
{_without_paths(made_by)}```
"""


def _without_paths(settings: Mapping[str, Any]) -> str:
    """As YAML. Of a path on the machine the last part stays."""
    return str(yaml.safe_dump(_plain(settings), sort_keys=False, allow_unicode=True))


def _plain(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {_plain(str(key)): _plain(inner) for key, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return [_plain(inner) for inner in value]
    if isinstance(value, str) and value.startswith(("/", "~", "./", "../")):
        return Path(value).name
    return value


def _p(comparison: Mapping[str, Any]) -> str:
    p = next(iter(comparison["corrected_p"].values()))
    if p is None:
        return "no test"
    return "< .001" if p < 0.001 else f"{p:.3f}".lstrip("0")


def _points(value: float | None) -> str:
    return "" if value is None else f"{100 * value:.1f}"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)
