// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// mbarriers, cp.async, and the order that they make, under many orders of execution.
#include "tests/emulator/machine/expect_fault.h"
#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

constexpr uint64_t kSeeds = 40;

struct Outcome {
  std::optional<Fault> fault;
  std::vector<uint32_t> out;
};

// Runs `body` with %rd1 = 1024 words of input (i * 3 + 1) and %rd2 = 1024 words of output.
Outcome run_with(uint64_t seed, const std::string& body, const std::string& before, Dim3 block,
                 Dim3 cluster = {1, 1, 1}, Dim3 grid = {1, 1, 1}) {
  Settings settings;
  settings.seed = seed;
  settings.threads = 1;
  Machine machine("sm_90a", settings);
  EXPECT_TRUE(machine.load(kernel(body, before))) << machine.error;
  if (machine.program == nullptr) return {};
  std::vector<uint32_t> input(1024);
  for (uint32_t i = 0; i < input.size(); ++i) input[i] = i * 3 + 1;
  const uint64_t in = machine.buffer(input);
  const uint64_t out = machine.buffer(std::vector<uint32_t>(1024, 0xDEADBEEF));
  Outcome result;
  result.fault = machine.run("test", grid, block, {in, out}, cluster);
  result.out = machine.read<uint32_t>(out, 1024);
  return result;
}

constexpr const char* kRing =
    ".shared .align 8 .b64 full[2]; .shared .align 8 .b64 empty[2]; .shared .align 16 .b32 "
    "data[64];";

// A ring of two stages: warp 0 fills, warp 1 sums what it reads over 8 turns.
std::string ring(const std::string& consumer_wait_parity, const std::string& producer_wait,
                 const std::string& consumer_arrive) {
  return R"(
setp.ne.u32 %p1, %r4, 0;
@%p1 bra READY;
mbarrier.init.shared::cta.b64 [full], 32;
mbarrier.init.shared::cta.b64 [full+8], 32;
mbarrier.init.shared::cta.b64 [empty], 32;
mbarrier.init.shared::cta.b64 [empty+8], 32;
READY:
bar.sync 0;
mov.u32 %r5, full;
mov.u32 %r6, empty;
mov.u32 %r7, data;
and.b32 %r8, %r4, 31;
mov.u32 %r10, 0;
mov.u32 %r20, 0;
setp.ge.u32 %p2, %r4, 32;
@%p2 bra CONSUME;
PRODUCE:
and.b32 %r11, %r10, 1;
shl.b32 %r12, %r11, 3;
shr.u32 %r13, %r10, 1;
and.b32 %r13, %r13, 1;
xor.b32 %r13, %r13, 1;
add.u32 %r14, %r6, %r12;
P1:)" + producer_wait +
         R"(
shl.b32 %r15, %r11, 7;
mad.lo.u32 %r15, %r8, 4, %r15;
add.u32 %r15, %r15, %r7;
mad.lo.u32 %r16, %r10, 100, %r8;
st.shared.u32 [%r15], %r16;
add.u32 %r14, %r5, %r12;
mbarrier.arrive.shared::cta.b64 _, [%r14];
add.u32 %r10, %r10, 1;
setp.lt.u32 %p3, %r10, 8;
@%p3 bra PRODUCE;
bra DONE;
CONSUME:
and.b32 %r11, %r10, 1;
shl.b32 %r12, %r11, 3;
shr.u32 %r13, %r10, 1;
and.b32 %r13, %r13, 1;
)" + consumer_wait_parity +
         R"(
add.u32 %r14, %r5, %r12;
C1: mbarrier.try_wait.parity.shared::cta.b64 %p4, [%r14], %r13;
@!%p4 bra C1;
shl.b32 %r15, %r11, 7;
xor.b32 %r16, %r8, 31;
mad.lo.u32 %r15, %r16, 4, %r15;
add.u32 %r15, %r15, %r7;
ld.shared.u32 %r17, [%r15];
add.u32 %r20, %r20, %r17;
add.u32 %r14, %r6, %r12;
)" + consumer_arrive +
         R"(
