// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Memory: spaces, widths, vectors, atomics, built-in functions; and every kind of fault with what
// its report must name.
#include <gtest/gtest.h>

#include <numeric>

#include "tests/emulator/machine/expect_fault.h"
#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

std::vector<uint32_t> iota(size_t count, uint32_t first = 0) {
  std::vector<uint32_t> values(count);
  std::iota(values.begin(), values.end(), first);
  return values;
}

struct Outcome {
  std::vector<uint32_t> a, b;
  std::optional<Fault> fault;
};

// Buffers a = 0, 1, 2... and b = zeros, of 256 words each.
Outcome run(const std::string& body, Dim3 grid = {1, 1, 1}, Dim3 block = {32, 1, 1},
            const std::string& before = "", Settings settings = {}, uint32_t dynamic_shared = 0,
            const std::string& target = "sm_90a") {
  Machine machine(target, settings);
  EXPECT_TRUE(machine.load(kernel(body, before, target))) << machine.error;
  Outcome outcome;
  if (machine.program == nullptr) return outcome;
  const uint64_t a = machine.buffer(iota(256)), b = machine.buffer(std::vector<uint32_t>(256, 0));
  outcome.fault = machine.run("test", grid, block, {a, b}, {1, 1, 1}, dynamic_shared);
  outcome.a = machine.read<uint32_t>(a, 256);
  outcome.b = machine.read<uint32_t>(b, 256);
  return outcome;
}

const std::string kIndex =
    "shl.b32 %r5, %r1, 2; cvt.u64.u32 %rd3, %r5; add.s64 %rd4, %rd1, %rd3;"
    " add.s64 %rd5, %rd2, %rd3;\n";

TEST(Memory, VectorsAndWidths) {
  const auto got = run(R"(
shl.b32 %r5, %r4, 4;
cvt.u64.u32 %rd3, %r5;
add.s64 %rd4, %rd1, %rd3;
add.s64 %rd5, %rd2, %rd3;
ld.global.v4.u32 {%r6, %r7, %r8, %r9}, [%rd4];
ld.global.s8 %r10, [%rd4+8];
ld.global.u8 %h1, [%rd4+4];
cvt.u32.u16 %r11, %h1;
add.u32 %r6, %r6, %r11;
neg.s32 %r12, %r10;
st.global.u8 [%rd4], %r12;
ld.global.s8 %rd6, [%rd4];
cvt.u32.u64 %r13, %rd6;
st.global.v2.u32 [%rd5], {%r9, %r6};
st.global.v2.b32 [%rd5+8], {%r13, %r7};
ret;)",
                       {1, 1, 1}, {16, 1, 1});
  ASSERT_FALSE(got.fault) << got.fault->report;
  for (uint32_t t = 0; t < 16; ++t) {
    EXPECT_EQ(got.b[4 * t], 4 * t + 3);
    EXPECT_EQ(got.b[4 * t + 1], 4 * t + 4 * t + 1);
    EXPECT_EQ(got.b[4 * t + 2], static_cast<uint32_t>(-static_cast<int32_t>(4 * t + 2)));
    EXPECT_EQ(got.b[4 * t + 3], 4 * t + 1);
  }
}

TEST(Memory, PackAndUnpack) {
  const auto got = run(kIndex + R"(
ld.global.u32 %r6, [%rd4];
mov.b32 {%h1, %h2}, %r6;
mov.b32 %r7, {%h2, %h1};
mov.b64 %rd6, {%r7, %r6};
mov.b64 {%r8, %r9}, %rd6;
mov.b128 %q1, {%rd6, %rd1};
mov.b128 {%rd7, %rd8}, %q1;
sub.u64 %rd8, %rd8, %rd1;
cvt.u32.u64 %r10, %rd8;
add.u32 %r11, %r8, %r9;
add.u32 %r11, %r11, %r10;
st.global.u32 [%rd5], %r11;
ret;)");
  ASSERT_FALSE(got.fault) << got.fault->report;
  for (uint32_t t = 0; t < 32; ++t) EXPECT_EQ(got.b[t], (t << 16) + t);
}

