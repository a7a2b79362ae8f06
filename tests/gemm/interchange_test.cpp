// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Tensors go from kernel to kernel as they are: the quantize family's output into a multiplication,
// and its NVFP4 output into the next one.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/families/device_test.h"
#include "tests/reference/nvfp4.h"

namespace nibble::test {
namespace {

constexpr int64_t kTokens = 200, kInner = 320, kHidden = 192, kOuter = 144;

class Interchange : public DeviceTest {
 protected:
  struct Nvfp4 {
    Buffer codes, scales, amax;
    int64_t rows = 0, columns = 0;

    Nvfp4Matrix matrix() const {
      return {codes.address(), scales.address(), amax.address(), ScaleLayout::k128x4, columns / 2};
    }
    GemmOperand operand() const {
      return {.data = codes.address(),
              .scales = scales.address(),
              .amax = amax.address(),
              .row_stride = columns / 2};
    }
  };

  Nvfp4 allocate(int64_t rows, int64_t columns) {
    Nvfp4 tensor;
    tensor.rows = rows;
    tensor.columns = columns;
    tensor.codes = take(context().allocate(rows * columns / 2));
    tensor.scales = take(context().allocate(scale_bytes(rows, columns, ScaleLayout::k128x4)));
    tensor.amax = take(context().allocate(4));
    return tensor;
  }

  template <class T>
  static T take(Result<T> result) {
    EXPECT_TRUE(result.ok()) << result.status().to_string();
    return std::move(result).value();
  }

  Nvfp4 quantized(const std::vector<float>& values, int64_t rows, int64_t columns) {
    Buffer x = take(context().allocate(rows * columns * 4));
    expect_ok(context().copy_to_device(x.address(), values.data(), x.size()));
    Nvfp4 tensor = allocate(rows, columns);
    expect_ok(quantize(context(),
                       {.x = {x.address(), DataType::kF32, rows, columns}, .y = tensor.matrix()}));
    expect_ok(context().synchronize());
    return tensor;
  }

  // As the dequantize family reads it, by the numerics contract.
  std::vector<float> values_of(const Nvfp4& tensor) {
    Buffer y = take(context().allocate(tensor.rows * tensor.columns * 4));
    expect_ok(dequantize(
        context(),
        {.x = tensor.matrix(), .y = {y.address(), DataType::kF32, tensor.rows, tensor.columns}}));
    return download(y, tensor.rows * tensor.columns);
  }

  std::vector<float> download(const Buffer& from, int64_t count) {
    std::vector<float> values(static_cast<size_t>(count));
    expect_ok(context().copy_to_host(values.data(), from.address(), count * 4));
    return values;
  }

  static std::vector<double> product(const std::vector<float>& a, const std::vector<float>& b,
                                     int64_t m, int64_t n, int64_t k) {
    std::vector<double> sums(static_cast<size_t>(m * n));
    for (int64_t row = 0; row < m; ++row) {
      for (int64_t column = 0; column < n; ++column) {
        double sum = 0;
        for (int64_t i = 0; i < k; ++i) {
          sum += static_cast<double>(a[static_cast<size_t>(row * k + i)]) *
                 b[static_cast<size_t>(column * k + i)];
        }
        sums[static_cast<size_t>(row * n + column)] = sum;
      }
    }
    return sums;
  }
};

TEST_P(Interchange, QuantizedOperandsAndAnNvfp4ResultGoOn) {
  std::mt19937_64 random(7);
  const auto x = random_normal(kTokens * kInner, DataType::kF32, 1, random);
  const auto w1 = random_normal(kHidden * kInner, DataType::kF32, 0.1f, random);
  const auto w2 = random_normal(kOuter * kHidden, DataType::kF32, 0.1f, random);
  const Nvfp4 x4 = quantized(x, kTokens, kInner);
  const Nvfp4 w14 = quantized(w1, kHidden, kInner);
  const Nvfp4 w24 = quantized(w2, kOuter, kHidden);

  const Nvfp4 hidden = allocate(kTokens, kHidden);
  const float amax = 16;  // as of an earlier step
  expect_ok(context().copy_to_device(hidden.amax.address(), &amax, 4));
  GemmRequest first;
  first.m = kTokens, first.n = kHidden, first.k = kInner;
  first.a = x4.operand();
  first.b = w14.operand();
  first.d = {.data = hidden.codes.address(),
             .type = OutputType::kNvfp4,
             .scales = hidden.scales.address(),
             .tensor_amax = hidden.amax.address()};
  expect_ok(gemm(context(), first));

  Buffer result = take(context().allocate(kTokens * kOuter * 4));
  GemmRequest second;
  second.m = kTokens, second.n = kOuter, second.k = kHidden;
  second.a = hidden.operand();
  second.b = w24.operand();
  second.d = {.data = result.address(), .type = OutputType::kF32};
  expect_ok(gemm(context(), second));
  expect_ok(context().synchronize());

  // The first result is what the quantize family makes of the exact product, but for elements at
  // the edge of rounding: its fp32 sum is off by 5 MMAs of 2^-23 at most.
  const std::vector<float> hidden_values = values_of(hidden);
  const auto exact = product(values_of(x4), values_of(w14), kTokens, kHidden, kInner);
  const std::vector<float> exact_f32(exact.begin(), exact.end());
  const reference::Matrix wanted = reference::quantize(exact_f32, kTokens, kHidden, amax);
  const std::vector<float> wanted_values = reference::dequantize(wanted, amax);
  int64_t different = 0;
  for (size_t i = 0; i < wanted_values.size(); ++i)
    different += hidden_values[i] != wanted_values[i];
  EXPECT_LE(different, kTokens * kHidden / 1000);

  // The second has the values of the first: 3 MMAs of 64, each truncated to 24 bits, and alpha's 3
  // roundings.
  const auto sums = product(hidden_values, values_of(w24), kTokens, kOuter, kHidden);
  double largest = 0;
  for (double sum : sums) largest = std::max(largest, std::fabs(sum));
  const std::vector<float> got = download(result, kTokens * kOuter);
  for (size_t i = 0; i < got.size(); ++i) {
    ASSERT_NEAR(got[i], sums[i], largest * 8 * 0x1p-23) << "element " << i;
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, Interchange, testing::ValuesIn(kDevices), device_test_name);

}  // namespace
}  // namespace nibble::test
