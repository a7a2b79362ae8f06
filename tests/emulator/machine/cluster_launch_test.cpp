// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// clusterlaunchcontrol: persistent kernels that take over clusters do each block's work once.
#include <gtest/gtest.h>

#include <algorithm>
#include <numeric>

#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

// Each turn adds one at the block's place in out, and 100 behind it where it is not the first turn.
// `start`, `finish`: how a turn begins and how the next response is asked for.
std::string persistent_kernel(const std::string& cluster, const std::string& ask,
                              const std::string& query, const std::string& sync) {
  return R"(.version 9.0
.target sm_100a
.address_size 64
.shared .align 16 .b8 response[16];
.shared .align 8 .b64 bar;
.visible .entry test(.param .u64 out, .param .u64 width))" +
         cluster + R"(
{
.reg .pred %p<5>; .reg .b32 %r<30>; .reg .b64 %rd<9>; .reg .b128 %q;
ld.param.u64 %rd1, [out];
ld.param.u32 %r9, [width];
mov.u32 %r1, %tid.x;
setp.eq.u32 %p1, %r1, 0;
mov.u32 %r2, %ctaid.x;
mov.u32 %r3, %ctaid.y;
mov.u32 %r4, %cluster_ctaid.x;
mov.u32 %r10, 0;
mov.u32 %r11, 0;
@%p1 mbarrier.init.shared.b64 [bar], 1;
@%p1 fence.mbarrier_init.release.cluster;
)" + sync +
         R"(
TURN:
@!%p1 bra WORK;
mbarrier.arrive.expect_tx.relaxed.cluster.shared::cta.b64 _, [bar], 16;
)" + ask +
         R"(
WORK:
mad.lo.u32 %r5, %r3, %r9, %r2;
mul.wide.u32 %rd2, %r5, 4;
add.u64 %rd3, %rd1, %rd2;
setp.ne.u32 %p2, %r11, 0;
selp.b32 %r6, 100, 1, %p2;
@%p1 red.global.add.u32 [%rd3], %r6;
WAIT:
mbarrier.try_wait.parity.acquire.cluster.shared::cta.b64 %p3, [bar], %r10;
@!%p3 bra WAIT;
xor.b32 %r10, %r10, 1;
add.u32 %r11, %r11, 1;
ld.shared.b128 %q, [response];
clusterlaunchcontrol.query_cancel.is_canceled.pred.b128 %p4, %q;
@!%p4 bra DONE;
)" + query +
         R"(
add.u32 %r2, %r2, %r4;
fence.proxy.async.shared::cta;
)" + sync +
         R"(
bra TURN;
DONE:
ret;
}
)";
}

const std::string kOwn =
    "clusterlaunchcontrol.try_cancel.async.shared::cta.mbarrier::complete_tx::bytes.b128"
    " [response], [bar];";
const std::string kAll =
    "setp.eq.u32 %p2, %r4, 0;\n@%p2 clusterlaunchcontrol.try_cancel.async.shared::cta"
    ".mbarrier::complete_tx::bytes.multicast::cluster::all.b128 [response], [bar];";
const std::string kVector =
    "clusterlaunchcontrol.query_cancel.get_first_ctaid.v4.b32.b128 {%r2, %r3, %r7, _}, %q;";
const std::string kAxes = R"(
clusterlaunchcontrol.query_cancel.get_first_ctaid::x.b32.b128 %r2, %q;
clusterlaunchcontrol.query_cancel.get_first_ctaid::y.b32.b128 %r3, %q;
clusterlaunchcontrol.query_cancel.get_first_ctaid::z.b32.b128 %r7, %q;)";
const std::string kClusterSync = "barrier.cluster.arrive;\nbarrier.cluster.wait;";

struct Outcome {
  std::optional<Fault> fault;
  std::vector<uint32_t> out;
};

Outcome run(const std::string& text, Dim3 grid, uint64_t seed, uint32_t threads) {
  Settings settings;
  settings.seed = seed;
  settings.threads = threads;
  Machine machine("sm_100a", settings);
  Outcome outcome;
  EXPECT_TRUE(machine.load(text)) << machine.error;
  if (machine.program == nullptr) return outcome;
  const size_t blocks = size_t{grid[0]} * grid[1];
  const uint64_t out = machine.buffer(std::vector<uint32_t>(blocks, 0));
  const Kernel* const kernel = machine.program->find_kernel("test");
  Dim3 cluster = kernel->required_cluster;
  for (uint32_t& size : cluster) size = std::max(size, 1u);
  outcome.fault = machine.run("test", grid, {64, 1, 1}, {out, grid[0]}, cluster);
  outcome.out = machine.read<uint32_t>(out, blocks);
  return outcome;
}

TEST(ClusterLaunch, OneBlockDoesAll) {
  const Outcome got = run(persistent_kernel("", kOwn, kVector, "bar.sync 0;"), {6, 4, 1}, 0, 1);
  ASSERT_FALSE(got.fault) << got.fault->report;
  std::vector<uint32_t> expected(24, 100);
  expected[0] = 1;
  EXPECT_EQ(got.out, expected);
}

TEST(ClusterLaunch, EveryBlockIsDoneOnceWhateverTheOrder) {
  const std::string kernels[] = {
      persistent_kernel("", kOwn, kAxes, "bar.sync 0;"),
      persistent_kernel(" .reqnctapercluster 2, 1, 1", kAll, kVector, kClusterSync)};
  uint32_t begun = 0, most = 0;
  for (const std::string& kernel : kernels) {
    for (uint64_t seed = 0; seed < 24; ++seed) {
      const Outcome got = run(kernel, {8, 6, 1}, seed, 1 + seed % 3);
      ASSERT_FALSE(got.fault) << got.fault->report;
      uint32_t first = 0;
      for (const uint32_t turns : got.out) {
        EXPECT_TRUE(turns == 1 || turns == 100) << turns;
        first += turns == 1;
      }
      if (seed != 0) begun += first;
      most = std::max(most, first);
    }
  }
  // Some seeds have clusters refuse early, so that others begin.
  EXPECT_GT(begun, 2u * 23u);
  EXPECT_LT(most, 48u);
}

TEST(ClusterLaunch, RefusesWhatIsNoResponse) {
  // Between the wait for the answer and its use.
  std::string text = persistent_kernel("", kOwn, kVector, "bar.sync 0;");
  text.insert(text.find("ld.shared.b128 %q"),
              "bar.sync 0;\n@%p1 st.shared.b32 [response+12], 7;\nbar.sync 0;\n");
  for (uint64_t seed = 0; seed < 24; ++seed) {
    const Outcome got = run(text, {2, 1, 1}, seed, 1);
    ASSERT_TRUE(got.fault) << seed;
    EXPECT_NE(got.fault->report.find("is no response"), std::string::npos) << got.fault->report;
  }
}

}  // namespace
}  // namespace nibble::emulator
