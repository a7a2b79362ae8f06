# SPDX-FileCopyrightText: The nibble authors
# SPDX-License-Identifier: Apache-2.0
"""The numerics contract of templates/README.md, a method a step, for whole matrices in numpy.

Another quantiser is a subclass that has other steps: where it gives that quantiser's bytes, those
steps are all that tells the two apart.
"""
import numpy as np

F32 = np.float32
LARGEST = np.finfo(F32).max
SIXTH = F32(1) / F32(6)
E2M1 = np.array([0, 0.5, 1, 1.5, 2, 3, 4, 6])
E4M3 = np.array([(m if e == 0 else 8 + m) * 2.0 ** (max(e, 1) - 10) for e in range(16) for m in range(8)][:127])


def nearest(magnitude, table):
    """Places in the table of what is nearest; the even one of two; beyond the last is the last."""
    middle = (table[:-1] + table[1:]) / 2
    below = np.searchsorted(middle, magnitude, side="left")
    above = np.searchsorted(middle, magnitude, side="right")
    return np.where(below % 2 == 0, below, above).astype(np.uint8)


def signed(code, sign_from, bit):
    return code | (np.signbit(sign_from).astype(np.uint8) * np.uint8(bit))


def pack(codes):
    return codes[:, 0::2] | codes[:, 1::2] << 4


def bf16(x):
    bits = np.asarray(x, F32).view(np.uint32).astype(np.uint64)
    return ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16 << 16).astype(np.uint32).view(F32)


class Contract:
    """NVFP4, row by row."""

    options = "nvfp4"
    block = 16
    square = False

    def tensor(self, amax):
        encode = F32(1) if amax == 0 else np.minimum(F32(2688) / F32(amax), LARGEST)
        self.encode = encode if encode != 0 else F32(1)
        self.decode = F32(1) / self.encode

    def raw_scale(self, amax):
        return amax * (self.encode * SIXTH)

    def scale_byte(self, raw):
        return nearest(raw, E4M3)

    def scale_value(self, byte):
        return E4M3[byte].astype(F32)

    def scaled(self, x, scale):
        return x * np.minimum(F32(1) / (scale * self.decode), LARGEST)

    def code(self, v, x):
        """v: x scaled."""
        return signed(nearest(np.abs(v), E2M1), v, 8)

    def pack(self, codes):
        return pack(codes)

    def tensor_scale(self, amax):
        """What a quantiser stores for the whole tensor, as a float; None for nothing."""
        return F32(amax)

    def amax_of_blocks(self, x):
        rows, blocks, _ = x.shape
        if not self.square:
            return np.abs(x).max(axis=2)
        return np.repeat(np.abs(x).reshape(rows // 16, 16, blocks, 16).max(axis=(1, 3)), 16, axis=0)

    def quantize(self, x, amax):
        """The bytes of codes and scales, and the tensor scale."""
        with np.errstate(all="ignore"):
            self.tensor(amax)
            rows, columns = x.shape
            x = x.astype(F32).reshape(rows, columns // self.block, self.block)
            byte = self.scale_byte(self.raw_scale(self.amax_of_blocks(x)))
            v = self.scaled(x, self.scale_value(byte)[:, :, None])
            codes = self.code(v, x).reshape(rows, columns)
            return self.pack(codes), byte, self.tensor_scale(amax)


class Square(Contract):
    options = "nvfp4,square"
    square = True


class Transformed(Contract):
    """The transposed copy after the random Hadamard transform, of bf16."""

    options = "nvfp4,transposed,transform"

    @staticmethod
    def transform(x):
        z = np.ascontiguousarray(x.T, dtype=F32)
        z = z.reshape(z.shape[0], -1, 16).copy()
        z *= np.array([-0.25 if 0xD7E8 >> i & 1 else 0.25 for i in range(16)], F32)
        for distance in (1, 2, 4, 8):
            for i in range(16):
                if i & distance:
                    continue
                a, b = z[:, :, i].copy(), z[:, :, i + distance].copy()
                z[:, :, i], z[:, :, i + distance] = a + b, a - b
        return bf16(z).reshape(z.shape[0], -1)

    def quantize(self, x, amax):
        z = self.transform(x)
        return super().quantize(z, np.abs(z).max())


class NoTensorScale(Contract):
    """What the contract makes of a tensor whose amax is 2688: the factor of the tensor is 1."""

    options = "nvfp4,amax=2688"

    def tensor(self, amax):
        super().tensor(F32(2688))

    def tensor_scale(self, amax):
        return None


class FourOverSix(Contract):
    options = "nvfp4,four_over_six"

    def tensor(self, amax):
        self.amax = F32(amax)
        encode = F32(1) if amax == 0 else np.minimum(F32(1536) / F32(amax), LARGEST)
        self.encode = encode if encode != 0 else F32(1)
        self.decode = F32(1) / self.encode

    def raw_scale(self, amax):
        return (amax / F32(6)) * self.encode

    def error(self, x, values, scale, scale_of_four):
        """Of each block: values are those of the codes, without a sign."""
        p = np.where(scale_of_four > 0, np.ldexp(1.0, 11 - np.frexp(scale_of_four)[1]), 0).astype(F32)
        difference = values * (scale * p) - np.abs(x) * (self.encode * p)
        square = np.minimum(difference * difference, F32(2 ** 23 - 1))
        return np.rint(np.where(np.isnan(square), F32(2 ** 23 - 1), square)).astype(np.int64).sum(axis=2)

    def candidate(self, byte, x):
        scale = self.scale_value(byte)[:, :, None]
        code = self.code(self.scaled(x, scale), x)
        return code, E2M1[code & 7].astype(F32), scale

    def quantize(self, x, amax):
        with np.errstate(all="ignore"):
            self.tensor(amax)
            rows, columns = x.shape
            x = x.astype(F32).reshape(rows, columns // 16, 16)
            base = self.raw_scale(self.amax_of_blocks(x))
            bytes_of = self.scale_byte(base), self.scale_byte(base * F32(1.5))
            six, four = (self.candidate(byte, x) for byte in bytes_of)
            takes_four = self.error(x, four[1], four[2], four[2]) < self.error(x, six[1], six[2], four[2])
            byte = np.where(takes_four, bytes_of[1], bytes_of[0])
            code = np.where(takes_four[:, :, None], four[0], six[0]).reshape(rows, columns)
            return self.pack(code), byte, self.tensor_scale(amax)


class Mxfp4(Contract):
    options = "mxfp4"
    block = 32
    largest = 6

    def tensor(self, amax):
        pass

    def tensor_scale(self, amax):
        return None

    def raw_scale(self, amax):
        return amax * (F32(1) / F32(self.largest))

    def scale_byte(self, raw):
        fraction, exponent = np.frexp(raw.astype(np.float64))  # in [0.5, 1)
        exponent = np.where(fraction == 0.5, exponent - 1, exponent)
        return np.clip(np.where(raw == 0, -127, exponent) + 127, 0, 254).astype(np.uint8)

    def scale_value(self, byte):
        return np.ldexp(1.0, byte.astype(int) - 127).astype(F32)

    def scaled(self, x, scale):
        return x * (F32(1) / scale)


class Mxfp8(Mxfp4):
    options = "mxfp8"
    largest = 448

    def code(self, v, x):
        return signed(nearest(np.abs(v), E4M3), v, 128)

    def pack(self, codes):
        return codes
