// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tcgen05.alloc, .dealloc and .relinquish_alloc_permit: where allocations go, whom they wait for,
// and each rule broken.
#include <gtest/gtest.h>

#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

const std::string kBefore = ".shared .align 8 .b32 slot[4];\n";

struct Outcome {
  std::vector<uint32_t> words;
  std::string report;
};

// Runs a body in blocks of `warps` warps, clusters of `blocks`; %rd3 is the thread's place in 256
// words of results. The pieces below are written for .cta_group::1 and changed for pairs.
Outcome run(std::string body, uint32_t warps = 1, uint32_t blocks = 1, uint64_t seed = 0) {
  if (blocks == 2) {
    for (size_t at; (at = body.find("cta_group::1")) != std::string::npos;) {
      body.replace(at, 12, "cta_group::2");
    }
  }
  Settings settings;
  settings.seed = seed;
  Machine machine("sm_100a", settings);
  const std::string start =
      "mul.wide.u32 %rd3, %r1, 4;\nadd.u64 %rd3, %rd2, %rd3;\nmov.u32 %r5, slot;\n"
      "shr.u32 %r6, %r4, 5;\nmov.u32 %r7, %cluster_ctarank;\n";
  EXPECT_TRUE(machine.load(kernel(start + body, kBefore, "sm_100a"))) << machine.error;
  if (machine.program == nullptr) return {};
  const uint64_t b = machine.buffer(std::vector<uint32_t>(256, 7));
  const auto fault =
      machine.run("test", {blocks, 1, 1}, {warps * 32, 1, 1}, {b, b}, {blocks, 1, 1});
  return {machine.read<uint32_t>(b, 256), fault ? fault->report : ""};
}

std::string allocate(uint32_t columns, uint32_t slot = 0) {
  return "tcgen05.alloc.cta_group::1.sync.aligned.shared::cta.b32 [%r5+" +
         std::to_string(slot * 4) + "], " + std::to_string(columns) + ";\nld.shared.u32 %r" +
         std::to_string(20 + slot) + ", [%r5+" + std::to_string(slot * 4) + "];\n";
}
std::string deallocate(uint32_t columns, uint32_t slot = 0) {
  return "tcgen05.dealloc.cta_group::1.sync.aligned.b32 %r" + std::to_string(20 + slot) + ", " +
         std::to_string(columns) + ";\n";
}
const std::string kRelinquish = "tcgen05.relinquish_alloc_permit.cta_group::1.sync.aligned;\n";

TEST(Tcgen05Alloc, GivesFreeColumns) {
  const auto got = run(allocate(128, 0) + allocate(64, 1) + allocate(32, 2) + deallocate(64, 1) +
                       allocate(32, 3) + kRelinquish +
                       "st.global.u32 [%rd3], %r20;\nst.global.u32 [%rd3+128], %r21;\n"
                       "st.global.u32 [%rd3+256], %r22;\nst.global.u32 [%rd3+384], %r23;\n" +
                       deallocate(128, 0) + deallocate(32, 2) + deallocate(32, 3));
  ASSERT_EQ(got.report, "");
  EXPECT_EQ(got.words[0], 0u);
  EXPECT_EQ(got.words[32], 128u);
  EXPECT_EQ(got.words[64], 192u);
  EXPECT_EQ(got.words[96], 128u);  // what was given back
}

TEST(Tcgen05Alloc, TakesAGenericAddress) {
  const auto got =
      run("mov.u64 %rd5, slot;\ncvta.shared.u64 %rd5, %rd5;\n"
          "tcgen05.alloc.cta_group::1.sync.aligned.b32 [%rd5], 512;\n"
          "ld.shared.u32 %r20, [%r5];\nst.global.u32 [%rd3], %r20;\n" +
          deallocate(512));
  ASSERT_EQ(got.report, "");
  EXPECT_EQ(got.words[3], 0u);
}

// Warp 1 has to wait until warp 0 gives its columns back.
TEST(Tcgen05Alloc, WaitsForColumns) {
  for (const uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    const auto got =
        run("setp.eq.u32 %p1, %r6, 0;\n@!%p1 bra SECOND;\n" + allocate(512) +
                "bar.sync 0;\nnanosleep.u32 100;\nst.global.u32 [%rd3+512], %r6;\n" +
                deallocate(512) + "bra DONE;\nSECOND: bar.sync 0;\n" + allocate(512, 1) +
                "ld.global.u32 %r9, [%rd3+384];\nst.global.u32 [%rd3], %r9;\n" +
                deallocate(512, 1) + "DONE:\n",
            2, 1, seed);
    ASSERT_EQ(got.report, "") << seed;
    EXPECT_EQ(got.words[32], 0u) << seed;
  }
}

