from tests.encoders.conftest import small_models

__all__ = ["small_models"]
