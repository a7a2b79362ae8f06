// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Counters of kernels counted by hand.
#include <nlohmann/json.hpp>

#include "tests/emulator/machine/counted_kernel.h"
#include "tests/emulator/machine/tensor_kernel.h"

namespace nibble::emulator {
namespace {

TEST(Counters, ClassesOfALoop) {
  Plan plan;
  plan.block = {96, 1, 1};
  plan.grid = {5, 1, 1};
  plan.body = R"(
mov.u32 %r5, 0;
mov.f32 %f1, 0f3F800000;
LOOP:
fma.rn.f32 %f1, %f1, %f1, %f1;
add.f16 %h1, %h2, %h3;
ex2.approx.f32 %f2, %f1;
cvt.rzi.u32.f32 %r6, %f2;
xor.b32 %r7, %r6, %r5;
shfl.sync.bfly.b32 %r8, %r7, 1, 31, -1;
add.u32 %r5, %r5, 1;
setp.lt.u32 %p1, %r5, 10;
@%p1 bra LOOP;
setp.eq.u32 %p2, %r4, 0;
@%p2 st.global.u32 [%rd2], %r8;
)";
  for (const uint32_t threads : {1u, 4u}) {
    plan.threads = threads;
    const KernelSummary counts = count(plan);
    constexpr uint64_t kWarps = 15;
    EXPECT_EQ(counts.launches, 1u);
    EXPECT_EQ(counts.blocks, 5u);
    EXPECT_EQ(counts.threads, 480u);
    EXPECT_EQ(counts.target, "sm_90a");
    EXPECT_EQ(of(counts.executed, InstClass::kFloat), kWarps * 10);
    EXPECT_EQ(of(counts.executed, InstClass::kHalf), kWarps * 10);
    EXPECT_EQ(of(counts.executed, InstClass::kSpecial), kWarps * 10);
    EXPECT_EQ(of(counts.executed, InstClass::kConversion), kWarps * 10);
    EXPECT_EQ(of(counts.executed, InstClass::kLogic), kWarps * 10);
    EXPECT_EQ(of(counts.executed, InstClass::kWarpExchange), kWarps * 10);
    EXPECT_EQ(of(counts.executed, InstClass::kInteger), kWarps * (10 + 1));
    EXPECT_EQ(of(counts.executed, InstClass::kCompare), kWarps * (10 + 1));
    EXPECT_EQ(of(counts.executed, InstClass::kMove), kWarps * 5);
    EXPECT_EQ(of(counts.executed, InstClass::kLoadParameter), kWarps * 2);
    EXPECT_EQ(of(counts.executed, InstClass::kControl), kWarps * (10 + 1));
    // Executed by every warp; the first of each block has a lane that stores.
    EXPECT_EQ(of(counts.executed, InstClass::kStoreGlobal), kWarps);
    EXPECT_EQ(of(counts.global, InstClass::kStoreGlobal).requests, 5u);
    EXPECT_EQ(of(counts.global, InstClass::kStoreGlobal).bytes, 20u);
    EXPECT_EQ(counts.l2.written, 5u * 32);
    EXPECT_EQ(counts.warp_instructions, kWarps * (6 + 2 + 90 + 2 + 1));
  }
}

TEST(Counters, PathsThatDivergeCountEach) {
  Plan plan;
  plan.body = R"(
setp.lt.u32 %p1, %r4, 7;
@%p1 bra LOW;
mul.lo.u32 %r5, %r4, 3;
bra JOIN;
LOW:
xor.b32 %r5, %r4, 1;
xor.b32 %r5, %r5, 2;
JOIN:
bar.warp.sync -1;
not.b32 %r6, %r5;
)";
  const KernelSummary counts = count(plan);
  EXPECT_EQ(of(counts.executed, InstClass::kInteger), 1u + 1u);
  EXPECT_EQ(of(counts.executed, InstClass::kLogic), 3u);
  EXPECT_EQ(of(counts.executed, InstClass::kWarpBarrier), 1u);
}