TEST(Tcgen05Alloc, PairsAllocateTogether) {
  for (const uint64_t seed : {0, 1, 2, 3, 4, 5}) {
    const auto got =
        run(allocate(256) + allocate(32, 1) + "st.global.u32 [%rd3], %r20;\n" +
                "st.global.u32 [%rd3+256], %r21;\n" + deallocate(32, 1) + deallocate(256),
            1, 2, seed);
    ASSERT_EQ(got.report, "") << seed;
    for (const uint32_t thread : {0, 32}) {
      EXPECT_EQ(got.words[thread], 0u) << seed;
      EXPECT_EQ(got.words[64 + thread], 256u) << seed;
    }
  }
}

void expect_report(const Outcome& got, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    EXPECT_NE(got.report.find(part), std::string::npos) << part << " not in: " << got.report;
  }
}

TEST(Tcgen05Alloc, RefusesWrongSizes) {
  for (const uint32_t columns : {0, 16, 48, 1024}) {
    expect_report(run(allocate(columns)), {std::to_string(columns) + " columns of tensor memory",
                                           "power of two from 32 to 512"});
  }
  expect_report(run(allocate(32) + allocate(64, 1)),
                {"64 columns", "after an allocation of 32", "sizes may not grow"});
}

TEST(Tcgen05Alloc, RefusesWhatIsNotAllowedAnyMore) {
  expect_report(run(allocate(32) + kRelinquish + allocate(32, 1)),
                {"gave up its right to", "given up: warp 0", "relinquish_alloc_permit"});
  expect_report(run(allocate(32) + deallocate(32) + deallocate(32)),
                {"no allocation of 32 columns", "nothing is allocated"});
  expect_report(run(allocate(64) + deallocate(32)),
                {"no allocation of 32 columns", "allocated: columns 0 to 63 by warp 0"});
}

TEST(Tcgen05Alloc, FindsLeaks) {
  expect_report(run(allocate(64)), {"exited without deallocating 64 columns", "tcgen05.alloc"});
  expect_report(run("setp.eq.u32 %p1, %r6, 0;\n@!%p1 bra OTHER;\n" + allocate(32) +
                        "bra DONE;\nOTHER: bar.warp.sync -1;\nDONE:\n",
                    3),
                {"exited without deallocating 32 columns", "block (0,0,0), warp 0"});
}

TEST(Tcgen05Alloc, RefusesBothGroupsInOneKernel) {
  expect_report(run(allocate(32) + "tcgen05.relinquish_alloc_permit.cta_group::2.sync.aligned;\n"),
                {".cta_group::1 and with .cta_group::2", "the other: warp 0", "tcgen05.alloc"});
}

TEST(Tcgen05Alloc, RefusesPairsThatAreNone) {
  expect_report(run("tcgen05.relinquish_alloc_permit.cta_group::2.sync.aligned;\n"),
                {".cta_group::2 in a cluster of 1", "has no pair"});
  expect_report(run("setp.eq.u32 %p1, %r7, 1;\n@%p1 exit;\n"
                    "barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\n" +
                        allocate(32),
                    1, 2),
                {"after the other block of the pair has exited"});
  expect_report(run("setp.eq.u32 %p1, %r7, 1;\n@%p1 bra ODD;\n" + allocate(64) +
                        "bra DONE;\nODD:\n" + allocate(32, 1) + "DONE:\n",
                    1, 2),
                {"do not ask for the same", "the other: warp 0"});
}

TEST(Tcgen05Alloc, ReportsWhoWaitsForever) {
  const auto got = run(allocate(512) + allocate(32, 1));
  expect_report(got, {"deadlock", "tcgen05.alloc"});
  // One block of the pair alone.
  expect_report(run("setp.eq.u32 %p1, %r7, 1;\n@%p1 bra ODD;\n" + allocate(64) +
                        "ODD: barrier.cluster.arrive.aligned;\nbarrier.cluster.wait.aligned;\n",
                    1, 2),
                {"deadlock", "tcgen05.alloc"});
}

TEST(Tcgen05Alloc, NeedsTheWholeWarp) {
  expect_report(run("setp.gt.u32 %p1, %r4, 30;\n@%p1 exit;\n" + allocate(32)),
                {"not all 32 threads of the warp execute this"});
}

TEST(Tcgen05Alloc, RefusesOtherTargets) {
  for (const char* target : {"sm_90a", "sm_120a"}) {
    Machine machine(target);
    EXPECT_FALSE(machine.load(kernel(kRelinquish, kBefore, target)));
    EXPECT_NE(machine.error.find("needs sm_100f 110f"), std::string::npos) << machine.error;
  }
}

}  // namespace
}  // namespace nibble::emulator
