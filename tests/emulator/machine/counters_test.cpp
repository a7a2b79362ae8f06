// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Counters of kernels counted by hand, and of memory accesses counted by sets of banks and sectors.
#include <map>
#include <nlohmann/json.hpp>
#include <random>
#include <set>

#include "runtime/emulator/machine/counter_table.h"
#include "tests/emulator/machine/machine.h"
#include "tests/emulator/machine/tensor_kernel.h"

namespace nibble::emulator {
namespace {

struct Plan {
  std::string body, before;
  Dim3 grid{1, 1, 1}, block{32, 1, 1}, cluster{1, 1, 1};
  std::string target = "sm_90a";
  std::vector<uint32_t> input = std::vector<uint32_t>(4096);
  uint32_t threads = 1;
  uint64_t seed = 0;
};

// Runs once: %rd1 is the input, %rd2 64 KiB of output.
KernelSummary count(const Plan& plan) {
  Settings settings;
  settings.counters = true;
  settings.threads = plan.threads;
  settings.seed = plan.seed;
  Machine machine(plan.target, settings);
  CounterTable::all().clear();
  EXPECT_TRUE(machine.load(kernel(plan.body, plan.before, plan.target))) << machine.error;
  if (machine.program == nullptr) return {};
  const uint64_t in = machine.buffer(plan.input);
  const uint64_t out = machine.buffer(std::vector<uint32_t>(16384));
  const auto fault = machine.run("test", plan.grid, plan.block, {in, out}, plan.cluster);
  EXPECT_FALSE(fault) << fault->report;
  const std::vector<KernelSummary> all = CounterTable::all().summaries();
  EXPECT_EQ(all.size(), 1u);
  return all.empty() ? KernelSummary{} : all.front();
}

template <class T>
T of(const std::array<T, kInstClasses>& counts, InstClass kind) {
  return counts[static_cast<size_t>(kind)];
}

// The manual's banks: 32 of 4 bytes. In each group of lanes a bank delivers one word at a time.
uint64_t wavefronts(const std::vector<int64_t>& addresses, uint32_t bytes) {
  const size_t together = bytes <= 4 ? 32 : 128 / bytes;
  uint64_t all = 0;
  for (size_t from = 0; from < 32; from += together) {
    std::map<int64_t, std::set<int64_t>> words;
    for (size_t lane = from; lane < from + together; ++lane) {
      if (addresses[lane] < 0) continue;
      for (int64_t at = addresses[lane]; at < addresses[lane] + bytes; ++at) {
        words[at / 4 % 32].insert(at / 4);
      }
    }
    size_t most = 0;
    for (const auto& [bank, different] : words) most = std::max(most, different.size());
    all += most;
  }
  return all;
}

uint64_t pieces(const std::vector<int64_t>& addresses, uint32_t bytes, int64_t size) {
  std::set<int64_t> all;
  for (const int64_t address : addresses) {
    if (address < 0) continue;
    for (int64_t at = address; at < address + bytes; ++at) all.insert(at / size);
  }
  return all.size();
}

// Each lane accesses `bytes` at its address, a multiple of them; negative: it is not active. From a
// table in memory or, `step` not being 0, computed: then the addresses are lane * step + first.
struct Pattern {
  std::vector<int64_t> addresses;
  uint32_t bytes = 4;
};

std::string vector_load(uint32_t bytes, const char* space) {
  const std::string start = std::string("@!%p1 ld.") + space;
  if (bytes == 1) return start + ".u8 %r10, [%rd5];";
  if (bytes == 2) return start + ".u16 %r10, [%rd5];";
  if (bytes == 4) return start + ".u32 %r10, [%rd5];";
  if (bytes == 8) return start + ".v2.u32 {%r10, %r11}, [%rd5];";
  return start + ".v4.u32 {%r10, %r11, %r12, %r13}, [%rd5];";
}

// The lanes' addresses come from the input's second half.
KernelSummary count_pattern(const Pattern& pattern, bool shared) {
  Plan plan;
  plan.before = ".shared .align 128 .b8 tile[8192];";
  for (size_t lane = 0; lane < 32; ++lane) {
    plan.input[2048 + lane] = static_cast<uint32_t>(pattern.addresses[lane]);
  }
  plan.body = R"(
mul.wide.u32 %rd4, %r4, 4;
add.u64 %rd4, %rd4, %rd1;
ld.volatile.global.u32 %r9, [%rd4+8192];
setp.lt.s32 %p1, %r9, 0;
cvt.u64.u32 %rd5, %r9;
)" + std::string(shared ? "mov.u64 %rd6, tile;" : "mov.u64 %rd6, %rd1;") +
              "\nadd.u64 %rd5, %rd5, %rd6;\n" +
              vector_load(pattern.bytes, shared ? "shared" : "global.nc") + "\nret;";
  return count(plan);
}

// The volatile load of the table: 32 words, 4 sectors of one line.
constexpr uint64_t kTableSectors = 4, kTableLines = 1, kTableBytes = 128;

void expect_counted(const Pattern& pattern) {
  const auto active = static_cast<uint64_t>(std::count_if(
      pattern.addresses.begin(), pattern.addresses.end(), [](int64_t at) { return at >= 0; }));
  const SharedCounts shared = of(count_pattern(pattern, true).shared, InstClass::kLoadShared);
  EXPECT_EQ(shared.requests, 1u);
  EXPECT_EQ(shared.bytes, active * pattern.bytes);
  EXPECT_EQ(shared.wavefronts, wavefronts(pattern.addresses, pattern.bytes));
  const GlobalCounts global = of(count_pattern(pattern, false).global, InstClass::kLoadGlobal);
  EXPECT_EQ(global.requests, 2u);
  EXPECT_EQ(global.bytes, active * pattern.bytes + kTableBytes);
  EXPECT_EQ(global.sectors, pieces(pattern.addresses, pattern.bytes, 32) + kTableSectors);
  EXPECT_EQ(global.lines, pieces(pattern.addresses, pattern.bytes, 128) + kTableLines);
}

Pattern strided(int64_t first, int64_t step, uint32_t bytes) {
  Pattern pattern{std::vector<int64_t>(32), bytes};
  for (int64_t lane = 0; lane < 32; ++lane) {
    pattern.addresses[static_cast<size_t>(lane)] = first + lane * step;
  }
  return pattern;
}

TEST(Counters, BankConflictsOfStridedWords) {
  const std::map<int64_t, uint64_t> degrees = {{0, 1},   {1, 1},  {2, 2},   {3, 1},  {4, 4},
                                               {5, 1},   {6, 2},  {8, 8},   {12, 4}, {16, 16},
                                               {32, 32}, {33, 1}, {48, 16}, {63, 1}};
  for (const auto& [step, degree] : degrees) {
    const KernelSummary counts = count_pattern(strided(0, step * 4, 4), true);
    const SharedCounts shared = of(counts.shared, InstClass::kLoadShared);
    EXPECT_EQ(shared.wavefronts, degree) << step;
    EXPECT_EQ(shared.least, 1u);
    EXPECT_EQ(counts.conflicts.size(), degree > 1 ? 1u : 0u);
    if (degree > 1) {
      EXPECT_EQ(counts.conflicts[0].excess, degree - 1);
    }
  }
}

TEST(Counters, WavefrontsOfVectors) {
  // 128 bytes at a time: float2 in halves of the warp, float4 in quarters.
  const auto of_step = [](int64_t step, uint32_t bytes) {
    return of(count_pattern(strided(0, step, bytes), true).shared, InstClass::kLoadShared);
  };
  EXPECT_EQ(of_step(8, 8).wavefronts, 2u);
  EXPECT_EQ(of_step(16, 16).wavefronts, 4u);
  EXPECT_EQ(of_step(16, 16).least, 4u);
  EXPECT_EQ(of_step(32, 16).wavefronts, 8u);
  EXPECT_EQ(of_step(64, 16).wavefronts, 16u);
  EXPECT_EQ(of_step(128, 16).wavefronts, 32u);
  EXPECT_EQ(of_step(16, 8).wavefronts, 4u);
  EXPECT_EQ(of_step(2, 2).wavefronts, 1u);
  EXPECT_EQ(of_step(1, 1).wavefronts, 1u);
}

TEST(Counters, CoalescingOfStridedWords) {
  const auto of_step = [](int64_t first, int64_t step, uint32_t bytes) {
    GlobalCounts counts =
        of(count_pattern(strided(first, step, bytes), false).global, InstClass::kLoadGlobal);
    counts.sectors -= kTableSectors;
    counts.lines -= kTableLines;
    return counts;
  };
  EXPECT_EQ(of_step(0, 4, 4).sectors, 4u);
  EXPECT_EQ(of_step(0, 4, 4).lines, 1u);
  EXPECT_EQ(of_step(16, 4, 4).sectors, 5u);
  EXPECT_EQ(of_step(16, 4, 4).lines, 2u);
  EXPECT_EQ(of_step(0, 0, 4).sectors, 1u);
  EXPECT_EQ(of_step(0, 8, 4).sectors, 8u);
  EXPECT_EQ(of_step(0, 32, 4).sectors, 32u);
  EXPECT_EQ(of_step(0, 32, 4).lines, 8u);
  EXPECT_EQ(of_step(0, 128, 4).sectors, 32u);
  EXPECT_EQ(of_step(0, 128, 4).lines, 32u);
  EXPECT_EQ(of_step(124, -4, 4).sectors, 4u);
  EXPECT_EQ(of_step(0, 16, 16).sectors, 16u);
  EXPECT_EQ(of_step(0, 16, 16).lines, 4u);
}

TEST(Counters, EveryStep) {
  for (const uint32_t bytes : {1u, 2u, 4u, 8u, 16u}) {
    for (const int64_t units : {-7, -3, -1, 0, 1, 2, 3, 5, 7, 9, 14, 15}) {
      SCOPED_TRACE(std::to_string(bytes) + " bytes, step " + std::to_string(units));
      const int64_t step = units * bytes;
      expect_counted(strided(step < 0 ? -31 * step + bytes : 3 * bytes, step, bytes));
    }
  }
}

TEST(Counters, ScatteredAndPartial) {
  std::mt19937 random(5);
  for (int round = 0; round < 60; ++round) {
    const uint32_t bytes = 1u << random() % 5;
    const uint32_t units = 1u << (3 + random() % 7);  // few: broadcasts; many: conflicts
    const uint32_t kept = round % 3 == 0 ? ~0u : random();
    Pattern pattern = strided(0, bytes, bytes);
    for (size_t lane = 0; lane < 32; ++lane) {
      if (round % 4 != 0) {
        const uint64_t unit = random() % units % (8192 / bytes);
        pattern.addresses[lane] = static_cast<int64_t>(unit * bytes);
      }
      if ((kept >> lane & 1) == 0) pattern.addresses[lane] = -1;
    }
    if (kept == 0) continue;
    SCOPED_TRACE("round " + std::to_string(round));
    expect_counted(pattern);
  }
}

// Patterns that an instruction repeats, at other places, and that it does not.
TEST(Counters, PatternsInALoop) {
  Plan plan;
  plan.before = ".shared .align 128 .b8 tile[8192];";
  // Lanes 7 words apart modulo 32, from place %r5; then pairs of lanes eight words apart.
  plan.body = R"(
mul.lo.u32 %r6, %r4, 7;
and.b32 %r6, %r6, 31;
mov.u32 %r5, 0;
mov.u32 %r7, tile;
LOOP:
shl.b32 %r8, %r6, 2;
mad.lo.u32 %r8, %r5, 132, %r8;
setp.ge.u32 %p1, %r5, 6;
@%p1 shl.b32 %r8, %r6, 5;
cvt.u64.u32 %rd3, %r8;
add.u64 %rd3, %rd3, %rd1;
ld.global.u32 %r9, [%rd3];
add.u32 %r8, %r8, %r7;
ld.shared.u32 %r9, [%r8];
add.u32 %r5, %r5, 1;
setp.lt.u32 %p2, %r5, 8;
@%p2 bra LOOP;
)";
  uint64_t sectors = 0, lines = 0, fronts = 0;
  for (int64_t round = 0; round < 8; ++round) {
    std::vector<int64_t> addresses(32);
    for (int64_t lane = 0; lane < 32; ++lane) {
      const int64_t mixed = lane * 7 % 32;
      addresses[static_cast<size_t>(lane)] = round < 6 ? round * 132 + mixed * 4 : mixed * 32;
    }
    sectors += pieces(addresses, 4, 32);
    lines += pieces(addresses, 4, 128);
    fronts += wavefronts(addresses, 4);
  }
  const KernelSummary counts = count(plan);
  EXPECT_EQ(of(counts.global, InstClass::kLoadGlobal).requests, 8u);
  EXPECT_EQ(of(counts.global, InstClass::kLoadGlobal).sectors, sectors);
  EXPECT_EQ(of(counts.global, InstClass::kLoadGlobal).lines, lines);
  EXPECT_EQ(of(counts.shared, InstClass::kLoadShared).requests, 8u);
  EXPECT_EQ(of(counts.shared, InstClass::kLoadShared).wavefronts, fronts);
  EXPECT_EQ(fronts, 6u + 2 * 8);
}

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
