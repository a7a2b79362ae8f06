// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// amax and dequantize, bit for bit against the reference, on every device.
#include <bit>
#include <cmath>

#include "tests/families/device_test.h"
#include "tests/reference/nvfp4.h"

namespace nibble::test {
namespace {

constexpr DataType kTypes[] = {DataType::kF32, DataType::kF16, DataType::kBf16};

class Amax : public DeviceTest {
 protected:
  void check(const std::vector<float>& x, DataType type, int64_t rows, int64_t columns,
             int64_t stride, int64_t misalign = 0) {
    const std::vector<uint8_t> input = spread(x, type, rows, columns, stride);
    Guarded x_device(context(), static_cast<int64_t>(input.size()), misalign);
    Guarded result(context(), 4);
    x_device.upload(input);
    for (const KernelKind kernel : kKernels) {
      AmaxRequest request;
      request.x = {x_device.address(), type, rows, columns, stride};
      request.amax = result.address();
      request.kernel = kernel;
      expect_ok(amax(context(), request));
      EXPECT_EQ(std::bit_cast<uint32_t>(decode(result.download(), DataType::kF32)[0]),
                std::bit_cast<uint32_t>(reference::amax(x)))
          << type_name(type) << " " << rows << "x" << columns << " kernel "
          << static_cast<int>(kernel);
    }
  }
};

TEST_P(Amax, ShapesAndTypes) {
  std::mt19937_64 random(3);
  for (DataType type : kTypes) {
    for (auto [rows, columns, gap] : {std::array<int64_t, 3>{1, 1, 0},
                                      {1, 17, 0},
                                      {3, 16, 1},
                                      {100, 100, 28},
                                      {2, 20000, 0},
                                      {1000, 3, 0},
                                      {70, 513, 3}}) {
      check(random_normal(rows * columns, type, 1e-3f, random), type, rows, columns, columns + gap);
      check(random_bits(rows * columns, type, random), type, rows, columns, columns + gap,
            size_of(type));
    }
  }
}

TEST_P(Amax, OfEachRow) {
  std::mt19937_64 random(4);
  for (DataType type : kTypes) {
    for (auto [rows, columns, gap] : {std::array<int64_t, 3>{1, 1, 0},
                                      {33, 3, 0},
                                      {7, 16, 1},
                                      {100, 100, 28},
                                      {2, 20000, 0},
                                      {130, 513, 3},
                                      {1, 70000, 0},
                                      {1000, 64, 0}}) {
      const std::vector<float> x = random_bits(rows * columns, type, random);
      const std::vector<uint8_t> input = spread(x, type, rows, columns, columns + gap);
      Guarded x_device(context(), static_cast<int64_t>(input.size()));
      Guarded result(context(), 4 * rows);
      x_device.upload(input);
      for (const KernelKind kernel : kKernels) {
        AmaxRowsRequest request;
        request.x = {x_device.address(), type, rows, columns, columns + gap};
        request.amax = result.address();
        request.kernel = kernel;
        expect_ok(amax_rows(context(), request));
        const std::vector<float> actual = decode(result.download(), DataType::kF32);
        for (int64_t row = 0; row < rows; ++row) {
          const std::span<const float> values(&x[static_cast<size_t>(row * columns)],
                                              static_cast<size_t>(columns));
          ASSERT_EQ(std::bit_cast<uint32_t>(actual[static_cast<size_t>(row)]),
                    std::bit_cast<uint32_t>(reference::amax(values)))
              << type_name(type) << " " << rows << "x" << columns << " row " << row << " kernel "
              << static_cast<int>(kernel);
        }
      }
    }
  }
}

// Around the size up to which one thread block does it all.
TEST_P(Amax, OneThreadBlockAndMore) {
  std::mt19937_64 random(6);
  for (const int64_t columns : {4096, 32767, 32768, 32769, 65536}) {
    for (int repeat = 0; repeat < 2; ++repeat) {
      check(random_normal(columns, DataType::kBf16, 1.0f, random), DataType::kBf16, 1, columns,
            columns);
    }
  }
  check(random_normal(1000 * 32, DataType::kF32, 1.0f, random), DataType::kF32, 1000, 32, 33);
}

TEST_P(Amax, EveryPositionOfTheMaximumCounts) {
  for (int64_t at = 0; at < 5 * 37; ++at) {
    std::vector<float> x(5 * 37, 0.25f);
    x[static_cast<size_t>(at)] = -2.0f;
    check(x, DataType::kBf16, 5, 37, 37);
  }
}

TEST_P(Amax, SpecialValues) {
  check({0.0f, -0.0f}, DataType::kF32, 1, 2, 2);
  check({NAN, NAN, -NAN}, DataType::kF32, 3, 1, 1);
  check({NAN, 1.0f, -5.0f}, DataType::kF16, 1, 3, 3);
  check({1.0f, -INFINITY, NAN}, DataType::kBf16, 1, 3, 3);
  check({0x1p-149f, -0x1p-148f}, DataType::kF32, 1, 2, 2);  // subnormals are not flushed
  check({0x1p-24f, 0.0f}, DataType::kF16, 1, 2, 2);
}

TEST_P(Amax, OverwritesWhatWasThere) {
  Guarded x(context(), 4), result(context(), 4);
  x.upload(encode({0.5f}, DataType::kF32));
  result.upload(encode({100.0f}, DataType::kF32));
  expect_ok(amax(context(), {{x.address(), DataType::kF32, 1, 1}, result.address()}));
  EXPECT_EQ(decode(result.download(), DataType::kF32)[0], 0.5f);
}

INSTANTIATE_TEST_SUITE_P(Devices, Amax, testing::ValuesIn(kDevices), device_test_name);

class Dequantize : public DeviceTest {
 protected:
  void check(const reference::Matrix& matrix, float amax, DataType type, ScaleLayout layout,
             int64_t gap, KernelKind kernel = KernelKind::kFast) {
    const int64_t blocks = (matrix.columns + 15) / 16;
    const std::vector<uint8_t> scale_bytes =
        layout == ScaleLayout::k128x4 ? reference::to_128x4(matrix.scales, matrix.rows, blocks)
                                      : matrix.scales;
    Guarded codes(context(), static_cast<int64_t>(matrix.codes.size()));
    Guarded scales(context(), static_cast<int64_t>(scale_bytes.size()));
    Guarded amax_device(context(), 4);
    const int64_t stride = matrix.columns + gap;
    Guarded y(context(), matrix.rows * stride * size_of(type));
    codes.upload(matrix.codes);
    scales.upload(scale_bytes);
    amax_device.upload(encode({amax}, DataType::kF32));
    DequantizeRequest request;
    request.x = {codes.address(), scales.address(), amax_device.address(), layout};
    request.y = {y.address(), type, matrix.rows, matrix.columns, stride};
    request.kernel = kernel;
    expect_ok(dequantize(context(), request));

    const std::vector<uint8_t> expected = encode(reference::dequantize(matrix, amax), type);
    const std::vector<uint8_t> actual = y.download();
    const int64_t row_bytes = matrix.columns * size_of(type);
    const int64_t pitch = stride * size_of(type);
    int shown = 0;
    for (int64_t i = 0; i < matrix.rows * pitch && shown < 5; ++i) {
      const bool in_gap = i % pitch >= row_bytes;
      const uint8_t wanted = in_gap
                                 ? Guarded::kPoison
                                 : expected[static_cast<size_t>(i / pitch * row_bytes + i % pitch)];
      if (actual[static_cast<size_t>(i)] == wanted) continue;
      ADD_FAILURE() << "byte " << i << ": " << int{actual[static_cast<size_t>(i)]} << ", expected "
                    << int{wanted} << (in_gap ? " (gap)" : "");
      ++shown;
    }
  }

