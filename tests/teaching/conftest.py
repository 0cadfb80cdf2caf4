from tests.encoders.conftest import small_models, small_mt5

__all__ = ["small_models", "small_mt5"]
