from tests.encoders.conftest import small_models
from tests.pipelines.conftest import trained_encoder

__all__ = ["small_models", "trained_encoder"]
