"""Writes tests/golden/quants/TYPE.bin: blocks of each weight format and the values that the `gguf` package reads from them.

    python tests/golden/make_quants.py

A file is: u32 bytes of blocks, u32 number of values, the blocks, the values as little-endian f32. Blocks are random bytes
with half-float scales of ordinary size, so every bit of the packing matters. Needs gguf and numpy.
"""

import struct
from pathlib import Path

import numpy as np
from gguf.constants import GGML_QUANT_SIZES, GGMLQuantizationType as T
from gguf.quants import dequantize

OUT = Path(__file__).parent / "quants"

# name, type, blocks, byte offsets of the half-float scales in a block
FORMATS = [
    ("f32", T.F32, 16, []),
    ("f16", T.F16, 64, []),
    ("bf16", T.BF16, 64, []),
    ("q8_0", T.Q8_0, 3, [0]),
    ("q4_0", T.Q4_0, 3, [0]),
    ("q4_1", T.Q4_1, 3, [0, 2]),
    ("q5_0", T.Q5_0, 3, [0]),
    ("q5_1", T.Q5_1, 3, [0, 2]),
    ("q4_k", T.Q4_K, 2, [0, 2]),
    ("q5_k", T.Q5_K, 2, [0, 2]),
    ("q6_k", T.Q6_K, 2, [208]),
]


def main():
    OUT.mkdir(exist_ok=True)
    rng = np.random.Generator(np.random.PCG64(20240607))
    for name, kind, count, scales in FORMATS:
        block_size, block_bytes = GGML_QUANT_SIZES[kind]
        blocks = rng.integers(0, 256, (count, block_bytes), dtype=np.uint8)
        if kind == T.F32:
            blocks = rng.standard_normal(count).astype(np.float32).view(np.uint8).reshape(count, 4)
        elif kind == T.F16:
            halves = rng.standard_normal(count).astype(np.float16)
            halves[:6] = [0.0, -0.0, 65504.0, 2**-24, -(2**-15), np.inf]  # with subnormals
            blocks = halves.view(np.uint8).reshape(count, 2)
        elif kind == T.BF16:
            # Exponents from 0x70 on: far from NaN, whose payload a comparison could not see.
            blocks[:, 1] = (blocks[:, 1] & 0x80) | 0x38 | (blocks[:, 1] & 7)
        for offset in scales:
            values = (rng.standard_normal(count) * 0.05).astype(np.float16)
            blocks[:, offset : offset + 2] = values.view(np.uint8).reshape(count, 2)
        blocks = np.ascontiguousarray(blocks)
        row = blocks.reshape(1, -1)
        values = dequantize(row.view(np.float32) if kind == T.F32 else row, kind) if kind != T.F16 else row.view(
            np.float16).astype(np.float32)
        values = np.ascontiguousarray(values, dtype="<f4").ravel()
        assert values.size == count * block_size and not np.isnan(values).any()
        data = blocks.tobytes()
        (OUT / f"{name}.bin").write_bytes(struct.pack("<II", len(data), values.size) + data + values.tobytes())


if __name__ == "__main__":
    main()
