// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What may still be pending when a kernel ends.
#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

constexpr uint64_t kSeeds = 20;

std::optional<Fault> run(uint64_t seed, const std::string& body, uint32_t cluster) {
  Settings settings;
  settings.seed = seed;
  Machine machine("sm_100a", settings);
  const bool loads = machine.load(R"(.version 9.0
.target sm_100a
.address_size 64
.visible .entry test(.param .u64 a, .param .u64 b)
{
.shared .align 8 .b64 bar;
.shared .align 4 .b32 slot;
.reg .pred %p<2>;
.reg .b32 %tmem, %slot, %bar, %r<2>;
mov.u32 %r0, %tid.x;
mov.u32 %slot, slot;
mov.u32 %bar, bar;
setp.eq.u32 %p0, %r0, 0;
)" + body + "ret;\n}\n");
  EXPECT_TRUE(loads) << machine.error;
  if (!loads) return std::nullopt;
  const uint64_t unused = machine.buffer(std::vector<uint32_t>(1));
  return machine.run("test", {4, 1, 1}, {32, 1, 1}, {unused, unused}, {cluster, 1, 1});
}

// Nothing after dealloc keeps the block that goes on first from exiting before the other does.
TEST(Tcgen05End, BlocksOfAPairExitAtOnceAfterDeallocation) {
  const std::string body = R"(
barrier.cluster.arrive.aligned;
barrier.cluster.wait.aligned;
tcgen05.alloc.cta_group::2.sync.aligned.shared::cta.b32 [%slot], 64;
tcgen05.relinquish_alloc_permit.cta_group::2.sync.aligned;
ld.shared.b32 %tmem, [%slot];
tcgen05.dealloc.cta_group::2.sync.aligned.b32 %tmem, 64;
)";
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto fault = run(seed, body, 2);
    EXPECT_FALSE(fault) << seed << ": " << fault->report;
  }
}

// Compilers leave the last signal that a stage is free to itself, and invalidate its mbarrier.
TEST(Tcgen05End, CommitsMaySignalWhatHasBeenInvalidated) {
  const std::string start = "@%p0 mbarrier.init.shared::cta.b64 [%bar], 1;\n";
  const std::string commit =
      "@%p0 tcgen05.commit.cta_group::1.mbarrier::arrive::one.shared::cluster.b64 [%bar];\n";
  const std::string end = "@%p0 mbarrier.inval.shared::cta.b64 [%bar];\n";
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto late = run(seed, start + commit + end, 1);
    EXPECT_FALSE(late) << seed << ": " << late->report;
    const auto wrong = run(seed, start + end + commit, 1);
    ASSERT_TRUE(wrong) << seed;
    EXPECT_NE(wrong->report.find("invalidated"), std::string::npos) << wrong->report;
  }
}

}  // namespace
}  // namespace nibble::emulator
