// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Bulk copies: what goes wrong, and orders that only waits and fences make right.
#include <gtest/gtest.h>

#include <numeric>

#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

std::vector<uint32_t> iota(size_t count) {
  std::vector<uint32_t> values(count);
  std::iota(values.begin(), values.end(), 0);
  return values;
}

const std::string kBox =
    ".shared .align 128 .b8 box[1024];\n.shared .align 8 .b64 bar;\n"
    ".shared .align 16 .b8 other[1024];";
const std::string kBegin = R"(
setp.eq.u32 %p1, %r4, 0;
mov.u32 %r10, box;
mov.u32 %r11, bar;
mov.u32 %r12, %cluster_ctarank;
xor.b32 %r13, %r12, 1;
mapa.shared::cluster.u32 %r14, %r10, %r13;
mapa.shared::cluster.u32 %r15, %r11, %r13;
shl.b32 %r16, %r4, 2;
add.u32 %r17, %r10, %r16;
mul.wide.u32 %rd3, %r1, 4;
add.u64 %rd4, %rd2, %rd3;
@%p1 mbarrier.init.shared.b64 [bar], 1;
@%p1 fence.mbarrier_init.release.cluster;
barrier.cluster.arrive;
barrier.cluster.wait;
)";
const std::string kWait = R"(
WAIT:
mbarrier.try_wait.parity.shared.b64 %p2, [bar], 0;
@!%p2 bra WAIT;
)";
const std::string kLoad = "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes ";

struct Outcome {
  std::optional<Fault> fault;
  std::vector<uint32_t> out;
};

// a = 0, 1, 2 ... and out, of 512 words each; two blocks of 64 threads in a cluster.
Outcome run(const std::string& body, uint64_t seed = 0, const std::string& target = "sm_90a",
            bool uninitialized = false) {
  Settings settings;
  settings.seed = seed;
  settings.check_uninitialized = uninitialized;
  Machine machine(target, settings);
  Outcome outcome;
  EXPECT_TRUE(machine.load(kernel(kBegin + body, kBox, target))) << machine.error;
  if (machine.program == nullptr) return outcome;
  const uint64_t a = machine.buffer(iota(512));
  const uint64_t out = machine.buffer(std::vector<uint32_t>(512, 7));
  outcome.fault = machine.run("test", {2, 1, 1}, {64, 1, 1}, {a, out}, {2, 1, 1});
  outcome.out = machine.read<uint32_t>(out, 512);
  return outcome;
}

void expect_fault(const std::string& body, const std::string& what,
                  const std::string& target = "sm_90a") {
  const Outcome got = run(body + "\nret;", 0, target);
  ASSERT_TRUE(got.fault) << what;
  EXPECT_NE(got.fault->report.find(what), std::string::npos) << got.fault->report;
  EXPECT_NE(got.fault->report.find("PTX line"), std::string::npos) << got.fault->report;
}

TEST(BulkCopy, RingThroughThePeerInEveryOrder) {
  // Each block loads its words, sends them to its peer, which stores them.
  const std::string body = R"(
mul.wide.u32 %rd5, %r2, 256;
add.u64 %rd6, %rd1, %rd5;
add.u64 %rd7, %rd2, %rd5;
@%p1 mbarrier.arrive.expect_tx.shared.b64 _, [bar], 256;
@%p1 cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes [box], [%rd6], 256, [bar];
)" + kWait + R"(
@%p1 mbarrier.arrive.expect_tx.shared.b64 _, [bar], 256;
barrier.cluster.arrive;
barrier.cluster.wait;
@%p1 cp.async.bulk.shared::cluster.shared::cta.mbarrier::complete_tx::bytes [%r14+512], [box], 256, [%r15];
AGAIN:
mbarrier.try_wait.parity.shared.b64 %p2, [bar], 1;
@!%p2 bra AGAIN;
@%p1 cp.async.bulk.global.shared::cta.bulk_group [%rd7], [box+512], 256;
@%p1 cp.async.bulk.commit_group;
@%p1 cp.async.bulk.wait_group 0;
barrier.cluster.arrive;
barrier.cluster.wait;
ret;)";
  for (uint64_t seed = 0; seed < 40; ++seed) {
    const Outcome got = run(body, seed);
    ASSERT_FALSE(got.fault) << got.fault->report;
    for (uint32_t i = 0; i < 128; ++i) ASSERT_EQ(got.out[i], i ^ 64) << i;
  }
}

