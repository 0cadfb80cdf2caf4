"""Compares systems that were trained with several seeds. A query's value is its mean over the seeds; the first is the baseline.

python docs/compare_seeds.py recall@10 plain=FOLDER,FOLDER,FOLDER other=FOLDER,FOLDER,FOLDER
"""

import sys
from pathlib import Path

import numpy as np

from xdr.comparison.significance import RANDOMISATION, Testing
from xdr.evaluation.per_query import MACRO, means
from xdr.reporting.evaluation_files import read_metrics
from xdr.studies.points import mean_over

metric = sys.argv[1]
systems = {}
for argument in sys.argv[2:]:
    name, folders = argument.split("=")
    seeds = [read_metrics(Path(folder))["baseline"] for folder in folders.split(",")]
    systems[name] = mean_over(seeds, name)
    values = [100 * means(values, metric).macro for values in seeds]
    print(f"{name}: {metric} {', '.join(f'{value:.1f}' for value in values)}; mean {np.mean(values):.1f}")

baseline, *others = systems
testing = Testing(num_samples=10_000, confidence=0.95, seed=0)
for found in testing.compare(systems, baseline, metric, np.random.default_rng(0)) if others else ():
    if found.language == MACRO:
        low, high = (100 * end for end in found.confidence_interval)
        p = f"p {found.p[RANDOMISATION]:.3g}, corrected {found.corrected_p[RANDOMISATION]:.3g}"
        print(f"{found.system} - {baseline}: {100 * found.mean_difference:+.1f} ({low:.1f} to {high:.1f}), {p}")