add.u32 %r10, %r10, 1;
setp.lt.u32 %p3, %r10, 8;
@%p3 bra CONSUME;
DONE:
mul.wide.u32 %rd3, %r4, 4;
add.u64 %rd3, %rd2, %rd3;
st.global.u32 [%rd3], %r20;
)";
}

constexpr const char* kWaitEmpty =
    " mbarrier.try_wait.parity.shared::cta.b64 %p4, [%r14], %r13;\n@!%p4 bra P1;";
constexpr const char* kArriveEmpty = "mbarrier.arrive.shared::cta.b64 _, [%r14];";

TEST(Mbarrier, RingOfTwoStagesInEveryOrder) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Outcome run = run_with(seed, ring("", kWaitEmpty, kArriveEmpty), kRing, {64, 1, 1});
    ASSERT_FALSE(run.fault.has_value()) << seed << ": " << run.fault->report;
    for (uint32_t lane = 0; lane < 32; ++lane) {
      ASSERT_EQ(run.out[32 + lane], 2800 + 8 * (31 - lane)) << seed;
    }
  }
}

TEST(Mbarrier, WrongParityOfTheConsumerIsFound) {
  const Outcome run =
      run_with(0, ring("xor.b32 %r13, %r13, 1;", kWaitEmpty, kArriveEmpty), kRing, {64, 1, 1});
  ASSERT_TRUE(run.fault.has_value());
}

TEST(Mbarrier, ProducerThatDoesNotWaitIsFoundInEveryOrder) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Outcome run = run_with(seed, ring("", "", kArriveEmpty), kRing, {64, 1, 1});
    ASSERT_TRUE(run.fault.has_value()) << seed;
  }
}

TEST(Mbarrier, DeadlockSaysWhoWaitsForWhat) {
  const Outcome run = run_with(0, ring("", kWaitEmpty, ""), kRing, {64, 1, 1});
  expect_fault(run, Fault::Kind::kDeadlock,
               {"warp 0", "parity 0 of an mbarrier", "32 of 32 arrivals and 0 bytes are still",
                "warp 1", "mbarrier.try_wait.parity"});
}

TEST(Mbarrier, DeadlockRepeatsWhatWasFoundBefore) {
  Settings settings;
  settings.report = [](const std::string&) {};
  Machine machine("sm_90a", settings);
  ASSERT_TRUE(machine.load(kernel(R"(
mbarrier.init.shared.b64 [bar], 64;
st.shared.u32 [data], %r4;
W: mbarrier.try_wait.parity.shared.b64 %p2, [bar], 0;
@!%p2 bra W;
)",
                                  ".shared .align 8 .b64 bar; .shared .b32 data;")))
      << machine.error;
  const uint64_t buffer = machine.buffer(std::vector<uint32_t>(64, 0));
  Outcome run;
  run.fault = machine.run("test", {1, 1, 1}, {64, 1, 1}, {buffer, buffer});
  expect_fault(run, Fault::Kind::kDeadlock,
               {"found before: race: writes shared memory", "warp 1", "st.shared.u32"});
}

TEST(Mbarrier, TransactionsAndStates) {
  const Outcome run = run_with(0, R"(
mov.u32 %r5, bar;
mbarrier.init.b64 [bar], 2;
mbarrier.arrive.shared.b64 %rd4, [%r5];
mbarrier.pending_count.b64 %r20, %rd4;
mbarrier.expect_tx.relaxed.cta.shared::cta.b64 [%r5], 100;
mbarrier.arrive.release.cta.shared::cta.b64 %rd5, [%r5], 1;
mbarrier.pending_count.b64 %r21, %rd5;
mbarrier.test_wait.shared.b64 %p1, [%r5], %rd5;
selp.u32 %r22, 1, 0, %p1;
mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%r5], 60;
mbarrier.complete_tx.relaxed.cta.shared::cta.b64 [%r5], 40;
mbarrier.test_wait.shared.b64 %p1, [%r5], %rd5;
selp.u32 %r23, 1, 0, %p1;
mbarrier.arrive_drop.shared.b64 %rd6, [%r5];
mbarrier.arrive.noComplete.shared.b64 %rd7, [%r5], 0x1;
mbarrier.arrive.shared.b64 %rd7, [%r5];
st.global.v4.u32 [%rd2], {%r20, %r21, %r22, %r23};
)",
                               ".shared .align 8 .b64 bar;", {1, 1, 1});
  // The second arrival of the second phase is the last one awaited.
  expect_fault(run, Fault::Kind::kIllegalInstruction, {".noComplete would end the phase"});
}

