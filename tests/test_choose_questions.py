"""The example that keeps the best generated questions."""

import json
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.documented_commands import ROOT
from xdr.encoders.encoder_folder import save_encoder
from xdr.encoders.models import SmallBiEncoder

SCRIPT = ROOT / "docs" / "choose_questions.py"
PASSAGES = np.array([[1.0, 0.0], [0.0, 1.0]])
QUESTIONS = np.array([[0.0, 1.0], [0.6, 0.8], [0.8, 0.6], [1.0, 0.0]])  # about the first passage; the mean is (.6, .6)


@pytest.mark.parametrize(
    ("by", "order"),
    [
        ("first", [0, 1, 2, 3]),
        ("round_trip", [3, 2, 1, 0]),
        ("found", [3, 2]),
        ("central", [1, 2, 0, 3]),
        ("diverse", [1, 3, 0, 2]),  # 1 is as near to 0 as 2 is to 3, so the farthest from 1 is 3, and then 0
    ],
)
def test_each_way_has_its_order(by: str, order: list[int]) -> None:
    script = runpy.run_path(str(SCRIPT))
    leads = script["leads_of"](QUESTIONS, PASSAGES, 0)
    np.testing.assert_allclose(leads, [-1, -0.2, 0.2, 1])
    assert script["best_first"](by, QUESTIONS, leads) == order


def test_passages_without_questions_stay(tmp_path: Path) -> None:
    settings = SmallBiEncoder("bert", 32, 1, 0.0, "mean", True, 32, 64, "", "")
    bi_encoder, tokenizer = settings.build(tmp_path / "initial", seed=1)
    save_encoder(bi_encoder.encoder, tokenizer, tmp_path / "encoder")
    rows = [("lake", {"fi": ["Missä?", "Mikä?"], "te": []}), ("river", {"fi": ["Missä?"]}), ("hill", {})]
    lines = [json.dumps({"docid": text, "title": "", "text": text, "generated_queries": asked}) for text, asked in rows]
    (tmp_path / "questions.jsonl").write_text("\n".join(lines))
    arguments = [tmp_path / "questions.jsonl", tmp_path / "encoder", tmp_path / "out.jsonl", "--by", "first", "--keep", "1"]
    result = subprocess.run([*map(str, [sys.executable, SCRIPT, *arguments])], capture_output=True, text=True, check=False)
    assert result.stdout == "2 of 3 questions are kept\n", result.stderr
    written = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [row["generated_queries"] for row in written] == [{"fi": ["Missä?"], "te": []}, {"fi": ["Missä?"]}, {}]
