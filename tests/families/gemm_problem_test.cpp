// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Every rule of a matrix multiplication's request: the message has the value and the rule.
#include <nibble/gemm.hpp>

#include "tests/families/device_test.h"

namespace nibble::test {
namespace {

// Addresses that nothing is read from: a request that is refused is not launched.
constexpr DevicePointer kA = 0x100000, kB = 0x200000, kD = 0x300000, kC = 0x400000;
constexpr DevicePointer kScalesOfA = 0x500000, kScalesOfB = 0x600000, kScalesOfD = 0x700000;
constexpr DevicePointer kOther = 0x800000;

class GemmProblem : public DeviceTest {
 protected:
  GemmProblem() {
    good_.m = 16;
    good_.n = 32;
    good_.k = 64;
    good_.a = {kA, kScalesOfA};
    good_.b = {kB, kScalesOfB};
    good_.d = {kD, OutputType::kBf16};
  }

  template <class Change>
  void expect_error(Change change, const std::string& text) {
    GemmRequest bad = good_;
    change(bad);
    const Status status = gemm(context(), bad);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.to_string();
    EXPECT_EQ(std::string(status.message()), text);
  }
  template <class Change>
  void expect_start(Change change, const std::string& text) {
    GemmRequest bad = good_;
    change(bad);
    const Status status = gemm(context(), bad);
    EXPECT_EQ(status.code(), Code::kInvalidArgument) << status.to_string();
    EXPECT_EQ(std::string(status.message()).substr(0, text.size()), text);
  }

  static void fp4_output(GemmRequest& request, OutputType type) {
    request.d.type = type;
    request.d.scales = kScalesOfD;
    if (type == OutputType::kNvfp4) request.d.tensor_amax = kOther;
  }
  static void format(GemmRequest& request, OperandFormat format) {
    request.format = format;
    request.a.scales = request.b.scales = 0;
  }

