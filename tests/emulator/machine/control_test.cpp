// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Divergence, calls, barriers, exchange among lanes, special registers.
#include <gtest/gtest.h>

#include <numeric>

#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

// out[thread of the grid] = %r20.
const std::string kStoreResult = R"(
mul.wide.u32 %rd3, %r1, 4;
add.s64 %rd4, %rd1, %rd3;
st.global.u32 [%rd4], %r20;
)";

std::vector<uint32_t> results(const std::string& body, Dim3 grid, Dim3 block,
                              const std::string& before = "", Dim3 cluster = {1, 1, 1}) {
  Machine machine("sm_90a");
  EXPECT_TRUE(machine.load(kernel(body + kStoreResult + "ret;", before))) << machine.error;
  if (machine.program == nullptr) return {};
  const size_t count = size_t{grid[0]} * grid[1] * grid[2] * block[0] * block[1] * block[2];
  const uint64_t out = machine.buffer(std::vector<uint32_t>(count, 0xDEAD));
  const auto fault = machine.run("test", grid, block, {out, 0}, cluster);
  EXPECT_FALSE(fault.has_value()) << (fault ? fault->report : "");
  return machine.read<uint32_t>(out, count);
}

TEST(Divergence, LoopsOfDifferentLengthsInsideBranches) {
  // Odd threads: sum of i * j over two nested loops that depend on the thread; even: 7 * thread.
  const auto got = results(R"(
and.b32 %r5, %r4, 1;
setp.eq.u32 %p1, %r5, 1;
@%p1 bra ODD;
mul.lo.u32 %r20, %r4, 7;
bra.uni DONE;
ODD:
mov.u32 %r20, 0;
mov.u32 %r6, 0;
OUTER:
mov.u32 %r7, 0;
INNER:
mad.lo.u32 %r20, %r6, %r7, %r20;
add.u32 %r7, %r7, 1;
setp.le.u32 %p2, %r7, %r6;
@%p2 bra INNER;
add.u32 %r6, %r6, 1;
setp.le.u32 %p3, %r6, %r4;
@%p3 bra OUTER;
DONE:
activemask.b32 %r8;
shl.b32 %r9, %r8, 31;
shr.u32 %r9, %r9, 31;
add.u32 %r20, %r20, %r9;
)",
                           {2, 1, 1}, {64, 1, 1});
  for (uint32_t block = 0; block < 2; ++block) {
    for (uint32_t t = 0; t < 64; ++t) {
      uint32_t want = 7 * t;
      if (t % 2 == 1) {
        want = 0;
        for (uint32_t i = 0; i <= t; ++i) {
          for (uint32_t j = 0; j <= i; ++j) want += i * j;
        }
      }
      // All lanes are together again after DONE, lane 0 among them.
      EXPECT_EQ(got[block * 64 + t], want + 1) << t;
    }
  }
}

TEST(Divergence, LanesReconvergeAfterABranch) {
  const auto got = results(R"(
setp.lt.u32 %p1, %r4, 5;
@%p1 bra A;
mov.u32 %r5, 1;
bra J;
A:
mov.u32 %r5, 2;
J:
activemask.b32 %r20;
)",
                           {1, 1, 1}, {32, 1, 1});
  EXPECT_EQ(got, std::vector<uint32_t>(32, 0xFFFFFFFFu));
}

TEST(Divergence, ALaneThatSpinsLetsTheOthersOfItsWarpRun) {
  // Lane 0 waits in a loop, lowest in the code, for what lane 1 writes after it.
  const auto got = results(R"(
setp.ne.u32 %p1, %r4, 0;
@%p1 bra WRITE;
WAIT:
ld.volatile.shared.u32 %r5, [flag];
setp.eq.u32 %p2, %r5, 77;
@!%p2 bra WAIT;
mov.u32 %r20, %r5;
bra OUT;
WRITE:
mov.u32 %r6, 77;
st.volatile.shared.u32 [flag], %r6;
mov.u32 %r20, 1;
OUT:
)",
                           {1, 1, 1}, {32, 1, 1}, ".shared .align 4 .u32 flag;");
  EXPECT_EQ(got[0], 77u);
  EXPECT_EQ(got[1], 1u);
}

