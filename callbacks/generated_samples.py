"""After each validation of a query generator: what it wrote, as JSON lines and as a table in W&B."""

import json
from pathlib import Path
from typing import Any

import lightning.pytorch as pl

from callbacks.run_rows import Table
from callbacks.wandb_logger import log_row
from xdr.storage.files import replacing_file

_COLUMNS = ("language", "source", "title", "passage", "reference", "written")


class KeepWrittenSamples(pl.Callback):
    """`samples/step-00000100.jsonl` ... in the output folder."""

    def __init__(self, output_dir: Path) -> None:
        self._folder = output_dir / "samples"

    def on_validation_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        samples: Any = getattr(pl_module, "samples", None)
        if not samples or not trainer.is_global_zero:
            return
        rows = [
            [s.asked.group, s.asked.source.passage_id, s.asked.source.title, s.asked.source.text, s.asked.reference, s.text]
            for s in samples
        ]
        with replacing_file(self._folder / f"step-{trainer.global_step:08d}.jsonl") as partial:
            lines = [json.dumps(dict(zip(_COLUMNS, row, strict=True)), ensure_ascii=False) for row in rows]
            partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
        if trainer.logger is not None:
            log_row(trainer.logger, {}, {"dev/written": Table(_COLUMNS, rows)}, trainer.global_step)