TEST(Counters, WaitsAtBarriers) {
  Plan plan;
  plan.block = {128, 1, 1};
  plan.body = "bar.sync 0;\nbar.sync 1;\nbarrier.cluster.arrive;\nbarrier.cluster.wait;";
  plan.cluster = plan.grid = {2, 1, 1};
  plan.before = "";
  const KernelSummary counts = count(plan);
  EXPECT_EQ(of(counts.executed, InstClass::kBarrier), 16u);
  // The last of four warps goes on; twice in two blocks.
  EXPECT_EQ(of(counts.waits, InstClass::kBarrier), 3u * 2 * 2);
  EXPECT_EQ(of(counts.executed, InstClass::kClusterBarrier), 16u);
  EXPECT_EQ(of(counts.waits, InstClass::kClusterBarrier), 7u);
}

// Warp 1 waits for warp 0: one execution, whatever the order.
TEST(Counters, AnInstructionExecutedAnewCountsOnce) {
  for (const uint64_t seed : {0, 1, 2, 3}) {
    Plan plan;
    plan.block = {64, 1, 1};
    plan.seed = seed;
    plan.before = ".shared .align 8 .b64 bar;";
    plan.body = R"(
setp.ne.u32 %p1, %r4, 0;
@!%p1 mbarrier.init.shared::cta.b64 [bar], 32;
bar.sync 0;
setp.lt.u32 %p2, %r4, 32;
@%p2 bra ARRIVE;
WAIT:
mbarrier.try_wait.parity.shared::cta.b64 %p3, [bar], 0;
@!%p3 bra WAIT;
bra DONE;
ARRIVE:
xor.b32 %r5, %r4, 3;
mbarrier.arrive.shared::cta.b64 _, [bar];
DONE:
ret;
)";
    const KernelSummary counts = count(plan);
    EXPECT_EQ(of(counts.executed, InstClass::kMbarrier), 2u + 1 + 1);
    EXPECT_LE(of(counts.waits, InstClass::kMbarrier), 1u);
    if (seed == 0) {
      EXPECT_EQ(of(counts.waits, InstClass::kMbarrier), 1u);
    }
  }
}

TEST(Counters, AsynchronousCopies) {
  Plan plan;
  plan.before = ".shared .align 128 .b8 tile[4096]; .shared .align 8 .b64 bar;";
  plan.body = R"(
mov.u32 %r5, tile;
xor.b32 %r6, %r4, 5;
shl.b32 %r6, %r6, 4;
add.u32 %r5, %r5, %r6;
cvt.u64.u32 %rd3, %r6;
add.u64 %rd3, %rd3, %rd1;
cp.async.cg.shared.global [%r5], [%rd3], 16;
cp.async.wait_all;
setp.ne.u32 %p1, %r4, 0;
@!%p1 mbarrier.init.shared::cta.b64 [bar], 1;
fence.proxy.async;
@%p1 bra DONE;
mbarrier.arrive.expect_tx.shared::cta.b64 _, [bar], 1024;
cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes [tile+1024], [%rd1], 1024, [bar];
WAIT:
mbarrier.try_wait.parity.shared::cta.b64 %p3, [bar], 0;
@!%p3 bra WAIT;
cp.async.bulk.global.shared::cta.bulk_group [%rd2], [tile+1024], 512;
cp.async.bulk.commit_group;
cp.async.bulk.wait_group 0;
DONE:
ret;
)";
  const KernelSummary counts = count(plan);
  const AsyncCounts lanes = of(counts.async, InstClass::kAsyncCopy);
  EXPECT_EQ(lanes.operations, 1u);
  EXPECT_EQ(lanes.shared_written, 512u);
  EXPECT_EQ(of(counts.global, InstClass::kAsyncCopy).bytes, 512u);
  EXPECT_EQ(of(counts.global, InstClass::kAsyncCopy).sectors, 16u);
  EXPECT_EQ(of(counts.shared, InstClass::kAsyncCopy).wavefronts, 4u);
  const AsyncCounts bulk = of(counts.async, InstClass::kBulkCopy);
  EXPECT_EQ(bulk.operations, 2u);
  EXPECT_EQ(bulk.global, 1024u + 512);
  EXPECT_EQ(bulk.shared_written, 1024u);
  EXPECT_EQ(bulk.shared_read, 512u);
  EXPECT_EQ(counts.l2.read, 512u + 1024);
  EXPECT_EQ(counts.l2.written, 512u);
}

