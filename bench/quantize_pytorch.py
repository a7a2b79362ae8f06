# SPDX-FileCopyrightText: The nibble authors
# SPDX-License-Identifier: Apache-2.0
"""What PyTorch (eager, compiled) and a plain Triton kernel reach on row-wise NVFP4 quantisation.

They are the same function as `nibble::quantize` with a given amax and row-major scales, bit for bit: with
--program quantize_matrix (of tests/quantizers) that is checked. Needs a GPU, PyTorch and Triton. Prints a
fraction of a device copy of as many bytes in the same run.
"""
import argparse
import os
import subprocess
import tempfile

import torch
import triton
import triton.language as tl

from transform_pytorch import seconds

LARGEST = torch.finfo(torch.float32).max


def tensor_factors(amax):
    # A number over a tensor would be rounded twice: as the number times a reciprocal.
    encode = torch.clamp(torch.full_like(amax, 2688) / amax, max=LARGEST)
    return encode * torch.full_like(amax, 1 / 6), 1 / encode


def quantize(x, amax):
    """Codes and scales of finite x whose rows are multiples of 16, with amax > 0."""
    multiplier, decode = tensor_factors(amax)
    blocks = x.float().unflatten(-1, (-1, 16))
    scale = torch.clamp(blocks.abs().amax(-1) * multiplier, max=448).to(torch.float8_e4m3fn)
    factor = torch.clamp(1 / (scale.float() * decode), max=LARGEST)
    v = blocks * factor.unsqueeze(-1)
    m = v.abs()
    code = ((m > 0.25).to(torch.uint8) + (m >= 0.75) + (m > 1.25) + (m >= 1.75) + (m > 2.5) + (m >= 3.5) + (m > 5)
            + 8 * torch.signbit(v).to(torch.uint8))
    code = code.flatten(-2)
    return code[..., 0::2] | code[..., 1::2] << 4, scale


@triton.jit
def quantize_kernel(x, codes, scales, amax, groups: tl.constexpr):
    group = tl.program_id(0) * groups + tl.arange(0, groups)
    encode = tl.minimum(tl.div_rn(2688.0, tl.load(amax)), 3.4028234663852886e38)
    multiplier = encode * 0.16666667163372040
    decode = tl.div_rn(1.0, encode)
    values = tl.load(x + group[:, None] * 16 + tl.arange(0, 16)[None, :]).to(tl.float32)
    raw = tl.minimum(tl.max(tl.abs(values), 1) * multiplier, 448.0)
    scale = raw.to(tl.float8e4nv)
    factor = tl.minimum(tl.div_rn(1.0, scale.to(tl.float32) * decode), 3.4028234663852886e38)
    v = values * factor[:, None]
    m = tl.abs(v)
    code = ((m > 0.25).to(tl.int32) + (m >= 0.75) + (m > 1.25) + (m >= 1.75) + (m > 2.5) + (m >= 3.5) + (m > 5.0))
    code |= (v.to(tl.int32, bitcast=True) >> 28) & 8
    low, high = tl.split(tl.reshape(code, (groups, 8, 2)))
    tl.store(codes + group[:, None] * 8 + tl.arange(0, 8)[None, :], (low | high << 4).to(tl.uint8))
    tl.store(scales + group, scale.to(tl.uint8, bitcast=True))


def quantize_triton(x, amax, codes, scales, groups=128):
    quantize_kernel[(x.numel() // 16 // groups,)](x, codes, scales, amax, groups, num_warps=4)


def expect_equal(name, ours, theirs):
    for what, a, b in zip(("codes", "scales"), ours, theirs):
        different = int((a.view(torch.uint8).flatten() != b.view(torch.uint8).flatten()).sum())
        print(f"  {name}: {what} " + ("equal" if different == 0 else f"DIFFER in {different} bytes"), flush=True)


def by_library(program, x, kind):
    """The bytes of nibble::quantize, which finds the amax itself."""
    rows, columns = x.shape
    with tempfile.TemporaryDirectory() as folder:
        source, target = os.path.join(folder, "x"), os.path.join(folder, "y")
        with open(source, "wb") as file:
            file.write(x.cpu().view(torch.uint8).numpy().tobytes())
        subprocess.run([program, "cuda:0", kind, str(rows), str(columns), "nvfp4", source, target], check=True)
        with open(target, "rb") as file:
            out = torch.frombuffer(bytearray(file.read()), dtype=torch.uint8).cuda()
    codes = rows * columns // 2
    return out[:codes], out[codes:codes + rows * columns // 16]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shapes", nargs="*", default=["16384x16384", "8192x28672", "14336x5120"])
    parser.add_argument("--types", nargs="*", default=["bf16", "f16", "f32"])
    parser.add_argument("--program", help="quantize_matrix, to compare bytes with")
    arguments = parser.parse_args()
    print(f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}, triton {triton.__version__}")
    types = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}
    compiled = torch.compile(quantize, dynamic=False)
    for kind in arguments.types:
        for shape in arguments.shapes:
            rows, columns = (int(number) for number in shape.split("x"))
            x = torch.randn(rows, columns, device="cuda").to(types[kind])
            codes = torch.empty(rows, columns // 2, device="cuda", dtype=torch.uint8)
            scales = torch.empty(rows, columns // 16, device="cuda", dtype=torch.uint8)
            amax = x.abs().amax().float()
            moved = x.numel() * x.element_size() + codes.numel() + scales.numel()
            source = torch.empty(moved // 2, device="cuda", dtype=torch.uint8)
            target = torch.empty_like(source)
            copy = seconds(lambda: target.copy_(source), 5)
            print(f"{shape} {kind}: copy {copy * 1e6:.1f} us, {moved / copy * 1e-9:.0f} GB/s", flush=True)
            calls = {"eager": lambda: quantize(x, amax), "compiled": lambda: compiled(x, amax),
                     "Triton": lambda: quantize_triton(x, amax, codes, scales)}
            for name, call in calls.items():
                try:
                    one = seconds(call, 1 if name == "eager" else 5)
                    print(f"quantize rows: {name:24s} {one * 1e6:10.1f} us  {copy / one:.3f} of the copy", flush=True)
                except Exception as error:  # the others still count
                    print(f"quantize rows: {name:24s} failed: {type(error).__name__}: {str(error)[:90]}", flush=True)
        small = x[:512]
        amax = small.abs().amax().float()
        quantize_triton(small, amax, codes, scales)
        eager = quantize(small, amax)
        expect_equal("Triton and eager", (codes[:512], scales[:512]), eager)
        expect_equal("compiled and eager", compiled(small, amax), eager)
        if arguments.program:
            expect_equal("nibble and eager", by_library(arguments.program, small, kind), eager)


if __name__ == "__main__":
    main()