TEST(Memory, LocalArraysAreEachThreadsOwnAndReachedGenerically) {
  const auto got = run(kIndex + R"(
.local .align 16 .b8 depot[64];
mov.u64 %rd10, depot;
cvta.local.u64 %rd11, %rd10;
and.b32 %r6, %r4, 15;
shl.b32 %r6, %r6, 2;
cvt.u64.u32 %rd12, %r6;
add.s64 %rd13, %rd11, %rd12;
st.u32 [%rd13], %r4;
add.s64 %rd14, %rd10, %rd12;
ld.local.u32 %r7, [%rd14];
st.global.u32 [%rd5], %r7;
isspacep.local %p1, %rd13;
isspacep.shared %p2, %rd13;
isspacep.global %p3, %rd5;
@!%p1 trap;
@%p2 trap;
@!%p3 trap;
cvta.to.local.u64 %rd15, %rd13;
setp.ne.u64 %p4, %rd15, %rd14;
@%p4 trap;
ret;)");
  ASSERT_FALSE(got.fault) << got.fault->report;
  for (uint32_t t = 0; t < 32; ++t) EXPECT_EQ(got.b[t], t);
}

TEST(Memory, StaticDynamicAndGenericShared) {
  const auto got =
      run(kIndex + R"(
mov.u32 %r6, dynamic;
and.b32 %r7, %r6, 1023;
setp.ne.u32 %p1, %r7, 0;
@%p1 trap;
shl.b32 %r8, %r4, 2;
add.u32 %r9, %r6, %r8;
st.shared.u32 [%r9], %r4;
st.shared.u32 [fixed+4], 9;
bar.sync 0;
xor.b32 %r10, %r8, 4;
cvt.u64.u32 %rd6, %r6;
cvta.shared.u64 %rd7, %rd6;
cvt.u64.u32 %rd8, %r10;
add.s64 %rd9, %rd7, %rd8;
ld.u32 %r11, [%rd9];
ld.shared.u32 %r12, [fixed+4];
mad.lo.u32 %r11, %r12, 100, %r11;
st.global.u32 [%rd5], %r11;
ret;)",
          {1, 1, 1}, {64, 1, 1},
          ".shared .align 4 .b8 fixed[12];\n.extern .shared .align 16 .b8 dynamic[];", {}, 256);
  ASSERT_FALSE(got.fault) << got.fault->report;
  for (uint32_t t = 0; t < 64; ++t) EXPECT_EQ(got.b[t], 900 + (t ^ 1));
}

TEST(Memory, ConstantsInitialisersAndAddressesInMemory) {
  const auto got = run(kIndex + R"(
and.b32 %r6, %r4, 3;
mul.wide.u32 %rd6, %r6, 4;
mov.u64 %rd7, table;
add.s64 %rd8, %rd7, %rd6;
ld.const.u32 %r7, [%rd8];
ld.global.u64 %rd9, [pointer];
ld.u32 %r8, [%rd9];
add.u32 %r7, %r7, %r8;
st.global.u32 [%rd5], %r7;
ret;)",
                       {1, 1, 1}, {32, 1, 1},
                       ".const .align 4 .u32 table[4] = {10, 20, 30, 40};\n"
                       ".global .align 4 .u32 word = 5;\n"
                       ".global .align 8 .u64 pointer[1] = {generic(word)};");
  ASSERT_FALSE(got.fault) << got.fault->report;
  for (uint32_t t = 0; t < 32; ++t) EXPECT_EQ(got.b[t], 10 * (t % 4 + 1) + 5);
}

TEST(Memory, AtomicsAcrossBlocksAndThreads) {
  Settings settings;
  settings.threads = 4;
  const auto got = run(R"(
atom.global.add.u32 %r5, [%rd2], 1;
red.global.max.u32 [%rd2+4], %r1;
red.global.add.f32 [%rd2+8], 0f3F000000;
atom.global.inc.u32 %r6, [%rd2+12], 9;
red.global.xor.b32 [%rd2+16], %r1;
atom.global.cas.b32 %r7, [%rd2+20], 0, 7;
setp.eq.u32 %p1, %r7, 0;
@%p1 red.global.add.u32 [%rd2+24], 1;
red.global.add.u64 [%rd2+32], 4294967297;
ret;)",
                       {50, 1, 1}, {128, 1, 1}, "", settings);
  ASSERT_FALSE(got.fault) << got.fault->report;
  EXPECT_EQ(got.b[0], 6400u);
  EXPECT_EQ(got.b[1], 6399u);
  EXPECT_EQ(got.b[2], 0x45480000u);  // 3200.0f
  EXPECT_EQ(got.b[3], 0u);           // 6400 steps of a cycle of ten
  EXPECT_EQ(got.b[4], 0u);           // x ^ ... over 0..6399
  EXPECT_EQ(got.b[5], 7u);
  EXPECT_EQ(got.b[6], 1u);
  EXPECT_EQ(got.b[8], 6400u);
  EXPECT_EQ(got.b[9], 6400u);
}

