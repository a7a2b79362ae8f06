# SPDX-FileCopyrightText: The nibble authors
# SPDX-License-Identifier: Apache-2.0
"""Reads an output of `nibble quantize` with Python's safetensors and decodes it with NumPy.

Usage: loads_in_python.py NIBBLE. Exit code 77: numpy or safetensors is not installed.
"""
import json
import os
import struct
import subprocess
import sys
import tempfile

try:
    import numpy
    import safetensors
except ImportError as error:
    print(f"SKIPPED: {error}; install numpy and safetensors to run this test")
    sys.exit(77)

MAGNITUDES = numpy.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
E2M1 = numpy.concatenate([MAGNITUDES, -MAGNITUDES])


def e4m3(bits):
    """float64 of E4M3 bits, none of them NaN."""
    exponent = (bits >> 3 & 15).astype(int)
    mantissa = bits & 7
    return numpy.where(exponent == 0, mantissa * 2.0**-9, (8 + mantissa) * 2.0 ** (exponent - 10))


def raw(path):
    """Name to (dtype, shape, bytes): NumPy has no bfloat16 and no float8 to return."""
    with open(path, "rb") as file:
        data = file.read()
    tensors = safetensors.deserialize(data)
    return {name: (t["dtype"], t["shape"], bytes(t["data"])) for name, t in tensors}


def values(tensor):
    dtype, shape, data = tensor
    assert dtype == "BF16", dtype
    wide = numpy.frombuffer(data, numpy.uint16).astype(numpy.uint32) << 16
    return wide.view(numpy.float32).reshape(shape).astype(numpy.float64)


def decoded(tensors, module):
    codes_type, (rows, half), codes = tensors[module + ".weight"]
    scales_type, scales_shape, scales = tensors[module + ".weight_scale"]
    scalar_type, scalar_shape, scalar = tensors[module + ".weight_scale_2"]
    assert codes_type == "U8" and scales_type == "F8_E4M3" and scalar_type == "F32"
    assert list(scales_shape) == [rows, half // 8] and list(scalar_shape) == []
    codes = numpy.frombuffer(codes, numpy.uint8).reshape(rows, half)
    elements = numpy.stack([codes & 15, codes >> 4], axis=-1).reshape(rows, 2 * half)
    scales = e4m3(numpy.frombuffer(scales, numpy.uint8).reshape(rows, half // 8))
    return E2M1[elements] * numpy.repeat(scales, 16, axis=1) * struct.unpack("<f", scalar)[0]


def main():
    nibble = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        os.environ["NIBBLE_CACHE_DIR"] = folder + "/cache"
        before, after = folder + "/in.safetensors", folder + "/out.safetensors"
        subprocess.run([nibble, "make-checkpoint", "-o", before, "--hidden", "64", "--quiet"], check=True)
        device = os.environ.get("NIBBLE_DEVICE", "emulator:sm_100a")
        command = [nibble, "quantize", before, "-o", after, "--json", "--device", device]
        report = json.loads(subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout)
        with safetensors.safe_open(after, "numpy") as file:
            names = set(file.keys())
            assert file.metadata()["quantized_by"].startswith("nibble ")
        originals, results = raw(before), raw(after)
        assert names == set(results)
        for tensor in report["tensors"]:
            name = tensor["name"]
            if not tensor["quantized"]:
                assert originals[name] == results[name], name
                continue
            x = values(originals[name])
            y = decoded(results, name.removesuffix(".weight"))
            snr = 10 * numpy.log10((x**2).sum() / ((x - y) ** 2).sum())
            assert abs(snr - tensor["snr_db"]) < 1e-6 and 18 < snr < 24, (name, snr)
        print(f"{report['totals']['quantized']} tensors decode as reported")


main()
