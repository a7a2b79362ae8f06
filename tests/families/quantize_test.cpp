// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// quantize, bit for bit against the reference, on every device.
#include <bit>
#include <cmath>

#include "tests/families/device_test.h"
#include "tests/golden/nvfp4_golden.h"
#include "tests/reference/nvfp4.h"

namespace nibble::test {
namespace {

struct Shape {
  int64_t rows, columns;
  int64_t row_stride = 0;        // elements beyond `columns`
  int64_t code_row_padding = 0;  // bytes
  int64_t scale_row_padding = 0;
  int64_t misalign = 0;  // bytes by which the input is off 256
};

struct Quantized {
  std::vector<uint8_t> codes, scales;
  float amax = 0;
};

// Gaps between rows, which must keep their poison, are put into the expected bytes.
std::vector<uint8_t> with_gaps(const std::vector<uint8_t>& dense, int64_t rows, int64_t row_bytes,
                               int64_t pitch) {
  std::vector<uint8_t> bytes(static_cast<size_t>(rows * pitch), Guarded::kPoison);
  for (int64_t row = 0; row < rows; ++row) {
    std::copy_n(dense.begin() + row * row_bytes, row_bytes, bytes.begin() + row * pitch);
  }
  return bytes;
}

class Quantize : public DeviceTest {
 protected:
  // Runs the kernels and compares codes, scales, padding, gaps and amax with the reference.
  void check(const std::vector<float>& x, DataType type, const Shape& shape, ScaleLayout layout,
             const float* given_amax = nullptr) {
    const int64_t blocks = (shape.columns + 15) / 16;
    const int64_t stride = shape.columns + shape.row_stride;
    const int64_t code_pitch = blocks * 8 + shape.code_row_padding;
    const int64_t scale_pitch = blocks + shape.scale_row_padding;
    const bool swizzled = layout == ScaleLayout::k128x4;
    const int64_t scale_size =
        swizzled ? reference::size_128x4(shape.rows, blocks) : shape.rows * scale_pitch;

    const std::vector<uint8_t> input = spread(x, type, shape.rows, shape.columns, stride);
    Guarded x_device(context(), static_cast<int64_t>(input.size()), shape.misalign);
    Guarded codes(context(), shape.rows * code_pitch);
    Guarded scales(context(), scale_size);
    Guarded amax(context(), 4);
    x_device.upload(input);
    if (given_amax != nullptr) amax.upload(encode({*given_amax}, DataType::kF32));

    QuantizeRequest request;
    request.x = {x_device.address(), type, shape.rows, shape.columns, stride};
    request.y = {codes.address(), scales.address(), amax.address(),
                 layout,          code_pitch,       scale_pitch};
    request.amax_given = given_amax != nullptr;
    expect_ok(quantize(context(), request));
    expect_ok(context().synchronize());

    const float tensor_amax = given_amax ? *given_amax : reference::amax(x);
    const reference::Matrix expected =
        reference::quantize(x, shape.rows, shape.columns, tensor_amax);
    EXPECT_EQ(std::bit_cast<uint32_t>(decode(amax.download(), DataType::kF32)[0]),
              std::bit_cast<uint32_t>(tensor_amax));
    expect_equal(codes.download(), with_gaps(expected.codes, shape.rows, blocks * 8, code_pitch),
                 "code byte");
    expect_equal(scales.download(),
                 swizzled ? reference::to_128x4(expected.scales, shape.rows, blocks)
                          : with_gaps(expected.scales, shape.rows, blocks, scale_pitch),
                 "scale byte");
  }

