from tests.pipelines.conftest import trained_encoder

__all__ = ["trained_encoder"]
