// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Many tensors in one kernel, bit for bit what each alone gives, on every device.
#include <bit>

#include "tests/families/device_test.h"
#include "tests/reference/nvfp4.h"

namespace nibble::test {
namespace {

constexpr DataType kTypes[] = {DataType::kF32, DataType::kF16, DataType::kBf16};

struct Shape {
  int64_t rows, columns;
  int64_t gap = 0;  // elements between rows
};
// One element; less and more than a tile; several tiles; rows with gaps.
constexpr Shape kShapes[] = {{1, 1},         {1, 8192},    {300, 64},   {5, 5000},
                             {33, 1024, 16}, {2, 20000},   {77, 3},     {16, 2048},
                             {1, 70001},     {129, 80, 8}, {9, 1000, 5}};

class Batches : public DeviceTest {
 protected:
  std::mt19937_64 random_{13};
};

TEST_P(Batches, AmaxOfEveryTensor) {
  for (const DataType type : kTypes) {
    std::vector<Guarded> inputs;
    std::vector<Matrix> tensors;
    std::vector<float> expected;
    inputs.reserve(std::size(kShapes));
    for (const Shape& shape : kShapes) {
      const std::vector<float> x = random_bits(shape.rows * shape.columns, type, random_);
      const int64_t stride = shape.columns + shape.gap;
      const std::vector<uint8_t> bytes = spread(x, type, shape.rows, shape.columns, stride);
      inputs.emplace_back(context(), std::ssize(bytes));
      inputs.back().upload(bytes);
      tensors.push_back({inputs.back().address(), type, shape.rows, shape.columns, stride});
      expected.push_back(reference::amax(x));
    }
    Guarded amaxes(context(), 4 * std::ssize(tensors));
    const Result<Batch> batch = Batch::amax(context(), tensors, amaxes.address());
    ASSERT_TRUE(batch.ok()) << batch.status().to_string();
    EXPECT_LE(batch->kernels(), 3);  // rows aligned to 32 bytes where they matter, to 16, to none
    for (int launch = 0; launch < 2; ++launch) {
      expect_ok(batch->launch());
      const std::vector<float> actual = decode(amaxes.download(), DataType::kF32);
      for (size_t i = 0; i < expected.size(); ++i) {
        EXPECT_EQ(std::bit_cast<uint32_t>(actual[i]), std::bit_cast<uint32_t>(expected[i])) << i;
      }
    }
  }
}

TEST_P(Batches, EveryTensorsMaximumIsItsOwn) {
  constexpr int64_t kTensors = 200;
  std::vector<float> x(kTensors * 48, 0.5f), expected;
  for (int64_t i = 0; i < kTensors; ++i) {
    expected.push_back(1.0f + static_cast<float>(random_() % 64));
    x[static_cast<size_t>(i * 48) + random_() % 48] = -expected.back();
  }
  Guarded input(context(), 2 * std::ssize(x)), amaxes(context(), 4 * kTensors);
  input.upload(encode(x, DataType::kBf16));
  std::vector<Matrix> tensors;
  for (int64_t i = 0; i < kTensors; ++i) {
    const auto offset = static_cast<uint64_t>(96 * i);
    tensors.push_back({input.address() + offset, DataType::kBf16, 3, 16});
  }
  const Result<Batch> batch = Batch::amax(context(), tensors, amaxes.address());
  ASSERT_TRUE(batch.ok()) << batch.status().to_string();
  EXPECT_EQ(batch->kernels(), 1);
  expect_ok(batch->launch());
  EXPECT_EQ(decode(amaxes.download(), DataType::kF32), expected);
}

TEST_P(Batches, DequantizeEveryTensor) {
  std::vector<Guarded> codes, scales, amaxes, outputs;
  std::vector<std::vector<uint8_t>> expected;
  std::vector<DequantizeRequest> requests;
  for (std::vector<Guarded>* some : {&codes, &scales, &amaxes, &outputs}) {
    some->reserve(std::size(kShapes));
  }
  for (const Shape& shape : kShapes) {
    const int64_t blocks = (shape.columns + 15) / 16;
    reference::Matrix matrix{shape.rows, shape.columns, {}, {}};
    for (int64_t i = 0; i < shape.rows * blocks * 8; ++i) {
      matrix.codes.push_back(static_cast<uint8_t>(random_()));
    }
    for (int64_t i = 0; i < shape.rows * blocks; ++i) {
      matrix.scales.push_back(static_cast<uint8_t>(random_() % 127));
    }
    const ScaleLayout layout =
        requests.size() % 2 == 0 ? ScaleLayout::kRowMajor : ScaleLayout::k128x4;
    const std::vector<uint8_t> scale_bytes =
        layout == ScaleLayout::k128x4 ? reference::to_128x4(matrix.scales, shape.rows, blocks)
                                      : matrix.scales;
    const float amax = 1.0f + static_cast<float>(requests.size());
    const int64_t stride = shape.columns + shape.gap;
    codes.emplace_back(context(), std::ssize(matrix.codes));
    scales.emplace_back(context(), std::ssize(scale_bytes));
    amaxes.emplace_back(context(), 4);
    outputs.emplace_back(context(), ((shape.rows - 1) * stride + shape.columns) * 2);
    codes.back().upload(matrix.codes);
    scales.back().upload(scale_bytes);
    amaxes.back().upload(encode({amax}, DataType::kF32));
    DequantizeRequest request;
    request.x = {codes.back().address(), scales.back().address(), amaxes.back().address(), layout};
    request.y = {outputs.back().address(), DataType::kBf16, shape.rows, shape.columns, stride};
    requests.push_back(request);
    const std::vector<uint8_t> dense = encode(dequantize(matrix, amax), DataType::kBf16);
    std::vector<uint8_t> bytes(static_cast<size_t>(((shape.rows - 1) * stride + shape.columns) * 2),
                               Guarded::kPoison);
    for (int64_t row = 0; row < shape.rows; ++row) {
      std::copy_n(dense.begin() + row * shape.columns * 2, shape.columns * 2,
                  bytes.begin() + row * stride * 2);
    }
    expected.push_back(bytes);
  }
  const Result<Batch> batch = Batch::dequantize(context(), requests);
  ASSERT_TRUE(batch.ok()) << batch.status().to_string();
  EXPECT_LE(batch->kernels(), 4);  // two layouts, aligned or not
  expect_ok(batch->launch());
  for (size_t i = 0; i < outputs.size(); ++i) EXPECT_EQ(outputs[i].download(), expected[i]) << i;
}

TEST_P(Batches, BadRequestsNameTheTensor) {
  Guarded memory(context(), 4096);
  const Matrix good{memory.address(), DataType::kBf16, 4, 32};
  Matrix bad = good;
  bad.rows = 0;
  const Matrix tensors[] = {good, good, bad};
  EXPECT_EQ(std::string(Batch::amax(context(), tensors, memory.address()).status().message()),
            "tensors[2]: x.rows = 0: must be >= 1");
  EXPECT_EQ(std::string(Batch::amax(context(), {}, memory.address()).status().message()),
            "tensors is empty");
  EXPECT_EQ(std::string(Batch::amax(context(), {&good, 1}, 0).status().message()),
            "amaxes is null");
  EXPECT_EQ(std::string(Batch::dequantize(context(), {}).status().message()), "requests is empty");
  DequantizeRequest trusted;
  trusted.kernel = KernelKind::kTrusted;
  EXPECT_EQ(std::string(Batch::dequantize(context(), {&trusted, 1}).status().message()),
            "requests[0]: kernel = 1: must be fast: batches have no other kernels");
}

INSTANTIATE_TEST_SUITE_P(Devices, Batches, testing::ValuesIn(kDevices), device_test_name);

}  // namespace
}  // namespace nibble::test
