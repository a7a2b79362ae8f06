// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Addresses of a warp: every pattern of steps and masks reaches the right bytes, and a fault names
// exactly the lanes that are wrong.
#include <gtest/gtest.h>
#include <unistd.h>

#include <deque>
#include <fstream>
#include <numeric>

#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

constexpr uint32_t kWords = 4096;

// Lane l, where the mask in a[32] has it, adds 1000 to the word at byte a[l] of b through `space`
// and width; a holds 33 words.
std::string kernel(const std::string& access) {
  return R"(.version 8.0
.target sm_90a
.address_size 64
.visible .entry test(.param .u64 a, .param .u64 b)
{
  .reg .pred %p<4>;
  .reg .b32 %r<16>;
  .reg .b64 %rd<8>;
  .shared .align 16 .b8 tile[16384];
  ld.param.u64 %rd1, [a];
  ld.param.u64 %rd2, [b];
  mov.u32 %r1, %tid.x;
  mul.wide.u32 %rd3, %r1, 4;
  add.u64 %rd3, %rd1, %rd3;
  ld.global.s32 %rd4, [%rd3];
  add.u64 %rd5, %rd2, %rd4;
  cvt.u32.u64 %r4, %rd4;
  mov.u32 %r5, tile;
  add.u32 %r4, %r4, %r5;
  ld.global.u32 %r2, [%rd1+128];
  shr.u32 %r2, %r2, %r1;
  and.b32 %r2, %r2, 1;
  setp.ne.u32 %p1, %r2, 0;
  @!%p1 bra DONE;
)" + access +
         R"(
DONE:
  ret;
}
)";
}

const std::string kGlobal =
    "ld.global.u32 %r3, [%rd5]; add.u32 %r3, %r3, 1000; st.global.u32 [%rd5], %r3;";
const std::string kShared =
    "ld.global.u32 %r3, [%rd5]; add.u32 %r3, %r3, 1000; st.shared.u32 [%r4], %r3;"
    "ld.shared.u32 %r6, [%r4]; st.global.u32 [%rd5], %r6;";
const std::string kGeneric =
    "cvt.u64.u32 %rd6, %r4; cvta.shared.u64 %rd7, %rd6;"
    "ld.u32 %r3, [%rd5]; add.u32 %r3, %r3, 1000; st.u32 [%rd7], %r3; ld.u32 %r6, [%rd7];"
    "st.u32 [%rd5], %r6;";

struct Pattern {
  std::vector<int32_t> offset;  // bytes, of each lane
  uint32_t mask = ~0u;
};

std::vector<Pattern> patterns() {
  std::vector<std::vector<int32_t>> offsets;
  for (const int32_t step : {0, 4, 8, -4, -16, 20, 512, -508}) {
    std::vector<int32_t> lanes(32);
    for (int32_t lane = 0; lane < 32; ++lane) {
      lanes[static_cast<size_t>(lane)] = (step < 0 ? -31 * step : 0) + step * lane;
    }
    offsets.push_back(lanes);
  }
  std::vector<int32_t> mixed(32);
  for (int32_t lane = 0; lane < 32; ++lane) mixed[static_cast<size_t>(lane)] = lane * 7 % 32 * 4;
  offsets.push_back(mixed);
  std::vector<Pattern> all;
  for (const auto& offset : offsets) {
    for (const uint32_t mask : {~0u, 1u, 1u << 31, 0x00FFFF00u, 0x80000001u, 0x55555555u, 6u}) {
      all.push_back({offset, mask});
      // What inactive lanes hold does not matter.
      Pattern wild{offset, mask};
      for (size_t lane = 0; lane < 32; ++lane) {
        if ((mask >> lane & 1) == 0) wild.offset[lane] = static_cast<int32_t>(0x70000001 + lane);
      }
      if (mask != ~0u) all.push_back(wild);
    }
  }
  return all;
}

std::vector<uint32_t> input(const Pattern& pattern) {
  std::vector<uint32_t> words(33);
  for (size_t lane = 0; lane < 32; ++lane)
    words[lane] = static_cast<uint32_t>(pattern.offset[lane]);
  words[32] = pattern.mask;
  return words;
}

TEST(Access, EveryStepAndMask) {
  for (const std::string& access : {kGlobal, kShared, kGeneric}) {
    Machine machine;
    ASSERT_TRUE(machine.load(kernel(access))) << machine.error;
    for (const Pattern& pattern : patterns()) {
      std::vector<uint32_t> words(kWords);
      std::iota(words.begin(), words.end(), 0u);
      const uint64_t a = machine.buffer(input(pattern)), b = machine.buffer(words);
      const auto fault = machine.run("test", {1, 1, 1}, {32, 1, 1}, {a, b});
      ASSERT_FALSE(fault) << fault->report;
      for (size_t lane = 0; lane < 32; ++lane) {
        if ((pattern.mask >> lane & 1) == 0) continue;
        const auto word = static_cast<size_t>(pattern.offset[lane] / 4);
        words[word] = static_cast<uint32_t>(word) + 1000;
      }
      ASSERT_EQ(machine.read<uint32_t>(b, kWords), words)
          << access << " step " << pattern.offset[1] - pattern.offset[0] << " mask "
          << pattern.mask;
      machine.memory.free(a);
      machine.memory.free(b);
    }
  }
}

