// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// wgmma under many orders of execution, what is found wrong with it, and operands of warp-level
// matrix instructions that are refused.
#include "tests/emulator/machine/expect_fault.h"
#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

constexpr uint64_t kSeeds = 100;
constexpr Dim3 kGroup = {128, 1, 1};

// A of 64 x 16 and B of 8 x 16 ones in f16, no swizzle: 8x8 pieces of 128 bytes one after another,
// those along k first. %rd10 and %rd11 become the descriptors, %r20.. the accumulators, zero.
constexpr const char* kTiles = ".shared .align 128 .b8 tiles[4096];";
constexpr const char* kFill = R"(
mov.u32 %r5, tiles;
mov.u32 %r6, 0x3C003C00;
mad.lo.u32 %r7, %r4, 32, %r5;
st.shared.v4.u32 [%r7], {%r6, %r6, %r6, %r6};
st.shared.v4.u32 [%r7+16], {%r6, %r6, %r6, %r6};
)";
constexpr const char* kDescriptors = R"(
shr.u32 %r8, %r5, 4;
cvt.u64.u32 %rd10, %r8;
or.b64 %rd10, %rd10, 0x0000001000080000;
add.u64 %rd11, %rd10, 128;
mov.u32 %r20, 0; mov.u32 %r21, 0; mov.u32 %r22, 0; mov.u32 %r23, 0;
)";
constexpr const char* kMultiply =
    "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%r20, %r21, %r22, %r23}, %rd10, %rd11, 1, "
    "1, 1, 0, 0;\n";
constexpr const char* kCommit = "wgmma.commit_group.sync.aligned;\n";
constexpr const char* kWait = "wgmma.wait_group.sync.aligned 0;\n";
constexpr const char* kStore = R"(
mad.wide.u32 %rd3, %r1, 16, %rd2;
st.global.v4.u32 [%rd3], {%r20, %r21, %r22, %r23};
)";
const std::string kFence = "wgmma.fence.sync.aligned;\n";
const std::string kProxy = "fence.proxy.async;\n";
const std::string kBarrier = "bar.sync 0;\n";

struct Outcome {
  std::optional<Fault> fault;
  std::vector<float> out;
};

Outcome run_with(uint64_t seed, const std::string& body, const std::string& before = kTiles,
                 Dim3 block = kGroup, const std::string& target = "sm_90a") {
  Settings settings;
  settings.seed = seed;
  settings.threads = 1;
  Machine machine(target, settings);
  EXPECT_TRUE(machine.load(kernel(body, before, target))) << machine.error;
  if (machine.program == nullptr) return {};
  const uint64_t in = machine.buffer(std::vector<uint32_t>(4096, 0));
  const uint64_t out = machine.buffer(std::vector<float>(512, -1));
  Outcome result;
  result.fault = machine.run("test", {1, 1, 1}, block, {in, out});
  result.out = machine.read<float>(out, 512);
  return result;
}

TEST(Wgmma, GivesTheSameInAnyOrder) {
  const std::string body = std::string(kFill) + kProxy + kBarrier + kDescriptors + kFence +
                           kMultiply + kCommit + kMultiply + kCommit +
                           "wgmma.wait_group.sync.aligned 1;\n" + kWait + kStore;
  for (uint64_t seed = 0; seed < kSeeds; ++seed) {
    const Outcome run = run_with(seed, body);
    ASSERT_FALSE(run.fault.has_value()) << "seed " << seed << ": " << run.fault->report;
    for (const float x : run.out) ASSERT_EQ(x, 32.0F) << "seed " << seed;
  }
}

TEST(Wgmma, AddsInTheOrderOfIssue) {
  // The second replaces what the first has added.
  const std::string replace =
      "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%r20, %r21, %r22, %r23}, %rd10, %rd11, "
      "0, -1, 1, 0, 0;\n";
  const std::string body = std::string(kFill) + kProxy + kBarrier + kDescriptors + kFence +
                           kMultiply + replace + kCommit + kWait + kStore;
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const Outcome run = run_with(seed, body);
    ASSERT_FALSE(run.fault.has_value()) << run.fault->report;
    for (const float x : run.out) ASSERT_EQ(x, -16.0F) << "seed " << seed;
  }
}

TEST(Wgmma, NeedsAProxyFenceAfterStores) {
  const std::string body =
      std::string(kFill) + kBarrier + kDescriptors + kFence + kMultiply + kCommit + kWait + kStore;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    expect_fault(run_with(seed, body), Fault::Kind::kRace, {"missing fence.proxy.async", "wgmma"});
  }
}