TEST(Memory, LongVectorsOfSm100) {
  const auto got = run(R"(
shl.b32 %r5, %r4, 5;
cvt.u64.u32 %rd3, %r5;
add.s64 %rd4, %rd1, %rd3;
add.s64 %rd5, %rd2, %rd3;
ld.global.v8.u32 {%r6, %r7, %r8, %r9, %r10, %r11, %r12, %r13}, [%rd4];
st.global.v8.b32 [%rd5], {%r13, %r12, %r11, %r10, %r9, %r8, %r7, %r6};
ret;)",
                       {1, 1, 1}, {32, 1, 1}, "", {}, 0, "sm_100a");
  ASSERT_FALSE(got.fault) << got.fault->report;
  for (uint32_t i = 0; i < 256; ++i) EXPECT_EQ(got.b[i], i / 8 * 8 + 7 - i % 8);
}

TEST(Memory, AsynchronousCopiesFillWithZeros) {
  const auto got = run(R"(
shl.b32 %r5, %r4, 4;
cvt.u64.u32 %rd3, %r5;
add.s64 %rd4, %rd1, %rd3;
mov.u32 %r6, tile;
add.u32 %r7, %r6, %r5;
cp.async.cg.shared.global [%r7], [%rd4], 16, 12;
cp.async.commit_group;
cp.async.wait_group 0;
bar.sync 0;
ld.shared.v4.u32 {%r8, %r9, %r10, %r11}, [%r7];
add.s64 %rd5, %rd2, %rd3;
st.global.v4.u32 [%rd5], {%r8, %r9, %r10, %r11};
ret;)",
                       {1, 1, 1}, {32, 1, 1}, ".shared .align 16 .b8 tile[512];");
  ASSERT_FALSE(got.fault) << got.fault->report;
  for (uint32_t i = 0; i < 128; ++i) EXPECT_EQ(got.b[i], i % 4 == 3 ? 0 : i);
}

std::string line(uint32_t after_first) {
  return "PTX line " + std::to_string(kBodyLine + after_first) + ":";
}

TEST(Faults, OutOfBounds) {
  // The second block's threads from 40 on are outside: (256 - 216) = 40.
  const auto got = run(".loc 1 77 3\n" + kIndex +
                           "add.s64 %rd5, %rd5, 768;\nst.global.u32 [%rd5], "
                           "%r4;\nret;",
                       {2, 1, 1}, {24, 1, 1}, ".file 1 \"kernel.cu\"");
  (void)got;
  const auto outside = run(kIndex +
                               "setp.ne.u32 %p1, %r2, 1;\n@%p1 ret;\n"
                               "st.global.u32 [%rd5+800], %r4;\nret;",
                           {3, 1, 1}, {40, 1, 1});
  // Block 1, thread t writes word 40 + t + 200: outside of 256 from t = 16 on.
  expect_fault(outside, Fault::Kind::kIllegalAddress,
               {"illegal address: writes 4 bytes of global memory", line(3), "st.global.u32",
                "kernel: test", "block (1,0,0), warp 0, thread (16,0,0) and 15 more", "lanes 16-31",
                "buffer, 1024 bytes", "0 bytes past its end"});
}

TEST(Faults, NullAndSource) {
  const auto got = run(".loc 1 77 3\nmov.u64 %rd6, 16;\nld.global.u32 %r5, [%rd6];\nret;",
                       {1, 1, 1}, {32, 1, 1}, ".file 1 \"kernel.cu\"");
  expect_fault(got, Fault::Kind::kIllegalAddress, {"null pointer?", line(2), "kernel.cu:77"});
}

TEST(Faults, Misaligned) {
  const auto got =
      run("add.s64 %rd6, %rd1, 2;\nsetp.ne.u32 %p1, %r4, 9;\n@%p1 ret;\n"
          "ld.global.u32 %r5, [%rd6];\nret;");
  expect_fault(got, Fault::Kind::kMisaligned,
               {"misaligned address: reads 4 bytes", line(3), "thread (9,0,0)", "multiple of 4"});
  const auto vector = run("ld.global.v4.u32 {%r5,%r6,%r7,%r8}, [%rd1+8];\nret;");
  expect_fault(vector, Fault::Kind::kMisaligned, {"reads 16 bytes", line(0)});
}

