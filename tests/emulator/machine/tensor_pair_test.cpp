// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Tensor memory that the two blocks of a pair allocate and deallocate together.
#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

constexpr uint64_t kSeeds = 20;

// Nothing after dealloc keeps the block that goes on first from exiting before the other does.
TEST(TensorPair, MayExitAtOnceAfterDeallocation) {
  const std::string text = R"(.version 9.0
.target sm_100a
.address_size 64
.visible .entry test(.param .u64 a, .param .u64 b)
{
.shared .align 4 .b32 slot;
.reg .b32 %tmem, %slot;
mov.u32 %slot, slot;
barrier.cluster.arrive.aligned;
barrier.cluster.wait.aligned;
tcgen05.alloc.cta_group::2.sync.aligned.shared::cta.b32 [%slot], 64;
tcgen05.relinquish_alloc_permit.cta_group::2.sync.aligned;
ld.shared.b32 %tmem, [%slot];
tcgen05.dealloc.cta_group::2.sync.aligned.b32 %tmem, 64;
ret;
}
)";
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    Settings settings;
    settings.seed = seed;
    Machine machine("sm_100a", settings);
    ASSERT_TRUE(machine.load(text)) << machine.error;
    const uint64_t unused = machine.buffer(std::vector<uint32_t>(1));
    const auto fault = machine.run("test", {4, 1, 1}, {32, 1, 1}, {unused, unused}, {2, 1, 1});
    EXPECT_FALSE(fault.has_value()) << seed << ": " << fault->report;
  }
}

}  // namespace
}  // namespace nibble::emulator
