# SPDX-FileCopyrightText: The nibble authors
# SPDX-License-Identifier: Apache-2.0
"""What PyTorch (eager, compiled), a plain Triton kernel, and the package fast_hadamard_transform where it is
installed reach on the work of transform_bandwidth.

Needs a GPU, PyTorch and Triton. Prints a fraction of a device copy of as many bytes in the same run.
"""
import argparse
import math

import torch
import triton
import triton.language as tl

try:
    from fast_hadamard_transform import hadamard_transform
except ImportError as missing:
    hadamard_transform = None
    print(f"SKIPPED, needs fast_hadamard_transform: {missing}")


def seconds(function, repeats, rounds=5):
    """The median time of a call, by device events around `repeats` of them."""
    function()
    function()
    start, stop = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    times = []
    for _ in range(rounds):
        start.record()
        for _ in range(repeats):
            function()
        stop.record()
        stop.synchronize()
        times.append(start.elapsed_time(stop) * 1e-3 / repeats)
    return sorted(times)[rounds // 2]


def matrix(size):
    """The Sylvester matrix, orthonormal."""
    h = torch.ones(1, 1)
    while h.shape[0] < size:
        h = torch.cat([torch.cat([h, h], 1), torch.cat([h, -h], 1)], 0)
    return h / math.sqrt(size)


def butterflies(x, size):
    t = x.float().view(-1, size)
    distance = 1
    while distance < size:
        pairs = t.view(-1, size // (2 * distance), 2, distance)
        a, b = pairs[:, :, 0], pairs[:, :, 1]
        t = torch.stack([a + b, a - b], 2).view(-1, size)
        distance *= 2
    return (t / math.sqrt(size)).to(x.dtype).view(x.shape)


@triton.jit
def triton_hadamard(x, y, scale, size: tl.constexpr, bits: tl.constexpr, groups: tl.constexpr):
    rows = tl.program_id(0) * groups + tl.arange(0, groups)
    at = rows[:, None] * size + tl.arange(0, size)[None, :]
    t = tl.load(x + at).to(tl.float32)
    for bit in tl.static_range(bits):
        pairs = tl.reshape(t, (groups * size // (2 << bit), 2, 1 << bit))
        a, b = tl.split(tl.permute(pairs, (0, 2, 1)))
        t = tl.reshape(tl.permute(tl.join(a + b, a - b), (0, 2, 1)), (groups, size))
    tl.store(y + at, (t * scale).to(y.dtype.element_ty))


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=16384)
    parser.add_argument("--columns", type=int, default=16384)
    parser.add_argument("--sizes", type=int, nargs="*", default=[16, 128, 256, 1024, 4096, 8192])
    parser.add_argument("--type", choices=["bf16", "f16", "f32"], default="bf16")
    arguments = parser.parse_args()
    kind = {"bf16": torch.bfloat16, "f16": torch.float16, "f32": torch.float32}[arguments.type]
    x = torch.randn(arguments.rows, arguments.columns, device="cuda").to(kind)
    y = torch.empty_like(x)
    copy = seconds(lambda: y.copy_(x), 5)
    gigabytes = 2 * x.numel() * x.element_size() * 1e-9
    print(f"{torch.cuda.get_device_name(0)}, torch {torch.__version__}, triton {triton.__version__}")
    print(f"copy {copy * 1e6:.1f} us {gigabytes / copy:.0f} GB/s")

    def say(name, call, share=1.0):
        try:
            one = seconds(call, 3)
            print(f"{name:44s} {one * 1e6:10.1f} us  {share * copy / one:.3f} of the copy", flush=True)
        except Exception as error:  # the others still count
            print(f"{name:44s} failed: {type(error).__name__}: {str(error).splitlines()[0][:90]}", flush=True)

    for size in arguments.sizes:
        h = matrix(size).to(kind).cuda()
        say(f"hadamard {size}: matmul with the matrix", lambda: torch.matmul(x.view(-1, size), h))
        small = x[: max(1, arguments.rows // 8)]
        say(f"hadamard {size}: eager butterflies (an eighth)", lambda: butterflies(small, size), 1 / 8)
        compiled = torch.compile(butterflies, dynamic=False)
        say(f"hadamard {size}: compiled butterflies", lambda: compiled(x, size))
        if hadamard_transform is not None and size >= 8:
            say(f"hadamard {size}: fast_hadamard_transform",
                lambda: hadamard_transform(x.view(-1, size), 1 / math.sqrt(size)))
        groups = max(1, 2048 // size)
        grid = (x.numel() // size // groups,)
        say(f"hadamard {size}: Triton", lambda: triton_hadamard[grid](
            x, y, 1 / math.sqrt(size), size, int(math.log2(size)), groups, num_warps=4))
        if size <= 1024:
            error = (y.float() - torch.matmul(x.view(-1, size).float(), matrix(size).cuda()).view(x.shape)).norm()
            print(f"  relative error of the Triton kernel {float(error / x.float().norm()):.1e}")
    say("amax: eager abs().amax()", lambda: x.abs().amax(), 0.5)
    amax = torch.compile(lambda z: z.abs().amax())
    say("amax: compiled", lambda: amax(x), 0.5)
    rows = torch.compile(lambda z: z.abs().amax(1))
    say("amax of each row: compiled", lambda: rows(x), 0.5)


if __name__ == "__main__":
    main()