TEST(Counters, MultiplicationsByShape) {
  Plan plan;
  plan.block = {64, 1, 1};
  plan.body = R"(
mov.u32 %r5, 0;
LOOP:
mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%f1, %f2, %f3, %f4}, {%r10, %r11, %r12, %r13},
    {%r14, %r15}, {%f1, %f2, %f3, %f4};
add.u32 %r5, %r5, 1;
setp.lt.u32 %p1, %r5, 3;
@%p1 bra LOOP;
)";
  const KernelSummary counts = count(plan);
  ASSERT_EQ(counts.mma.size(), 1u);
  const KernelSummary::Mma& mma = counts.mma[0];
  EXPECT_EQ(mma.opcode, "mma");
  EXPECT_EQ(mma.types, "f32.f16.f16.f32");
  EXPECT_EQ(std::tuple(mma.m, mma.n, mma.k), std::tuple(16u, 8u, 16u));
  EXPECT_EQ(mma.issues, 6u);
  EXPECT_EQ(mma.flops(), 2u * 16 * 8 * 16 * 6);
}

// Four warps' instructions are one multiplication: A once in quarters, B once.
TEST(Counters, MultiplicationsOfWarpgroups) {
  Plan plan;
  plan.block = {128, 1, 1};
  plan.before = ".shared .align 128 .b8 tiles[4096];";
  plan.body = R"(
mov.u32 %r5, tiles;
mov.u32 %r6, 0x3C003C00;
mad.lo.u32 %r7, %r4, 32, %r5;
st.shared.v4.u32 [%r7], {%r6, %r6, %r6, %r6};
st.shared.v4.u32 [%r7+16], {%r6, %r6, %r6, %r6};
fence.proxy.async;
bar.sync 0;
shr.u32 %r8, %r5, 4;
cvt.u64.u32 %rd10, %r8;
or.b64 %rd10, %rd10, 0x0000001000080000;
add.u64 %rd11, %rd10, 128;
mov.u32 %r20, 0; mov.u32 %r21, 0; mov.u32 %r22, 0; mov.u32 %r23, 0;
wgmma.fence.sync.aligned;
wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%r20, %r21, %r22, %r23}, %rd10, %rd11, 1, 1, 1,
    0, 0;
wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%r20, %r21, %r22, %r23}, %rd10, %rd11, 1, 1, 1,
    0, 0;
wgmma.commit_group.sync.aligned;
wgmma.wait_group.sync.aligned 0;
)";
  const KernelSummary counts = count(plan);
  ASSERT_EQ(counts.mma.size(), 1u);
  EXPECT_EQ(counts.mma[0].opcode, "wgmma.mma_async");
  EXPECT_EQ(counts.mma[0].types, "f32.f16.f16");
  EXPECT_EQ(counts.mma[0].issues, 2u);
  const AsyncCounts operands = of(counts.async, InstClass::kWgmma);
  EXPECT_EQ(operands.operations, 8u);
  EXPECT_EQ(operands.shared_read, 2u * (64 + 8) * 16 * 2);
}

