// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The configuration of the gemm family: its rules against a second checker, and the cost model's
// choice.
#include "runtime/families/gemm_config.h"

#include <gtest/gtest.h>

#include <chrono>
#include <random>
#include <set>

#include "runtime/families/gemm_model.h"
#include "runtime/families/gemm_rules.h"
#include "tests/families/space/gemm_space.h"

namespace nibble {
namespace {

constexpr GemmDevice kB200{148, 232448, int64_t{126} << 20};

GemmShape shape_of(int64_t m, int64_t n, int64_t k, int64_t workspace_bytes = 0) {
  GemmShape shape;
  shape.m = m;
  shape.n = n;
  shape.k = k;
  shape.workspace_bytes = workspace_bytes;
  return shape;
}

GemmConfig chosen(const GemmShape& shape, const GemmConfig& asked = {}) {
  const Result<GemmConfig> config = choose_config(shape, asked, kB200);
  EXPECT_TRUE(config.ok()) << config.status().to_string();
  return config.ok() ? *config : GemmConfig{};
}

std::string refusal(const GemmShape& shape, const GemmConfig& asked) {
  const Result<GemmConfig> config = choose_config(shape, asked, kB200);
  return config.ok() ? "accepted: " + describe(*config) : config.status().to_string();
}

test::SpacePoint point_of(const GemmShape& shape, const GemmConfig& config) {
  return {shape.format, shape.output, shape.gated, !shape.direct_store,
          shape.m,      shape.n,      shape.k,     config};
}

GemmShape shape_of(const test::SpacePoint& point, int64_t workspace_bytes) {
  GemmShape shape = shape_of(point.m, point.n, point.k, workspace_bytes);
  shape.format = point.format;
  shape.output = point.output;
  shape.gated = point.gated;
  shape.direct_store = !point.aligned;
  return shape;
}

// Sizes of all magnitudes.
int64_t any_size(std::mt19937& random, int bits) {
  return 1 + static_cast<int64_t>(random() >> (32 - 1 - random() % static_cast<unsigned>(bits)));
}

GemmShape any_shape(std::mt19937& random) {
  GemmShape shape = shape_of(any_size(random, 15), any_size(random, 15), any_size(random, 15));
  shape.format = static_cast<OperandFormat>(random() % 5);
  shape.output = static_cast<OutputType>(random() % 5);
  shape.gated = random() % 4 == 0;
  if (shape.gated) shape.n += shape.n % 2;
  shape.direct_store = random() % 2 == 0;
  shape.batch = 1 + random() % 3;
  shape.activation = static_cast<Activation>(random() % 6);
  if (random() % 2 == 0) shape.c_bytes = 4;
  if (random() % 2 == 0) shape.workspace_bytes = int64_t{64} << 20;
  return shape;
}

template <size_t kCount>
int any_of(std::mt19937& random, const int (&values)[kCount]) {
  return values[random() % kCount];
}

GemmConfig any_config(std::mt19937& random) {
  return {.cta_group = any_of(random, kGemmCtaGroupValues),
          .tile_n = any_of(random, kGemmTileNValues),
          .tile_k = any_of(random, kGemmTileKValues),
          .cluster_m = any_of(random, kGemmClusterMValues),
          .cluster_n = any_of(random, kGemmClusterNValues),
          .stages = any_of(random, kGemmStagesValues),
          .accumulators = any_of(random, kGemmAccumulatorsValues),
          .raster = any_of(random, kGemmRasterValues),
          .split = any_of(random, kGemmSplitValues),
          .epilogue_columns = any_of(random, kGemmEpilogueColumnsValues),
          .scheduler = any_of(random, kGemmSchedulerValues),
          .swapped = any_of(random, kGemmSwappedValues)};
}

TEST(GemmConfig, RulesAgreeWithTheSecondChecker) {
  std::mt19937 random(1);
  int legal_ones = 0;
  for (int i = 0; i < 200000; ++i) {
    GemmShape shape = any_shape(random);
    shape.batch = 1;
    const GemmConfig config = any_config(random);
    const std::string rule = illegal(shape, config, kB200);
    const std::string reason =
        why_illegal(point_of(shape, config), kB200.shared_per_block, shape.workspace_bytes);
    ASSERT_EQ(rule.empty(), reason.empty())
        << name(point_of(shape, config)) << "\nrule: " << rule << "\nchecker: " << reason;
    legal_ones += rule.empty() ? 1 : 0;
  }
  EXPECT_GT(legal_ones, 1000);
}

TEST(GemmConfig, WhatIsChosenIsLegal) {
  std::mt19937 random(2);
  for (int i = 0; i < 3000; ++i) {
    const GemmShape shape = any_shape(random);
    const GemmConfig config = chosen(shape);
    EXPECT_EQ(illegal(shape, config, kB200), "");
    if (shape.batch > 1) continue;
    EXPECT_EQ(why_illegal(point_of(shape, config), kB200.shared_per_block, shape.workspace_bytes),
              "")
        << name(point_of(shape, config));
  }
}

TEST(GemmConfig, EverySampleIsLegalAndCoversAllPairs) {
  test::Coverage coverage;
  const std::vector<test::SpacePoint> points = test::sample_space(400, 4, &coverage);
  RecordProperty("points", static_cast<int>(points.size()));
  std::cout << points.size() << " points cover " << coverage.covered << " of " << coverage.legal
            << " legal pairs (" << coverage.pairs << " pairs)\n";
  EXPECT_GE(points.size(), 400U);
  EXPECT_EQ(coverage.covered, coverage.legal);
  std::set<std::string> names;
  for (const test::SpacePoint& point : points) {
    EXPECT_EQ(illegal(shape_of(point, int64_t{1} << 40), point.config, kB200), "") << name(point);
    names.insert(name(point));
  }
  EXPECT_EQ(names.size(), points.size());
}

TEST(GemmConfig, WhatIsAskedForIsKept) {
  std::mt19937 random(3);
  int kept = 0;
  for (int i = 0; i < 2000; ++i) {
    const GemmShape shape = any_shape(random);
    GemmConfig asked;
    const GemmConfig values = any_config(random);
    if (random() % 2 == 0) asked.cta_group = values.cta_group;
    if (random() % 2 == 0) asked.tile_n = values.tile_n;
    if (random() % 2 == 0) asked.accumulators = values.accumulators;
    if (random() % 3 == 0) asked.raster = values.raster;
    if (random() % 3 == 0) asked.swapped = values.swapped;
    if (random() % 3 == 0) asked.scheduler = values.scheduler;
    const Result<GemmConfig> config = choose_config(shape, asked, kB200);
    if (!config.ok()) {
      EXPECT_EQ(config.status().code(), Code::kInvalidArgument);
      continue;
    }
    ++kept;
    EXPECT_EQ(illegal(shape, *config, kB200), "");
    EXPECT_TRUE(asked.cta_group == 0 || config->cta_group == asked.cta_group);
    EXPECT_TRUE(asked.tile_n == 0 || config->tile_n == asked.tile_n);
    EXPECT_TRUE(asked.accumulators == 0 || config->accumulators == asked.accumulators);
    EXPECT_TRUE(asked.raster == 0 || config->raster == asked.raster);
    EXPECT_TRUE(asked.swapped == -1 || config->swapped == asked.swapped);
    EXPECT_TRUE(asked.scheduler == -1 || config->scheduler == asked.scheduler);
  }
  EXPECT_GT(kept, 500);
}

TEST(GemmConfig, AWholeConfigurationIsTakenAsItIs) {
  for (const test::SpacePoint& point : test::sample_space(50, 5)) {
    const GemmConfig config = chosen(shape_of(point, int64_t{1} << 40), point.config);
    EXPECT_EQ(describe(config), describe(point.config));
  }
}

TEST(GemmConfig, LargeProductsUsePairsAndWideTiles) {
  for (const OperandFormat format :
       {OperandFormat::kNvfp4, OperandFormat::kMxfp4, OperandFormat::kMxfp8, OperandFormat::kFp8,
        OperandFormat::kBf16}) {
    GemmShape shape = shape_of(8192, 8192, 8192);
    shape.format = format;
    const GemmConfig config = chosen(shape);
    EXPECT_EQ(config.cta_group, 2);
    EXPECT_EQ(config.tile_n, 256);
    EXPECT_EQ(config.accumulators, 2);
    EXPECT_EQ(config.split, 1);
    EXPECT_EQ(config.scheduler, 1);
    EXPECT_GE(config.stages, 4);
  }
}

TEST(GemmConfig, DecodingSwapsTheOperands) {
  const GemmConfig config = chosen(shape_of(1, 8192, 8192));
  EXPECT_EQ(config.swapped, 1);
  EXPECT_LE(config.tile_n, 16);
  EXPECT_EQ(config.split, 1);
}

TEST(GemmConfig, FewTilesOfALongSumAreSplit) {
  EXPECT_GT(chosen(shape_of(1, 4096, 16384, int64_t{64} << 20)).split, 1);
  EXPECT_GT(chosen(shape_of(1, 128, 16384, int64_t{64} << 20)).split, 4);
  EXPECT_GT(chosen(shape_of(256, 256, 65536, int64_t{64} << 20)).split, 4);
  EXPECT_EQ(chosen(shape_of(256, 256, 65536, 0)).split, 1);
  EXPECT_EQ(chosen(shape_of(8192, 8192, 8192, int64_t{1} << 40)).split, 1);
}

TEST(GemmConfig, GatedAndFp4OutputsAreNotSwapped) {
  GemmShape shape = shape_of(1, 8192, 8192);
  shape.gated = true;
  EXPECT_EQ(chosen(shape).swapped, 0);
  shape.gated = false;
  shape.output = OutputType::kNvfp4;
  EXPECT_EQ(chosen(shape).swapped, 0);
  EXPECT_EQ(chosen(shape).epilogue_columns, 64);
}

// gemm_workspace_bytes() asks with all the memory there is; what it answers must then do.
TEST(GemmConfig, TheWorkspaceOfTheBestChoiceIsEnoughForIt) {
  std::mt19937 random(6);
  for (int i = 0; i < 300; ++i) {
    GemmShape shape = any_shape(random);
    shape.workspace_bytes = int64_t{1} << 40;
    const GemmConfig best = chosen(shape);
    shape.workspace_bytes = workspace_bytes(shape, best);
    EXPECT_EQ(describe(chosen(shape)), describe(best));
  }
}

TEST(GemmConfig, RefusalsNameTheRule) {
  const GemmShape large = shape_of(4096, 4096, 4096, int64_t{1} << 30);
  EXPECT_EQ(refusal(large, {.tile_n = 48}),
            "invalid argument: GemmConfig: tile_n = 48: must be 8, 16, 32, 64, 128, 192 or 256");
  EXPECT_EQ(refusal(large, {.cta_group = 3}),
            "invalid argument: GemmConfig: cta_group = 3: must be 1 or 2");
  EXPECT_EQ(refusal(large, {.cta_group = 2, .tile_n = 32}),
            "invalid argument: GemmConfig: cta_group = 2 with tile_n = 32: a pair of thread blocks "
            "needs tile_n of 64 or more, each loads half of it");
  EXPECT_EQ(refusal(large, {.tile_n = 8}),
            "invalid argument: GemmConfig: tile_n = 8: a tile of less than 32 columns must hold "
            "the whole product, whose columns are 4096");
  EXPECT_EQ(refusal(large, {.cta_group = 2, .cluster_m = 1}),
            "invalid argument: GemmConfig: cluster_m = 1: must be a multiple of cta_group = 2");
  EXPECT_EQ(refusal(large, {.cluster_m = 4, .cluster_n = 4}),
            "invalid argument: GemmConfig: cluster_m = 4 x cluster_n = 4: a cluster has at most 8 "
            "thread blocks");
  EXPECT_EQ(refusal(large, {.cta_group = 1, .tile_n = 256, .stages = 12}),
            "invalid argument: GemmConfig: stages = 12: with 55296 bytes each and 17408 bytes "
            "beside them they need 680960 bytes of shared memory; a thread block has 232448");
  EXPECT_EQ(refusal(large, {.split = 2, .scheduler = 1}),
            "invalid argument: GemmConfig: split = 2: a split k needs scheduler = 0");
}

TEST(GemmConfig, RefusalsNameTheRuleOfSplitsAndTensorMemory) {
  const GemmShape large = shape_of(4096, 4096, 4096, int64_t{1} << 30);
  EXPECT_EQ(refusal(large, {.tile_n = 256, .tile_k = 256, .stages = 2, .accumulators = 2}),
            "invalid argument: GemmConfig: accumulators = 2 x tile_n = 256: with 2 x 96 columns of "
            "scales they need 704 columns of tensor memory; it has 512, and accumulators can share "
            "half of one");
  EXPECT_EQ(refusal(shape_of(512, 512, 512, int64_t{1} << 30), {.split = 32}),
            "invalid argument: GemmConfig: split = 32: k = 512 has only 2 steps of tile_k = 128 "
            "bytes");
  EXPECT_EQ(refusal(shape_of(128, 128, 4096), {.cta_group = 1,
                                               .tile_n = 128,
                                               .tile_k = 128,
                                               .cluster_m = 1,
                                               .cluster_n = 1,
                                               .split = 4}),
            "invalid argument: GemmConfig: split = 4: needs workspace_bytes = 327680, the request "
            "has 0");
  GemmShape nvfp4 = large;
  nvfp4.output = OutputType::kNvfp4;
  EXPECT_EQ(
      refusal(nvfp4, {.swapped = 1}),
      "invalid argument: GemmConfig: swapped = 1: an FP4 output cannot be computed transposed");
  EXPECT_EQ(refusal(nvfp4, {.epilogue_columns = 32}),
            "invalid argument: GemmConfig: epilogue_columns = 32: an NVFP4 output needs 64: four "
            "scales are one word");
}

TEST(GemmModel, MoreWorkTakesLonger) {
  std::mt19937 random(7);
  for (int i = 0; i < 2000; ++i) {
    const GemmShape shape = any_shape(random);
    const GemmConfig config = chosen(shape);
    const GemmEstimate now = estimate(shape, config, kB200);
    for (int64_t GemmShape::*size : {&GemmShape::m, &GemmShape::n, &GemmShape::k}) {
      GemmShape larger = shape;
      larger.*size *= 2;
      const GemmEstimate then = estimate(larger, config, kB200);
      EXPECT_GE(then.total, now.total * (1 - 1e-9));
      EXPECT_GE(then.tensor, now.tensor * (1 - 1e-9));
      EXPECT_GE(then.hbm, now.hbm * (1 - 1e-9));
      EXPECT_GE(then.l2, now.l2 * (1 - 1e-9));
    }
    EXPECT_GE(now.total, now.tensor);
    EXPECT_GE(now.total, now.hbm);
  }
}

TEST(GemmModel, NothingIsFasterThanTheBoundOfItsTile) {
  std::mt19937 random(8);
  for (int i = 0; i < 20000; ++i) {
    const GemmShape shape = any_shape(random);
    const GemmConfig config = any_config(random);
    if (!legal(shape, config, kB200)) continue;
    EXPECT_GE(estimate(shape, config, kB200).total,
              least_microseconds(shape, config, kB200) * (1 - 1e-9));
  }
}

// The peak of the fact sheet comes out of the instruction's cycles.
TEST(GemmModel, LargeProductsComeNearThePeakAndNotBeyond) {
  const GemmShape shape = shape_of(16384, 16384, 16384);
  const GemmEstimate at = estimate(shape, chosen(shape), kB200);
  const double petaflops = 2.0 * 16384 * 16384 * 16384 / at.total * 1e-9;
  EXPECT_LT(petaflops, 9.01);
  EXPECT_GT(petaflops, 8.0);
}

TEST(GemmConfig, ChoosingIsFast) {
  std::mt19937 random(9);
  std::vector<GemmShape> shapes(400);
  for (GemmShape& shape : shapes) shape = any_shape(random);
  using Clock = std::chrono::steady_clock;
  std::vector<double> microseconds;
  for (const GemmShape& shape : shapes) {
    const auto begin = Clock::now();
    static_cast<void>(choose_config(shape, {}, kB200));
    microseconds.push_back(std::chrono::duration<double, std::micro>(Clock::now() - begin).count());
  }
  std::sort(microseconds.begin(), microseconds.end());
  const auto begin = Clock::now();
  for (int i = 0; i < 100000; ++i) static_cast<void>(choose_config(shapes.back(), {}, kB200));
  const double again =
      std::chrono::duration<double, std::nano>(Clock::now() - begin).count() / 100000;
  std::cout << "median " << microseconds[200] << " us, 95th of 100 " << microseconds[380]
            << " us, again " << again << " ns\n";
  // Ten times what a quiet machine needs, for sanitizers and busy ones.
  EXPECT_LT(microseconds[200], 2000);
  EXPECT_LT(again, 5000);
}

}  // namespace
}  // namespace nibble
