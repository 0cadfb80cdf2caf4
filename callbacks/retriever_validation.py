"""Validation of a retriever: dev queries search a small pool of passages."""

from typing import Any

import lightning.pytorch as pl

from xdr.errors import UserError
from xdr.training.bi_encoder_data import BiEncoderData, EncodeBatch
from xdr.training.bi_encoder_module import BiEncoderModule
from xdr.training.pool_metrics import PoolMetrics


class RetrieverValidation(pl.Callback):
    """Logs `dev/recall@k` and `dev/MRR`, means over languages and by language. The pool is made of the data module's examples
    and holds at most `largest_pool` passages; 0 switches validation off."""

    def __init__(self, largest_pool: int) -> None:
        self._largest_pool = largest_pool
        self._metrics: PoolMetrics | None = None

    def setup(self, trainer: pl.Trainer, pl_module: pl.LightningModule, stage: str) -> None:
        data: Any = getattr(trainer, "datamodule", None)
        if not isinstance(data, BiEncoderData):
            raise UserError(
                "callbacks must be those of a generator, got the validation of a retriever; set callbacks=generator"
            )
        if self._largest_pool:
            assert isinstance(pl_module, BiEncoderModule)
            self._metrics = PoolMetrics(data.make_pool(self._largest_pool), pl_module.bi_encoder.similarity)

    def on_validation_batch_end(
        self,
        trainer: pl.Trainer,
        pl_module: pl.LightningModule,
        outputs: Any,
        batch: EncodeBatch,
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        assert self._metrics is not None
        self._metrics.update("passages" if dataloader_idx else "queries", batch.rows_B, outputs)

    def on_validation_epoch_end(self, trainer: pl.Trainer, pl_module: pl.LightningModule) -> None:
        if self._metrics is not None:
            pl_module.log_dict(self._metrics.compute(), rank_zero_only=False)
            self._metrics.reset()
