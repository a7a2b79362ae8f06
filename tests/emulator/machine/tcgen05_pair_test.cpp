// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Tensor memory of a pair whose blocks exit as soon as it is given back, and generic addresses in
// instructions of the shared space.
#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

constexpr uint64_t kSeeds = 40;

constexpr const char* kColumn = ".shared .align 4 .b32 column;";

// The column that each block got, read through a generic address.
constexpr const char* kAllocateAndGo = R"(
mov.u64 %rd3, column;
cvta.shared.u64 %rd4, %rd3;
tcgen05.alloc.cta_group::2.sync.aligned.shared::cta.b32 [%rd4], 64;
ld.shared.b32 %r5, [%rd4];
tcgen05.relinquish_alloc_permit.cta_group::2.sync.aligned;
tcgen05.dealloc.cta_group::2.sync.aligned.b32 %r5, 64;
mul.wide.u32 %rd5, %r1, 4;
add.u64 %rd5, %rd5, %rd2;
st.global.u32 [%rd5], %r5;
)";

TEST(TensorPair, EitherBlockMayExitFirst) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    Settings settings;
    settings.seed = seed;
    settings.threads = 1;
    Machine machine("sm_100a", settings);
    ASSERT_TRUE(machine.load(kernel(kAllocateAndGo, kColumn, "sm_100a"))) << machine.error;
    const uint64_t out = machine.buffer(std::vector<uint32_t>(128, 0xDEADBEEF));
    const auto fault = machine.run("test", {4, 1, 1}, {32, 1, 1}, {out, out}, {2, 1, 1});
    ASSERT_FALSE(fault.has_value()) << "seed " << seed << ": " << fault->report;
    EXPECT_EQ(machine.read<uint32_t>(out, 128), std::vector<uint32_t>(128, 0));
  }
}

// Each thread writes its number through the variable's own address and reads its neighbour's
// through the generic one; in the second block of a cluster both have the rank in them.
constexpr const char* kBothAddresses = R"(
mov.u64 %rd3, words;
cvta.shared.u64 %rd4, %rd3;
mul.wide.u32 %rd6, %r4, 4;
add.u64 %rd5, %rd3, %rd6;
st.shared.u32 [%rd5], %r1;
bar.sync 0;
xor.b64 %rd6, %rd6, 4;
add.u64 %rd5, %rd4, %rd6;
ld.shared.u32 %r5, [%rd5];
mul.wide.u32 %rd5, %r1, 4;
add.u64 %rd5, %rd5, %rd2;
st.global.u32 [%rd5], %r5;
)";

TEST(SharedAddress, GenericOnesAreCut) {
  Machine machine;
  ASSERT_TRUE(machine.load(kernel(kBothAddresses, ".shared .align 4 .b32 words[64];")))
      << machine.error;
  const uint64_t out = machine.buffer(std::vector<uint32_t>(256, 0xDEADBEEF));
  const auto fault = machine.run("test", {4, 1, 1}, {64, 1, 1}, {out, out}, {2, 1, 1});
  ASSERT_FALSE(fault.has_value()) << fault->report;
  const auto got = machine.read<uint32_t>(out, 256);
  for (uint32_t i = 0; i < 256; ++i) EXPECT_EQ(got[i], i ^ 1u);
}

}  // namespace
}  // namespace nibble::emulator