TEST(Divergence, BranchTables) {
  const auto got = results(R"(
and.b32 %r5, %r4, 3;
T: .branchtargets L0, L1, L2, L3;
brx.idx %r5, T;
L0: mov.u32 %r20, 10; bra E;
L1: mov.u32 %r20, 11; bra E;
L2: mov.u32 %r20, 12; bra E;
L3: mov.u32 %r20, 13;
E:
)",
                           {1, 1, 1}, {32, 1, 1});
  for (uint32_t t = 0; t < 32; ++t) EXPECT_EQ(got[t], 10 + t % 4);
}

const char* const kFactorial = R"(
.func (.param .b32 result) factorial(.param .b32 n)
{
.reg .pred %p<2>; .reg .b32 %r<6>;
ld.param.u32 %r1, [n];
setp.gt.u32 %p1, %r1, 1;
@%p1 bra MORE;
st.param.u32 [result], 1;
ret;
MORE:
sub.u32 %r2, %r1, 1;
{
.param .b32 a; .param .b32 r;
st.param.u32 [a], %r2;
call.uni (r), factorial, (a);
ld.param.u32 %r3, [r];
}
mul.lo.u32 %r4, %r1, %r3;
st.param.u32 [result], %r4;
ret;
}
.func (.reg .b32 o) twice(.reg .b32 i)
{
add.u32 o, i, i;
ret;
}
)";

TEST(Calls, RecursionToDifferentDepths) {
  const auto got = results(R"(
and.b32 %r5, %r4, 7;
{
.param .b32 a; .param .b32 r;
st.param.u32 [a], %r5;
call (r), factorial, (a);
ld.param.u32 %r20, [r];
}
activemask.b32 %r6;
setp.ne.u32 %p1, %r6, 0xFFFFFFFF;
@%p1 trap;
call (%r20), twice, (%r20);
)",
                           {1, 1, 1}, {64, 1, 1}, kFactorial);
  for (uint32_t t = 0; t < 64; ++t) {
    uint32_t want = 2;
    for (uint32_t i = 2; i <= t % 8; ++i) want *= i;
    EXPECT_EQ(got[t], want) << t;
  }
}

TEST(Calls, IndirectToTwoCallees) {
  const auto got = results(R"(
mov.u64 %rd5, f1;
mov.u64 %rd6, f2;
and.b32 %r5, %r4, 1;
setp.eq.u32 %p1, %r5, 1;
selp.b64 %rd7, %rd5, %rd6, %p1;
{
.param .b32 a; .param .b32 r;
st.param.u32 [a], %r4;
P: .callprototype (.param .b32 _) _ (.param .b32 _);
call (r), %rd7, (a), P;
ld.param.u32 %r20, [r];
}
)",
                           {1, 1, 1}, {32, 1, 1}, R"(
.func (.param .b32 o) f1(.param .b32 i)
{ .reg .b32 %r<3>; ld.param.u32 %r1, [i]; add.u32 %r2, %r1, 100; st.param.u32 [o], %r2; ret; }
.func (.param .b32 o) f2(.param .b32 i)
{ .reg .b32 %r<3>; ld.param.u32 %r1, [i]; add.u32 %r2, %r1, 200; st.param.u32 [o], %r2; ret; }
)");
  for (uint32_t t = 0; t < 32; ++t) EXPECT_EQ(got[t], t + (t % 2 == 1 ? 100 : 200)) << t;
}

TEST(Barriers, ExitedThreadsAreNotWaitedFor) {
  // Warps 2 and 3 and half of warp 1 leave; the others exchange through shared memory.
  const auto got = results(R"(
mov.u32 %r20, 5;
setp.ge.u32 %p1, %r4, 48;
@%p1 bra OUT;
mov.u32 %r5, buf;
shl.b32 %r6, %r4, 2;
add.u32 %r7, %r5, %r6;
st.shared.u32 [%r7], %r4;
bar.sync 0;
xor.b32 %r8, %r6, 60;
add.u32 %r9, %r5, %r8;
ld.shared.u32 %r20, [%r9];
bar.sync 0;
OUT:
)",
                           {3, 1, 1}, {128, 1, 1}, ".shared .align 4 .b8 buf[256];");
  for (uint32_t t = 0; t < 128; ++t) EXPECT_EQ(got[t], t < 48 ? t ^ 15 : 5) << t;
}

