// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Wavefronts of shared memory and sectors of global memory, counted by sets of words and pieces.
#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "tests/emulator/machine/counted_kernel.h"

namespace nibble::emulator {
namespace {

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

TEST(CountersOfMemory, BankConflictsOfStridedWords) {
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

TEST(CountersOfMemory, WavefrontsOfVectors) {
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

TEST(CountersOfMemory, CoalescingOfStridedWords) {
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

TEST(CountersOfMemory, EveryStep) {
  for (const uint32_t bytes : {1u, 2u, 4u, 8u, 16u}) {
    for (const int64_t units : {-7, -3, -1, 0, 1, 2, 3, 5, 7, 9, 14, 15}) {
      SCOPED_TRACE(std::to_string(bytes) + " bytes, step " + std::to_string(units));
      const int64_t step = units * bytes;
      expect_counted(strided(step < 0 ? -31 * step + bytes : 3 * bytes, step, bytes));
    }
  }
}

TEST(CountersOfMemory, ScatteredAndPartial) {
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
TEST(CountersOfMemory, PatternsInALoop) {
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

}  // namespace
}  // namespace nibble::emulator
