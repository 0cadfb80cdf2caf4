"""Reads the output folder of an evaluation, cell by cell in an editor, or whole: `python docs/read_a_run.py FOLDER`."""

# %% The files of the folder
import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from statistics import fmean

import pyarrow.parquet as pq
from scipy.stats import ttest_rel

folder = Path(sys.argv[1] if len(sys.argv) > 1 else "outputs/demo/evaluation")
metrics = json.loads((folder / "metrics.json").read_text())  # {system: {metric: {language: value, "macro": value}}}
comparisons = json.loads((folder / "significance.json").read_text())["comparisons"]
rows = pq.read_table(folder / "per_query.parquet").to_pylist()  # system, query_id, lang, metric, value

# %% The first metric of every system
metric = next(iter(metrics["baseline"]))
languages = list(metrics["baseline"][metric])
print(f"{metric:<20}", *(f"{language:>6}" for language in languages))
for system, values_of in metrics.items():
    print(f"{system:<20}", *(f"{100 * values_of[metric][language]:6.1f}" for language in languages))

# %% A mean, computed again from the values of the queries; a query without a value has null
values: dict[tuple[str, str], dict[str, float]] = defaultdict(dict)
for row in rows:
    if row["metric"] == metric and row["value"] is not None:
        values[row["system"], row["lang"]][row["query_id"]] = row["value"]
language = next(language for system, language in values if system == "baseline")
mean = fmean(values["baseline", language].values())
print(f"\nbaseline, {language}: mean of {len(values['baseline', language])} queries {mean!r}")
print(f"in metrics.json: {metrics['baseline'][metric][language]!r}")

# %% The largest difference in a language, and its paired t-test, computed again with scipy
by_language = [row for row in comparisons if row["metric"] == metric and (row["system"], row["language"]) in values]
if by_language:
    largest = max(by_language, key=lambda row: abs(row["mean_difference"]))
    before, after = (values[largest[which], largest["language"]] for which in ("baseline", "system"))
    p = ttest_rel([after[query] for query in before], [before[query] for query in before]).pvalue
    print(f"\n{largest['system']} against {largest['baseline']}, {largest['language']}: p {float(p)!r}")
    print(f"in significance.json: {largest['p']}, corrected {largest['corrected_p']}")

# %% The metric against alpha as a picture; the baseline is alpha 0
by_alpha = {0.0: metrics["baseline"][metric]["macro"]}
for system, values_of in metrics.items():
    if name := re.fullmatch(r"[a-z_]+-a(\d[\d.e-]*)", system):
        by_alpha[float(name[1])] = values_of[metric]["macro"]
low, high = min(by_alpha.values()), max(by_alpha.values())
points = [
    (60 + 400 * alpha / (max(by_alpha) or 1), 200 - 160 * (value - low) / (high - low or 1))
    for alpha, value in sorted(by_alpha.items())
]
line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points)
words = "".join(
    f'<text x="{x:.1f}" y="{y - 8:.1f}" text-anchor="middle">{100 * by_alpha[alpha]:.1f}</text>'
    f'<text x="{x:.1f}" y="225" text-anchor="middle">{alpha:g}</text>'
    for (x, y), alpha in zip(points, sorted(by_alpha), strict=True)
)
picture = folder / "alpha_curve.svg"
picture.write_text(
    '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 500 250" font-family="sans-serif" font-size="11">'
    f'<text x="60" y="15">{metric} (macro) against alpha</text>'
    f'<polyline points="{line}" fill="none" stroke="black"/>{dots}{words}</svg>\n',
    encoding="utf-8",
)
print(f"\nThe alpha curve is in {picture}")
