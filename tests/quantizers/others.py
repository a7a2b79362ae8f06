# SPDX-FileCopyrightText: The nibble authors
# SPDX-License-Identifier: Apache-2.0
"""Other people's quantisers that run on a CPU, each with its steps that are not the contract's.

run() takes a float32 matrix whose values are exact in the type of the input and gives what
Contract.quantize gives. An import of a package that is missing fails there.
"""
import importlib
import importlib.util
import os
import sys
import types

import numpy as np

import contract
from contract import (E2M1, F32, LARGEST, SIXTH, Contract, Mxfp4, Mxfp8, NoTensorScale, Square, Transformed, nearest,
                      signed)

E4M3_SMALLEST_NORMAL = F32(2.0 ** -6)
E4M3_SMALLEST = F32(2.0 ** -9)


def torch_matrix(x, kind):
    import torch

    return torch.from_numpy(np.ascontiguousarray(x)).to({"bf16": torch.bfloat16, "f32": torch.float32}[kind])


def as_bytes(tensor):
    import torch

    return tensor.contiguous().view(torch.uint8).numpy()


def codes_of(values, scales):
    """The codes of decoded E2M1 values, given what each was multiplied by."""
    with np.errstate(all="ignore"):
        v = np.where(scales == 0, 0, values.astype(np.float64) / scales.astype(np.float64))
    return signed(nearest(np.abs(v), E2M1), values, 8)


# ---- Transformer Engine: the reference of its own tests, in PyTorch


def transformer_engine_reference():
    """Its module alone: the package's start wants the compiled extension, which needs a GPU's libraries."""
    name = "transformer_engine"
    if name not in sys.modules:
        spec = importlib.util.find_spec(name)
        if spec is None:
            raise ModuleNotFoundError(f"No module named '{name}'", name=name)
        root = os.path.dirname(spec.origin)
        for part in ("", ".pytorch", ".pytorch.custom_recipes"):
            module = types.ModuleType(name + part)
            module.__path__ = [os.path.join(root, *part.split("."))]
            sys.modules[name + part] = module
        # What else it imports is not used to quantise.
        tensor = types.ModuleType(name + ".pytorch.quantized_tensor")
        tensor.QuantizedTensorStorage = object
        tensor.Quantizer = type("Quantizer", (), {"__init__": _usage})
        gemm = types.ModuleType(name + ".pytorch.custom_recipes.gemm")
        gemm.MMParams = object
        gemm.GEMMType = types.SimpleNamespace(FPROP=0)
        for stub in (tensor, gemm):
            sys.modules[stub.__name__] = stub
        sys.modules[name + ".pytorch.custom_recipes"].gemm = gemm
    return importlib.import_module(name + ".pytorch.custom_recipes.reference_nvfp4")


def _usage(self, *, rowwise, columnwise):
    self.rowwise_usage, self.columnwise_usage = rowwise, columnwise


class TransformerEngine(Contract):
    package = "transformer-engine"
    function = "NVFP4QuantizerRef 1x16"
    tile = (1, 16)
    with_rht = False
    arguments = {}
    why = "-0 has code 0"

    def code(self, v, x):
        return np.where(v == 0, 0, super().code(v, x))

    def run(self, x, kind):
        reference = transformer_engine_reference()
        quantizer = reference.NVFP4QuantizerRef(
            dtype=reference.reference_utils.Fp4Formats.E2M1, quant_tile_shape=self.tile, with_rht=self.with_rht,
            **self.arguments)
        codes, scales, turned, turned_scales, amax, turned_amax = quantizer._quantize(torch_matrix(x, kind))
        if self.with_rht:
            codes, scales, amax = turned, turned_scales, turned_amax
        return as_bytes(codes), as_bytes(scales), F32(amax.item())


class TransformerEngineSquare(TransformerEngine, Square):
    function = "NVFP4QuantizerRef 16x16"
    tile = (16, 16)


class TransformerEngineTransformed(TransformerEngine, Transformed):
    function = "NVFP4QuantizerRef with_rht, transposed"
    why = "-0 has code 0; the product with the matrix is PyTorch's in bf16, where subnormals count as 0"
    not_modelled = ("subnormal",)
    with_rht = True
    kinds = ("bf16",)


