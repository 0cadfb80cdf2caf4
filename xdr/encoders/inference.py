"""How an encoder is run where only its vectors are wanted.

| weights | device | linear layers |
|---|---|---|
| float32 | CPU | oneDNN with prepacked weights, where it gives the same vectors; else torch's own |
| bfloat16 | CPU | torch's own, which uses the CPU's bfloat16 instructions |
| any | GPU | torch's own |
"""

import warnings

import torch
from torch import nn

from xdr.encoders.prepacked import PrepackedEncoder, why_vectors_differ
from xdr.encoders.transformer_encoder import TransformerEncoder


def prepared_for_inference(encoder: nn.Module) -> nn.Module:
    """Returns the fastest form that gives the same vectors. It may be a snapshot, which later training of `encoder` does not
    change. An encoder that is returned itself is put into eval mode."""
    if isinstance(encoder, TransformerEncoder) and all(p.device.type == "cpu" for p in encoder.parameters()):
        dtypes = {p.dtype for p in encoder.parameters()}
        if dtypes == {torch.float32}:
            return _prepacked(encoder)
        if torch.bfloat16 in dtypes and not has_bfloat16_instructions():
            warnings.warn(
                "this CPU has no bfloat16 instructions: encoding in bfloat16 takes several times as long as in float32. "
                "Encode in float32",
                stacklevel=2,
            )
    return encoder.eval()


def _prepacked(encoder: TransformerEncoder) -> nn.Module:
    try:
        prepacked = PrepackedEncoder(encoder)
        problem = why_vectors_differ(prepacked, encoder)
    except Exception as error:  # a private operator can be missing, or fail, in any way
        problem = (str(error) or type(error).__name__).splitlines()[0]
    if not problem:
        return prepacked
    warnings.warn(
        f"encoding uses torch's own linear layers, which are slower, because torch {torch.__version__} cannot prepack "
        f"weights here: {problem}",
        stacklevel=3,
    )
    return encoder.eval()


def has_bfloat16_instructions() -> bool:
    return any(present is True for name, present in torch.cpu.get_capabilities().items() if "bf16" in name)
