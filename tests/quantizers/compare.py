# SPDX-FileCopyrightText: The nibble authors
# SPDX-License-Identifier: Apache-2.0
"""The library's bytes beside those of other people's quantisers, for the same inputs.

Holds three things equal, for each quantiser and input: the library and the contract in numpy
(contract.py); the quantiser and the contract with that quantiser's own steps (others.py); so that
where the library and the quantiser differ, those steps are why. Prints a table of how many bytes of
the library and the quantiser are equal. Packages that are missing are skipped, and said to be.
"""
import argparse
import csv
import datetime
import importlib.metadata
import os
import subprocess
import sys
import tempfile

try:
    import numpy as np
except ImportError as error:
    print(f"SKIPPED, needs numpy: {error}")
    sys.exit(77)

import others
from contract import E2M1, F32, bf16

ROWS, COLUMNS = 256, 512


def ties():
    """Blocks with a scale of 1 under an amax of 2688: elements on the thresholds of E2M1 and beside them."""
    middle = np.concatenate([(E2M1[:-1] + E2M1[1:]) / 2, E2M1]).astype(F32)
    values = np.concatenate([middle, bf16(np.nextafter(middle, F32(9))), bf16(middle * F32(0.99)),
                             bf16(middle * F32(1.01))])
    x = np.resize(np.concatenate([values, -values]), (ROWS, COLUMNS)).astype(F32)
    x[:, ::16] = 6
    x[0, 0] = 2688
    return x


