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

std::string error_of(const std::string& text) {
  Machine machine("sm_90a");
  return machine.load(text) ? "no error" : machine.error;
}

void expect_refused(const std::string& text, const std::string& why) {
  EXPECT_NE(error_of(text).find(why), std::string::npos) << error_of(text);
}

TEST(Limits, SizesOfVariables) {
  expect_refused(kernel(".local .b8 x[4294967312]; ret;"), "x makes it 4294967312 bytes");
  expect_refused(kernel(".local .b8 x[524289]; ret;"), "the limit is 524288");
  EXPECT_EQ(error_of(kernel(".local .b8 x[524288]; ret;")), "no error");
  expect_refused(kernel("mov.u32 %r1, x; ret;", ".shared .b8 x[4294967312];"),
                 "than 16 MiB with x");
  expect_refused(kernel("ret;", ".const .b8 x[65537];"), "more than 64 KiB");
  expect_refused(kernel("ret;", ".global .b8 x[999999999999];"), "no memory for the variable x");
  expect_refused(kernel("ret;", ".visible .entry k(.param .b8 p[4294967296]) { ret; }"),
                 "p makes it 4294967296 bytes, the limit is 32764");
  expect_refused(kernel("ret;", ".visible .entry k(.param .b8 p[32764], .param .b8 q) { ret; }"),
                 "q makes it 32765 bytes");
  expect_refused(kernel("ret;", ".func k(.param .b8 p[4294967296]) { ret; }"),
                 "the limit is 32764");
  expect_refused(kernel(".reg .b128 x<1000000>; ret;"), "take more than 256 MiB a warp");
}

TEST(Limits, ThreadsOfABlock) {
  Machine machine("sm_90a");
  ASSERT_TRUE(machine.load(
      kernel("ret;", ".visible .entry k() .maxntid 4294967295, 4294967295, 2 { ret; }")));
  EXPECT_EQ(machine.program->find_kernel("k")->max_threads_per_block, 1024u);
}

// Zeros in what the variable leaves out, without touching all of it.
TEST(Limits, LargeVariableIsZero) {
  Machine machine("sm_90a");
  ASSERT_TRUE(machine.load(kernel("ret;", ".global .b32 x[200000000] = {7};"))) << machine.error;
  const Program::Variable& x = *machine.program->find_variable("x");
  EXPECT_EQ(machine.read<uint32_t>(x.address, 3), (std::vector<uint32_t>{7, 0, 0}));
  EXPECT_EQ(machine.read<uint32_t>(x.address + x.size - 8, 2), (std::vector<uint32_t>{0, 0}));
}

// f0 calls f1 calls f2 ...: deeper than the host's stack would hold a search.
TEST(Limits, LongChainOfCalls) {
  constexpr int kFunctions = 30000;
  std::string before = ".func f" + std::to_string(kFunctions) + " { .local .b8 x[48]; ret; }\n";
  for (int i = kFunctions; i-- > 0;) {
    before += ".func f" + std::to_string(i) + " { call f" + std::to_string(i + 1) + "; ret; }\n";
  }
  Machine machine("sm_90a");
  ASSERT_TRUE(machine.load(kernel("call f0; ret;", before))) << machine.error;
  EXPECT_EQ(machine.program->find_kernel("test")->local_bytes, 48u);
}

TEST(Limits, LocalMemoryOfTheDeepestPath) {
  const std::string before =
      ".func a { .local .b8 x[16]; ret; }\n.func b { .local .b8 x[160]; call a; ret; }\n"
      ".func c { call a; call b; call a; ret; }\n.func d { .local .b8 x[520000]; call b; ret; }\n";
  Machine machine("sm_90a");
  ASSERT_TRUE(machine.load(kernel(".local .b8 x[1024]; call c; ret;", before))) << machine.error;
  EXPECT_EQ(machine.program->find_kernel("test")->local_bytes, 1024u + 160 + 16);
  expect_refused(kernel(".local .b8 x[8192]; call d; ret;", before),
                 "528368 bytes of local memory");
}

TEST(Limits, VectorOfNoElements) {
  expect_refused(kernel("mov.b32 %r1, {}; ret;"), "a vector of no elements");
}

TEST(Limits, OffsetsThatWrap) {
  EXPECT_EQ(error_of(kernel("ld.global.u8 %r5, [%rd1+9223372036854775807]; ret;")), "no error");
  EXPECT_EQ(error_of(kernel("mov.u64 %rd3, x[1]+9223372036854775807; ret;", ".global .b8 x[4];")),
            "no error");
  expect_refused(kernel("ret;",
                        ".func f(.param .b32 x) { .reg .b32 v;\n"
                        "ld.param.b32 v, [x+9223372036854775807]; ret; }"),
                 "outside of x");
}

// Variables of one name in two functions are two.
TEST(Limits, SharedVariablesOfTwoFunctions) {
  const std::string before =
      ".func (.reg .b32 d) put(.reg .b32 v) { .shared .b32 x; st.shared.b32 [x], v;\n"
      "mov.u32 d, x; ret; }\n";
  const std::string body = R"(
.shared .b32 x;
mov.u32 %r5, 11;
mov.u32 %r6, 22;
st.shared.b32 [x], %r5;
call (%r7), put, (%r6);
ld.shared.b32 %r8, [x];
st.global.b32 [%rd1], %r8;
ret;)";
  Machine machine("sm_90a");
  ASSERT_TRUE(machine.load(kernel(body, before))) << machine.error;
  const uint64_t out = machine.buffer(std::vector<uint32_t>(1));
  const auto fault = machine.run("test", {1, 1, 1}, {1, 1, 1}, {out, 0});
  EXPECT_FALSE(fault) << fault->report;
  EXPECT_EQ(machine.read<uint32_t>(out, 1)[0], 11u);
}

}  // namespace
}  // namespace nibble::emulator
