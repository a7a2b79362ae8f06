// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// One plan for many problems: what it keeps of a launch is used for the same addresses, strides and
// sizes only, by one thread or several.
#include <gtest/gtest.h>

#include <optional>
#include <thread>

#include "tests/families/gemm_case.h"
#include "tests/gemm/emulator.h"

namespace nibble::test {
namespace {

GemmCase case_of(uint64_t seed, int64_t m, int64_t batch) {
  GemmCase gemm;
  gemm.seed = seed;
  gemm.m = m;
  gemm.n = 96;
  gemm.k = 320;
  gemm.batch = batch;
  gemm.kernel = GemmKernel::kTensor;
  gemm.tensor = true;
  gemm.config.tile_n = 64;
  gemm.config.stages = 4;
  gemm.config.cluster_m = gemm.config.cluster_n = gemm.config.cta_group = 1;
  gemm.config.tile_k = 128;
  gemm.config.accumulators = 2;
  gemm.config.epilogue_columns = 32;
  gemm.config.scheduler = gemm.config.swapped = 0;
  gemm.config.split = 1;
  gemm.config.raster = 8;
  return gemm;
}

class GemmPlanTest : public testing::Test {
 protected:
  // Each problem twice in a row: the second launch finds what the first has left.
  void check(const GemmCase& gemm) {
    check_gemm(context_, gemm, [&](Context&, const GemmRequest& request) {
      const Status first = plan_->launch(request);
      return first.ok() ? plan_->launch(request) : first;
    });
  }
  void make_plan() {
    check_gemm(context_, case_of(1, 130, 1), [&](Context& context, const GemmRequest& request) {
      Result<GemmPlan> plan = GemmPlan::create(context, request);
      if (!plan.ok()) return plan.status();
      plan_ = *plan;
      return plan_->launch(request);
    });
    ASSERT_TRUE(plan_.has_value());
  }

  Context& context_ = emulated_context("emulator:sm_100a");
  std::optional<GemmPlan> plan_;
};

TEST_F(GemmPlanTest, IsForProblemsOfOtherSizesAndAddresses) {
  make_plan();
  uint64_t seed = 2;
  for (const int64_t m : {130, 130, 7, 257}) {
    for (const int64_t batch : {1, 3}) {
      check(case_of(seed++, m, batch));
      GemmCase apart = case_of(seed++, m, batch);
      apart.a_row_gap = 16;
      apart.d_row_gap = 8;
      apart.scale_batch_gap = 512;
      check(apart);
    }
  }
}

TEST_F(GemmPlanTest, ServesThreadsAtOnce) {
  make_plan();
  std::vector<std::thread> threads;
  for (uint64_t thread = 0; thread < 3; ++thread) {
    threads.emplace_back([this, thread] {
      for (uint64_t i = 0; i < 6; ++i) check(case_of(100 * (thread + 1) + i, 60 + 50 * i, 1));
    });
  }
  for (std::thread& thread : threads) thread.join();
}

}  // namespace
}  // namespace nibble::test