  GemmRequest good_;
};

TEST_P(GemmProblem, SizesAndEnums) {
  const std::string most = ": must be from 0 to 2147483647";
  expect_error([](auto& r) { r.m = -1; }, "m = -1" + most);
  expect_error([](auto& r) { r.n = int64_t{1} << 31; }, "n = 2147483648" + most);
  expect_error([](auto& r) { r.k = INT64_MIN; }, "k = -9223372036854775808" + most);
  expect_error([](auto& r) { r.batch = INT64_MAX; }, "batch = 9223372036854775807" + most);
  expect_error([](auto& r) { r.format = static_cast<OperandFormat>(5); },
               "format = 5: must be nvfp4, mxfp4, mxfp8, fp8 or bf16");
  expect_error([](auto& r) { r.d.type = static_cast<OutputType>(-1); },
               "d.type = -1: must be f32, f16, bf16, nvfp4 or mxfp4");
  expect_error([](auto& r) { r.kernel = static_cast<GemmKernel>(3); },
               "kernel = 3: must be auto, tensor or trusted");
  expect_error([](auto& r) { r.epilogue.activation = static_cast<Activation>(6); },
               "epilogue.activation = 6: must be none, relu, squared_relu, gelu_tanh, gelu_erf or "
               "silu");
  expect_error([](auto& r) { r.epilogue.bias_axis = static_cast<BiasAxis>(3); },
               "epilogue.bias_axis = 3: must be none, column or row");
  expect_error([](auto& r) { r.epilogue.bias_type = static_cast<DataType>(3); },
               "epilogue.bias_type = 3: must be f32, f16 or bf16");
  expect_error([](auto& r) { r.epilogue.residual.type = static_cast<DataType>(9); },
               "epilogue.residual.type = 9: must be f32, f16 or bf16");
  expect_error([](auto& r) { r.c.type = static_cast<DataType>(-2); },
               "c.type = -2: must be f32, f16 or bf16");
}

TEST_P(GemmProblem, Operands) {
  expect_error([](auto& r) { r.a.data = 0; }, "a.data is null");
  expect_error([](auto& r) { r.b.data = 0; }, "b.data is null");
  expect_error([](auto& r) { r.a.data += 8; }, "a.data = 1048584: must be a multiple of 16");
  expect_error([](auto& r) { r.a.scales = 0; }, "a.scales is null");
  expect_error([](auto& r) { r.b.scales += 4; }, "b.scales = 6291460: must be a multiple of 16");
  expect_error([](auto& r) { r.k = 48; },
               "a.row_stride = 24: must be a multiple of 16 bytes (0 stands for the bytes of k "
               "elements, without a gap)");
  expect_error([](auto& r) { r.b.row_stride = 40; },
               "b.row_stride = 40: must be a multiple of 16 bytes (0 stands for the bytes of k "
               "elements, without a gap)");
  expect_error([](auto& r) { r.b.row_stride = 16; },
               "b.row_stride = 16: must be 0 or >= 32: the bytes of k elements");
  expect_error([](auto& r) { r.a.batch_stride = -16; },
               "a.batch_stride = -16: must be a multiple of 16 bytes");
  expect_error([](auto& r) { r.a.scale_batch_stride = 8; },
               "a.scale_batch_stride = 8: must be a multiple of 16 bytes");
  expect_error([](auto& r) { r.a.row_stride = int64_t{1} << 53; },
               "a.row_stride, batch_stride = 9007199254740992, 144115188075855872 bytes: 1 "
               "matrices of 16 rows must fit 2^56 bytes");
}

TEST_P(GemmProblem, ScalesOfFormats) {
  expect_error([](auto& r) { r.format = OperandFormat::kBf16; },
               "a.scales is given: operands of format bf16 have no block scales");
  expect_error([](auto& r) { r.format = OperandFormat::kFp8; },
               "a.scales is given: operands of format fp8 have no block scales");
  expect_error(
      [](auto& r) {
        r.format = OperandFormat::kMxfp4;
        r.a.amax = r.b.amax = kOther;
      },
      "a.amax is given: operands of format mxfp4 have no amax");
  expect_error([](auto& r) { r.b.scale = kOther; },
               "b.scale is given: operands of format nvfp4 have no scale of the tensor");
  expect_error([](auto& r) { r.a.amax = kOther; },
               "a.amax is given but b.amax is null: both or neither");
  expect_error(
      [](auto& r) {
        format(r, OperandFormat::kFp8);
        r.b.scale = kOther;
      },
      "b.scale is given but a.scale is null: both or neither");
  expect_error([](auto& r) { r.a.amax = kOther + 2; }, "a.amax = 8388610: must be a multiple of 4");
}

TEST_P(GemmProblem, ElementsOfFp8) {
  expect_error([](auto& r) { r.a.fp8 = Fp8Type::kE5m2; },
               "a.fp8 = e5m2: operands of format nvfp4 have no choice of elements");
  expect_error(
      [](auto& r) {
        format(r, OperandFormat::kFp8);
        r.b.fp8 = static_cast<Fp8Type>(2);
      },
      "b.fp8 = 2: must be e4m3 or e5m2");
  EXPECT_EQ(fp8_name(Fp8Type::kE5m2), "e5m2");
}

TEST_P(GemmProblem, Output) {
  expect_error([](auto& r) { r.d.data = 0; }, "d.data is null");
  expect_error([](auto& r) { r.d.data += 1; }, "d.data = 3145729: must be a multiple of 2");
  expect_error([](auto& r) { r.d.row_stride = 31; },
               "d.row_stride = 31: must be 0 or >= 32: its columns");
  expect_error([](auto& r) { r.d.amax = kOther + 1; }, "d.amax = 8388609: must be a multiple of 4");
  expect_error([](auto& r) { r.d.scales = kScalesOfD; },
               "d.scales is given: outputs of type bf16 have no block scales");
  expect_error([](auto& r) { r.d.tensor_amax = kOther; },
               "d.tensor_amax is given: outputs of type bf16 have no scale of the tensor");
  expect_error(
      [](auto& r) {
        r.batch = 2;
        r.d.batch_stride = 511;
      },
      "d.batch_stride = 511: must be 0 or >= 512: the elements of a matrix");
}

TEST_P(GemmProblem, Fp4Output) {
  auto nvfp4 = [](auto& r) { fp4_output(r, OutputType::kNvfp4); };
  auto mxfp4 = [](auto& r) { fp4_output(r, OutputType::kMxfp4); };
  expect_error(
      [&](auto& r) {
        nvfp4(r);
        r.d.data += 4;
      },
      "d.data = 3145732: must be a multiple of 8");
  expect_error(
      [&](auto& r) {
        nvfp4(r);
        r.d.row_stride = 40;
      },
      "d.row_stride = 40: must be a multiple of 16 elements");
  expect_error(
      [&](auto& r) {
        nvfp4(r);
        r.n = 33;
        r.d.row_stride = 32;
      },
      "d.row_stride = 32: must be 0 or >= 48: its columns, rounded up to 16");
  expect_error(
      [&](auto& r) {
        nvfp4(r);
        r.d.scales = 0;
      },
      "d.scales is null");
  expect_error(
      [&](auto& r) {
        nvfp4(r);
        r.d.tensor_amax = 0;
      },
      "d.tensor_amax is null");
  expect_error(
      [&](auto& r) {
        mxfp4(r);
        r.d.tensor_amax = kOther;
      },
      "d.tensor_amax is given: outputs of type mxfp4 have no scale of the tensor");
  expect_error(
      [&](auto& r) {
        mxfp4(r);
        r.d.scales += 2;
      },
      "d.scales = 7340034: must be a multiple of 4");
  expect_error(
      [&](auto& r) {
        mxfp4(r);
        r.batch = 2;
        r.d.scale_batch_stride = 508;
      },
      "d.scale_batch_stride = 508: must be 0 or >= 512: the scales of a matrix");
}

TEST_P(GemmProblem, Epilogue) {
  expect_error([](auto& r) { r.epilogue.bias_axis = BiasAxis::kRow; }, "epilogue.bias is null");
  expect_error([](auto& r) { r.epilogue.bias = kOther; },
               "epilogue.bias is given: epilogues of bias_axis none have no bias");
  expect_error(
      [](auto& r) {
        r.epilogue.bias_axis = BiasAxis::kColumn;
        r.epilogue.bias = kOther + 2;
      },
      "epilogue.bias = 8388610: must be a multiple of 4");
  expect_error(
      [](auto& r) {
        r.n = 33;
        r.epilogue.gated = true;
      },
      "n = 33: must be even where epilogue.gated is set");
  expect_error([](auto& r) { r.beta = 0.5f; }, "c.data is null: beta = 0.500000 reads it");
  expect_error(
      [](auto& r) {
        r.beta = 1;
        r.c = {kC, DataType::kF32, 16};
      },
      "c.row_stride = 16: must be 0 or >= 32: its columns");
  expect_error(
      [](auto& r) {
        r.beta = 1;
        r.c = {kC, DataType::kF32, 32, -1};
      },
      "c.batch_stride = -1: must be >= 0");
  expect_error(
      [](auto& r) {
        r.epilogue.residual = {kC + 1, DataType::kBf16};
      },
      "epilogue.residual.data = 4194305: must be a multiple of 2");
  expect_error([](auto& r) { r.epilogue.user_argument_bytes = 4; },
               "epilogue.user_argument_bytes = 4: there is no epilogue.user to take them");
  expect_error([](auto& r) { r.workspace_bytes = -1; }, "workspace_bytes = -1: must be >= 0");
  expect_error([](auto& r) { r.workspace_bytes = 256; },
               "workspace is null: workspace_bytes = 256");
  expect_error([](auto& r) { r.workspace = kOther + 128; },
               "workspace = 8388736: must be a multiple of 256");
}

TEST_P(GemmProblem, Overlaps) {
  expect_start([](auto& r) { r.d.data = kA; }, "d.data = 1048576 overlaps a.data = 1048576: ");
  // The last byte of B's 32 rows of 32 bytes.
  expect_start([](auto& r) { r.d.data = kB + 1022; },
               "d.data = 2098174 overlaps b.data = 2097152: ");
  expect_start([](auto& r) { r.d.data = kScalesOfB + 510; },
               "d.data = 6291966 overlaps b.scales = 6291456: ");
  expect_start([](auto& r) { r.d.amax = kD + 4; }, "d.data = 3145728 overlaps d.amax = 3145732: ");
  expect_start([](auto& r) { r.d.amax = kA + 4; }, "d.amax = 1048580 overlaps a.data = 1048576: ");
  expect_start(
      [](auto& r) {
        r.epilogue.bias_axis = BiasAxis::kColumn;
        r.epilogue.bias = kD + 1020;
      },
      "d.data = 3145728 overlaps epilogue.bias = 3146748: ");
  // C of another type, or of other strides, or of gated pairs, is not D.
  for (int i = 0; i < 3; ++i) {
    expect_start(
        [&](auto& r) {
          r.beta = 1;
          r.c = {kD, i == 0 ? DataType::kF16 : DataType::kBf16, i == 1 ? 40 : 32};
          if (i == 2) r.epilogue.gated = true;
          if (i == 2) r.d.row_stride = 32;
        },
        "d.data = 3145728 overlaps c.data = 3145728: ");
  }
  expect_start(
      [](auto& r) {
        r.epilogue.residual = {kD + 64, DataType::kBf16};
      },
      "d.data = 3145728 overlaps epilogue.residual.data = 3145792: ");
  expect_start(
      [](auto& r) {
        fp4_output(r, OutputType::kNvfp4);
        r.d.tensor_amax = kScalesOfD;
      },
      "d.scales = 7340032 overlaps d.tensor_amax = 7340032: ");
}

TEST_P(GemmProblem, WhatIsLegal) {
  // Memory that is really there, as these run.
  Guarded memory(context(), 1 << 16);
  expect_ok(context().fill(memory.address(), 0, 1 << 16));
  const DevicePointer at = memory.address();
  good_.kernel = GemmKernel::kTrusted;
  good_.a = {at, at + 0x1000};
  good_.b = {at + 0x2000, at + 0x3000};
  good_.d = {at + 0x4000, OutputType::kF32, 100};
  auto expect_good = [&](auto change) {
    GemmRequest request = good_;
    change(request);
    expect_ok(gemm(context(), request));
  };
  expect_good([](auto&) {});
  // Nothing to do: pointers may be null.
  for (int i = 0; i < 3; ++i) {
    expect_good([&](auto& r) {
      r.a = r.b = {};
      r.d.data = 0;
      (i == 0 ? r.m : i == 1 ? r.n : r.batch) = 0;
    });
  }
  // k = 0 reads no operand.
  expect_good([](auto& r) {
    r.k = 0;
    r.a = r.b = {};
  });
  // D is C; D and C are columns 0 to 31 and 32 to 63 of one matrix; D is the residual.
  expect_good([](auto& r) {
    r.beta = 1;
    r.c = {r.d.data, DataType::kF32, 100};
  });
  expect_good([](auto& r) {
    r.beta = 1;
    r.c = {r.d.data + 128, DataType::kF32, 100};
  });
  expect_good([](auto& r) { r.epilogue.residual = {r.d.data, DataType::kF32, 100}; });
  expect_ok(context().synchronize());
  memory.download();
}

TEST_P(GemmProblem, NamesAndSizes) {
  EXPECT_EQ(format_name(OperandFormat::kMxfp8), "mxfp8");
  EXPECT_EQ(output_name(OutputType::kNvfp4), "nvfp4");
  EXPECT_EQ(activation_name(Activation::kGeluTanh), "gelu_tanh");
  EXPECT_EQ(operand_row_bytes(OperandFormat::kNvfp4, 33), 17);
  EXPECT_EQ(operand_row_bytes(OperandFormat::kFp8, 33), 33);
  EXPECT_EQ(operand_row_bytes(OperandFormat::kBf16, 33), 66);
  EXPECT_EQ(operand_scale_bytes(OperandFormat::kNvfp4, 129, 65), 256 * 8);
  EXPECT_EQ(operand_scale_bytes(OperandFormat::kMxfp4, 129, 65), 256 * 4);
  EXPECT_EQ(operand_scale_bytes(OperandFormat::kBf16, 129, 65), 0);
}

INSTANTIATE_TEST_SUITE_P(Devices, GemmProblem, testing::Values("emulator:sm_100a"),
                         device_test_name);

}  // namespace
}  // namespace nibble::test