TEST(BulkCopy, RulesOfSizesAndAddresses) {
  expect_fault("@%p1 " + kLoad + "[box], [%rd1], 24, [bar];", "24 bytes, no multiple of 16");
  expect_fault("@%p1 " + kLoad + "[box+8], [%rd1], 32, [bar];", "no multiple of 16");
  expect_fault("@%p1 " + kLoad + "[box], [%rd1+8], 32, [bar];", "no multiple of 16");
  expect_fault("@%p1 " + kLoad + "[box], [%rd1], 32, [bar+4];", "no multiple of 8");
  expect_fault("@%p1 " + kLoad + "[box], [%rd1+2032], 32, [bar];",
               "illegal address: reads 32 bytes");
  expect_fault("@%p1 " + kLoad + "[box], [%rd1], 65536, [bar];", "are not in shared memory");
  expect_fault("@%p1 " + kLoad + "[box], [%rd1], 32, [other];", "was not initialised");
  expect_fault("@%p1 " + kLoad + "[%r14], [%rd1], 32, [bar];",
               "the mbarrier is in block 0 of the cluster, the destination in block 1");
  expect_fault(
      "mov.b16 %h1, 4;\n@%p1 cp.async.bulk.shared::cluster.global.mbarrier::complete_tx"
      "::bytes.multicast::cluster [box], [%rd1], 32, [bar], %h1;",
      "names blocks that a cluster of 2 does not have");
  expect_fault(
      "@%p1 cp.async.bulk.shared::cta.global.mbarrier::complete_tx::bytes"
      " [%r14], [%rd1], 32, [%r15];",
      "are not in shared memory of the block");
  expect_fault("@%p1 st.bulk.weak.shared::cta [%r10], 20, 0;", "must be a multiple of 8",
               "sm_100a");
}

TEST(BulkCopy, ReadsBeforeTheWaitAreRaces) {
  expect_fault("@%p1 mbarrier.arrive.expect_tx.shared.b64 _, [bar], 256;\n@%p1 " + kLoad +
                   "[box], [%rd1], 256, [bar];\nld.shared.u32 %r20, [%r17];" + kWait,
               "may be pending");
}

TEST(BulkCopy, StoresOfWhatThreadsWroteNeedAFence) {
  const std::string write = "st.shared.u32 [%r17], %r4;\n";
  const std::string store =
      "bar.sync 0;\n@%p1 cp.async.bulk.global.shared::cta.bulk_group [%rd4], [box], 256;\n"
      "@%p1 cp.async.bulk.commit_group;\n@%p1 cp.async.bulk.wait_group 0;\n";
  expect_fault(write + store, "fence");
  const Outcome got = run(write + "fence.proxy.async.shared::cta;\n" + store + "ret;");
  ASSERT_FALSE(got.fault) << got.fault->report;
  for (uint32_t i = 0; i < 128; ++i) EXPECT_EQ(got.out[i], i % 64);
}

TEST(BulkCopy, WritesBeforeTheReadOfAStoreAreRaces) {
  const std::string begin =
      "st.shared.u32 [%r17], %r4;\nfence.proxy.async.shared::cta;\nbar.sync 0;\n"
      "@%p1 cp.async.bulk.global.shared::cta.bulk_group [%rd4], [box], 256;\n"
      "@%p1 cp.async.bulk.commit_group;\n";
  const std::string end = "bar.sync 0;\nst.shared.u32 [%r17], 9;\n";
  expect_fault(begin + end, "may be pending");
  const Outcome got = run(begin + "@%p1 cp.async.bulk.wait_group.read 0;\n" + end + "ret;");
  ASSERT_FALSE(got.fault) << got.fault->report;
}

TEST(BulkCopy, TooFewBytesExpectedOrCompletedIsADeadlock) {
  expect_fault("@%p1 mbarrier.arrive.expect_tx.shared.b64 _, [bar], 512;\n@%p1 " + kLoad +
                   "[box], [%rd1], 256, [bar];" + kWait,
               "256 bytes are still to come");
}

TEST(BulkCopy, BytesNeverWrittenAreFound) {
  const std::string store =
      "fence.proxy.async;\n@%p1 cp.async.bulk.global.shared::cta.bulk_group [%rd4], [box], 256;\n"
      "@%p1 cp.async.bulk.commit_group;\n@%p1 cp.async.bulk.wait_group 0;\nret;";
  // Some of them on request, all of them always.
  const std::string some = "@%p1 st.shared.u32 [box], %r4;\n";
  const Outcome got = run(some + store, 0, "sm_90a", true);
  ASSERT_TRUE(got.fault);
  EXPECT_EQ(got.fault->kind, Fault::Kind::kUninitialized) << got.fault->report;
  EXPECT_FALSE(run(some + store).fault);
  expect_fault(store, "which nobody has written yet");
}

}  // namespace
}  // namespace nibble::emulator
