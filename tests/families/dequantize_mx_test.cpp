// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// MXFP4 and MXFP8 back to a matrix, by the definition of their values, on every device.
#include <bit>
#include <cmath>

#include "tests/families/device_test.h"
#include "tests/reference/nvfp4.h"

namespace nibble::test {
namespace {

struct Shape {
  int64_t rows, columns;
  int64_t gap = 0;  // elements between rows of y
};

class DequantizeMx : public DeviceTest {
 protected:
  struct Quantised {
    std::vector<uint8_t> codes, scales;  // whole blocks of 32; a scale a block
  };
  Quantised random_matrix(const Shape& shape, QuantizedFormat format) {
    const int64_t blocks = (shape.columns + 31) / 32;
    Quantised matrix;
    const int64_t bytes = format == QuantizedFormat::kMxfp8 ? 32 : 16;
    for (int64_t i = 0; i < shape.rows * blocks * bytes; ++i) {
      matrix.codes.push_back(static_cast<uint8_t>(random_()));
    }
    for (int64_t i = 0; i < shape.rows * blocks; ++i) {
      matrix.scales.push_back(static_cast<uint8_t>(random_()));
    }
    return matrix;
  }

  static float value(const Quantised& matrix, const Shape& shape, QuantizedFormat format,
                     int64_t row, int64_t column) {
    const int64_t blocks = (shape.columns + 31) / 32;
    const int scale = matrix.scales[static_cast<size_t>(row * blocks + column / 32)];
    float code = 0;
    if (format == QuantizedFormat::kMxfp8) {
      code = reference::decode_e4m3(matrix.codes[static_cast<size_t>(row * blocks * 32 + column)]);
    } else {
      const uint8_t pair = matrix.codes[static_cast<size_t>(row * blocks * 16 + column / 2)];
      code = reference::decode_e2m1(static_cast<uint8_t>(column % 2 == 0 ? pair & 15 : pair >> 4));
    }
    if (scale == 255 || std::isnan(code)) return std::bit_cast<float>(0x7FFFFFFFu);
    return static_cast<float>(std::ldexp(static_cast<double>(code), scale - 127));
  }

  void check(const Shape& shape, QuantizedFormat format, DataType type, ScaleLayout layout,
             KernelKind kernel) {
    SCOPED_TRACE(testing::Message() << shape.rows << "x" << shape.columns << " format "
                                    << static_cast<int>(format) << " " << type_name(type));
    const Quantised matrix = random_matrix(shape, format);
    const int64_t blocks = (shape.columns + 31) / 32;
    const std::vector<uint8_t> scale_bytes =
        layout == ScaleLayout::k128x4 ? reference::to_128x4(matrix.scales, shape.rows, blocks)
                                      : matrix.scales;
    const int64_t stride = shape.columns + shape.gap;
    Guarded codes(context(), std::ssize(matrix.codes)), scales(context(), std::ssize(scale_bytes));
    Guarded y(context(), ((shape.rows - 1) * stride + shape.columns) * size_of(type));
    codes.upload(matrix.codes);
    scales.upload(scale_bytes);
    DequantizeRequest request;
    request.format = format;
    request.kernel = kernel;
    request.x = {codes.address(), scales.address(), 0, layout};
    request.y = {y.address(), type, shape.rows, shape.columns, stride};
    expect_ok(dequantize(context(), request));
    std::vector<float> expected;
    for (int64_t row = 0; row < shape.rows; ++row) {
      for (int64_t column = 0; column < shape.columns; ++column) {
        expected.push_back(value(matrix, shape, format, row, column));
      }
    }
    const std::vector<uint8_t> wanted = encode(expected, type), actual = y.download();
    const int64_t row_bytes = shape.columns * size_of(type), pitch = stride * size_of(type);
    int shown = 0;
    for (int64_t i = 0; i < std::ssize(actual) && shown < 5; ++i) {
      const bool in_gap = i % pitch >= row_bytes;
      const uint8_t byte = in_gap ? Guarded::kPoison
                                  : wanted[static_cast<size_t>(i / pitch * row_bytes + i % pitch)];
      if (actual[static_cast<size_t>(i)] == byte) continue;
      ADD_FAILURE() << "byte " << i << ": " << int{actual[static_cast<size_t>(i)]} << ", expected "
                    << int{byte};
      ++shown;
    }
  }

  std::mt19937_64 random_{17};
};

TEST_P(DequantizeMx, ShapesTypesAndLayouts) {
  for (const QuantizedFormat format : {QuantizedFormat::kMxfp4, QuantizedFormat::kMxfp8}) {
    for (const DataType type : {DataType::kF32, DataType::kF16, DataType::kBf16}) {
      for (const ScaleLayout layout : {ScaleLayout::kRowMajor, ScaleLayout::k128x4}) {
        for (const Shape& shape :
             {Shape{1, 1}, {1, 32}, {3, 33}, {130, 96}, {5, 1000, 3}, {129, 64, 16}, {2, 5000}}) {
          for (const KernelKind kernel : kKernels) check(shape, format, type, layout, kernel);
        }
      }
    }
  }
}

TEST_P(DequantizeMx, BadRequestsNameTheValueAndTheRule) {
  Guarded memory(context(), 4096);
  DequantizeRequest good;
  good.format = QuantizedFormat::kMxfp8;
  good.x = {memory.address(), memory.address() + 1024, 0};
  good.y = {memory.address() + 2048, DataType::kBf16, 4, 40};
  auto expect_error = [&](auto change, const std::string& text) {
    DequantizeRequest bad = good;
    change(bad);
    const Status status = dequantize(context(), bad);
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_EQ(std::string(status.message()), text);
  };
  expect_error([](auto& r) { r.format = static_cast<QuantizedFormat>(4); },
               "format = 4: must be nvfp4, mxfp4 or mxfp8");
  expect_error([](auto& r) { r.x.code_row_stride = 56; },
               "x.code_row_stride = 56: must be 0 or a multiple of 8 that is >= 64");
  expect_error([](auto& r) { r.x.scale_row_stride = 1; },
               "x.scale_row_stride = 1: must be 0 or >= 2");
  expect_error([](auto& r) { r.x.codes = 0; }, "x.codes is null");
  expect_error([](auto& r) { r.format = QuantizedFormat::kNvfp4; }, "x.amax is null");
}

INSTANTIATE_TEST_SUITE_P(Devices, DequantizeMx, testing::ValuesIn(kDevices), device_test_name);

}  // namespace
}  // namespace nibble::test