def inputs(random):
    """Name: the values (exact in the type), the types to give them in, whether all are finite."""
    normal = random.standard_normal((ROWS, COLUMNS)).astype(F32)
    wide = np.ldexp(normal, random.integers(-24, 8, (ROWS, 1)))
    powers = np.ldexp(normal, np.repeat(random.integers(-40, 40, (ROWS, COLUMNS // 32)), 32, axis=1))
    zeros = np.where(random.integers(0, 2, (ROWS, COLUMNS)) == 0, F32(0), normal) * F32(1)
    zeros[normal < -0.5] = F32(-0.0)
    zeros[:, :64] = 0
    zeros[:, 32:48] = -0.0
    small = bf16(normal * F32(1e-38))
    odd = normal.copy()
    odd[::7, ::33], odd[1::7, 5::65], odd[2::7, 9::129] = np.nan, np.inf, -np.inf
    student = random.standard_t(3, (ROWS, COLUMNS)).astype(F32) * F32(0.02)
    return {
        "normal": (normal, ("bf16", "f32"), True),
        "weights, heavy tails": (student, ("bf16", "f32"), True),
        "ties and their neighbours": (ties(), ("bf16",), True),
        "rows over 2^32: scales underflow": (wide, ("bf16", "f32"), True),
        "blocks over 2^80": (powers, ("bf16", "f32"), True),
        "zeros of both signs, zero blocks": (zeros, ("bf16",), True),
        "subnormal": (small, ("bf16",), True),
        "NaN and infinities": (odd, ("bf16",), False),
    }


class Library:
    def __init__(self, program, device):
        self.program, self.device, self.known = program, device, {}

    def quantize(self, name, x, kind, quantizer):
        """Bytes of codes and scales, and the amax, as Contract.quantize gives them."""
        key = (name, kind, quantizer.options)
        if key not in self.known:
            self.known[key] = self.run(x, kind, quantizer)
        return self.known[key]

    def run(self, x, kind, quantizer):
        raw = x.astype("<f4").view("<u4")
        data = (raw >> 16).astype("<u2").tobytes() if kind == "bf16" else raw.tobytes()
        with tempfile.TemporaryDirectory() as folder:
            source, target = os.path.join(folder, "x"), os.path.join(folder, "y")
            with open(source, "wb") as file:
                file.write(data)
            subprocess.run([self.program, self.device, kind, str(ROWS), str(COLUMNS), quantizer.options, source,
                            target], check=True)
            with open(target, "rb") as file:
                out = np.frombuffer(file.read(), np.uint8)
        rows, columns = (COLUMNS, ROWS) if "transposed" in quantizer.options else (ROWS, COLUMNS)
        width = columns if "mxfp8" in quantizer.options else columns // 2
        codes = out[: rows * width].reshape(rows, width)
        scales = out[rows * width : -4].reshape(rows, columns // quantizer.block)
        return codes, scales, out[-4:].view(F32)[0]


def share(a, b):
    return float(np.mean(a == b))


def contract_of(quantizer):
    """The contract for the same options, without the quantiser's own steps."""
    import contract

    kinds = [contract.FourOverSix, contract.Square, contract.Transformed, contract.NoTensorScale, contract.Mxfp8, contract.Mxfp4]
    return next((kind for kind in kinds if issubclass(quantizer, kind)), contract.Contract)()


class Comparison:
    def __init__(self, library):
        self.library, self.lines, self.wrong = library, [], []

    def compare(self, quantizer, name, x, kind, finite):
        one = quantizer()
        with np.errstate(all="ignore"):
            amax = np.nanmax(np.abs(x))
        ours = self.library.quantize(name, x, kind, one)
        theirs = one.run(x, kind)
        label = f"{quantizer.package} {quantizer.function}, {name}, {kind}"
        if finite:
            self.expect(label + ": the library and the contract", ours, contract_of(quantizer).quantize(x, amax))
        if finite and name not in getattr(quantizer, "not_modelled", ()):
            self.expect(label + ": the quantiser and its own steps", theirs, one.quantize(x, amax))
        equal = np.array_equal(ours[0], theirs[0]) and np.array_equal(ours[1], theirs[1])
        why = "" if equal else quantizer.why if finite else "what is not finite is not defined alike"
        version = importlib.metadata.version(quantizer.package)
        self.lines.append([f"{quantizer.package} {version}", quantizer.function, name, kind,
                           f"{share(ours[0], theirs[0]):.5f}", f"{share(ours[1], theirs[1]):.5f}",
                           "equal" if equal else "differ", why])

    def expect(self, label, a, b):
        for what, x, y in (("codes", a[0], b[0]), ("scales", a[1], b[1])):
            if x.shape != y.shape:
                self.wrong.append(f"{label}: {what} of {x.shape} and {y.shape}")
            elif not np.array_equal(x, y):
                at = tuple(int(i) for i in np.argwhere(x != y)[0])
                self.wrong.append(f"{label}: {what} differ in {np.sum(x != y)} of {x.size} bytes, first at {at}: "
                                  f"{x[at]:#04x} and {y[at]:#04x}")
        if b[2] is not None and a[2] != b[2]:
            self.wrong.append(f"{label}: tensor scales {a[2]} and {b[2]}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", required=True, help="quantize_matrix")
    parser.add_argument("--device", default="emulator:sm_100a")
    parser.add_argument("--csv", help="write the table there")
    parser.add_argument("--commit", default="", help="of the library, for the table")
    parser.add_argument("--only", default="", help="packages whose name contains this")
    arguments = parser.parse_args()
    comparison = Comparison(Library(arguments.program, arguments.device))
    prepared = [(name, bf16(x) if kind == "bf16" else x, kind, finite)
                for name, (x, kinds, finite) in inputs(np.random.default_rng(1)).items() for kind in kinds]
    missing = {}
    for quantizer in others.QUANTIZERS:
        if arguments.only not in quantizer.package or quantizer.package in missing:
            continue
        try:
            for name, x, kind, finite in prepared:
                if kind in getattr(quantizer, "kinds", ("bf16", "f32")):
                    comparison.compare(quantizer, name, x, kind, finite)
        except ImportError as error:
            missing[quantizer.package] = str(error)
    header = ["package", "function", "input", "type", "codes equal", "scales equal", "bytes", "why not"]
    for line in [header] + comparison.lines:
        print(f"{line[0]:26s} {line[1]:47s} {line[2]:33s} {line[3]:5s} {line[4]:11s} {line[5]:12s} {line[6]}")
    if arguments.csv:
        made = ["date", "device", "commit"], [f"{datetime.date.today()}", arguments.device, arguments.commit]
        with open(arguments.csv, "w", newline="") as file:
            table = csv.writer(file, lineterminator="\n")
            table.writerow(header + made[0])
            table.writerows(line + made[1] for line in comparison.lines)
    for name, error in missing.items():
        print(f"SKIPPED, needs {name}: {error}")
    for wrong in comparison.wrong:
        print(f"WRONG: {wrong}")
    if comparison.wrong:
        return 1
    return 0 if comparison.lines else 77


if __name__ == "__main__":
    sys.exit(main())