TEST(Mbarrier, RulesAreNamed) {
  const char* const kBar = ".shared .align 8 .b64 bar; .shared .align 8 .b64 other;";
  expect_fault(run_with(0, "mbarrier.arrive.shared.b64 _, [bar];", kBar, {1, 1, 1}),
               Fault::Kind::kIllegalInstruction, {"was not initialised", "mbarrier.arrive"});
  expect_fault(run_with(0, "mbarrier.init.shared.b64 [bar], 0;", kBar, {1, 1, 1}),
               Fault::Kind::kIllegalInstruction, {"count of 0"});
  expect_fault(
      run_with(0, "mbarrier.init.shared.b64 [bar], 1; mbarrier.arrive.shared.b64 _, [bar], 2;",
               kBar, {1, 1, 1}),
      Fault::Kind::kIllegalInstruction, {"2 arrivals where the mbarrier awaits 1"});
  expect_fault(run_with(0, "mbarrier.init.shared.b64 [bar+4], 1;", kBar, {1, 1, 1}),
               Fault::Kind::kMisaligned, {"no multiple of 8"});
  expect_fault(run_with(0,
                        "mbarrier.init.shared.b64 [bar], 1; st.shared.u32 [bar], 7; "
                        "mbarrier.arrive.shared.b64 _, [bar];",
                        kBar, {1, 1, 1}),
               Fault::Kind::kIllegalInstruction, {"overwritten"});
}

TEST(Mbarrier, RemoteArrivalsInACluster) {
  const std::string body = R"(
mov.u32 %r5, bar;
setp.ne.u32 %p1, %r4, 0;
@%p1 bra READY;
mbarrier.init.shared::cta.b64 [bar], 64;
fence.mbarrier_init.release.cluster;
READY:
barrier.cluster.arrive.release.aligned;
barrier.cluster.wait.acquire.aligned;
mov.u32 %r6, %cluster_ctarank;
xor.b32 %r7, %r6, 1;
mapa.shared::cluster.u32 %r8, %r5, %r7;
mov.u32 %r9, data;
mapa.shared::cluster.u32 %r10, %r9, %r7;
mad.lo.u32 %r10, %r4, 4, %r10;
mad.lo.u32 %r11, %r6, 1000, %r4;
st.shared::cluster.u32 [%r10], %r11;
mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r8];
W: mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p2, [%r5], 0;
@!%p2 bra W;
xor.b32 %r12, %r4, 63;
mad.lo.u32 %r9, %r12, 4, %r9;
ld.shared.u32 %r20, [%r9];
barrier.cluster.arrive.aligned;
barrier.cluster.wait.aligned;
mul.wide.u32 %rd3, %r1, 4;
add.u64 %rd3, %rd2, %rd3;
st.global.u32 [%rd3], %r20;
)";
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Outcome run = run_with(seed, body, ".shared .align 8 .b64 bar; .shared .b32 data[64];",
                                 {64, 1, 1}, {2, 1, 1}, {4, 1, 1});
    ASSERT_FALSE(run.fault.has_value()) << seed << ": " << run.fault->report;
    for (uint32_t i = 0; i < 256; ++i) {
      ASSERT_EQ(run.out[i], (i / 64 % 2 == 0 ? 1000 : 0) + 63 - i % 64) << seed;
    }
  }
}

constexpr const char* kData = ".shared .align 16 .b32 data[256]; .shared .align 8 .b64 bar;";

std::string copy_async(const std::string& wait) {
  return R"(
mov.u32 %r5, data;
mad.lo.u32 %r6, %r4, 16, %r5;
mul.wide.u32 %rd3, %r4, 16;
add.u64 %rd3, %rd1, %rd3;
cp.async.cg.shared.global [%r6], [%rd3], 16;
)" + wait +
         R"(
