// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What a program may ask for: instructions of a launch, sizes that a declaration names.
#include <gtest/gtest.h>

#include <algorithm>

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

// What one has is not there once for each of the others.
TEST(Limits, ManyKernelsManyTables) {
  std::string before;
  for (int i = 0; i < 10000; ++i) {
    before += ".visible .entry k" + std::to_string(i) +
              "() { .shared .b32 x; .reg .b32 r; mov.u32 r, x; ret; }\n";
  }
  std::string body = "T: .branchtargets L";
  for (int i = 0; i < 10000; ++i) body += ", L";
  body += "; L:\n";
  for (int i = 0; i < 10000; ++i) body += "brx.idx %r1, T;\n";
  Machine machine("sm_90a");
  EXPECT_TRUE(machine.load(kernel(body + "ret;", before))) << machine.error;
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

TEST(Limits, ResultsAreRegisters) {
  const std::string no_register = "the result is no register", no_sink = "the sink _ cannot stand";
  expect_refused(kernel("add.u32 5, %r1, %r2; ret;"), no_register);
  expect_refused(kernel("mov.u32 %tid.x, %r2; ret;"), no_register);
  expect_refused(kernel("mov.u64 5, %clock64; ret;"), no_register);
  expect_refused(kernel("mov.u64 _, %clock64; ret;"), no_register);
  expect_refused(kernel("mov.b64 {%r1, 7}, %rd1; ret;"), no_register);
  expect_refused(kernel("add.u32 _, %r1, %r2; ret;"), no_sink);
  expect_refused(kernel("add.u32 %r3, _, %r2; ret;"), no_sink);
  expect_refused(kernel("mov.b64 %rd3, {_, %r2}; ret;"), no_sink);
  expect_refused(kernel("ldmatrix.sync.aligned.m8n8.x2.shared.b16 {%r3, _}, [%rd1]; ret;"),
                 no_sink);
  EXPECT_EQ(error_of(kernel("mov.b64 {%r1, _}, %rd1; ret;")), "no error");
  EXPECT_EQ(error_of(kernel("atom.global.add.u32 _, [%rd1], 1; ret;")), "no error");
  EXPECT_EQ(error_of(kernel("ld.global.v2.u32 {_, %r3}, [%rd1]; ret;")), "no error");
  EXPECT_EQ(error_of(kernel("shfl.sync.bfly.b32 _|%p1, %r3, 1, 31, -1; ret;")), "no error");
}

TEST(Limits, SinksInStores) {
  Machine machine("sm_100a");
  ASSERT_TRUE(
      machine.load(kernel("mov.u32 %r5, 7;\n"
                          "st.global.v8.u32 [%rd1], {%r5, _, %r5, _, _, _, _, %r5}; ret;",
                          "", "sm_100a")))
      << machine.error;
  const uint64_t out = machine.buffer(std::vector<uint32_t>(8, 1));
  const auto fault = machine.run("test", {1, 1, 1}, {1, 1, 1}, {out, 0});
  EXPECT_FALSE(fault) << fault->report;
  EXPECT_EQ(machine.read<uint32_t>(out, 8), (std::vector<uint32_t>{7, 1, 7, 1, 1, 1, 1, 7}));
}

// Four values, not fewer.
TEST(Limits, VectorsOfOtherLengths) {
  const auto convert = [](const std::string& values) {
    Machine machine("sm_100a");
    const std::string line = "cvt.rs.satfinite.e4m3x4.f32 %r5, " + values + ", %r6; ret;";
    return machine.load(kernel(line, "", "sm_100a")) ? "no error" : machine.error;
  };
  EXPECT_NE(convert("{%f1, %f2}").find("no form for these operand types"), std::string::npos);
  EXPECT_EQ(convert("{%f1, %f2, %f3, %f4}"), "no error");
}

TEST(Limits, ElementsOfAMove) {
  expect_refused(kernel("mov.b64 %rd3, {%h1, %h2, %h3}; ret;"), "3 elements do not divide");
}

TEST(Limits, TimersOf128Bits) {
  expect_refused(kernel("mov.b128 %q1, %clock64; ret;"), "at most 64 bits");
}

constexpr const char* kPrintf = R"(
.extern .func (.param .b32 d) vprintf(.param .b64 f, .param .b64 v);
.global .align 1 .b8 star[6] = {37, 42, 115, 10, 0};
.global .align 1 .b8 wide[16] = {37, 50, 48, 48, 48, 48, 48, 48, 48, 48, 48, 115, 10, 0};
)";

