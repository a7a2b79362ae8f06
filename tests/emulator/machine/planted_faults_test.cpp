// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Pipelined matrix multiplications that are correct give no report and the right result in any
// order; each of many faults planted in them is found, and the report leads to its line.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include "tests/emulator/machine/program_runs.h"

namespace nibble::emulator {
namespace {

using Kind = Fault::Kind;

constexpr uint64_t kSeeds = 100;

void expect_right_in_any_order(const GemmProgram& program, const std::string& text) {
  for (uint64_t seed = 0; seed <= kSeeds; ++seed) {
    const ProgramRun run = program.run(text, seed);
    ASSERT_FALSE(run.fault.has_value()) << "seed " << seed << ": " << run.fault->report;
    ASSERT_TRUE(run.is_right) << "seed " << seed;
  }
}

TEST(Programs, Nvfp4GemmIsRightInAnyOrder) {
  expect_right_in_any_order(Nvfp4Gemm(128, 256, 1280), read_program("nvfp4_gemm.ptx"));
}

TEST(Programs, F16WgmmaIsRightInAnyOrder) {
  expect_right_in_any_order(F16Gemm(128, 128, 512), read_program("f16_wgmma.ptx"));
}

TEST(Programs, F16PairIsRightInAnyOrder) {
  expect_right_in_any_order(F16Pair(256, 256, 320), read_program("f16_pair.ptx"));
}

// A fault is text in place of marked lines. Some report has to be of the kind, with all words and
// the PTX line of one of the marks in `leads_to`.
struct Planted {
  const char* name;
  std::vector<std::pair<const char*, const char*>> edits;
  std::vector<Kind> kinds;
  std::vector<const char*> words;
  std::vector<const char*> leads_to;
};

void expect_found(GemmProgram& program, const std::string& original, const Planted& planted) {
  std::string text = original;
  for (const auto& [mark, by] : planted.edits) replace_marked(text, mark, by);
  // What is checked always has to find it as well as what is checked on request.
  const std::pair<bool, uint64_t> runs[] = {{true, 0},  {true, 1},  {true, 2},  {true, 3},
                                            {true, 17}, {false, 0}, {false, 1}, {false, 17}};
  for (const auto& [checks_uninitialized, seed] : runs) {
    program.checks_uninitialized = checks_uninitialized;
    const ProgramRun run = program.run(text, seed);
    const std::string where = std::string(planted.name) + ", seed " + std::to_string(seed) +
                              (checks_uninitialized ? "" : ", uninitialized reads unseen");
    if (!run.fault.has_value()) {
      ADD_FAILURE() << where << ": not found; the result is " << (run.is_right ? "right" : "wrong");
      continue;
    }
    const std::string& report = run.fault->report;
    if (seed == 0 && checks_uninitialized && std::getenv("NIBBLE_SHOW_REPORTS") != nullptr) {
      std::printf("== %s\n%s\n", planted.name, report.c_str());
    }
    EXPECT_EQ(std::count(planted.kinds.begin(), planted.kinds.end(), run.fault->kind), 1)
        << where << ":\n"
        << report;
    for (const char* word : planted.words) {
      EXPECT_NE(report.find(word), std::string::npos) << where << " lacks '" << word << "':\n"
                                                      << report;
    }
    const bool leads =
        std::any_of(planted.leads_to.begin(), planted.leads_to.end(), [&](const char* mark) {
          const std::string line = "line " + std::to_string(marked_line(text, mark)) + ":";
          return report.find(line) != std::string::npos;
        });
    EXPECT_TRUE(leads) << where << " leads elsewhere:\n" << report;
  }
}

const std::vector<Planted>& faults_of_nvfp4() {
  static const std::vector<Planted> kAll = {
      {"the MMA does not wait for the full barrier",
       {{"wait_full", ""}},
       {Kind::kRace, Kind::kUninitialized},
       {"shared memory", "tcgen05"},
       {"copy_scales", "multiply"}},
      {"the producer does not wait for the empty barrier",
       {{"wait_empty", ""}},
       {Kind::kRace, Kind::kIllegalInstruction},
       {"shared memory"},
       {"load_a", "expect"}},
      {"wrong phase of the consumer",
       {{"consumer_parity", "mov.u32 %parity, 1;"}},
       {Kind::kRace, Kind::kUninitialized},
       {"shared memory", "tcgen05"},
       {"copy_scales", "multiply"}},
      {"wrong phase of the producer's first wait",
       {{"first_parity", "mov.u32 %parity, 0;"}},
       {Kind::kDeadlock},
       {"mbarrier", "parity"},
       {"wait_empty"}},
      {"the consumer's phase never flips",
       {{"flip_full", ""}},
       {Kind::kRace, Kind::kDeadlock},
       {},
       {"copy_scales", "multiply", "commit_empty", "wait_full"}},
      {"no fence.proxy.async before the store",
       {{"proxy_fence", ""}},
       {Kind::kRace},
       {"missing fence.proxy.async"},
       {"store"}},
      {"no tcgen05.wait::ld", {{"wait_load", ""}}, {Kind::kRace}, {"tcgen05.ld"}, {"stage_result"}},
      {"the epilogue does not wait for the result",
       {{"wait_result", ""}},
       {Kind::kRace, Kind::kUninitialized},
       {"tensor memory"},
       {"load_result"}},
      {"no commit for the result",
       {{"commit_accumulated", ""}},
       {Kind::kDeadlock},
       {"mbarrier", "accumulated"},
       {"wait_result"}},
      {"no commit for the empty barrier",
       {{"commit_empty", ""}},
       {Kind::kDeadlock},
       {"mbarrier"},
       {"wait_empty"}},
      {"more bytes expected than are copied",
       {{"expect", "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 36880;"}},
       {Kind::kDeadlock},
       {"16", "mbarrier"},
       {"wait_full"}},
      {"fewer bytes expected than are copied",
       {{"expect", "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 34816;"}},
       {Kind::kRace, Kind::kIllegalInstruction, Kind::kDeadlock},
       {},
       {"wait_full", "copy_scales", "load_a", "load_b", "load_scales_a", "load_scales_b"}},
      {"the full barrier counts two arrivals",
       {{"init_full", "mbarrier.init.shared::cta.b64 [%full+8], 2;"}},
       {Kind::kDeadlock},
       {"mbarrier"},
       {"wait_full"}},
      {"a barrier is not initialised",
       {{"init_full", ""}},
       {Kind::kIllegalInstruction},
       {"mbarrier"},
       {"expect", "wait_full"}},
      {"tensor memory leaks",
       {{"dealloc", ""}},
       {Kind::kIllegalInstruction},
       {"tensor memory"},
       {"alloc"}},
      {"tensor memory is freed twice",
       {{"dealloc",
         "tcgen05.dealloc.cta_group::1.sync.aligned.b32 %tmem, 256; "
         "tcgen05.dealloc.cta_group::1.sync.aligned.b32 %tmem, 256;"}},
       {Kind::kIllegalInstruction, Kind::kIllegalAddress},
       {"no allocation of 256 columns", "nothing is allocated"},
       {"dealloc"}},
      {"tcgen05.ld outside of the allocation",
       {{"read_address", "add.u32 %r1, %r1, %tmem; add.u32 %r1, %r1, 240;"}},
       {Kind::kIllegalAddress, Kind::kIllegalInstruction},
       {"allocated"},
       {"load_result"}},
      {"tcgen05.ld of another warp's lanes",
       {{"read_address", "add.u32 %r1, %r1, 0x200000; add.u32 %r1, %r1, %tmem;"}},
       {Kind::kIllegalAddress, Kind::kIllegalInstruction},
       {"lane"},
       {"load_result"}},
      {"D outside of the allocation",
       {{"result_address", "add.u32 %r3, %tmem, 192;"}},
       {Kind::kIllegalAddress, Kind::kIllegalInstruction},
       {"D", "allocated"},
       {"multiply"}},
      {"D over the scale factors",
       {{"result_address", "add.u32 %r3, %tmem, 64;"}},
       {Kind::kIllegalInstruction},
       {"scale factors of A", "overlaps D"},
       {"multiply"}},
      {"a reserved bit in the instruction descriptor",
       {{"instruction", "mov.u32 %r2, 0x08200482;"}},
       {Kind::kIllegalInstruction},
       {"bit"},
       {"multiply"}},
      {"M = 256 in the instruction descriptor",
       {{"instruction", "mov.u32 %r2, 0x10200480;"}},
       {Kind::kIllegalInstruction},
       {"M"},
       {"multiply"}},
      {"a swizzle that does not exist",
       {{"descriptor_a", "or.b64 %a, %a, 0x6000404000010000;"}},
       {Kind::kIllegalInstruction},
       {"swizzle"},
       {"multiply"}},
      {"bits 46 to 48 of a descriptor of sm_90",
       {{"descriptor_b", "or.b64 %b, %b, 0x4000004000010000;"}},
       {Kind::kIllegalInstruction},
       {"46"},
       {"multiply"}},
      {"a stride twice too long, into what is being copied",
       {{"descriptor_b", "or.b64 %b, %b, 0x4000408000010000;"}},
       {Kind::kRace},
       {"shared memory"},
       {"multiply", "load_a", "load_b", "load_scales_a", "load_scales_b"}},
      {"transposed scale blocks: rows lie 512 bytes apart",
       {{"descriptor_scales", "or.b64 %s, %s, 0x0000402000080000;"}},
       {Kind::kRace},
       {"shared memory", "cp.async.bulk", "tcgen05.cp"},
       {"load_a"}},
      {"a descriptor beyond shared memory",
       {{"descriptor_b", "or.b64 %b, %b, 0x4000500000010000;"}},
       {Kind::kIllegalAddress, Kind::kIllegalInstruction},
       {"B"},
       {"multiply"}},
      {"the map has more rows than the matrix", {}, {Kind::kIllegalAddress}, {}, {"load_a"}},
      {"a misaligned destination of a copy",
       {{"stage_address", "mad.lo.u32 %at, %stage, 36864, %ring; add.u32 %at, %at, 8;"}},
       {Kind::kMisaligned, Kind::kIllegalInstruction},
       {"128"},
       {"load_a"}},
      {"the store begins before all warps have written",
       {{"staging_full", ""}},
       {Kind::kRace, Kind::kUninitialized},
       {"shared memory"},
       {"store", "stage_result"}},
      {"the staging area is overwritten while it is stored",
       {{"wait_store", ""}},
       {Kind::kRace},
       {"shared memory", "cp.async.bulk.tensor"},
       {"stage_result"}},
      {"nobody waits for who waits for the store",
       {{"staging_free", ""}},
       {Kind::kRace},
       {"shared memory"},
       {"stage_result"}},
      {"both CTA groups in one kernel",
       {{"commit_accumulated",
         "tcgen05.commit.cta_group::2.mbarrier::arrive::one.shared::cluster.b64 "
         "[%accumulated];"}},
       {Kind::kIllegalInstruction},
       {"cta_group"},
       {"commit_accumulated"}},
      {"no tcgen05.fence::after_thread_sync",
       {{"fence_after", ""}},
       {Kind::kRace},
       {"missing tcgen05.fence::after_thread_sync"},
       {"load_result"}},
      {"a barrier is used before its initialisation is known",
       {{"set_up", ""}},
       {Kind::kRace, Kind::kIllegalInstruction, Kind::kUninitialized},
       {},
       {"read_slot", "alloc", "expect", "wait_full", "wait_empty", "wait_result"}},
      {"tensor memory is freed while it is read",
       {{"finished", ""}},
       {Kind::kRace, Kind::kIllegalInstruction, Kind::kIllegalAddress},
       {"tensor memory"},
       {"dealloc", "multiply", "load_result"}},
  };
  return kAll;
}

TEST(PlantedFaults, AreFoundInNvfp4Gemm) {
  const std::string text = read_program("nvfp4_gemm.ptx");
  Nvfp4Gemm program(128, 128, 1280), beyond(128, 128, 1280);
  beyond.rows_too_many = 128;
  for (const Planted& planted : faults_of_nvfp4()) {
    expect_found(planted.edits.empty() ? beyond : program, text, planted);
  }
}

// Places that are legal and of the stage that is multiplied, though not the right ones: nothing but
// the result shows it.
TEST(PlantedFaults, AreSeenInTheResult) {
  const std::vector<std::pair<const char*, const char*>> edits = {
      {"descriptor_b", "or.b64 %b, %b, 0x4000402000010000;"},  // rows half as far apart
      {"last_scales", "tcgen05.cp.cta_group::1.32x128b.warpx4 [%tmem+140], %rd2;"}};
  const Nvfp4Gemm program(128, 128, 1280);
  for (const auto& [mark, by] : edits) {
    std::string text = read_program("nvfp4_gemm.ptx");
    replace_marked(text, mark, by);
    const ProgramRun run = program.run(text, 0);
    EXPECT_FALSE(run.fault.has_value()) << run.fault->report;
    EXPECT_FALSE(run.is_right) << mark;
  }
}

TEST(PlantedFaults, AreFoundInF16Wgmma) {
  const std::vector<Planted> faults = {
      {"wgmma does not wait for the full barrier",
       {{"wait_full", ""}},
       {Kind::kRace, Kind::kUninitialized},
       {"shared memory"},
       {"multiply", "load_a"}},
      {"the producer does not wait",
       {{"wait_empty", ""}},
       {Kind::kRace, Kind::kIllegalInstruction},
       {"shared memory"},
       {"load_a", "expect"}},
      {"no wgmma.fence",
       {{"wgmma_fence", ""}},
       {Kind::kIllegalInstruction},
       {"without wgmma.fence"},
       {"multiply"}},
      {"no wgmma.wait_group before the stage is given back",
       {{"wgmma_wait", ""}},
       {Kind::kRace},
       {"wgmma"},
       {"load_a", "multiply"}},
      {"wrong bytes",
       {{"expect", "mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 16400;"}},
       {Kind::kDeadlock},
       {"mbarrier"},
       {"wait_full"}},
      {"nobody gives a stage back",
       {{"arrive_empty", ""}},
       {Kind::kDeadlock},
       {"mbarrier"},
       {"wait_empty"}},
  };
  F16Gemm program(64, 64, 512);
  for (const Planted& planted : faults) {
    expect_found(program, read_program("f16_wgmma.ptx"), planted);
  }
}

TEST(PlantedFaults, AreFoundInF16Pair) {
  const std::vector<Planted> faults = {
      {"the even block does not wait for the copies of both",
       {{"wait_full", ""}},
       {Kind::kRace, Kind::kUninitialized},
       {"shared memory", "tcgen05.mma"},
       {"multiply"}},
      {"the producers do not wait",
       {{"wait_empty", ""}},
       {Kind::kRace, Kind::kIllegalInstruction},
       {"shared memory"},
       {"load_a", "expect"}},
      {"the odd block signals its own barrier",
       {{"leaders_barrier", ""}},
       {Kind::kDeadlock},
       {"24576 bytes are still to come"},
       {"wait_full"}},
      {"the odd block gets no commit",
       {{"commit_empty",
         "mov.b16 %both, 1; tcgen05.commit.cta_group::2.mbarrier::arrive::one.shared::cluster"
         ".multicast::cluster.b64 [%bar], %both; mov.b16 %both, 3;"}},
       {Kind::kDeadlock},
       {"mbarrier"},
       {"wait_empty"}},
      {"bytes of one block are expected",
       {{"expect", "@%leads mbarrier.arrive.expect_tx.shared::cta.b64 _, [%bar], 24576;"}},
       {Kind::kRace, Kind::kUninitialized, Kind::kIllegalInstruction},
       {},
       {"multiply", "load_a", "load_b"}},
      {"only their block knows of the initialised barriers",
       {{"set_up", "bar.sync 0;"}},
       {Kind::kRace, Kind::kIllegalInstruction},
       {"initialised", "mbarrier"},
       {"load_a", "load_b", "commit_empty", "expect"}},
      {"the initialisation is not released",
       {{"fence_init", ""},
        {"set_up", "barrier.cluster.arrive.relaxed; barrier.cluster.wait.acquire;"}},
       {Kind::kRace},
       {"neither fence.mbarrier_init nor a release", "mbarrier"},
       {"load_a", "load_b", "commit_empty", "commit_accumulated"}},
      {"freed for one block",
       {{"dealloc", "tcgen05.dealloc.cta_group::1.sync.aligned.b32 %tmem, 128;"}},
       {Kind::kIllegalInstruction},
       {".cta_group::1 and with .cta_group::2"},
       {"dealloc"}},
      {"freed while the other block reads",
       {{"finished", ""}},
       {Kind::kRace},
       {"tensor memory"},
       {"dealloc"}},
  };
  F16Pair program(256, 128, 320);
  for (const Planted& planted : faults) {
    expect_found(program, read_program("f16_pair.ptx"), planted);
  }
}

}  // namespace
}  // namespace nibble::emulator