xor.b32 %r7, %r4, 63;
mad.lo.u32 %r6, %r7, 16, %r5;
ld.shared.u32 %r20, [%r6+4];
mul.wide.u32 %rd3, %r4, 4;
add.u64 %rd3, %rd2, %rd3;
st.global.u32 [%rd3], %r20;
)";
}

TEST(CopyAsync, GroupsAndBarriers) {
  const std::string waits[] = {"cp.async.commit_group; cp.async.wait_group 0; bar.sync 0;",
                               "cp.async.wait_all; bar.sync 0;",
                               R"(
setp.ne.u32 %p1, %r4, 0;
@!%p1 mbarrier.init.shared.b64 [bar], 64;
bar.sync 0;
cp.async.mbarrier.arrive.noinc.shared.b64 [bar];
W: mbarrier.test_wait.parity.shared.b64 %p2, [bar], 0;
@!%p2 bra W;
)"};
  for (const std::string& wait : waits) {
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      const Outcome run = run_with(seed, copy_async(wait), kData, {64, 1, 1});
      ASSERT_FALSE(run.fault.has_value()) << seed << ": " << run.fault->report;
      for (uint32_t i = 0; i < 64; ++i) ASSERT_EQ(run.out[i], ((63 - i) * 4 + 1) * 3 + 1);
    }
  }
}

TEST(CopyAsync, MissingWaitIsFound) {
  for (const char* wait : {"cp.async.commit_group; bar.sync 0;",
                           "cp.async.commit_group; cp.async.wait_group 1; bar.sync 0;",
                           "cp.async.wait_group 0; bar.sync 0;"}) {
    for (uint64_t seed = 0; seed < kSeeds; ++seed) {
      expect_fault(run_with(seed, copy_async(wait), kData, {64, 1, 1}), Fault::Kind::kRace,
                   {"asynchronous operation", "cp.async.cg", "ld.shared.u32"});
    }
  }
}

TEST(Order, RaceBetweenWarpsNamesBoth) {
  const std::string body = R"(
mov.u32 %r5, data;
mad.lo.u32 %r6, %r4, 4, %r5;
st.shared.u32 [%r6], %r4;
BARRIER
xor.b32 %r7, %r4, 63;
mad.lo.u32 %r6, %r7, 4, %r5;
ld.shared.u32 %r20, [%r6];
)";
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    std::string right = body, wrong = body;
    right.replace(right.find("BARRIER"), 7, "bar.sync 0;");
    wrong.replace(wrong.find("BARRIER"), 7, "");
    const Outcome good = run_with(seed, right, kData, {64, 1, 1});
    ASSERT_FALSE(good.fault.has_value()) << good.fault->report;
    expect_fault(run_with(seed, wrong, kData, {64, 1, 1}), Fault::Kind::kRace,
                 {"race: ", "st.shared.u32", "ld.shared.u32", "warp 0", "warp 1"});
  }
}

TEST(Order, BytesOfOneWordAreTheirWarpsOwn) {
  const Outcome run = run_with(0, R"(
mov.u32 %r5, data;
shr.u32 %r6, %r4, 5;
and.b32 %r7, %r4, 31;
mad.lo.u32 %r6, %r7, 4, %r6;
add.u32 %r6, %r6, %r5;
st.shared.u8 [%r6], %r4;
ld.shared.u8 %r20, [%r6];
)",
                               kData, {128, 1, 1});
  ASSERT_FALSE(run.fault.has_value()) << run.fault->report;
}

TEST(Order, FlagsAndFencesOrder) {
  const std::string body = R"(
mov.u32 %r5, data;
setp.ge.u32 %p1, %r4, 32;
@%p1 bra READ;
setp.ne.u32 %p2, %r4, 0;
@%p2 bra OUT;
st.shared.u32 [data+64], 77;
membar.cta;
st.volatile.shared.u32 [data], 1;
bra OUT;
READ:
W: ld.volatile.shared.u32 %r6, [data];
setp.ne.u32 %p3, %r6, 1;
@%p3 bra W;
membar.cta;
ld.shared.u32 %r20, [data+64];
OUT:
)";
  const Outcome run = run_with(0, body, kData, {64, 1, 1});
  ASSERT_FALSE(run.fault.has_value()) << run.fault->report;
}

}  // namespace
}  // namespace nibble::emulator