class TransformerEngineFourOverSix(TransformerEngine, contract.FourOverSix):
    function = "NVFP4QuantizerRef 4over6, MSE, 256"
    arguments = {"nvfp4_use_4over6": True, "nvfp4_e4m3_max": 256, "nvfp4_4over6_err_mode": "MSE"}
    why = "-0 has code 0; errors are added in fp32, in units of x: the choice is another where both sums are nearly equal"

    def error(self, x, values, scale, scale_of_four):
        difference = values * scale * self.amax / F32(1536) - np.abs(x)
        total = np.zeros(x.shape[:2], F32)
        for i in range(16):
            total = total + difference[:, :, i] * difference[:, :, i]
        return total


# ---- torchao


class Torchao(Contract):
    package = "torchao"
    function = "nvfp4_quantize(per_tensor_scale)"
    why = ("scale (amax_b / 6) / (amax / 2688), not below 2^-6; factor (1 / (amax / 2688)) / S: "
           "other roundings, and no scale underflows")
    not_modelled = ("subnormal",)  # the factor overflows: 0 * infinity

    def tensor(self, amax):
        self.second = F32(amax) / F32(2688)

    def tensor_scale(self, amax):
        return F32(amax) / F32(2688)

    def raw_scale(self, amax):
        return np.clip((amax / F32(6)) / self.second, E4M3_SMALLEST_NORMAL, F32(448))

    def scaled(self, x, scale):
        return x * ((F32(1) / self.second) / scale)

    def run(self, x, kind):
        import torch
        from torchao.prototype.mx_formats.nvfp4_tensor import nvfp4_quantize, per_tensor_amax_to_scale

        matrix = torch_matrix(x, kind)
        scale = per_tensor_amax_to_scale(torch.amax(torch.abs(matrix)))
        scales, codes = nvfp4_quantize(matrix, 16, scale)
        return as_bytes(codes), as_bytes(scales), F32(scale.item())


class TorchaoOneLevel(NoTensorScale):
    package = "torchao"
    function = "nvfp4_quantize()"
    why = "scale amax_b / 6, not below 2^-6"

    def raw_scale(self, amax):
        return np.clip(amax / F32(6), E4M3_SMALLEST_NORMAL, F32(448))

    def run(self, x, kind):
        from torchao.prototype.mx_formats.nvfp4_tensor import nvfp4_quantize

        scales, codes = nvfp4_quantize(torch_matrix(x, kind), 16)
        return as_bytes(codes), as_bytes(scales), None


def torchao_mx(x, kind, element, mode):
    import torch
    from torchao.prototype.mx_formats.config import ScaleCalculationMode
    from torchao.prototype.mx_formats.mx_tensor import to_mx

    scales, codes = to_mx(torch_matrix(x, kind), getattr(torch, element), 32, ScaleCalculationMode[mode])
    return as_bytes(codes), as_bytes(scales), None


class RoundsUpByLogarithm:
    """ceil(log2(amax_b / largest)) in fp32: the logarithm is rounded to a whole number just above a power of two."""

    def raw_scale(self, amax):
        return amax / F32(self.largest)

    def scale_byte(self, raw):
        import torch

        exponent = torch.ceil(torch.log2(torch.from_numpy(raw))).numpy()
        return np.clip(exponent + 127, 0, 254).astype(np.uint8)


class TorchaoMxfp4(RoundsUpByLogarithm, Mxfp4):
    package = "torchao"
    function = "to_mx(float4_e2m1fn_x2, RCEIL)"
    why = "the exponent is ceil(log2(amax_b / 6)), rounded; scale 2^-127: the factor is 1"
    element, mode = "float4_e2m1fn_x2", "RCEIL"

    def scaled(self, x, scale):
        return x * np.where(scale == F32(2.0 ** -127), F32(1), F32(1) / scale)

    def run(self, x, kind):
        return torchao_mx(x, kind, self.element, self.mode)