TEST(Wgmma, NeedsABarrierBetweenTheWarps) {
  const std::string body =
      std::string(kFill) + kProxy + kDescriptors + kFence + kMultiply + kCommit + kWait + kStore;
  expect_fault(run_with(0, body), Fault::Kind::kRace, {"shared memory", "wgmma"});
}

TEST(Wgmma, ReadsUntilItIsWaitedFor) {
  // Every warp writes where its own multiplication may still read.
  const std::string body = std::string(kFill) + kProxy + kBarrier + kDescriptors + kFence +
                           kMultiply + kCommit + kFill + kWait + kStore;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    expect_fault(run_with(seed, body), Fault::Kind::kRace, {"shared memory", "wgmma.mma_async"});
  }
}

TEST(Wgmma, ResultsNeedAWait) {
  const std::string body = std::string(kFill) + kProxy + kBarrier + kDescriptors + kFence +
                           kMultiply + kCommit + kStore + kWait;
  for (uint64_t seed = 0; seed < 5; ++seed) {
    expect_fault(run_with(seed, body), Fault::Kind::kRace,
                 {"missing wgmma.wait_group", "wgmma.mma_async", "st.global"});
  }
}

TEST(Wgmma, NeedsAFence) {
  const std::string body =
      std::string(kFill) + kProxy + kBarrier + kDescriptors + kMultiply + kCommit + kWait;
  expect_fault(run_with(0, body), Fault::Kind::kIllegalInstruction,
               {"without wgmma.fence", "wgmma.mma_async"});
}

TEST(Wgmma, RefusesDescriptorsThatLeadOutside) {
  const std::string start = std::string(kFill) + kProxy + kBarrier + kDescriptors + kFence;
  expect_fault(run_with(0, start + "or.b64 %rd10, %rd10, 0x0000100000000000;\n" + kMultiply),
               Fault::Kind::kIllegalAddress, {"outside of the block's shared memory"});
  expect_fault(run_with(0, start + "or.b64 %rd11, %rd11, 0x0001000000000000;\n" + kMultiply),
               Fault::Kind::kIllegalInstruction, {"matrix descriptor", "must be 0"});
  expect_fault(
      run_with(0, start + "cvt.u64.u32 %rd12, %r4;\nadd.u64 %rd10, %rd10, %rd12;\n" + kMultiply),
      Fault::Kind::kIllegalInstruction, {"differ in a matrix descriptor"});
}

TEST(Wgmma, RefusesImmediatesThatTheManualForbids) {
  for (const char* const immediates : {"2, 1, 0, 0", "1, 0, 0, 0", "1, 1, 2, 0", "1, 1, 0, -1"}) {
    Machine machine;
    const std::string body =
        std::string(
            "wgmma.mma_async.sync.aligned.m64n8k16.f32.f16.f16 {%r20, %r21, %r22, %r23}, %rd10, "
            "%rd11, 1, ") +
        immediates + ";\n";
    EXPECT_FALSE(machine.load(kernel(body))) << immediates;
  }
}

TEST(Wgmma, RefusesAnotherNumberOfRegistersThanTheShapeHas) {
  std::string registers = "%r20";
  for (int count = 1; count <= 8; ++count, registers += ", %r20") {
    for (const char* const types : {"f32.f16.f16", "f16.f16.f16"}) {
      Machine machine;
      const bool fits = count == (types[1] == '3' ? 4 : 2);
      const std::string body = std::string("wgmma.mma_async.sync.aligned.m64n8k16.") + types +
                               " {" + registers + "}, %rd10, %rd11, 1, 1, 1, 0, 0;\n";
      EXPECT_EQ(machine.load(kernel(body)), fits) << body;
    }
  }
}

// --- mma.sync, ldmatrix ---

const std::string kOneWarp = R"(
mov.u32 %r5, 0; mov.u32 %r6, 0; mov.u32 %r7, 0; mov.u32 %r8, 0;
)";

Outcome run_warp(const std::string& body, const std::string& target = "sm_90a",
                 uint32_t threads = 32) {
  return run_with(0, kOneWarp + body, kTiles, {threads, 1, 1}, target);
}

std::string sparse(const std::string& metadata, const std::string& selector,
                   const std::string& variant = "sp::ordered_metadata") {
  return "mov.u32 %r9, " + metadata + ";\nmma." + variant +
         ".sync.aligned.m16n8k32.row.col.f32.f16.f16.f32 {%r20, %r21, %r22, %r23}, "
         "{%r5, %r6, %r7, %r8}, {%r5, %r6, %r7, %r8}, {%r5, %r6, %r7, %r8}, %r9, " +
         selector + ";\n";
}