TEST(Barriers, ArriveAndSyncWithCounts) {
  // Warp 0 produces and only arrives; warp 1 waits for it. Registers hold number and count.
  const auto got = results(R"(
mov.u32 %r5, 3;
mov.u32 %r6, 64;
mov.u32 %r20, 0;
setp.ge.u32 %p1, %r4, 32;
@%p1 bra CONSUME;
mov.u32 %r7, 123;
st.shared.u32 [x], %r7;
bar.arrive %r5, %r6;
bra OUT;
CONSUME:
barrier.cta.sync %r5, %r6;
ld.shared.u32 %r20, [x];
OUT:
)",
                           {1, 1, 1}, {64, 1, 1}, ".shared .align 4 .u32 x;");
  EXPECT_EQ(got[0], 0u);
  EXPECT_EQ(got[40], 123u);
}

TEST(Barriers, Reductions) {
  const auto got = results(R"(
setp.lt.u32 %p1, %r4, 41;
bar.red.popc.u32 %r20, 1, %p1;
bar.red.and.pred %p2, 2, 96, %p1;
bar.red.or.pred %p3, 2, %p1;
@%p2 add.u32 %r20, %r20, 1000;
@%p3 add.u32 %r20, %r20, 2000;
)",
                           {1, 1, 1}, {96, 1, 1});
  EXPECT_EQ(got, std::vector<uint32_t>(96, 2041));
}

TEST(Warp, ShufflesAcrossDivergentPathsAndSegments) {
  // Both halves run the same shuffle with their own masks, in segments of 8.
  const auto got = results(R"(
mov.u32 %r6, 0x0000FFFF;
setp.lt.u32 %p1, %r4, 16;
@%p1 bra S;
mov.u32 %r6, 0xFFFF0000;
S:
mov.u32 %r8, 0x1807;
shfl.sync.down.b32 %r20|%p2, %r4, 3, 0x1807, %r6;
@%p2 add.u32 %r20, %r20, 100;
)",
                           {1, 1, 1}, {32, 1, 1});
  for (uint32_t t = 0; t < 32; ++t) EXPECT_EQ(got[t], t % 8 < 5 ? t + 103 : t) << t;
}

TEST(Warp, LanesWaitForThoseTheirMaskNames) {
  // Half of the warp comes late to the same shuffle and vote.
  const auto got = results(R"(
setp.lt.u32 %p1, %r4, 16;
@%p1 bra X;
mov.u32 %r5, 1000;
W: sub.u32 %r5, %r5, 1;
setp.ne.u32 %p2, %r5, 0;
@%p2 bra W;
X:
shfl.sync.bfly.b32 %r20, %r4, 16, 31, -1;
vote.sync.ballot.b32 %r7, %p1, -1;
setp.eq.u32 %p3, %r7, 0x0000FFFF;
@%p3 add.u32 %r20, %r20, 100;
)",
                           {1, 1, 1}, {32, 1, 1});
  for (uint32_t t = 0; t < 32; ++t) EXPECT_EQ(got[t], (t ^ 16) + 100) << t;
}

TEST(Warp, SyncwarpAtDifferentInstructions) {
  const auto got = results(R"(
setp.lt.u32 %p1, %r4, 16;
@%p1 bra X;
bar.warp.sync -1;
mov.u32 %r20, 1;
bra E;
X:
bar.warp.sync -1;
mov.u32 %r20, 2;
E:
)",
                           {1, 1, 1}, {32, 1, 1});
  for (uint32_t t = 0; t < 32; ++t) EXPECT_EQ(got[t], t < 16 ? 2u : 1u);
}

TEST(Warp, MatchReduxElect) {
  const auto got = results(R"(
and.b32 %r5, %r4, 3;
match.any.sync.b32 %r6, %r5, -1;
popc.b32 %r7, %r6;
redux.sync.max.u32 %r8, %r4, -1;
elect.sync _|%p1, -1;
match.all.sync.b32 _|%p2, %r7, -1;
mad.lo.u32 %r20, %r7, 100, %r8;
@%p1 add.u32 %r20, %r20, 10000;
@!%p2 mov.u32 %r20, 0;
)",
                           {1, 1, 1}, {32, 1, 1});
  for (uint32_t t = 0; t < 32; ++t) EXPECT_EQ(got[t], 831u + (t == 0 ? 10000 : 0)) << t;
}