TEST(Faults, UninitializedOnRequest) {
  const std::string body = "st.shared.u8 [x+1], 3;\nbar.sync 0;\nld.shared.u16 %h1, [x];\nret;";
  const std::string before = ".shared .align 4 .u32 x;";
  EXPECT_FALSE(run(body, {1, 1, 1}, {32, 1, 1}, before).fault.has_value());
  Settings checked;
  checked.check_uninitialized = true;
  expect_fault(run(body, {1, 1, 1}, {32, 1, 1}, before, checked), Fault::Kind::kUninitialized,
               {"reads 2 bytes of shared memory", "never written", line(2), "thread (0,0,0)"});
  expect_fault(
      run(".local .align 4 .b8 l[8];\nst.local.u32 [l], 1;\nld.local.u32 %r5, [l+4];\nret;",
          {1, 1, 1}, {32, 1, 1}, "", checked),
      Fault::Kind::kUninitialized, {"local memory", line(2)});
  // Written bytes read well, in global memory too.
  EXPECT_FALSE(run(kIndex + "ld.global.u32 %r6, [%rd4];\nst.global.u32 [%rd5], %r6;\nret;",
                   {1, 1, 1}, {32, 1, 1}, "", checked)
                   .fault.has_value());
  Machine machine("sm_90a", checked);
  ASSERT_TRUE(machine.load(kernel("ld.global.u32 %r6, [%rd1+8];\nret;"))) << machine.error;
  const uint64_t fresh = machine.memory.allocate(64, 256, "fresh");
  machine.memory.mark_written(fresh, 8);
  const auto fault = machine.run("test", {1, 1, 1}, {1, 1, 1}, {fresh, 0});
  ASSERT_TRUE(fault.has_value());
  EXPECT_EQ(fault->kind, Fault::Kind::kUninitialized);
}

TEST(Faults, SharedLocalParamAndConst) {
  expect_fault(run("mov.u32 %r5, x;\nld.shared.u32 %r6, [%r5+4096];\nret;", {1, 1, 1}, {32, 1, 1},
                   ".shared .align 4 .b8 x[16];"),
               Fault::Kind::kIllegalAddress, {"shared memory", "nearest: x, 16 bytes", line(1)});
  expect_fault(run(".local .align 4 .b8 l[8];\nst.local.u32 [l+16], 1;\nret;"),
               Fault::Kind::kIllegalAddress, {"local memory", "nearest: l, 8 bytes"});
  expect_fault(run("mov.u64 %rd5, c;\nst.global.u32 [%rd5], 1;\nret;", {1, 1, 1}, {32, 1, 1},
                   ".const .align 4 .u32 c = 3;"),
               Fault::Kind::kIllegalAddress, {"writes 4 bytes of constant memory", line(1)});
  expect_fault(run("ld.param.u64 %rd5, [b+8];\nret;"), Fault::Kind::kIllegalAddress,
               {"kernel parameter", "16 bytes"});
}

TEST(Faults, TrapAndDeadlock) {
  expect_fault(run("setp.ne.u32 %p1, %r4, 3;\n@%p1 ret;\ntrap;"), Fault::Kind::kTrap,
               {"trap", line(2), "thread (3,0,0)"});
  // Warp 0 waits at barrier 0, warp 1 at barrier 1.
  expect_fault(
      run("setp.lt.u32 %p1, %r4, 32;\n@%p1 bra A;\nbar.sync 1;\nret;\nA:\nbar.sync 0;\nret;",
          {1, 1, 1}, {64, 1, 1}),
      Fault::Kind::kDeadlock,
      {"deadlock", "warp 0 lanes 0-31: wait for barrier 0 (32 of 64 threads",
       "warp 1 lanes 0-31: wait for barrier 1", line(2), line(5)});
}

