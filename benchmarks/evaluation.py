"""All benchmarks of evaluation: python benchmarks/evaluation.py [--afriqa DIR] [--xquad DIR] [--xor-tydi DIR]

Runs encoding.py, search.py and, if AfriQA and XOR-TyDi are given, answer_recall.py. Each has its own process, so that its
memory can be measured.
"""

import argparse
import subprocess
import sys
from pathlib import Path


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--afriqa", type=Path, help="AfriQA's folder `data`")
    parser.add_argument("--xquad", type=Path, help="XQuAD-R's folder")
    parser.add_argument("--xor-tydi", type=Path, help="XOR-TyDi's folder")
    given = parser.parse_args()
    afriqa = ["--afriqa", given.afriqa] if given.afriqa else []
    xquad = ["--xquad", given.xquad] if given.xquad else []
    questions = ["--xor", given.xor_tydi / "xor_train_retrieve_eng_span.jsonl"] if given.xor_tydi else []
    work = {"encoding": [*afriqa, *xquad, *questions], "search": []}
    if afriqa and given.xor_tydi:
        work["answer_recall"] = [*afriqa, "--xor-tydi", given.xor_tydi]
    for name, arguments in work.items():
        print(f"\n{name}", flush=True)
        subprocess.run([sys.executable, Path(__file__).with_name(f"{name}.py"), *map(str, arguments)], check=True)


if __name__ == "__main__":
    main()