class TorchaoMxfp8(TorchaoMxfp4, Mxfp8):
    function = "to_mx(float8_e4m3fn, RCEIL)"
    why = TorchaoMxfp4.why.replace("/ 6", "/ 448")
    element = "float8_e4m3fn"


class TorchaoMxfp4Floor(TorchaoMxfp4):
    function = "to_mx(float4_e2m1fn_x2, FLOOR)"
    why = "the OCP's scale 2^(floor(log2(amax_b)) - 2): elements between 6 and 8 saturate"
    mode = "FLOOR"

    def raw_scale(self, amax):
        return amax

    def scale_byte(self, raw):
        return np.clip((raw.view(np.uint32) >> 23).astype(int) - 2, 0, 254).astype(np.uint8)

    def scaled(self, x, scale):
        return x / np.maximum(scale, F32(2.0 ** -126))


# ---- NVIDIA Model Optimizer


class ModelOptimizer(Contract):
    package = "nvidia-modelopt"
    function = "NVFP4QTensor.quantize"
    why = ("scale amax_b / (6 * (amax / 2688)), 1 for a block of zeros, not below 2^-9; "
           "x / (S * (amax / 2688)); -0 has code 0")

    def tensor(self, amax):
        self.second = F32(amax) / F32(2688)

    def tensor_scale(self, amax):
        return F32(amax) / F32(2688)

    def raw_scale(self, amax):
        raw = amax / (F32(6) * self.second)
        return np.clip(np.where(raw == 0, F32(1), raw), E4M3_SMALLEST, F32(448))

    def scaled(self, x, scale):
        return x / (scale * self.second)

    def code(self, v, x):
        return np.where(v == 0, 0, super().code(v, x))

    def run(self, x, kind):
        from modelopt.torch.quantization.qtensor import NVFP4QTensor

        codes, scales, second = NVFP4QTensor.quantize(torch_matrix(x, kind), 16)
        return as_bytes(codes._quantized_data), as_bytes(scales), F32(second.item())


class ModelOptimizerMxfp4(RoundsUpByLogarithm, Mxfp4):
    package = "nvidia-modelopt"
    function = "MXFP4QTensor.quantize"
    why = "ties go to the smaller magnitude; +0 has code 8; the exponent is ceil(log2(amax_b / 6)), rounded"

    def scaled(self, x, scale):
        return x / scale

    def code(self, v, x):
        code = np.searchsorted((E2M1[:-1] + E2M1[1:]) / 2, np.abs(v), side="left").astype(np.uint8)
        return np.where(v == 0, 8, signed(code, v, 8))

    def run(self, x, kind):
        from modelopt.torch.quantization.qtensor import MXFP4QTensor

        codes, scales = MXFP4QTensor.quantize(torch_matrix(x, kind), 32)
        return as_bytes(codes._quantized_data), as_bytes(scales).reshape(x.shape[0], -1), None


class ModelOptimizerMxfp8(RoundsUpByLogarithm, Mxfp8):
    package = "nvidia-modelopt"
    function = "MXFP8QTensor.quantize"
    why = "the exponent is ceil(log2(amax_b / 448)), rounded"

    def run(self, x, kind):
        from modelopt.torch.quantization.qtensor import MXFP8QTensor

        codes, scales = MXFP8QTensor.quantize(torch_matrix(x, kind))
        return as_bytes(codes._quantized_data), as_bytes(scales), None


# ---- compressed-tensors, of vLLM and llm-compressor