TEST(Faults, LaunchConfiguration) {
  Machine machine;
  ASSERT_TRUE(machine.load(kernel("ret;"))) << machine.error;
  auto refused = [&](Dim3 grid, Dim3 block, Dim3 cluster, uint32_t dynamic, const char* why) {
    const auto fault = machine.run("test", grid, block, {0, 0}, cluster, dynamic);
    ASSERT_TRUE(fault.has_value()) << why;
    EXPECT_EQ(fault->kind, Fault::Kind::kLaunchConfig);
    EXPECT_NE(fault->report.find(why), std::string::npos) << fault->report;
  };
  refused({1, 1, 1}, {1025, 1, 1}, {1, 1, 1}, 0, "1025");
  refused({0, 1, 1}, {32, 1, 1}, {1, 1, 1}, 0, "dimension of the grid is 0");
  refused({3, 1, 1}, {32, 1, 1}, {2, 1, 1}, 0, "no multiple of cluster");
  refused({1, 1, 1}, {32, 1, 1}, {1, 1, 1}, 227 * 1024 + 1, "shared memory");
}

TEST(Builtins, PrintfFormatsAndAssertsFail) {
  testing::internal::CaptureStdout();
  const std::string declarations = R"(
.extern .func (.param .b32 r) vprintf (.param .b64 f, .param .b64 a);
.extern .func __assertfail (.param .b64 m, .param .b64 f, .param .b32 l, .param .b64 n, .param .b64 c);
.global .align 1 .b8 text[19] = {116, 61, 37, 51, 100, 32, 37, 46, 50, 102, 32, 37, 108, 108, 120, 37, 37, 10, 0};
.global .align 1 .b8 what[4] = {97, 98, 99, 0};
)";
  const auto got = run(R"(
.local .align 8 .b8 args[24];
st.local.u32 [args], %r4;
mov.f64 %fd1, 0d3FF8000000000000;
st.local.f64 [args+8], %fd1;
mov.u64 %rd5, 0xABCDEF0123;
st.local.u64 [args+16], %rd5;
mov.u64 %rd6, args;
cvta.local.u64 %rd7, %rd6;
mov.u64 %rd8, text;
setp.gt.u32 %p1, %r4, 1;
@%p1 bra E;
{
.param .b64 p0; .param .b64 p1; .param .b32 r0;
st.param.b64 [p0], %rd8;
st.param.b64 [p1], %rd7;
call.uni (r0), vprintf, (p0, p1);
ld.param.b32 %r6, [r0];
}
E: ret;)",
                       {1, 1, 1}, {32, 1, 1}, declarations);
  EXPECT_EQ(testing::internal::GetCapturedStdout(),
            "t=  0 1.50 abcdef0123%\nt=  1 1.50 abcdef0123%\n");
  ASSERT_FALSE(got.fault) << got.fault->report;
  expect_fault(run(R"(
mov.u64 %rd8, what;
{
.param .b64 p0; .param .b64 p1; .param .b32 p2; .param .b64 p3; .param .b64 p4;
st.param.b64 [p0], %rd8; st.param.b64 [p1], %rd8; st.param.b32 [p2], 12;
st.param.b64 [p3], %rd8; st.param.b64 [p4], 1;
call.uni __assertfail, (p0, p1, p2, p3, p4);
}
ret;)",
                   {1, 1, 1}, {32, 1, 1}, declarations),
               Fault::Kind::kAssert, {"abc:12: abc: assertion `abc` failed"});
}

TEST(GlobalMemory, AllocatesChecksAndFrees) {
  GlobalMemory memory(1 << 20, true);
  const uint64_t a = memory.allocate(1000, 1, "a"), b = memory.allocate(64, 4096, "b");
  ASSERT_NE(a, 0u);
  EXPECT_EQ(a % 256, 0u);
  EXPECT_EQ(b % 4096, 0u);
  EXPECT_NE(memory.find(a + 999, 1), nullptr);
  EXPECT_EQ(memory.find(a + 999, 2), nullptr);
  EXPECT_EQ(memory.find(a - 1, 1), nullptr);
  EXPECT_EQ(memory.nearest(a + 1010)->label, "a");
  EXPECT_EQ(memory.used(), 1064u);
  EXPECT_EQ(memory.find(a, 1)->written[5], 0);
  memory.mark_written(a + 5, 1);
  EXPECT_EQ(memory.find(a, 1)->written[5], 1);
  EXPECT_FALSE(memory.free(a + 1));
  EXPECT_TRUE(memory.free(a));
  EXPECT_FALSE(memory.free(a));
  EXPECT_EQ(memory.find(a, 1), nullptr);
  EXPECT_EQ(memory.allocate(1 << 20, 256, "too much"), 0u);
  EXPECT_NE(memory.allocate(1 << 19, 256, "half"), 0u);
}

}  // namespace
}  // namespace nibble::emulator