TEST(Mma, RefusesSparsityMetadataThatIsNone) {
  EXPECT_FALSE(run_warp(sparse("0x44444444", "1")).fault.has_value());
  expect_fault(run_warp(sparse("0x44444445", "0")), Fault::Kind::kIllegalInstruction,
               {"sparsity metadata 1, 1", "names one element twice"});
  expect_fault(run_warp(sparse("0x44444441", "0")), Fault::Kind::kIllegalInstruction,
               {"sparsity metadata 1, 0", "not in increasing order"});
  EXPECT_FALSE(run_warp(sparse("0x44444441", "0", "sp")).fault.has_value());
  expect_fault(run_warp(sparse("0x44444444", "2")), Fault::Kind::kIllegalInstruction,
               {"sparsity selector 2", "0 to 1"});
}

TEST(Mma, RefusesSelectorsOfScalesThatTheShapeHasNot) {
  const auto scaled = [](const std::string& a, const std::string& b) {
    return "mma.sync.aligned.m16n8k64.row.col.kind::mxf4nvf4.block_scale.scale_vec::2X.f32.e2m1."
           "e2m1.f32.ue8m0 {%r20, %r21, %r22, %r23}, {%r5, %r6, %r7, %r8}, {%r5, %r6}, "
           "{%r5, %r6, %r7, %r8}, %r5, {" +
           a + "}, %r5, {" + b + "};\n";
  };
  EXPECT_FALSE(run_warp(scaled("2, 1", "0, 3"), "sm_120a").fault.has_value());
  expect_fault(run_warp(scaled("1, 0", "0, 0"), "sm_120a"), Fault::Kind::kIllegalInstruction,
               {"byte-id 1", "2X"});
  expect_fault(run_warp(scaled("0, 2", "0, 0"), "sm_120a"), Fault::Kind::kIllegalInstruction,
               {"thread-id 2", "0 to 1"});
  expect_fault(run_warp(scaled("0, 0", "0, 4"), "sm_120a"), Fault::Kind::kIllegalInstruction,
               {"thread-id 4", "0 to 3"});
}

TEST(Mma, NeedsTheWholeWarp) {
  const std::string mma =
      "mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%r20, %r21, %r22, %r23}, {%r5, %r6}, "
      "{%r7}, {%r5, %r6, %r7, %r8};\n";
  expect_fault(run_warp(mma, "sm_90a", 16), Fault::Kind::kIllegalInstruction,
               {"only some lanes of the warp"});
}

TEST(Mma, SumsExactlyWhereAskedTo) {
  // 1 and sixteen products of 2^-26: the tensor core cuts what is below its 25 bits.
  const std::string body = R"(
mov.u32 %r5, 0x08000800;
mov.u32 %r6, 0x3F800000;
mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%r20, %r21, %r22, %r23}, {%r5, %r5, %r5, %r5},
    {%r5, %r5}, {%r6, %r6, %r6, %r6};
)";
  for (const bool exact : {false, true}) {
    Settings settings;
    settings.exact_tensor = exact;
    Machine machine("sm_90a", settings);
    ASSERT_TRUE(machine.load(kernel(body + kStore))) << machine.error;
    const uint64_t out = machine.buffer(std::vector<float>(128, -1));
    ASSERT_FALSE(machine.run("test", {1, 1, 1}, {32, 1, 1}, {0, out}).has_value());
    const float sum = machine.read<float>(out, 1)[0];
    EXPECT_EQ(sum, exact ? 1.0F + 0x1p-22F : 1.0F);
  }
}

TEST(Ldmatrix, RefusesRowsThatAreNone) {
  const std::string address = "mov.u32 %r9, tiles;\nmad.lo.u32 %r9, %r4, 16, %r9;\n";
  const std::string load = "ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%r20, %r21, %r22, %r23}, ";
  EXPECT_FALSE(run_warp(address + load + "[%r9];\n").fault.has_value());
  expect_fault(run_warp(address + load + "[%r9+8];\n"), Fault::Kind::kMisaligned, {"16"});
  expect_fault(run_warp(address + load + "[%r9+4096];\n"), Fault::Kind::kIllegalAddress,
               {"shared memory"});
  expect_fault(run_warp("ldmatrix.sync.aligned.m8n8.x1.b16 {%r20}, [%rd1];\n"),
               Fault::Kind::kIllegalAddress, {"not in shared memory"});
  // Lanes that have no row may hold anything.
  EXPECT_FALSE(run_warp(address + "setp.ge.u32 %p1, %r4, 8;\n@%p1 mov.u32 %r9, 7;\n" +
                        "ldmatrix.sync.aligned.m8n8.x1.shared.b16 {%r20}, [%r9];\n")
                   .fault.has_value());
}

}  // namespace
}  // namespace nibble::emulator
