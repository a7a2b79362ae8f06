// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// explain() on a machine without a GPU: its numbers follow from the configuration, and its text has
// them.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <nibble/nibble.hpp>

namespace nibble::test {
namespace {

Context context_for(const char* device) {
  Options options = Options::from_environment();
  options.device = device;
  Result<Context> context = Context::create(options);
  EXPECT_TRUE(context.ok()) << context.status().to_string();
  return *context;
}

GemmRequest request_of(int64_t m, int64_t n, int64_t k) {
  GemmRequest request;
  request.m = m;
  request.n = n;
  request.k = k;
  return request;
}

TEST(GemmExplain, ALargeProductIsBoundByTheTensorCores) {
  Context context = context_for("none:sm_100a");
  const Result<GemmExplanation> result = explain(context, request_of(8192, 8192, 8192));
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  EXPECT_EQ(result->bound, "tensor");
  // 32 x 32 tiles of 256 x 256 on 74 pairs; each 8192 / 64 MMAs of 128 cycles.
  EXPECT_EQ(result->tiles, 1024);
  EXPECT_EQ(result->waves, 14);
  EXPECT_NEAR(result->tensor, 14 * 128 * 128 / 1856.0, 0.01);
  // A and B once, 4.5 bits an element, and D.
  const double bytes = 8192.0 * 8192 * (4.5 / 8 * 2 + 2);
  EXPECT_NEAR(result->hbm, bytes / 7.7e6, 0.01);
  EXPECT_GE(result->total, result->tensor);
  EXPECT_NE(result->text.find("Nothing here was measured"), std::string::npos);
  EXPECT_NE(result->text.find("123.59"), std::string::npos) << result->text;
}

TEST(GemmExplain, DecodingIsBoundByMemory) {
  Context context = context_for("none:sm_100a");
  const Result<GemmExplanation> result = explain(context, request_of(1, 8192, 16384));
  ASSERT_TRUE(result.ok()) << result.status().to_string();
  EXPECT_EQ(result->bound, "HBM");
  EXPECT_EQ(result->config.swapped, 1);
}

TEST(GemmExplain, TheBoundIsTheLargest) {
  Context context = context_for("none:sm_103a");
  for (int64_t m = 1; m <= 16384; m *= 4) {
    const Result<GemmExplanation> result = explain(context, request_of(m, 4096, 4096));
    ASSERT_TRUE(result.ok());
    const double largest = std::max({result->tensor, result->shared_memory, result->l2, result->hbm,
                                     result->epilogue, result->launch});
    const double named = result->bound == "tensor"          ? result->tensor
                         : result->bound == "shared memory" ? result->shared_memory
                         : result->bound == "L2"            ? result->l2
                         : result->bound == "HBM"           ? result->hbm
                         : result->bound == "epilogue"      ? result->epilogue
                                                            : result->launch;
    EXPECT_EQ(named, largest) << result->bound;
    EXPECT_NE(result->text.find("sm_103a: the kernel uses the MMA of 64"), std::string::npos);
  }
}

TEST(GemmExplain, RefusesWhatHasNoModel) {
  Context hopper = context_for("none:sm_90a");
  EXPECT_EQ(explain(hopper, request_of(64, 64, 64)).status().code(), Code::kUnsupported);
  Context context = context_for("none:sm_100a");
  EXPECT_EQ(explain(context, request_of(64, 64, 0)).status().code(), Code::kInvalidArgument);
  GemmRequest request = request_of(64, 64, 64);
  request.config.tile_n = 48;
  EXPECT_EQ(explain(context, request).status().to_string(),
            "invalid argument: GemmConfig: tile_n = 48: must be 8, 16, 32, 64, 128, 192 or 256");
}

}  // namespace
}  // namespace nibble::test