  static void expect_equal(const std::vector<uint8_t>& actual, const std::vector<uint8_t>& expected,
                           const char* what) {
    ASSERT_EQ(actual.size(), expected.size());
    int shown = 0;
    for (size_t i = 0; i < actual.size() && shown < 5; ++i) {
      if (actual[i] == expected[i]) continue;
      ADD_FAILURE() << what << " " << i << ": " << std::hex << int{actual[i]} << ", expected "
                    << int{expected[i]};
      ++shown;
    }
  }
};

constexpr DataType kTypes[] = {DataType::kF32, DataType::kF16, DataType::kBf16};
constexpr ScaleLayout kLayouts[] = {ScaleLayout::kRowMajor, ScaleLayout::k128x4};

TEST_P(Quantize, GoldenBlocks) {
  for (const auto& block : golden::kBlocks) {
    SCOPED_TRACE(block.name);
    std::vector<float> x;
    for (uint32_t bits : block.x) x.push_back(golden::bits(bits));
    const float amax = golden::bits(block.amax);
    Guarded x_device(context(), 64), codes(context(), 8), scales(context(), 1),
        amax_device(context(), 4);
    x_device.upload(encode(x, DataType::kBf16));
    amax_device.upload(encode({amax}, DataType::kF32));
    QuantizeRequest request;
    request.x = {x_device.address(), DataType::kBf16, 1, 16};
    request.y = {codes.address(), scales.address(), amax_device.address()};
    request.amax_given = true;
    expect_ok(quantize(context(), request));
    EXPECT_EQ(codes.download(), std::vector<uint8_t>(block.codes.begin(), block.codes.end()));
    EXPECT_EQ(scales.download(), std::vector<uint8_t>{block.scale});
  }
}

TEST_P(Quantize, GoldenOrderOfScaleOperations) {
  for (const auto& [block_amax, tensor_amax, scale] : golden::kScales) {
    const float amax = golden::bf16(tensor_amax);
    std::vector<float> x(16);
    x[5] = -golden::bf16(block_amax);
    check(x, DataType::kBf16, {1, 16}, ScaleLayout::kRowMajor, &amax);
    EXPECT_EQ(reference::quantize(x, 1, 16, amax).scales[0], scale);
  }
}

TEST_P(Quantize, ShapesStridesAndAlignments) {
  std::mt19937_64 random(7);
  const Shape shapes[] = {
      {1, 1},
      {1, 15},
      {1, 16},
      {1, 17},
      {3, 31},
      {2, 4096},
      {127, 64},
      {128, 64},
      {129, 65},
      {130, 160},
      {5, 1000, 3},
      {33, 48, 16},
      {7, 100, 0, 8, 1},
      {64, 96, 5, 16, 7},
      {257, 16},
      {9, 64, 0, 0, 0, 2},
      {9, 64, 0, 0, 0, 8},
      {4, 8193, 1, 0, 0, 4},
      {1, 70000},
      {300, 20},
  };
  for (DataType type : kTypes) {
    for (ScaleLayout layout : kLayouts) {
      for (const Shape& shape : shapes) {
        if (shape.misalign % size_of(type) != 0) continue;
        SCOPED_TRACE(std::string(type_name(type)) + " " + std::string(layout_name(layout)) + " " +
                     std::to_string(shape.rows) + "x" + std::to_string(shape.columns));
        check(random_normal(shape.rows * shape.columns, type, 3.0f, random), type, shape, layout);
      }
    }
  }
}

TEST_P(Quantize, RandomBitsOfEveryType) {
  std::mt19937_64 random(11);
  // Whole matrices of arbitrary bits have an infinite amax; a given one exercises the other paths.
  for (DataType type : kTypes) {
    const int64_t rows = on_gpu() ? 4096 : 64;
    const Shape shape{rows, 2048};
    const std::vector<float> x = random_bits(rows * 2048, type, random);
    check(x, type, shape, ScaleLayout::kRowMajor);
    for (float amax : {0.0f, 1.0f, 65504.0f, 3e38f, 1e-30f, 1.1754944e-38f, 1e-41f, INFINITY}) {
      SCOPED_TRACE(amax);
      check(x, type, {std::min<int64_t>(rows, 64), 2048}, ScaleLayout::k128x4, &amax);
    }
  }
}

// Every bf16 value beside a block maximum that gives each of the 127 finite scales.
TEST_P(Quantize, EveryBf16InputAgainstEveryScale) {
  constexpr int64_t kBlocksPerScale = (65536 + 14) / 15;
  for (float amax :
       on_gpu() ? std::vector<float>{1.0f, 3.0f, 0x1p127f, 0x1p-100f} : std::vector<float>{3.0f}) {
    std::vector<float> x;
    x.reserve(127 * kBlocksPerScale * 16);
    for (int scale = 0; scale < 127; ++scale) {
      // A bf16 block maximum that gives this scale: bf16 has mantissa bits to spare.
      const double target =
          double{reference::decode_e4m3(static_cast<uint8_t>(scale))} * amax / 448.0;
      const float companion =
          reference::decode_bf16(reference::encode_bf16(static_cast<float>(target)));
      const std::vector<float> alone{companion};
      ASSERT_EQ(reference::quantize_block(alone, amax).scale, scale);
      for (int64_t first = 0; first < 65536; first += 15) {
        x.push_back(companion);
        for (int64_t i = 0; i < 15; ++i) {
          x.push_back(
              reference::decode_bf16(static_cast<uint16_t>(std::min<int64_t>(first + i, 65535))));
        }
      }
    }
    check(x, DataType::kBf16, {127, kBlocksPerScale * 16}, ScaleLayout::kRowMajor, &amax);
  }
}

TEST_P(Quantize, ManyRandomValues) {
  // 10^8 values over all bits on a GPU, 10^6 on the emulator, a third in each type.
  std::mt19937_64 random(13);
  const int64_t columns = 4096;
  const int64_t rows = on_gpu() ? 8192 : 82;
  for (DataType type : kTypes) {
    std::vector<float> x = random_bits(rows * columns, type, random);
    const float amax = type == DataType::kF16 ? 100.0f : 0x1p20f;
    check(x, type, {rows, columns}, ScaleLayout::k128x4, &amax);
  }
}

TEST_P(Quantize, ZeroTensor) {
  check(std::vector<float>(40 * 32), DataType::kF32, {40, 32}, ScaleLayout::k128x4);
  check(std::vector<float>(32, -0.0f), DataType::kBf16, {2, 16}, ScaleLayout::kRowMajor);
  check(std::vector<float>(32, NAN), DataType::kF16, {2, 16}, ScaleLayout::kRowMajor);
}

TEST_P(Quantize, PlanLaunchesWithoutCompiling) {
  Guarded x(context(), 64 * 64 * 2), codes(context(), 64 * 32), scales(context(), 64 * 4),
      amax(context(), 4);
  x.upload(encode(std::vector<float>(64 * 64, 1.0f), DataType::kBf16));
  QuantizeRequest request;
  request.x = {0, DataType::kBf16, 64, 64};
  Result<QuantizePlan> plan = QuantizePlan::create(context(), request);
  ASSERT_TRUE(plan.ok()) << plan.status().to_string();
  request.x.data = x.address();
  request.y = {codes.address(), scales.address(), amax.address()};
  const uint64_t before = context().statistics().compiles;
  expect_ok(plan->launch(request));
  EXPECT_EQ(context().statistics().compiles, before);
  EXPECT_EQ(scales.download(), std::vector<uint8_t>(256, 0x7E));
  EXPECT_EQ(codes.download(), std::vector<uint8_t>(64 * 32, 0x77));

  request.x.type = DataType::kF32;
  const Status status = plan->launch(request);
  EXPECT_EQ(status.code(), Code::kInvalidArgument);
  EXPECT_NE(status.message().find("the plan is for"), std::string::npos) << status.message();
}

TEST_P(Quantize, BadRequestsNameTheValueAndTheRule) {
  Guarded memory(context(), 4096);
  QuantizeRequest good;
  good.x = {memory.address(), DataType::kBf16, 4, 32};
  good.y = {memory.address() + 1024, memory.address() + 2048, memory.address() + 3072};
  auto expect_error = [&](auto change, const std::string& text) {
    QuantizeRequest bad = good;
    change(bad);
    const Status status = quantize(context(), bad);
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_EQ(std::string(status.message()), text);
  };
  expect_error([](auto& r) { r.kernel = static_cast<KernelKind>(2); },
               "kernel = 2: must be fast or trusted");
  const std::string at = std::to_string(memory.address() + 1);
  const std::string codes_at = std::to_string(memory.address() + 1028);
  expect_error([](auto& r) { r.x.rows = 0; }, "x.rows = 0: must be >= 1");
  expect_error([](auto& r) { r.x.columns = -3; }, "x.columns = -3: must be >= 1");
  expect_error([](auto& r) { r.x.row_stride = 31; },
               "x.row_stride = 31: must be 0 or >= columns = 32");
  expect_error([](auto& r) { r.x.data = 0; }, "x.data is null");
  expect_error([](auto& r) { r.x.data += 1; }, "x.data = " + at + ": must be a multiple of 2");
  expect_error([](auto& r) { r.y.codes += 4; },
               "y.codes = " + codes_at + ": must be a multiple of 8");
  expect_error([](auto& r) { r.y.codes = 0; }, "y.codes is null");
  expect_error([](auto& r) { r.y.scales = 0; }, "y.scales is null");
  expect_error([](auto& r) { r.y.amax = 0; }, "y.amax is null");
  expect_error([](auto& r) { r.y.code_row_stride = 20; },
               "y.code_row_stride = 20: must be 0 or a multiple of 8 that is >= 16");
  expect_error([](auto& r) { r.y.scale_row_stride = 1; },
               "y.scale_row_stride = 1: must be 0 or >= 2");
  expect_error([](auto& r) { r.x.type = static_cast<DataType>(9); },
               "x.type = 9: must be f32, f16 or bf16");
  expect_error([](auto& r) { r.y.scale_layout = static_cast<ScaleLayout>(2); },
               "y.scale_layout = 2: must be row_major or 128x4");
  expect_error([](auto& r) { r.x.rows = int64_t{1} << 60; },
               "x.rows = 1152921504606846976: must be small enough for rows x row_stride (32) "
               "elements to fit 2^56 bytes");
}

INSTANTIATE_TEST_SUITE_P(Devices, Quantize, testing::ValuesIn(kDevices), device_test_name);

}  // namespace
}  // namespace nibble::test
