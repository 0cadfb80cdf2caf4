"""What a job is called in W&B."""

import os
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from xdr.storage.jobs import is_sweep


def labels_of(settings: DictConfig, job_type: str) -> dict[str, Any]:
    """Job type, name and group of a run. W&B's own environment variables count where a setting is null."""
    name, group = os.environ.get("WANDB_NAME"), os.environ.get("WANDB_RUN_GROUP")
    folder = Path(settings.output_dir)
    if is_sweep(folder.parent):
        name = name or " ".join(HydraConfig.get().overrides.task)
        group = group or folder.parent.name
    logger = settings.logger
    return {"job_type": job_type, "name": logger.get("name") or name or folder.name, "group": logger.get("group") or group}