TEST(Access, OneWrongLaneIsNamed) {
  Machine machine;
  ASSERT_TRUE(machine.load(kernel(kGlobal))) << machine.error;
  const uint64_t b = machine.buffer(std::vector<uint32_t>(32, 0));
  for (uint32_t lane = 0; lane < 32; ++lane) {
    for (const int32_t wrong : {128, -4, 2, 1 << 30}) {
      Pattern pattern{std::vector<int32_t>(32), ~0u};
      for (int32_t i = 0; i < 32; ++i) pattern.offset[static_cast<size_t>(i)] = 4 * i;
      pattern.offset[lane] = wrong;
      const uint64_t a = machine.buffer(input(pattern));
      const auto fault = machine.run("test", {1, 1, 1}, {32, 1, 1}, {a, b});
      ASSERT_TRUE(fault.has_value()) << lane << " " << wrong;
      EXPECT_EQ(fault->kind, wrong == 2 ? Fault::Kind::kMisaligned : Fault::Kind::kIllegalAddress);
      const std::string thread = "thread (" + std::to_string(lane) + ",0,0)";
      EXPECT_TRUE(fault->report.ends_with(thread)) << fault->report;  // no "and 3 more"
    }
  }
}

// Steps that run out of the allocation, at either end, and 32-bit addresses that wrap around.
TEST(Access, StepsThatLeaveNameTheLanesOutside) {
  Machine machine;
  ASSERT_TRUE(machine.load(kernel(kGlobal))) << machine.error;
  const uint64_t b = machine.buffer(std::vector<uint32_t>(32, 0));
  const auto report = [&](int32_t from, int32_t step) {
    Pattern pattern{std::vector<int32_t>(32), ~0u};
    for (int32_t i = 0; i < 32; ++i) pattern.offset[static_cast<size_t>(i)] = from + step * i;
    const uint64_t a = machine.buffer(input(pattern));
    const auto fault = machine.run("test", {1, 1, 1}, {32, 1, 1}, {a, b});
    return fault ? fault->report : std::string();
  };
  EXPECT_EQ(report(124, -4), "");
  EXPECT_NE(report(8, 4).find("lanes 30-31"), std::string::npos) << report(8, 4);
  EXPECT_NE(report(-12, 4).find("lanes 0-2"), std::string::npos) << report(-12, 4);
  EXPECT_NE(report(120, -4).find("thread (31,0,0)"), std::string::npos) << report(120, -4);

  Machine shared;
  ASSERT_TRUE(
      shared.load(kernel("mul.lo.u32 %r5, %r1, 0x8000000; add.u32 %r4, %r4, %r5;"
                         "ld.shared.u32 %r3, [%r4];")))
      << shared.error;
  const uint64_t a = shared.buffer(input({std::vector<int32_t>(32), ~0u}));
  const auto fault = shared.run("test", {1, 1, 1}, {32, 1, 1}, {a, a});
  ASSERT_TRUE(fault.has_value());
  EXPECT_NE(fault->report.find("lanes 1-31"), std::string::npos) << fault->report;
}

TEST(Access, FreedMemoryIsNamed) {
  Machine machine;
  ASSERT_TRUE(machine.load(kernel(kGlobal))) << machine.error;
  const uint64_t a = machine.buffer(input({std::vector<int32_t>(32, 8), ~0u}));
  const uint64_t b = machine.buffer(std::vector<uint32_t>(100000, 0));
  machine.memory.free(b);
  const uint64_t next = machine.buffer(std::vector<uint32_t>(100000, 0));
  EXPECT_NE(next, b);
  const auto fault = machine.run("test", {1, 1, 1}, {32, 1, 1}, {a, b});
  ASSERT_TRUE(fault.has_value());
  EXPECT_NE(fault->report.find("freed: buffer, 400000 bytes"), std::string::npos) << fault->report;
  EXPECT_NE(fault->report.find("8 bytes into it"), std::string::npos) << fault->report;
}

uint64_t resident_bytes() {
  std::ifstream statm("/proc/self/statm");
  uint64_t pages = 0, resident = 0;
  statm >> pages >> resident;
  return resident * static_cast<uint64_t>(sysconf(_SC_PAGESIZE));
}

// Far more than the range of addresses holds at once, in memory that does not grow.
TEST(Access, AllocationsForever) {
  for (const bool tracked : {false, true}) {
    GlobalMemory memory(1ull << 30, tracked);
    std::deque<uint64_t> kept;
    uint64_t before = 0;
    constexpr uint64_t kSize = 1ull << 30;  // 70 pieces are more than the whole range
    for (int i = 0; i < 80; ++i) {
      const uint64_t address = memory.allocate(kSize, 256, "large");
      ASSERT_NE(address, 0u) << i;
      memory.free(address);
    }
    for (int i = 0; i < 40000; ++i) {
      const uint64_t size = 1 + static_cast<uint64_t>(i) * 7919 % 20000;
      const uint64_t address = memory.allocate(size, 256, "small");
      ASSERT_NE(address, 0u) << i;
      const auto* const found = memory.find(address, size);
      ASSERT_NE(found, nullptr);
      if (tracked) {
        ASSERT_EQ(found->written[0], 0) << i;
        ASSERT_EQ(found->written[size - 1], 0) << i;
        memory.mark_written(address, size);
      }
      kept.push_back(address);
      if (kept.size() > 50) {
        ASSERT_TRUE(memory.free(kept.front()));
        kept.pop_front();
      }
      if (i == 20000) before = resident_bytes();
    }
    EXPECT_LT(resident_bytes(), before + (64ull << 20));
  }
}

}  // namespace
}  // namespace nibble::emulator
