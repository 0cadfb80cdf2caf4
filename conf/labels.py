"""What a job is called in W&B."""

import os
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig

from xdr.storage.jobs import is_sweep


def labels_of(settings: DictConfig, job_type: str) -> dict[str, Any]:
    """Project, group, name and tags of a run. W&B's own environment variables count where a setting is null."""
    labels = {key: settings.logger.get(key) for key in ("project", "group", "name", "artifacts")}
    name, group = os.environ.get("WANDB_NAME"), os.environ.get("WANDB_RUN_GROUP")
    folder = Path(settings.output_dir)
    if is_sweep(folder.parent):
        name = name or " ".join(HydraConfig.get().overrides.task)
        group = group or folder.parent.name
    labels["tags"] = list(settings.logger.get("tags") or [])
    return {**labels, "job_type": job_type, "name": labels["name"] or name or folder.name, "group": labels["group"] or group}
