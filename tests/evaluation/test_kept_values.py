"""per_query.parquet, as it is written and read."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from xdr.errors import ArtefactError
from xdr.evaluation.per_query import PerQuery
from xdr.reporting.evaluation_files import PER_QUERY, read_metrics, write_metrics


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
