// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The configurations of quantize where nothing was tuned: by the model, for the GPU's size.
#include <gtest/gtest.h>

#include <random>

#include "runtime/families/quantize.h"
#include "runtime/families/quantize_check.h"
#include "runtime/families/quantize_spec.h"
#include "runtime/families/tile_model.h"

namespace nibble {
namespace {

constexpr int kH200 = 132;

KernelSpec spec_of(QuantizeRequest request, int64_t rows, int64_t columns,
                   int multiprocessors = kH200, std::string_view target = "sm_90a") {
  request.x.rows = rows;
  request.x.columns = request.x.row_stride = columns;
  return quantize_spec(kQuantizeFamily, request, *find_arch(target), multiprocessors);
}

QuantizeRequest request(DataType type, Copies copies,
                        QuantizedFormat format = QuantizedFormat::kNvfp4) {
  QuantizeRequest request;
  request.x.type = type;
  request.copies = copies;
  request.format = format;
  return request;
}

struct Patches {
  int threads, rows, widen;
  bool operator==(const Patches&) const = default;
};
Patches patches(const KernelSpec& spec) {
  EXPECT_TRUE(is_legal(spec));
  return {spec.values[kThreads], spec.values[kRowsPerTile], spec.values[kWiden]};
}

TEST(TileModel, ThreadsTakeTurnsBeyondWhatRunsAtOnce) {
  const ThreadCost cost{.at_once = 100, .start = 8, .element = 2};
  EXPECT_EQ(launch_time(1, 16, cost, 10), 40);
  EXPECT_EQ(launch_time(1000, 16, cost, 10), 40);
  EXPECT_EQ(launch_time(1500, 16, cost, 10), 60);
  EXPECT_EQ(launch_time(1500, 16, cost, 20), 40);
  EXPECT_EQ(launch_time(150, 16, cost, kFilledGpu), 60);
  EXPECT_DOUBLE_EQ(launch_time(1, 16, cost, kFilledGpu), 0.4);
}

// Shapes that an H200 has timed both ways, in bf16.
TEST(TileChoice, PatchesAreSmallWhereMultiprocessorsIdle) {
  constexpr Patches kSmall{128, 64, 1}, kLarge{128, 128, 0};
  for (const DataType type : {DataType::kF16, DataType::kBf16}) {
    for (const Copies copies : {Copies::kTransposed, Copies::kBoth}) {
      const QuantizeRequest both = request(type, copies);
      EXPECT_EQ(patches(spec_of(both, 1, 4096)), kSmall);
      EXPECT_EQ(patches(spec_of(both, 128, 4096)), kSmall);
      EXPECT_EQ(patches(spec_of(both, 1024, 4096)), kLarge);
      EXPECT_EQ(patches(spec_of(both, 16384, 16384)), kLarge);
      EXPECT_EQ(patches(spec_of(both, 128, 4096, 1)), kLarge);  // a GPU that this fills
    }
  }
}

TEST(TileChoice, PatchesOfOtherFormatsAndTypes) {
  constexpr Patches kWide{128, 128, 1}, kLarge{64, 128, 0}, kOfFp32{128, 64, 0};
  const QuantizeRequest mx = request(DataType::kBf16, Copies::kBoth, QuantizedFormat::kMxfp8);
  EXPECT_EQ(patches(spec_of(mx, 128, 4096)), kWide);  // their tiles have 128 rows
  EXPECT_EQ(patches(spec_of(mx, 8192, 5120)), kLarge);
  const QuantizeRequest f32 = request(DataType::kF32, Copies::kBoth);
  EXPECT_EQ(patches(spec_of(f32, 16, 4096)), kOfFp32);
  EXPECT_EQ(patches(spec_of(f32, 8192, 5120)), kOfFp32);
  QuantizeRequest transformed = request(DataType::kBf16, Copies::kBoth);
  transformed.transposed_transform = {.enabled = true, .size = 128};  // down all of a tile
  EXPECT_EQ(patches(spec_of(transformed, 128, 4096)), (Patches{256, 128, 1}));
}

TEST(TileChoice, RowsAreSpreadOverThreadsWhereTheyAreFew) {
  const auto blocks = [](const QuantizeRequest& request, int64_t rows, int64_t columns,
                         int multiprocessors = kH200) {
    return spec_of(request, rows, columns, multiprocessors).values[kBlocksPerThread];
  };
  const QuantizeRequest bf16 = request(DataType::kBf16, Copies::kRowWise);
  EXPECT_EQ(blocks(bf16, 16, 4096), 1);
  EXPECT_EQ(blocks(bf16, 1024, 4096), 1);
  EXPECT_EQ(blocks(bf16, 8192, 5120), 2);
  EXPECT_EQ(blocks(bf16, 1024, 4096, 16), 2);
  const KernelSpec on_b200 = spec_of(bf16, 8192, 5120, 148, "sm_100a");
  EXPECT_EQ(on_b200.values[kBlocksPerThread], 4);
  QuantizeRequest stochastic = bf16;
  stochastic.rounding = Rounding::kStochastic;
  EXPECT_EQ(blocks(stochastic, 1024, 4096), 1);
  EXPECT_EQ(blocks(stochastic, 8192, 5120), 4);
  const QuantizeRequest mxfp4 = request(DataType::kBf16, Copies::kRowWise, QuantizedFormat::kMxfp4);
  EXPECT_EQ(blocks(mxfp4, 2048, 5120), 1);
  EXPECT_EQ(blocks(mxfp4, 4096, 4096), 4);
  EXPECT_EQ(blocks(request(DataType::kF32, Copies::kRowWise), 8192, 5120), 2);
  QuantizeRequest mxfp8 = request(DataType::kBf16, Copies::kRowWise, QuantizedFormat::kMxfp8);
  EXPECT_EQ(blocks(mxfp8, 16384, 16384), 1);
  mxfp8.rounding = Rounding::kStochastic;
  EXPECT_EQ(blocks(mxfp8, 16384, 16384), 2);
  QuantizeRequest four_over_six = bf16;
  four_over_six.scaling = BlockScaling::kFourOverSix;
  EXPECT_EQ(blocks(four_over_six, 16, 4096), 1);
  EXPECT_EQ(blocks(four_over_six, 1024, 4096), 2);
}

TEST(TileChoice, ThreadsAreLaidAlongRowsSoThatFewIdle) {
  const QuantizeRequest bf16 = request(DataType::kBf16, Copies::kRowWise);
  EXPECT_EQ(spec_of(bf16, 8192, 5120).values[kRowsPerTile], 8);
  EXPECT_EQ(spec_of(bf16, 1, 1 << 20).values[kRowsPerTile], 1);
  EXPECT_EQ(spec_of(bf16, 100000, 64).values[kRowsPerTile], 64);
}

TEST(TileChoice, EveryChoiceIsLegal) {
  std::mt19937_64 random(1);
  const auto draw = [&](int64_t most) { return static_cast<int64_t>(random() % most); };
  int accepted = 0;
  for (int i = 0; i < 20000; ++i) {
    QuantizeRequest one = request(static_cast<DataType>(draw(3)), static_cast<Copies>(draw(3)),
                                  static_cast<QuantizedFormat>(draw(3)));
    one.blocks = static_cast<BlockShape>(draw(2));
    one.rounding = static_cast<Rounding>(draw(2));
    one.scaling = static_cast<BlockScaling>(draw(2));
    one.transform = {.enabled = draw(2) == 1, .size = 16 << draw(4)};
    one.transposed_transform = {.enabled = draw(2) == 1, .size = 16 << draw(4)};
    const int64_t rows = int64_t{1} << draw(15), columns = 128 * (1 + draw(200));
    one.x.rows = rows;
    one.x.columns = one.x.row_stride = columns;
    if (!check_quantize(with_strides(one), Pointers::kOptional).ok()) continue;
    ++accepted;
    for (const int multiprocessors : {kFilledGpu, 1, 20, 132, 1000}) {
      for (const char* target : {"sm_90a", "sm_100a"}) {
        const KernelSpec spec = spec_of(one, rows, columns, multiprocessors, target);
        ASSERT_TRUE(is_legal(spec)) << label(spec);
      }
    }
  }
  EXPECT_GT(accepted, 1000);
}

}  // namespace
}  // namespace nibble