class CompressedTensors(Contract):
    package = "compressed-tensors"
    function = "calculate_qparams, quantize_and_pack_fp4"
    why = ("G = 2688 * (1 / amax), 1 where that overflows; scale G * (amax_b / 6), 0 becomes 2^-3; x / (S / G); "
           "-0 has code 0")

    def tensor(self, amax):
        encode = F32(2688) * (F32(1) / np.maximum(F32(amax), np.finfo(F32).tiny))
        self.encode = encode if np.isfinite(encode) else F32(1)

    def tensor_scale(self, amax):
        self.tensor(amax)
        return self.encode

    def raw_scale(self, amax):
        return self.encode * (amax / F32(6))

    def scale_byte(self, raw):
        byte = super().scale_byte(raw)
        return np.where(byte == 0, 0x20, byte).astype(np.uint8)

    def scaled(self, x, scale):
        return x / (scale / self.encode)

    def code(self, v, x):
        return np.where(x == 0, 0, super().code(v, x))

    def run(self, x, kind):
        import torch
        from compressed_tensors.compressors.nvfp4.helpers import quantize_and_pack_fp4
        from compressed_tensors.quantization import QuantizationArgs
        from compressed_tensors.quantization.utils import calculate_qparams, generate_gparam

        matrix = torch_matrix(x, kind)
        blocks = matrix.float().reshape(x.shape[0], -1, 16)
        least, most = blocks.amin(2), blocks.amax(2)
        rule = QuantizationArgs(num_bits=4, type="float", strategy="tensor_group", group_size=16, symmetric=True,
                                scale_dtype=torch.float8_e4m3fn, zp_dtype=torch.float8_e4m3fn)
        tensor = generate_gparam(least.min(), most.max())
        scales, _ = calculate_qparams(least, most, rule, tensor)
        codes = quantize_and_pack_fp4(matrix, scales, tensor)
        return as_bytes(codes), as_bytes(scales.to(torch.float8_e4m3fn)), F32(tensor.item())


# ---- Four over six


class FourOverSixStatic(Contract):
    package = "fouroversix"
    function = "quantize_to_fp4(nvfp4, static_6)"
    rule = "static_6"
    why = ("scale (amax_b / 6) * (2688 / amax): another rounding; a block whose scale underflows is 0; -0 has code 0; "
           "|x| / S >= 7, which subnormal scales give, is not saturated: its code is 8, a zero")
    not_modelled = ("subnormal",)  # 2688 / amax overflows

    def raw_scale(self, amax):
        return (amax / F32(6)) * self.encode

    def scaled(self, x, scale):
        return np.where(scale == 0, F32(0), x * (F32(1) / (self.decode * scale)))

    def code(self, v, x):
        return np.where(v == 0, 0, np.where(np.abs(v) >= 7, 8, super().code(v, x)))

    def run(self, x, kind):
        import torch
        from fouroversix.quantize.pytorch.reference import quantize_to_fp4
        from fouroversix.utils import DataType, RoundStyle, ScaleRule

        codes, scales, amax = quantize_to_fp4(
            torch_matrix(x, kind), had=None, fp4_format=DataType.nvfp4, round_style=RoundStyle.nearest,
            scale_rule=ScaleRule(self.rule), block_scale_2d=self.square, transpose=False, pack_values=True,
            use_blackwell_scale_layout=False)
        scales = as_bytes(scales).reshape(x.shape[0], -1)
        return as_bytes(codes), scales, F32(amax.item())


class FourOverSixSquare(FourOverSixStatic, Square):
    function = "quantize_to_fp4(nvfp4, static_6, block_scale_2d)"


class FourOverSixChoice(FourOverSixStatic, contract.FourOverSix):
    function = "quantize_to_fp4(nvfp4, mse)"
    rule = "mse"
    why = FourOverSixStatic.why.replace("scale (amax_b / 6) * (2688 / amax): another rounding", "errors are added in "
                                        "fp32, in units of x: the choice is another where both sums are nearly equal")

    def candidate(self, byte, x):
        code, values, scale = super().candidate(byte, x)
        v = np.abs(self.scaled(x, scale))
        return code, np.where(v >= 7, 2 * np.rint(v / 2), values).astype(F32), scale

    def error(self, x, values, scale, scale_of_four):
        import torch

        difference = values * scale * self.amax / F32(1536) - np.abs(x)
        return (torch.from_numpy(difference) ** 2).sum(axis=-1).numpy()


# ---- AutoRound: gives decoded values