// Multiplications of tensor memory: the shape is in the descriptor.
TEST(Counters, TensorMemory) {
  constexpr uint64_t kSwizzled128 = 0x4000404000010000;
  TensorKernel tensor(1, 64, 32768);
  tensor.settings.counters = true;
  tensor.body = TensorKernel::descriptor(10, 0, kSwizzled128) +
                TensorKernel::descriptor(11, 16384, kSwizzled128) +
                "tcgen05.mma.cta_group::1.kind::f16 [%tmem], %rd10, %rd11, " +
                std::to_string(8u << 24 | 64 / 8 << 17 | 1u << 4) + ", %p2;\n";
  CounterTable::all().clear();
  const auto fault = tensor.run();
  ASSERT_FALSE(fault) << fault->report;
  const KernelSummary counts = CounterTable::all().summaries().at(0);
  ASSERT_EQ(counts.mma.size(), 1u);
  const KernelSummary::Mma& mma = counts.mma[0];
  EXPECT_EQ(mma.opcode, "tcgen05.mma");
  EXPECT_EQ(mma.types, "kind::f16");
  EXPECT_EQ(std::tuple(mma.m, mma.n, mma.k), std::tuple(128u, 64u, 16u));
  EXPECT_EQ(mma.issues, 1u);
  const AsyncCounts operands = of(counts.async, InstClass::kTensorMma);
  EXPECT_EQ(operands.shared_read, (128u + 64) * 16 * 2);
  EXPECT_EQ(operands.tensor_written, 128u * 64 * 4);
  // The kernel around it fills and reads back 64 columns.
  EXPECT_EQ(of(counts.tensor_bytes, InstClass::kTensorStore), 128u * 64 * 4);
  EXPECT_EQ(of(counts.tensor_bytes, InstClass::kTensorLoad), 128u * 64 * 4);
}

TEST(Counters, Json) {
  Plan plan;
  plan.before = ".shared .align 128 .b8 tile[4096];";
  plan.body = R"(
shl.b32 %r5, %r4, 3;
mov.u32 %r6, tile;
add.u32 %r6, %r6, %r5;
st.shared.u32 [%r6], %r4;
mul.wide.u32 %rd3, %r4, 64;
add.u64 %rd3, %rd3, %rd2;
red.global.add.u32 [%rd3], %r4;
)";
  count(plan);
  count(plan);  // clears what was before
  const auto json = nlohmann::json::parse(CounterTable::all().json());
  EXPECT_EQ(json["schema"], 1);
  ASSERT_EQ(json["kernels"].size(), 1u);
  const auto& kernel = json["kernels"][0];
  EXPECT_EQ(kernel["name"], "test");
  EXPECT_EQ(kernel["launches"], 1);
  EXPECT_EQ(kernel["instructions"]["atomic"], 1);
  EXPECT_EQ(kernel["global"]["atomic"]["sectors"], 32);
  EXPECT_EQ(kernel["l2"]["atomic_bytes"], 1024);
  EXPECT_EQ(kernel["shared"]["store shared"]["wavefronts"], 2);
  EXPECT_EQ(kernel["shared"]["store shared"]["conflicts"], 1);
  EXPECT_EQ(kernel["bank_conflicts"][0]["line"], kBodyLine + 4);
  EXPECT_EQ(kernel["bank_conflicts"][0]["instruction"], "st.shared.u32 [%r6], %r4;");
  EXPECT_EQ(kernel["uncoalesced"][0]["excess"], 32 - 4);
  EXPECT_TRUE(kernel["mma"].empty());
  EXPECT_NE(CounterTable::all().text().find("kernel test (sm_90a): 1 launches, 1 blocks"),
            std::string::npos);
}

TEST(Counters, OffByDefault) {
  CounterTable::all().clear();
  Machine machine;
  ASSERT_TRUE(machine.load(kernel("ret;"))) << machine.error;
  EXPECT_FALSE(machine.run("test", {1, 1, 1}, {32, 1, 1}, {0, 0}));
  EXPECT_TRUE(CounterTable::all().summaries().empty());
  EXPECT_EQ(nlohmann::json::parse(CounterTable::all().json())["kernels"].size(), 0u);
}

}  // namespace
}  // namespace nibble::emulator