// printf("%*s\n", 2000000000, ""), printf("%2000000000s\n", "")
TEST(Limits, WidthsOfPrintf) {
  const std::string body = R"(
.local .align 8 .b8 v[16];
.param .b64 f; .param .b64 a; .param .b32 d;
mov.u64 %rd3, star+4;
mov.u32 %r5, 2000000000;
st.local.u32 [v], %r5;
st.local.u64 [v+8], %rd3;
mov.u64 %rd5, v;
cvta.local.u64 %rd5, %rd5;
mov.u64 %rd4, star;
st.param.b64 [f], %rd4;
st.param.b64 [a], %rd5;
call.uni (d), vprintf, (f, a);
ld.param.b32 %r6, [d];
st.global.u32 [%rd1], %r6;
mov.u64 %rd4, wide;
st.param.b64 [f], %rd4;
st.local.u64 [v], %rd3;
call.uni (d), vprintf, (f, a);
ret;)";
  Machine machine("sm_90a");
  ASSERT_TRUE(machine.load(kernel(body, kPrintf))) << machine.error;
  const uint64_t out = machine.buffer(std::vector<uint32_t>(1));
  const auto fault = machine.run("test", {1, 1, 1}, {1, 1, 1}, {out, 0});
  EXPECT_FALSE(fault) << fault->report;
  EXPECT_EQ(machine.read<uint32_t>(out, 1)[0], 4097u);  // the width's limit, the end of the line
}

constexpr const char* kHeap = R"(
.extern .func (.param .b64 p) malloc(.param .b64 n);
.extern .func free(.param .b64 p);
)";

TEST(Limits, FreeOfWhatMallocHasNotGiven) {
  Machine machine("sm_90a");
  ASSERT_TRUE(
      machine.load(kernel(".param .b64 p; st.param.b64 [p], %rd1; call free, (p); ret;", kHeap)))
      << machine.error;
  const uint64_t out = machine.buffer(std::vector<uint32_t>(1));
  const auto fault = machine.run("test", {1, 1, 1}, {1, 1, 1}, {out, 0});
  ASSERT_TRUE(fault.has_value());
  EXPECT_NE(fault->report.find("which malloc has not given"), std::string::npos) << fault->report;
  EXPECT_NE(machine.memory.find(out, 4), nullptr);
}

// The heap ends: 32 threads ask for 128 MiB each.
TEST(Limits, HeapOfKernels) {
  const std::string body = R"(
.param .b64 n; .param .b64 p;
st.param.b64 [n], 134217728;
call (p), malloc, (n);
ld.param.b64 %rd3, [p];
mul.wide.u32 %rd4, %r4, 8;
add.u64 %rd4, %rd4, %rd1;
st.global.u64 [%rd4], %rd3;
.param .b64 q;
st.param.b64 [q], %rd3;
call free, (q);
ret;)";
  Machine machine("sm_90a");
  ASSERT_TRUE(machine.load(kernel(body, kHeap))) << machine.error;
  const uint64_t out = machine.buffer(std::vector<uint64_t>(32));
  for (int run = 0; run < 2; ++run) {  // what was freed is there again
    const auto fault = machine.run("test", {1, 1, 1}, {32, 1, 1}, {out, 0});
    EXPECT_FALSE(fault) << fault->report;
    const auto got = machine.read<uint64_t>(out, 32);
    EXPECT_EQ(std::count(got.begin(), got.end(), 0u), 25) << run;
  }
}

// Each call's frame has 8 MiB.
TEST(Limits, RecursionWithManyRegisters) {
  const std::string before = ".func f { .reg .b64 %x<32768>; call f; ret; }\n";
  Machine machine("sm_90a");
  ASSERT_TRUE(machine.load(kernel("call f; ret;", before))) << machine.error;
  const auto fault = machine.run("test", {1, 1, 1}, {1, 1, 1}, {0, 0});
  ASSERT_TRUE(fault.has_value());
  EXPECT_NE(fault->report.find("take 512 MiB"), std::string::npos) << fault->report;
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
