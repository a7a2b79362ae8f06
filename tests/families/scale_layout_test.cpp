// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Scales from one layout to the other, on every device.
#include "tests/families/device_test.h"
#include "tests/reference/nvfp4.h"

namespace nibble::test {
namespace {

struct Shape {
  int64_t rows, blocks;
  int64_t gap = 0;       // bytes between rows
  int64_t misalign = 0;  // of the row-major side
};

constexpr Shape kShapes[] = {{1, 1},         {128, 4},        {128, 16},       {3, 5},
                             {127, 15},      {129, 17},       {256, 64},       {300, 100, 4},
                             {40, 70, 0, 4}, {500, 33, 7, 1}, {64, 48, 16},    {131, 160, 0, 8},
                             {1000, 9},      {1, 1000},       {260, 20, 12, 0}};

class ScaleLayouts : public DeviceTest {
 protected:
  std::vector<uint8_t> random_scales(const Shape& shape) {
    std::vector<uint8_t> scales(static_cast<size_t>(shape.rows * shape.blocks));
    for (uint8_t& scale : scales) scale = static_cast<uint8_t>(random_());
    return scales;
  }
  // Rows with their gaps, which hold `gap`.
  static std::vector<uint8_t> with_gaps(const std::vector<uint8_t>& dense, const Shape& shape,
                                        uint8_t gap) {
    const int64_t pitch = shape.blocks + shape.gap;
    std::vector<uint8_t> bytes(static_cast<size_t>((shape.rows - 1) * pitch + shape.blocks), gap);
    for (int64_t row = 0; row < shape.rows; ++row) {
      std::copy_n(dense.begin() + row * shape.blocks, shape.blocks, bytes.begin() + row * pitch);
    }
    return bytes;
  }
  static ScaleLayoutRequest request_of(const Shape& shape, DevicePointer from, DevicePointer to,
                                       ScaleLayout to_layout) {
    ScaleLayoutRequest request;
    request.from = from;
    request.to = to;
    request.from_layout =
        to_layout == ScaleLayout::k128x4 ? ScaleLayout::kRowMajor : ScaleLayout::k128x4;
    request.to_layout = to_layout;
    request.rows = shape.rows;
    request.blocks = shape.blocks;
    request.row_stride = shape.blocks + shape.gap;
    return request;
  }

