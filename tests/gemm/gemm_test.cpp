// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The tensor-core kernel against the reference, bit for bit by the published model of how tensor
// cores add: a sample of its configurations that has every legal pair of values of two axes, and
// random problems. The emulator's checks of order and of uninitialised memory are on, its device is
// small, so that thread blocks compute many tiles, and every launch runs in as many orders as
// NIBBLE_EMULATOR_SEEDS says (here 2).
#include <gtest/gtest.h>

#include <cstdlib>

#include "tests/families/gemm_case.h"
#include "tests/families/space/gemm_space.h"

namespace nibble::test {
namespace {

constexpr int kShards = 16;  // tests of their own, so that they run side by side
constexpr size_t kConfigurations = 416;
constexpr int kProblems = 2000;
// Shapes of a problem that one kernel is tried with: compiling takes longer than running.
constexpr int kShapes = 5;

// Before the emulator is loaded. What is set stays.
class EmulatorSettings : public testing::Environment {
 public:
  void SetUp() override {
    setenv("NIBBLE_EMULATOR_CHECK", "order,tensor-fences,tensor-waits,uninitialized", 0);
    setenv("NIBBLE_EMULATOR_MULTIPROCESSORS", "8", 0);
    setenv("NIBBLE_EMULATOR_SEED", "1", 0);
    setenv("NIBBLE_EMULATOR_SEEDS", "2", 0);
  }
};
const auto* const kSettings = testing::AddGlobalTestEnvironment(new EmulatorSettings);

// A quarter of the shards runs as sm_103a.
Context& context(int shard) {
  auto create = [](const char* device) {
    Options options = Options::from_environment();
    options.device = device;
    return Context::create(options);
  };
  static auto& b200 = *new Result<Context>(create("emulator:sm_100a"));
  static auto& b300 = *new Result<Context>(create("emulator:sm_103a"));
  Result<Context>& created = shard % 4 == 3 ? b300 : b200;
  EXPECT_TRUE(created.ok()) << created.status().to_string();
  return created.value();
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