  static reference::Matrix random_matrix(int64_t rows, int64_t columns, std::mt19937_64& random) {
    const int64_t blocks = (columns + 15) / 16;
    reference::Matrix matrix{rows, columns, {}, {}};
    for (int64_t i = 0; i < rows * blocks * 8; ++i) {
      matrix.codes.push_back(static_cast<uint8_t>(random()));
    }
    for (int64_t i = 0; i < rows * blocks; ++i) {
      matrix.scales.push_back(static_cast<uint8_t>(random() % 127));
    }
    return matrix;
  }
};

TEST_P(Dequantize, ShapesTypesAndLayouts) {
  std::mt19937_64 random(5);
  for (DataType type : kTypes) {
    for (ScaleLayout layout : {ScaleLayout::kRowMajor, ScaleLayout::k128x4}) {
      for (auto [rows, columns, gap] : {std::array<int64_t, 3>{1, 1, 0},
                                        {1, 16, 0},
                                        {3, 33, 0},
                                        {130, 80, 0},
                                        {5, 1000, 3},
                                        {129, 64, 16},
                                        {2, 5000, 0}}) {
        for (const KernelKind kernel : kKernels) {
          check(random_matrix(rows, columns, random), 3.0f, type, layout, gap, kernel);
        }
      }
    }
  }
}

TEST_P(Dequantize, EveryCodeWithEveryScale) {
  // Two codes a byte, eight bytes a block: 127 scales x 16 codes.
  reference::Matrix matrix{128, 16, {}, {}};
  for (int scale = 0; scale < 128; ++scale) {
    matrix.scales.push_back(static_cast<uint8_t>(scale == 127 ? 0x7E : scale));
    for (int pair = 0; pair < 8; ++pair) {
      matrix.codes.push_back(static_cast<uint8_t>(2 * pair | (2 * pair + 1) << 4));
    }
  }
  for (DataType type : kTypes) {
    for (float amax : {0.0f, 1.0f, 2688.0f, 65504.0f, 3e38f, 1e-38f, 1e-44f}) {
      SCOPED_TRACE(amax);
      for (const KernelKind kernel : kKernels) {
        check(matrix, amax, type, ScaleLayout::kRowMajor, 0, kernel);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Dequantize, testing::ValuesIn(kDevices), device_test_name);

}  // namespace
}  // namespace nibble::test