TEST(SpecialRegisters, GridAndCluster) {
  const auto got = results(R"(
mov.u32 %r5, %cluster_ctarank;
mov.u32 %r6, %clusterid.x;
mov.u32 %r7, %cluster_nctaid.x;
mov.u32 %r8, %nclusterid.x;
mov.u32 %r9, %nctaid.x;
mov.u32 %r10, %laneid;
mov.u32 %r11, %warpid;
mov.u32 %r12, %lanemask_lt;
popc.b32 %r12, %r12;
mov.u32 %r20, %r5;
mad.lo.u32 %r20, %r6, 10, %r20;
mad.lo.u32 %r20, %r7, 100, %r20;
mad.lo.u32 %r20, %r8, 1000, %r20;
mad.lo.u32 %r20, %r9, 10000, %r20;
sub.u32 %r12, %r12, %r10;
add.u32 %r20, %r20, %r12;
mad.lo.u32 %r20, %r11, 1000000, %r20;
)",
                           {8, 1, 1}, {64, 1, 1}, "", {2, 1, 1});
  for (uint32_t i = 0; i < 512; ++i) {
    const uint32_t block = i / 64, warp = i % 64 / 32;
    EXPECT_EQ(got[i], block % 2 + 10 * (block / 2) + 200 + 4000 + 80000 + warp * 1000000) << i;
  }
}

TEST(Cluster, BarrierAndRemoteSharedMemory) {
  // Each block writes its rank, then reads its neighbour's by mapa and generically.
  const auto got = results(R"(
mov.u32 %r5, %cluster_ctarank;
mov.u32 %r6, x;
st.shared.u32 [%r6], %r5;
barrier.cluster.arrive.release.aligned;
barrier.cluster.wait.acquire.aligned;
xor.b32 %r7, %r5, 1;
mapa.shared::cluster.u32 %r8, %r6, %r7;
ld.shared::cluster.u32 %r20, [%r8];
cvt.u64.u32 %rd5, %r8;
cvta.shared::cluster.u64 %rd6, %rd5;
ld.u32 %r9, [%rd6];
mad.lo.u32 %r20, %r9, 10, %r20;
barrier.cluster.arrive.aligned;
barrier.cluster.wait.aligned;
)",
                           {4, 1, 1}, {64, 1, 1}, ".shared .align 4 .u32 x;", {2, 1, 1});
  for (uint32_t i = 0; i < 256; ++i) EXPECT_EQ(got[i], 11 * ((i / 64 % 2) ^ 1)) << i;
}

TEST(Grid, BlocksThatSpinOnLaterBlocksMakeProgress) {
  // Block 0 waits for a counter that every other block increments; one host thread.
  Machine machine;
  machine.settings.threads = 1;
  ASSERT_TRUE(machine.load(kernel(R"(
setp.ne.u32 %p1, %r4, 0;
@%p1 ret;
setp.eq.u32 %p2, %r2, 0;
@%p2 bra WAIT;
red.global.add.u32 [%rd1], 1;
ret;
WAIT:
ld.acquire.gpu.global.u32 %r5, [%rd1];
setp.lt.u32 %p3, %r5, 39;
@%p3 bra WAIT;
st.global.u32 [%rd2], %r5;
ret;)")))
      << machine.error;
  const uint64_t counter = machine.buffer(std::vector<uint32_t>(1, 0));
  const uint64_t out = machine.buffer(std::vector<uint32_t>(1, 0));
  const auto fault =
      machine.run("test", {40, 1, 1}, {64, 1, 1}, {counter, out}, {1, 1, 1}, 0, true);
  EXPECT_FALSE(fault.has_value()) << fault->report;
  EXPECT_EQ(machine.read<uint32_t>(out, 1)[0], 39u);
}

}  // namespace
}  // namespace nibble::emulator
