// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tcgen05.mma against its rules: descriptors, places, targets, and the order with what else touches
// its operands. Each report names what is wrong.
#include <gtest/gtest.h>

#include <tuple>

#include "tests/emulator/machine/half_product.h"

namespace nibble::emulator {
namespace {

struct Rule {
  const char* modifiers;
  uint32_t descriptor;
  const char* tail;
  const char* report;
};

TEST(Tcgen05Rules, RefusesDescriptors) {
  const HalfProduct product(64);
  const uint32_t good = product.idesc(), scaled = 0x08100480;
  const char* const scales = "[%r20], [%r21], %p1";
  const Rule rules[] = {
      {".cta_group::1.kind::f16", good | 1u << 6, "%p1", "bit 6 must be 0"},
      {".cta_group::1.kind::f16", good | 1u << 23, "%p1", "bit 23 must be 0"},
      {".cta_group::1.kind::f16", good | 1u << 29, "%p1", "bit 29 must be 0"},
      {".cta_group::1.kind::f16", good | 1u << 30, "%p1", "bits 30-31 must be 0"},
      {".cta_group::1.kind::f16", good | 1u << 2, "%p1", "bit 2 is 1 without .sp"},
      {".cta_group::1.kind::f16", good | 1u << 3, "%p1", "bit 3 must be 0"},
      {".cta_group::1.kind::f16", good | 2u << 7, "%p1", "type 2 of A, which .kind::f16"},
      {".cta_group::1.kind::f16", good | 1u << 5, "%p1", "type 3 of D"},
      {".cta_group::1.kind::f16", (good & ~16u) | 1u << 10, "%p1",
       "an f16 result (bits 4-5) of bf16"},
      {".cta_group::1.kind::f16", product.idesc(256), "%p1", "M = 256, which .kind::f16"},
      {".cta_group::1.kind::f16", product.idesc(32), "%p1", "M = 32"},
      {".cta_group::1.kind::f16", good & ~(63u << 17), "%p1", "N = 0"},
      {".cta_group::1.kind::f16", good | 63u << 17, "%p1", "N = 504"},
      {".cta_group::1.kind::tf32", good, "%p1", "type 0 of A, which .kind::tf32"},
      {".cta_group::1.kind::f8f6f4", good | 2u << 7, "%p1", "type 2 of A, which .kind::f8f6f4"},
      {".cta_group::1.kind::f8f6f4", good | 5u << 7 | 1u << 15, "%p1",
       "a transposed A of elements below 8 bits"},
      {".cta_group::1.kind::f8f6f4", (good & ~(63u << 17)) | 5u << 17 | 1u << 16, "%p1",
       "N = 40 with a transposed B of 8 bits"},
      {".cta_group::1.kind::i8", (good & ~16u) | 2u << 4 | 1u << 13, "%p1", "bits 13-14 must be 0"},
      {".cta_group::1.kind::i8", (good & ~(16u | 63u << 17)) | 2u << 4 | 5u << 17, "%p1", "N = 40"},
      {".ws.cta_group::1.kind::f16", (good & ~(63u << 17)) | 4u << 17, "%p1", "N = 32"},
      {".cta_group::1.kind::mxf4nvf4.block_scale.block16", scaled | 1u << 15, scales,
       "bits 15-16 must be 0"},
      {".cta_group::1.kind::mxf4nvf4.block_scale.block16", scaled | 1u << 4, scales,
       "scale factor id 1; a multiple of 4"},
      {".cta_group::1.kind::mxf4nvf4.block_scale.block32", scaled | 1u << 23 | 1u << 29, scales,
       "scale factor id 1; a multiple of 2"},
      {".cta_group::1.kind::mxf4nvf4.block_scale.block32", scaled, scales,
       "ue4m3 scales (bit 23 is 0)"},
      {".cta_group::1.kind::mxf4.block_scale", scaled, scales, "ue4m3 scales"},
      {".cta_group::1.kind::mxf4.block_scale", (scaled & ~(3u << 27)) | 1u << 23, scales, "M = 0"},
      {".cta_group::1.kind::mxf4.block_scale", scaled | 1u << 23 | 1u << 24, scales,
       "bits 24-26 must be 0"},
      {".cta_group::1.kind::mxf4.block_scale", scaled | 1u << 23 | 1u << 31, scales,
       "K = 96 (bit 31), which sm_103a alone has"},
      {".cta_group::1.kind::mxf8f6f4.block_scale",
       (scaled & ~(7u << 7 | 7u << 10)) | 1u << 23 | 1u << 31, scales, "bit 31 must be 0"},
  };
  for (const Rule& rule : rules) {
    HalfProduct wrong(64);
    wrong.kernel.body = HalfProduct::descriptors() +
                        "add.u32 %r20, %tmem, 128;\nadd.u32 %r21, %tmem, 144;\n" +
                        wrong.multiply(rule.modifiers, rule.tail, rule.descriptor);
    const std::string report = wrong.report();
    EXPECT_NE(report.find(rule.report), std::string::npos)
        << rule.modifiers << ", " << rule.report << ": " << report;
    EXPECT_NE(report.find("instruction descriptor 0x"), std::string::npos) << report;
  }
}

std::string report_of(const std::string& body, const std::string& before_reading = "") {
  HalfProduct product(64);
  product.kernel.body = HalfProduct::descriptors() + body;
  product.kernel.before_reading = before_reading;
  return product.report();
}

void expect_parts(const std::string& report, const std::vector<std::string>& parts) {
  for (const std::string& part : parts) {
    EXPECT_NE(report.find(part), std::string::npos) << part << " not in: " << report;
  }
}

TEST(Tcgen05Rules, RefusesPlaces) {
  const std::string idesc = std::to_string(HalfProduct(64).idesc());
  const std::string scaled = "0x08100480";
  const std::string start = "tcgen05.mma.cta_group::1.kind::f16 ";
  const std::string nvfp4 = "tcgen05.mma.cta_group::1.kind::mxf4nvf4.block_scale.block16 ";
  expect_parts(report_of(start + "[%tmem+200], %rd10, %rd11, " + idesc + ", %p1;\n"),
               {"illegal address: D in columns 200 to 263", "allocated: columns 0 to 255"});
  expect_parts(report_of("add.u32 %r20, %tmem, 0x100000;\n" + start + "[%r20], %rd10, %rd11, " +
                         idesc + ", %p1;\n"),
               {"D begins at lane 16 of tensor memory, not 0"});
  expect_parts(report_of(start + "[%tmem], [%tmem+60], %rd11, " + idesc + ", %p1;\n"),
               {"A in columns 60 to 67 of tensor memory overlaps D in columns 0 to 63"});
  expect_parts(
      report_of(nvfp4 + "[%tmem], %rd10, %rd11, " + scaled + ", [%tmem+128], [%tmem+62], %p1;\n"),
      {"the scale factors of B in columns 62 to 63", "overlaps D"});
  expect_parts(
      report_of(nvfp4 + "[%tmem], %rd10, %rd11, " + scaled + ", [%tmem+254], [%tmem+128], %p1;\n"),
      {"illegal address: the scale factors of A in columns 254 to 257"});
  expect_parts(report_of("or.b64 %rd10, %rd10, " + std::to_string(1ull << 61) + ";\n" + start +
                         "[%tmem], %rd10, %rd11, " + idesc + ", %p1;\n"),
               {"A: matrix descriptor", "swizzle 3"});
  expect_parts(report_of("add.u64 %rd11, %rd11, 3072;\n" + start + "[%tmem], %rd10, %rd11, " +
                         idesc + ", %p1;\n"),
               {"illegal address: B: the matrix at", "outside of the block's shared memory"});
  expect_parts(
      report_of("mov.u32 %r20, 5;\n" + start + "[%tmem], %rd10, %rd11, " + idesc + ", %p1, 16;\n"),
      {"scale-input-d 16"});
}

TEST(Tcgen05Rules, NeedsScalesInEveryQuarter) {
  HalfProduct product(64);
  product.kernel.tensor(96 + 5, 128) = 0x38383800;
  product.kernel.body =
      HalfProduct::descriptors() +
      "tcgen05.mma.cta_group::1.kind::mxf4nvf4.block_scale.block16 [%tmem], %rd10, "
      "%rd11, 0x08100480, [%tmem+128], [%tmem+144], %p1;\n";
  expect_parts(product.report(), {"the scale factors of A in row 5 differ between lanes 5 and 101",
                                  "column 128", "every quarter of the lanes needs a copy"});
}

TEST(Tcgen05Rules, NeedsItsOwnTarget) {
  for (const auto& [target, modifiers, tail] :
       {std::tuple{"sm_100f", ".cta_group::1.kind::mxf4nvf4.block_scale.scale_vec::4X",
                   "[%r20], [%r21], %p1"},
        {"sm_103a", ".cta_group::1.kind::i8", "%p1"},
        {"sm_100a", ".cta_group::1.kind::mxf4nvf4.block_scale", "[%r20], [%r21], %p1"},
        {"sm_100a", ".cta_group::1.kind::mxf4.block_scale.block16", "[%r20], [%r21], %p1"},
        {"sm_100a", ".cta_group::2.kind::f16", "{%r20, %r20, %r20, %r20}, %p1"}}) {
    HalfProduct product(64);
    product.kernel.target = target;
    product.kernel.body = product.multiply(modifiers, tail, 0);
    const std::string report = product.report();
    EXPECT_TRUE(report.find("not on sm_") != std::string::npos ||
                report.find("no form for these") != std::string::npos ||
                report.find("unknown model") != std::string::npos)
        << report;
  }
}

TEST(Tcgen05Rules, MayNotBeOvertaken) {
  const std::string idesc = std::to_string(HalfProduct(64).idesc());
  const std::string multiply =
      "tcgen05.mma.cta_group::1.kind::f16 [%tmem], %rd10, %rd11, " + idesc + ", %p1;\n";
  // Its operand is overwritten before anybody knows that it is over.
  expect_parts(
      report_of(multiply + "st.shared.u32 [%smem+16384], %r1;\n"),
      {"unordered access while an asynchronous operation may be pending: writes shared memory",
       "the other: the tensor core of block (0,0,0) reads it", "tcgen05.mma"});
  // Its result is read by warps that did not wait for the commit.
  expect_parts(report_of(multiply + "mbarrier.arrive.shared::cta.b64 _, [%bar];\n"),
               {"reads tensor memory", "the tensor core of block (0,0,0) writes it"});
  // Generic stores that no fence has shown to it.
  expect_parts(report_of("st.shared.u32 [%smem+16384], %r1;\n" + multiply),
               {"missing fence.proxy.async", "st.shared.u32"});
  // A store to tensor memory that was not waited for.
  HalfProduct product(64);
  product.kernel.body = HalfProduct::descriptors() + multiply;
  std::string text = product.kernel.text();
  const std::string wait = "tcgen05.wait::st.sync.aligned;\n";
  text.erase(text.find(wait), wait.size());
  Machine machine("sm_100a");
  ASSERT_TRUE(machine.load(text)) << machine.error;
  const uint64_t a = machine.buffer(std::vector<uint32_t>(16384));
  const uint64_t b = machine.buffer(std::vector<uint32_t>(128 * 256));
  const auto fault = machine.run("test", {1, 1, 1}, {128, 1, 1}, {a, b}, {1, 1, 1}, 65536);
  ASSERT_TRUE(fault);
  expect_parts(fault->report, {"tensor memory at lane", "tcgen05.st.sync.aligned", "tcgen05.mma"});
}

// With the setting on, each of the fences between warps is missed.
TEST(Tcgen05Rules, FindsMissingFences) {
  HalfProduct product(64);
  product.kernel.body = HalfProduct::descriptors() +
                        product.multiply(".cta_group::1.kind::f16", "%p1", product.idesc());
  const std::string text = product.kernel.text();
  const auto report = [&](const std::string& without, size_t occurrence, bool checks) {
    std::string changed = text;
    size_t at = changed.find(without);
    for (size_t i = 0; i < occurrence; ++i) at = changed.find(without, at + 1);
    if (!without.empty()) changed.erase(at, without.size());
    Settings settings;
    settings.check_tensor_fences = checks;
    Machine machine("sm_100a", settings);
    EXPECT_TRUE(machine.load(changed)) << machine.error;
    const uint64_t a = machine.buffer(std::vector<uint32_t>(16384));
    const uint64_t b = machine.buffer(std::vector<uint32_t>(128 * 256));
    const auto fault = machine.run("test", {1, 1, 1}, {128, 1, 1}, {a, b}, {1, 1, 1}, 65536);
    return fault ? fault->report : "";
  };
  const std::string before = "tcgen05.fence::before_thread_sync;\n";
  const std::string after = "tcgen05.fence::after_thread_sync;\n";
  EXPECT_EQ(report("", 0, true), "");
  EXPECT_EQ(report(before, 0, false), "");
  EXPECT_EQ(report(after, 0, false), "");
  // Stores of all warps, then the product; the product, then loads; loads, then deallocation.
  expect_parts(report(before, 0, true), {"missing tcgen05.fence::before_thread_sync by the other",
                                         "tcgen05.st", "tcgen05.mma"});
  expect_parts(report(after, 0, true),
               {"missing tcgen05.fence::after_thread_sync: writes", "tcgen05.st", "tcgen05.mma"});
  expect_parts(report(after, 1, true), {"missing tcgen05.fence::after_thread_sync: reads",
                                        "the tensor core of block", "tcgen05.ld"});
}

TEST(Tcgen05Rules, FindsWhatNobodyWrote) {
  const auto report = [](const std::string& without, const std::string& body,
                         bool checks_order = true) {
    HalfProduct product(64);
    product.kernel.settings.check_uninitialized = true;
    product.kernel.settings.check_order = checks_order;
    product.kernel.body = HalfProduct::descriptors() + body;
    std::string text = product.kernel.text();
    for (size_t at; !without.empty() && (at = text.find(without)) != std::string::npos;) {
      text.erase(at, text.find('\n', at) + 1 - at);
    }
    Machine machine("sm_100a", product.kernel.settings);
    EXPECT_TRUE(machine.load(text)) << machine.error;
    const uint64_t a = machine.buffer(std::vector<uint32_t>(16384));
    const uint64_t b = machine.buffer(std::vector<uint32_t>(128 * 256));
    const auto fault = machine.run("test", {1, 1, 1}, {128, 1, 1}, {a, b}, {1, 1, 1}, 65536);
    return fault ? fault->report : "";
  };
  const HalfProduct product(64);
  const std::string half = ".cta_group::1.kind::f16";
  const std::string multiply = product.multiply(half, "%p1", product.idesc());
  EXPECT_EQ(report("", multiply), "");
  expect_parts(report("st.shared.v4", multiply),
               {"reads shared memory at", "which nobody has written yet", "tcgen05.mma"});
  expect_parts(report("st.shared.v4", multiply, false),
               {"uninitialized memory: B at shared memory", "(row 0) was never written"});
  expect_parts(report("tcgen05.st.sync", multiply),
               {"uninitialized memory: D reads tensor memory at lane 0, column 0"});
  expect_parts(report("tcgen05.st.sync", product.multiply(half, "%p2", product.idesc())),
               {"uninitialized memory: a load reads tensor memory at lane", "column 64"});
}

// Writes that order others are not told apart, but known to be there.
TEST(Tcgen05Rules, TakesVolatileOperands) {
  HalfProduct product(64);
  product.kernel.body = HalfProduct::descriptors() +
                        product.multiply(".cta_group::1.kind::f16", "%p1", product.idesc());
  std::string text = product.kernel.text();
  const std::string plain = "st.shared.v4";
  ASSERT_NE(text.find(plain), std::string::npos);
  for (size_t at; (at = text.find(plain)) != std::string::npos;) {
    text.replace(at, plain.size(), "st.volatile.shared.v4");
  }
  Machine machine("sm_100a");
  ASSERT_TRUE(machine.load(text)) << machine.error;
  const uint64_t a = machine.buffer(std::vector<uint32_t>(16384));
  const uint64_t b = machine.buffer(std::vector<uint32_t>(128 * 256));
  const auto fault = machine.run("test", {1, 1, 1}, {128, 1, 1}, {a, b}, {1, 1, 1}, 65536);
  EXPECT_FALSE(fault) << fault->report;
}

}  // namespace
}  // namespace nibble::emulator