  std::mt19937_64 random_{11};
};

TEST_P(ScaleLayouts, BothWays) {
  for (const Shape& shape : kShapes) {
    SCOPED_TRACE(testing::Message() << shape.rows << "x" << shape.blocks << " gap " << shape.gap);
    const std::vector<uint8_t> dense = random_scales(shape);
    const std::vector<uint8_t> rows = with_gaps(dense, shape, 0x7F);
    const std::vector<uint8_t> tiles = reference::to_128x4(dense, shape.rows, shape.blocks);
    Guarded row_major(context(), std::ssize(rows), shape.misalign);
    Guarded tiled(context(), std::ssize(tiles)), back(context(), std::ssize(rows), shape.misalign);
    row_major.upload(rows);
    ScaleLayoutRequest there =
        request_of(shape, row_major.address(), tiled.address(), ScaleLayout::k128x4);
    ScaleLayoutRequest again =
        request_of(shape, tiled.address(), back.address(), ScaleLayout::kRowMajor);
    for (const KernelKind kernel : kKernels) {
      there.kernel = again.kernel = kernel;
      expect_ok(convert_scales(context(), there));
      EXPECT_EQ(tiled.download(), tiles);
      expect_ok(convert_scales(context(), again));
      EXPECT_EQ(back.download(), with_gaps(dense, shape, Guarded::kPoison));
      expect_ok(context().fill(tiled.address(), Guarded::kPoison, std::ssize(tiles)));
      expect_ok(context().fill(back.address(), Guarded::kPoison, std::ssize(rows)));
    }
  }
}

TEST_P(ScaleLayouts, ManyAtOnce) {
  for (const ScaleLayout to : {ScaleLayout::k128x4, ScaleLayout::kRowMajor}) {
    std::vector<Guarded> from, result;
    std::vector<std::vector<uint8_t>> expected;
    std::vector<ScaleLayoutRequest> requests;
    from.reserve(std::size(kShapes));
    result.reserve(std::size(kShapes));
    for (const Shape& shape : kShapes) {
      const std::vector<uint8_t> dense = random_scales(shape);
      const std::vector<uint8_t> tiles = reference::to_128x4(dense, shape.rows, shape.blocks);
      const bool to_tiles = to == ScaleLayout::k128x4;
      const std::vector<uint8_t> input = to_tiles ? with_gaps(dense, shape, 0x7F) : tiles;
      expected.push_back(to_tiles ? tiles : with_gaps(dense, shape, Guarded::kPoison));
      from.emplace_back(context(), std::ssize(input), to_tiles ? shape.misalign : 0);
      result.emplace_back(context(), std::ssize(expected.back()), to_tiles ? 0 : shape.misalign);
      from.back().upload(input);
      requests.push_back(request_of(shape, from.back().address(), result.back().address(), to));
    }
    const Result<Batch> batch = Batch::convert_scales(context(), requests);
    ASSERT_TRUE(batch.ok()) << batch.status().to_string();
    EXPECT_EQ(batch->kernels(), 3);  // rows of 16-byte, 4-byte and no alignment
    expect_ok(batch->launch());
    for (size_t i = 0; i < result.size(); ++i) {
      EXPECT_EQ(result[i].download(), expected[i]) << i;
    }
  }
}

TEST_P(ScaleLayouts, BadRequestsNameTheValueAndTheRule) {
  Guarded memory(context(), 4096);
  const ScaleLayoutRequest good =
      request_of({8, 4}, memory.address(), memory.address() + 1024, ScaleLayout::k128x4);
  auto expect_error = [&](auto change, const std::string& text) {
    ScaleLayoutRequest bad = good;
    change(bad);
    const Status status = convert_scales(context(), bad);
    EXPECT_EQ(status.code(), Code::kInvalidArgument);
    EXPECT_EQ(std::string(status.message()), text);
  };
  expect_error([](auto& r) { r.kernel = static_cast<KernelKind>(2); },
               "kernel = 2: must be fast or trusted");
  expect_error([](auto& r) { r.rows = 0; }, "rows = 0: must be 1 to 137438953472");
  expect_error([](auto& r) { r.blocks = 0; }, "blocks = 0: must be 1 to 2147483648");
  expect_error([](auto& r) { r.row_stride = 3; },
               "row_stride = 3: must be 0 or >= blocks = 4, and rows x row_stride at most 2^56");
  expect_error([](auto& r) { r.to_layout = ScaleLayout::kRowMajor; },
               "to_layout = 0: must be the other than from_layout, 128x4");
  expect_error([](auto& r) { r.from_layout = static_cast<ScaleLayout>(5); },
               "from_layout = 5: must be row_major or 128x4");
  expect_error([](auto& r) { r.to += 8; },
               "to = " + std::to_string(good.to + 8) + ": must be a multiple of 16");
  expect_error([](auto& r) { r.from = 0; }, "from is null");
  const ScaleLayoutRequest bad[] = {good, [&] {
                                      ScaleLayoutRequest request = good;
                                      request.rows = -1;
                                      return request;
                                    }()};
  EXPECT_EQ(std::string(Batch::convert_scales(context(), bad).status().message()),
            "requests[1]: rows = -1: must be 1 to 137438953472");
  EXPECT_EQ(std::string(Batch::convert_scales(context(), {}).status().message()),
            "requests is empty");
}

INSTANTIATE_TEST_SUITE_P(Devices, ScaleLayouts, testing::ValuesIn(kDevices), device_test_name);

}  // namespace
}  // namespace nibble::test
