// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// mbarriers that others use need to know of their initialisation: kernels that see to it give no
// report in any order, those that do not are found in every order.
#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

constexpr uint64_t kSeeds = 20;

// Thread 0 of each block of a pair initialises `bar`, `sync` follows, then `use`. %r6: the block's
// rank, %r7: the address of the other block's `bar`; %p1: not thread 0.
std::string pair(const std::string& sync, const std::string& use) {
  return kernel(R"(
mov.u32 %r5, bar;
mov.u32 %r6, %cluster_ctarank;
xor.b32 %r8, %r6, 1;
mapa.shared::cluster.u32 %r7, %r5, %r8;
setp.ne.u32 %p1, %r4, 0;
@%p1 bra READY;
mbarrier.init.shared::cta.b64 [bar], 1;
)" + sync + use,
                ".shared .align 8 .b64 bar; .shared .align 16 .b8 data[64];");
}

std::optional<Fault> run(const std::string& text, uint64_t seed) {
  Settings settings;
  settings.check_init_fences = true;
  settings.seed = seed;
  settings.threads = 1;
  Machine machine("sm_90a", settings);
  EXPECT_TRUE(machine.load(text)) << machine.error;
  if (machine.program == nullptr) return std::nullopt;
  const uint64_t data = machine.buffer(std::vector<uint32_t>(64, 1));
  return machine.run("test", {2, 1, 1}, {64, 1, 1}, {data, data}, {2, 1, 1});
}

void expect_silent(const std::string& text) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto fault = run(text, seed);
    ASSERT_FALSE(fault.has_value()) << "seed " << seed << ": " << fault->report;
  }
}

// Who comes too early meets no mbarrier at all.
void expect_found(const std::string& text, const std::string& words) {
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const auto fault = run(text, seed);
    ASSERT_TRUE(fault.has_value()) << "seed " << seed;
    const bool is_late = fault->report.find(words) != std::string::npos &&
                         fault->report.find("initialises it at PTX line") != std::string::npos;
    const bool is_early = fault->report.find("was not initialised") != std::string::npos;
    EXPECT_TRUE(is_late || is_early) << "seed " << seed << ": " << fault->report;
    if (seed == 0) {
      EXPECT_TRUE(is_late) << fault->report;
    }
  }
}

constexpr const char* kNotOrdered = "may not be initialised yet";
constexpr const char* kNotReleased = "neither fence.mbarrier_init nor a release";
const std::string kBlockOnly = "fence.mbarrier_init.release.cluster;\nREADY: bar.sync 0;\n";
const std::string kWait =
    "W: mbarrier.try_wait.parity.shared::cta.b64 %p2, [%r5], 0;\n@!%p2 bra W;\n";
const std::string kLast = "barrier.cluster.arrive;\nbarrier.cluster.wait;\n";

// All ways to make an initialisation known to the cluster.
const std::string kOrdered[] = {
    "fence.mbarrier_init.release.cluster;\nREADY: barrier.cluster.arrive.relaxed;\n"
    "barrier.cluster.wait.acquire;\n",
    "READY: barrier.cluster.arrive.release;\nbarrier.cluster.wait.acquire;\n",
    "READY: bar.sync 0;\nfence.acq_rel.cluster;\nbarrier.cluster.arrive.relaxed;\n"
    "barrier.cluster.wait;\n",
};

// Each block's thread 0 arrives at the other's.
const std::string kArrive =
    "@!%p1 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r7];\n" + kWait + kLast;
// Block 1 alone arrives, at block 0's.
const std::string kArriveAtFirst =
    "setp.eq.u32 %p3, %r6, 0;\n@%p3 bra FIRST;\n"
    "@!%p1 mbarrier.arrive.release.cluster.shared::cluster.b64 _, [%r7];\nbra LAST;\nFIRST:\n" +
    kWait + "LAST:\n" + kLast;
// Block 0 copies to both.
const std::string kMulticast =
    "@!%p1 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r5], 64;\n"
    "setp.ne.u32 %p3, %r6, 0;\n@%p3 bra WAIT;\n@%p1 bra WAIT;\nmov.b16 %h1, 3;\n"
    "cp.async.bulk.shared::cluster.global.mbarrier::complete_tx::bytes.multicast::cluster"
    " [data], [%rd1], 64, [bar], %h1;\nWAIT:\n" +
    kWait + kLast;
// Block 0 stores into block 1, whose barrier counts it.
const std::string kStore =
    "mapa.shared::cluster.u32 %r9, data, %r8;\n"
    "setp.eq.u32 %p3, %r6, 0;\n@%p3 bra STORE;\n"
    "@!%p1 mbarrier.arrive.expect_tx.shared::cta.b64 _, [%r5], 4;\n" +
    kWait +
    "bra LAST;\nSTORE:\n"
    "@!%p1 st.async.weak.shared::cluster.mbarrier::complete_tx::bytes.b32 [%r9], %r4, [%r7];\n"
    "LAST:\n" +
    kLast;

TEST(MbarrierInit, ThatTheClusterKnowsOfIsSilent) {
  for (const std::string& sync : kOrdered) {
    for (const std::string& use : {kArrive, kArriveAtFirst, kMulticast, kStore}) {
      expect_silent(pair(sync, use));
    }
  }
}

TEST(MbarrierInit, ThatOnlyItsBlockKnowsOfIsFound) {
  for (const std::string& use : {kArrive, kArriveAtFirst, kMulticast, kStore}) {
    expect_found(pair(kBlockOnly, use), kNotOrdered);
  }
}

TEST(MbarrierInit, RelaxedArrivalWithoutFenceIsFound) {
  for (const std::string& use : {kArrive, kArriveAtFirst, kMulticast, kStore}) {
    expect_found(
        pair("READY: barrier.cluster.arrive.relaxed;\nbarrier.cluster.wait.acquire;\n", use),
        kNotReleased);
  }
}

TEST(MbarrierInit, ByAnotherWarpOfTheBlock) {
  const std::string use = "@!%p1 mbarrier.arrive.shared::cta.b64 _, [bar];\n" + kWait;
  expect_silent(pair("READY: bar.sync 0;\n", use));
  expect_found(pair("READY:\n", use), kNotOrdered);
}

}  // namespace
}  // namespace nibble::emulator
