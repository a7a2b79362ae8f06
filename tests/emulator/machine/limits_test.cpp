// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What a program may ask for: instructions of a launch, sizes that a declaration names.
#include <gtest/gtest.h>

#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

Settings limited(uint64_t instructions) {
  Settings settings;
  settings.max_instructions = instructions;
  settings.threads = 1;
  return settings;
}

TEST(Limits, EndlessLoop) {
  Machine machine("sm_90a", limited(10000));
  ASSERT_TRUE(machine.load(kernel("AGAIN: add.u32 %r5, %r5, 1; bra AGAIN;"))) << machine.error;
  const auto fault = machine.run("test", {1, 1, 1}, {64, 1, 1}, {0, 0});
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->kind, Fault::Kind::kLimit);
  EXPECT_NE(fault->report.find("the limit is 10000"), std::string::npos) << fault->report;
  EXPECT_NE(fault->report.find("kernel: test"), std::string::npos) << fault->report;
  EXPECT_NE(fault->report.find("can run, PTX line 17"), std::string::npos) << fault->report;
}

// 100 blocks of one warp with 8 instructions each, the 6 of kernel() included.
TEST(Limits, CountsAllBlocks) {
  for (const uint64_t limit : {800u, 400u}) {
    Machine machine("sm_90a", limited(limit));
    ASSERT_TRUE(machine.load(kernel("add.u32 %r5, %r5, 1; ret;"))) << machine.error;
    const auto fault = machine.run("test", {100, 1, 1}, {32, 1, 1}, {0, 0});
    EXPECT_EQ(fault.has_value(), limit < 800) << limit;
  }
}

}  // namespace
}  // namespace nibble::emulator