class AutoRound(Contract):
    package = "auto-round"
    function = "nv_fp4"
    why = ("G = 2688 * (1 / amax); scale G * (amax_b * RN(1/6)); a block whose scale underflows is 0; -0 has code 0")
    not_modelled = ("subnormal",)  # G overflows

    def tensor(self, amax):
        self.encode = F32(2688) * (F32(1) / F32(amax))
        self.decode = F32(1) / self.encode

    def raw_scale(self, amax):
        return self.encode * (amax * SIXTH)

    def scaled(self, x, scale):
        return np.where(scale == 0, F32(0), x * np.minimum(F32(1) / (scale * self.decode), LARGEST))

    def code(self, v, x):
        return np.where(v == 0, 0, super().code(v, x))

    def tensor_scale(self, amax):
        return None

    def run(self, x, kind):
        import torch
        from auto_round.data_type.nvfp import nv_fp4

        values, scales, _ = nv_fp4(torch_matrix(x, kind).float(), 4, 16)
        scales = scales.reshape(x.shape[0], -1)
        self.tensor(np.abs(x).max())
        wide = np.repeat(scales.numpy() * self.decode, 16, axis=1)
        return self.pack(codes_of(values.numpy(), wide)), as_bytes(scales.to(torch.float8_e4m3fn)), None


# ---- Others


class Fireworks(Contract):
    package = "fireworks-prequant"
    function = "ref_quant_nvfp4"
    why = ("G = 2688 * (1 / amax); x * G is rounded first, then its amax_b / 6, then x * (1 / S); S = 0: codes 0 or 8; "
           "what is within 10^-6 of a tie is rounded as one")
    not_modelled = ("subnormal",)  # G overflows

    def tensor_scale(self, amax):
        return F32(2688) * (F32(1) / F32(amax)) if amax else F32(0)

    def tensor(self, amax):
        self.encode = self.tensor_scale(amax)

    def raw_scale(self, amax):
        return (amax * self.encode) / F32(6)

    def scaled(self, x, scale):
        return (x * self.encode) * np.where(scale == 0, F32(0), F32(1) / scale)

    def code(self, v, x):
        distance = np.abs(np.abs(v)[..., None] - E2M1.astype(F32))
        distance[..., ::2] -= F32(1e-6)
        return signed(np.where(v == 0, 0, distance.argmin(axis=-1)).astype(np.uint8), v, 8)

    def run(self, x, kind):
        from fireworks_prequant.quantize import compute_global_scale, ref_quant_nvfp4

        matrix = torch_matrix(x, kind)
        tensor = compute_global_scale(matrix)
        codes, scales = ref_quant_nvfp4(matrix, tensor)
        return as_bytes(codes), as_bytes(scales), F32(tensor.item())


class Qwantize(NoTensorScale):
    package = "qwantize"
    function = "nvfp4_naive"
    why = "scale amax_b / 6; x / S; ties go to the smaller magnitude; the sign of a zero is dropped"

    def raw_scale(self, amax):
        return np.maximum(amax / F32(6), F32(1e-12))

    def scaled(self, x, scale):
        return np.where(x == 0, F32(0), x / scale)

    def code(self, v, x):
        code = np.searchsorted((E2M1[:-1] + E2M1[1:]) / 2, np.abs(v), side="left").astype(np.uint8)
        return np.where(code == 0, 0, signed(code, x, 8))

    def run(self, x, kind):
        import torch
        from qwantize.nvfp4.reference import nvfp4_naive

        scales, values = nvfp4_naive(torch_matrix(x, kind).reshape(x.shape[0], -1, 16))
        code = codes_of(values.numpy().reshape(x.shape), np.ones(1))
        return self.pack(np.where(code == 8, 0, code)), as_bytes(scales.to(torch.float8_e4m3fn)), None


QUANTIZERS = (TransformerEngine, TransformerEngineSquare, TransformerEngineTransformed, TransformerEngineFourOverSix, Torchao, TorchaoOneLevel,
              TorchaoMxfp4, TorchaoMxfp8, TorchaoMxfp4Floor, ModelOptimizer, ModelOptimizerMxfp4, ModelOptimizerMxfp8,
              CompressedTensors, FourOverSixStatic, FourOverSixSquare, FourOverSixChoice, AutoRound, Fireworks, Qwantize)
