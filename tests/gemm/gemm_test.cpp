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

TEST_P(Gemm, RandomProblems) {
  std::mt19937_64 random(static_cast<uint64_t>(GetParam()) + 1);
  for (int i = GetParam(); i < kProblems / kShapes; i += kShards) {
    GemmCase gemm = random_case(random, 1 << 20);
    gemm.kernel = GemmKernel::kTensor;
    gemm.tensor = gemm.k > 0;
    if (random() % 2 == 0) gemm.config.cta_group = 1 + static_cast<int>(random() % 2);
    for (int shape = 0; shape < kShapes; ++shape) {
      check(GetParam(), gemm);
      // The same kernel for most of the time: rows and batches change nothing about alignment.
      gemm.seed = random();
      gemm.m = 1 + static_cast<int64_t>(random() % 300);
      gemm.batch = 1 + static_cast<int64_t>(random() % 3);
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Shards, Gemm, testing::Range(0, kShards));

}  // namespace
}  // namespace nibble::test
