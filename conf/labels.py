"""What a job is called in W&B."""

import os
from pathlib import Path
from typing import Any

from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf

from conf.entry import plain
from xdr.storage.jobs import is_sweep


def labels_of(settings: DictConfig, job_type: str) -> dict[str, Any]:
    """As `callbacks.wandb_logger.Labels` takes them. W&B's own variables of the environment count where nothing is set."""
    labels = plain(settings.wandb)
    name, group = os.environ.get("WANDB_NAME"), os.environ.get("WANDB_RUN_GROUP")
    folder = Path(settings.output_dir)
    if is_sweep(folder.parent):
        name = name or " ".join(HydraConfig.get().overrides.task)
        group = group or folder.parent.name
    name = name or folder.name
    return {**labels, "job_type": job_type, "name": labels["name"] or name, "group": labels["group"] or group}


def configuration(settings: DictConfig) -> dict[str, Any]:
    """All settings as plain values."""
    container = OmegaConf.to_container(settings, resolve=True, enum_to_str=True)
    assert isinstance(container, dict)
    return {str(key): value for key, value in container.items()}
