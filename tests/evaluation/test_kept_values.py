"""per_query.parquet and significance.json, as they are written and read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xdr.comparison import significance
from xdr.errors import ArtefactError
from xdr.evaluation.per_query import PerQuery
from xdr.reporting.evaluation_files import PER_QUERY, read_comparisons, read_metrics, write_comparisons, write_metrics


def test_every_flipped_byte_is_noticed_or_changes_nothing(tmp_path: Path) -> None:
    values = np.random.default_rng(0).random(50)
    kept = PerQuery(tuple(f"q{number}" for number in range(50)), ("fi",) * 50, {"MRR@10": values})
    write_metrics({"baseline": kept}, tmp_path)
    file, refused = tmp_path / PER_QUERY, list[str]()
    whole = file.read_bytes()
    for place in range(0, len(whole), 7):
        file.write_bytes(whole[:place] + bytes([whole[place] ^ 16]) + whole[place + 1 :])
        try:
            found = read_metrics(tmp_path)
        except ArtefactError as error:
            refused.append(str(error))
        else:
            assert found["baseline"].query_ids == kept.query_ids
            assert (found["baseline"].values["MRR@10"] == values).all()
    assert len(refused) > len(whole) / 7 / 2
    assert all(said.startswith(f"{file} is damaged: ") and said.endswith("Run its evaluation again") for said in refused)


def test_another_table_is_refused(tmp_path: Path) -> None:
    pq.write_table(pa.table({"system": ["baseline"]}), tmp_path / PER_QUERY)
    with pytest.raises(ArtefactError, match="its columns must be system, query_id, lang, metric, value"):
        read_metrics(tmp_path)


def test_a_changed_comparison_is_refused(tmp_path: Path) -> None:
    def of(*values: float) -> PerQuery:
        return PerQuery(("q", "r", "s"), ("fi",) * 3, {"MRR@10": np.array(values)})

    systems, testing = {"baseline": of(0, 0.5, 1), "fused": of(1, 0.5, 1)}, significance.Testing(10, 0.95, 0)
    comparisons = testing.compare(systems, "baseline", "MRR@10", np.random.default_rng(0))
    write_comparisons(comparisons, None, tmp_path)
    assert read_comparisons(tmp_path) == [comparison.as_json() for comparison in comparisons]
    file = tmp_path / "significance.json"
    file.write_text(file.read_text().replace('"n": 3', '"n": 4'))
    with pytest.raises(
        ArtefactError, match=r"significance\.json is damaged: its content is not what its seal says\. Run its evaluation again"
    ):
        read_comparisons(tmp_path)
