// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The tensor-core kernel against the reference, bit for bit by the published model of how tensor
// cores add: a sample of its configurations that has every legal pair of values of two axes, and
// random problems.
#include <gtest/gtest.h>

#include "tests/families/gemm_case.h"
#include "tests/families/space/gemm_space.h"
#include "tests/gemm/emulator.h"

namespace nibble::test {
namespace {

constexpr int kShards = 16;  // tests of their own, so that they run side by side
constexpr size_t kConfigurations = 416;
constexpr int kProblems = 2000;
// Shapes of a problem that one kernel is tried with: compiling takes longer than running.
constexpr int kShapes = 5;

// A quarter of the shards runs as sm_103a.
Context& context(int shard) {
  return emulated_context(shard % 4 == 3 ? "emulator:sm_103a" : "emulator:sm_100a");
}

// Each launch is a check of its own: the status of one that failed stays with the device.
void check(int shard, const GemmCase& gemm) {
  if (testing::Test::HasFailure()) return;
  check_gemm(context(shard), gemm);
}

GemmCase case_of(const SpacePoint& point, uint64_t seed) {
  GemmCase gemm;
  gemm.seed = seed;
  gemm.format = point.format;
  gemm.output = point.output;
  gemm.gated = point.gated;
  gemm.activation = point.gated ? Activation::kSilu : Activation::kNone;
  gemm.m = point.m;
  gemm.n = point.n;
  gemm.k = point.k;
  if (point.output < OutputType::kNvfp4) {
    // Rows of D of a multiple of 16 bytes, or of none.
    const int64_t columns = point.gated ? point.n / 2 : point.n;
    gemm.d_row_gap = (columns + 7) / 8 * 8 - columns + (point.aligned ? 0 : 1);
  }
  gemm.config = point.config;
  gemm.workspace = point.config.split > 1;
  gemm.kernel = GemmKernel::kTensor;
  gemm.tensor = true;
  return gemm;
}

class Gemm : public testing::TestWithParam<int> {};

TEST_P(Gemm, SampleOfConfigurations) {
  const std::vector<SpacePoint> points = sample_space(kConfigurations, 1);
  ASSERT_GE(points.size(), kConfigurations);
  for (size_t i = static_cast<size_t>(GetParam()); i < points.size(); i += kShards) {
    SCOPED_TRACE(name(points[i]));
    check(GetParam(), case_of(points[i], i + 1));
  }
}

// Whether TMA can store D: addresses and strides of multiples of 16 bytes.
bool is_aligned(const GemmCase& gemm) {
  const int64_t bytes = gemm.output == OutputType::kF32 ? 4 : 2;
  const int64_t row = (gemm.gated ? gemm.n / 2 : gemm.n) + gemm.d_row_gap;
  const int64_t matrix = gemm.m * row + gemm.d_batch_gap;
  return gemm.d_offset * bytes % 16 == 0 && row * bytes % 16 == 0 && matrix * bytes % 16 == 0;
}

bool is_legal(const GemmCase& gemm, const GemmConfig& config) {
  SpacePoint point{gemm.format, gemm.output, gemm.gated, is_aligned(gemm),
                   gemm.m,      gemm.n,      gemm.k,     config};
  constexpr int64_t kSharedBytes = 232448;
  return why_illegal(point, kSharedBytes).empty();
}

// Of the members that are set at random, those that are legal together.
GemmConfig random_config(const GemmCase& gemm, std::mt19937_64& random) {
  const auto draw = [&](std::initializer_list<int> values) {
    return *(values.begin() + random() % values.size());
  };
  constexpr int kTries = 400;
  for (int tries = 0; tries < kTries; ++tries) {
    const GemmConfig config{.cta_group = draw({1, 2}),
                            .tile_n = draw({8, 16, 32, 64, 128, 192, 256}),
                            .tile_k = draw({128, 256}),
                            .cluster_m = draw({1, 2, 4}),
                            .cluster_n = draw({1, 2, 4}),
                            .stages = draw({2, 3, 4, 5, 6}),
                            .accumulators = draw({1, 2}),
                            .raster = draw({1, 2, 8}),
                            .split = draw({1, 2, 3, 4}),
                            .epilogue_columns = draw({8, 16, 32, 64}),
                            .scheduler = draw({0, 1}),
                            .swapped = draw({0, 1})};
    if (is_legal(gemm, config)) return config;
  }
  return {};
}

// All of a configuration at random, one member, or none: the rest is the cost model's choice.
void draw_config(GemmCase& gemm, std::mt19937_64& random) {
  gemm.config = {};
  const uint64_t kind = gemm.k > 0 ? random() % 4 : 3;
  if (kind < 2) gemm.config = random_config(gemm, random);
  if (kind == 2) gemm.config.cta_group = 1 + static_cast<int>(random() % 2);
  gemm.workspace = gemm.config.split > 1;
}

TEST_P(Gemm, RandomProblems) {
  std::mt19937_64 random(static_cast<uint64_t>(GetParam()) + 1);
  for (int i = GetParam(); i < kProblems / kShapes; i += kShards) {
    GemmCase gemm = random_case(random, 1 << 20);
    gemm.kernel = GemmKernel::kTensor;
    gemm.tensor = gemm.k > 0;
    draw_config(gemm, random);
    for (int shape = 0; shape < kShapes; ++shape) {
      check(GetParam(), gemm);
      // The same kernel for most of the time: rows and batches change little about alignment, and
      // what is legal.
      gemm.seed = random();
      gemm.m = 1 + static_cast<int64_t>(random() % 300);
      gemm.batch = 1 + static_cast<int64_t>(random() % 3);
      if (gemm.config.tile_n != 0 && !is_legal(gemm, gemm.config)) draw_config(gemm, random);
    }
  }
}

// E4M3 and E5M2 in every pairing, in the order of A and B and swapped, in one and two thread blocks
// an MMA; with subnormals, infinities and NaN.
TEST(GemmFp8, EachOperandHasItsElements) {
  for (int pairing = 0; pairing < 4; ++pairing) {
    for (int kind = 0; kind < 3; ++kind) {
      GemmCase gemm;
      gemm.seed = uint64_t{10} * static_cast<uint64_t>(pairing) + static_cast<uint64_t>(kind);
      gemm.format = OperandFormat::kFp8;
      gemm.a_e5m2 = pairing % 2 == 1;
      gemm.b_e5m2 = pairing / 2 == 1;
      gemm.tensor_factors = true;
      gemm.output = OutputType::kF32;
      gemm.m = 150;
      gemm.n = kind == 1 ? 7 : 170;
      gemm.k = 300;
      gemm.values = static_cast<GemmValues>(kind);
      gemm.config.swapped = kind == 1 ? 1 : 0;
      gemm.config.cta_group = kind == 2 ? 2 : 1;
      gemm.kernel = GemmKernel::kTensor;
      gemm.tensor = true;
      check(pairing, gemm);
      gemm.config = {};
      gemm.kernel = GemmKernel::kTrusted;
      gemm.tensor = false;
      check(pairing, gemm);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, Gemm, testing::Range(0, kShards));

}  // namespace
}  // namespace nibble::test
