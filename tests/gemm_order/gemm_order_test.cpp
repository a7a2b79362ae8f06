// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The gemm kernel hands over between warps, thread blocks, copies and tensor cores. Whatever the
// order in which these work, the emulator has nothing to report and the sums are right; and each of
// many faults planted in a copy of the kernel is caught.
#include <gtest/gtest.h>

#include "tests/gemm_order/order_run.h"

namespace nibble::test {
namespace {

constexpr GemmConfig kPair{.cta_group = 2,
                           .tile_n = 256,
                           .tile_k = 128,
                           .cluster_m = 2,
                           .cluster_n = 1,
                           .stages = 4,
                           .accumulators = 2,
                           .raster = 2,
                           .split = 1,
                           .epilogue_columns = 32,
                           .scheduler = 0,
                           .swapped = 0};

constexpr GemmConfig single(int tile_n) {
  GemmConfig config = kPair;
  config.cta_group = config.cluster_m = 1;
  config.tile_n = tile_n;
  config.stages = 3;
  return config;
}

constexpr GemmConfig with(GemmConfig config, int GemmConfig::*member, int value) {
  config.*member = value;
  return config;
}

constexpr GemmConfig with_cluster(GemmConfig config, int m, int n) {
  config.cluster_m = m;
  config.cluster_n = n;
  return config;
}

constexpr GemmConfig kOfSmallM{.cta_group = 1,
                               .tile_n = 16,
                               .tile_k = 128,
                               .cluster_m = 1,
                               .cluster_n = 1,
                               .stages = 5,
                               .accumulators = 2,
                               .raster = 1,
                               .split = 3,
                               .epilogue_columns = 16,
                               .scheduler = 0,
                               .swapped = 1};

const OrderCase kCases[] = {
    {.name = "OneBlock", .config = single(128)},
    {.name = "OverlappingAccumulators", .n = 600, .config = single(256)},
    {.name = "OneAccumulator", .config = with(single(128), &GemmConfig::accumulators, 1)},
    {.name = "LongStages",
     .config = with(with(single(64), &GemmConfig::tile_k, 256), &GemmConfig::stages, 2)},
    {.name = "Pair", .m = 700, .n = 600, .config = kPair},
    {.name = "PairBf16Output",
     .output = OutputType::kBf16,
     .m = 700,
     .n = 600,
     .config = with(kPair, &GemmConfig::epilogue_columns, 64)},
    {.name = "Multicast", .m = 500, .n = 500, .config = with_cluster(single(128), 2, 2)},
    {.name = "PairMulticast", .m = 1100, .n = 600, .config = with_cluster(kPair, 4, 2)},
    {.name = "LaunchControl",
     .m = 600,
     .n = 500,
     .config = with(single(64), &GemmConfig::scheduler, 1)},
    {.name = "LaunchControlOfPairs",
     .m = 1100,
     .n = 1100,
     .config = with(kPair, &GemmConfig::scheduler, 1)},
    {.name = "LaunchControlMulticast",
     .m = 1100,
     .n = 600,
     .config = with(with_cluster(kPair, 4, 2), &GemmConfig::scheduler, 1)},
    {.name = "Split",
     .m = 200,
     .k = 4000,
     .batch = 2,
     .config = with(single(128), &GemmConfig::split, 3)},
    {.name = "SmallM", .m = 5, .k = 4000, .config = kOfSmallM},
    {.name = "SmallMBf16Output",
     .output = OutputType::kBf16,
     .m = 5,
     .k = 4000,
     .config = kOfSmallM},
    {.name = "Mxfp4", .format = OperandFormat::kMxfp4, .config = single(128)},
    {.name = "Mxfp8", .format = OperandFormat::kMxfp8, .m = 700, .config = kPair},
    {.name = "Fp8", .format = OperandFormat::kFp8, .config = single(128)},
    {.name = "Bf16",
     .format = OperandFormat::kBf16,
     .m = 700,
     .config = with(kPair, &GemmConfig::tile_n, 128)},
    {.name = "DependentLaunch", .config = single(128), .dependent_launch = true},
};

class Order : public testing::TestWithParam<OrderCase> {};

TEST_P(Order, SilentAndRight) {
  const Outcome outcome = run_in_all_orders(GetParam(), "", 50);
  EXPECT_TRUE(outcome.ran);
  EXPECT_TRUE(outcome.right);
  EXPECT_EQ(outcome.messages, "");
}

INSTANTIATE_TEST_SUITE_P(Cases, Order, testing::ValuesIn(kCases),
                         [](const auto& info) { return std::string(info.param.name); });

struct Planted {
  const char* name;
  std::vector<Edit> edits;
  OrderCase run_as;
  std::vector<const char*> any_of;  // words of which the report has one
};

const OrderCase kOne{.name = "one", .config = single(128)};
const OrderCase kOfPair{.name = "pair", .m = 700, .n = 600, .config = kPair};
const OrderCase kControlled{.name = "controlled",
                            .m = 600,
                            .n = 500,
                            .config = with(single(64), &GemmConfig::scheduler, 1)};

const Planted kPlanted[] = {
    {"StageReusedTooEarly",
     {{"gemm/load.cuh", "    Block::wait(block_.empty(stage), ring_.parity ^ 1);\n    if",
       "    if"}},
     kOne,
     {"race", "pending", "awaits 0"}},
    {"TooFewBytesExpected",
     {{"gemm/load.cuh", "kLayout<Config>.loaded_bytes * kPair",
       "kLayout<Config>.loaded_bytes * kPair - 512"}},
     kOne,
     {"race", "pending", "expect", "bytes"}},
    {"TooManyBytesExpected",
     {{"gemm/load.cuh", "kLayout<Config>.loaded_bytes * kPair",
       "kLayout<Config>.loaded_bytes * kPair + 512"}},
     kOne,
     {"deadlock"}},
    {"ExpectsOneBlockOfAPair",
     {{"gemm/load.cuh", "kLayout<Config>.loaded_bytes * kPair", "kLayout<Config>.loaded_bytes"}},
     kOfPair,
     {"race", "pending", "bytes", "deadlock"}},
    {"MmaDoesNotWaitForLoads",
     {{"gemm/sum.cuh", "    Block::wait(block_.full(stage), ring_.parity);\n", ""}},
     kOne,
     {"race", "pending", "never written"}},
    {"MmaWaitsForTheWrongPhase",
     {{"gemm/sum.cuh", "Block::wait(block_.full(stage), ring_.parity)",
       "Block::wait(block_.full(stage), ring_.parity ^ 1)"}},
     kOne,
     {"race", "pending", "never written", "deadlock"}},
    {"StageNeverReleased",
     {{"gemm/sum.cuh", "    commit(block_.empty(stage), block_.loaders());\n", ""}},
     kOne,
     {"deadlock"}},
    {"CommitWithoutThePeer",
     {{"gemm/block.cuh", "    if constexpr (kPair == 2) mask |= same_rows() << 1;\n    return",
       "    mask &= same_rows();\n    return"}},
     kOfPair,
     {"deadlock"}},
    {"SumsNeverAnnounced",
     {{"gemm/sum.cuh", "commit(block_.summed(accumulator_.ring.place)",
       "if (false) commit(block_.summed(accumulator_.ring.place)"}},
     kOne,
     {"deadlock"}},
    {"AccumulatorReusedTooEarly",
     {{"gemm/sum.cuh", "      wait_for_accumulator();\n", ""}},
     {.name = "many", .m = 600, .n = 2000, .k = 300, .config = single(128)},
     {"race", "pending"}},
    {"OverlapReusedTooEarly",
     {{"gemm/store.cuh", "kLayout<Config>.overlap > 0 ? kLayout<Config>.overlap / kColumns - 1",
       "kLayout<Config>.overlap > 0 ? 0"}},
     {.name = "overlap", .m = 600, .n = 4000, .k = 300, .config = single(256)},
     {"race", "pending"}},
    {"EpilogueDoesNotWait",
     {{"gemm/store.cuh",
       "      Block::wait(block_.summed(accumulator_.ring.place), accumulator_.ring.parity);\n",
       ""}},
     kOne,
     {"race", "pending", "never written"}},
    {"LoadsOfSumsNotAwaited",
     {{"ptx/tcgen05.cuh", "  asm volatile(\"tcgen05.wait::ld.sync.aligned;\" ::: \"memory\");\n",
       ""}},
     kOne,
     {"race", "pending", "wait"}},
    {"NoFenceBeforeRelease",
     {{"gemm/store.cuh", "    ptx::tcgen05_fence_before_thread_sync();\n", ""}},
     {.name = "many", .m = 600, .n = 2000, .k = 300, .config = single(128)},
     {"fence"}},
    {"NoProxyFenceBeforeStore",
     {{"gemm/store.cuh", "    ptx::fence_proxy_async_shared();\n", ""}},
     kOne,
     {"fence.proxy.async"}},
    {"StagingReusedTooEarly",
     {{"gemm/store.cuh",
       "    if (lane_ == 0) ptx::cp_async_bulk_wait_group_read<kGemmStagingBuffers - 1>();\n", ""}},
     kOne,
     {"race", "pending"}},
    {"TensorMemoryFreedTooEarly",
     {{"gemm/gemm.cuh",
       "  Block::synchronize_cluster();\n  if (warp == kMmaWarp) {\n    ptx::tcgen05_fence_after",
       "  if (warp == kMmaWarp) {\n    ptx::tcgen05_fence_after"},
      {"gemm/sum.cuh", "accumulator_.ring.advance()) wait_for_release();",
       "accumulator_.ring.advance()) {\n    }"}},
     kOne,
     {"tensor memory", "race", "pending"}},
    {"TensorMemoryLeaked",
     {{"gemm/gemm.cuh",
       "    ptx::tcgen05_dealloc<Config::kCtaGroup>(tensor_memory, kTensorColumns);\n", ""}},
     kOne,
     {"tensor memory"}},
    {"AnswerOverwrittenTooEarly",
     {{"gemm/scheduler.cuh",
       "      Block<Config>::wait(block_.taken(slot.place), slot.parity ^ 1);\n", ""}},
     kControlled,
     {"race", "pending", "expect", "deadlock"}},
    {"AnswerNotAwaited",
     {{"gemm/scheduler.cuh",
       "      Block<Config>::wait(block_.scheduled(slot_.place), slot_.parity);\n", ""}},
     kControlled,
     {"race", "pending", "never written"}},
    {"AddressReadWithoutBarrier",
     {{"gemm/gemm.cuh",
       "  Block::synchronize_cluster();\n  ptx::tcgen05_fence_after_thread_sync();\n  const "
       "bool reads_address",
       "  const bool reads_address"}},
     kOne,
     {"race", "never written", "barrier"}},
    {"WrongStrideInTheDescriptor",
     {{"gemm/format.cuh", "0x4000404000010000ull", "0x4000202000010000ull"}},
     kOne,
     {}},
};

class PlantedFault : public testing::TestWithParam<Planted> {};

TEST_P(PlantedFault, IsCaught) {
  const Planted& planted = GetParam();
  const std::string templates = templates_with(planted.edits, planted.name);
  const Outcome outcome = run_in_all_orders(planted.run_as, templates, 20);
  EXPECT_FALSE(outcome.right) << planted.name << " was not caught";
  EXPECT_FALSE(planted.any_of.empty() ? outcome.right : outcome.ran) << outcome.messages;
  bool named = planted.any_of.empty();
  for (const char* word : planted.any_of) named |= outcome.messages.find(word) != std::string::npos;
  EXPECT_TRUE(named) << outcome.messages;
}

INSTANTIATE_TEST_SUITE_P(Faults, PlantedFault, testing::ValuesIn(kPlanted),
                         [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace nibble::test
