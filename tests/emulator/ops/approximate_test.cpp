// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The approximate functions against values and checksums that an H200 gave.
#include <gtest/gtest.h>

#include <cmath>

#include "tests/emulator/ops/evaluate.h"

namespace nibble::emulator {
namespace {

struct Seen {
  uint32_t operand, result;
};

void check_seen(const std::string& opcode, const std::string& type, const std::vector<Seen>& seen) {
  Values operands;
  for (const Seen& pair : seen) operands.push_back(pair.operand);
  const Values results = evaluate(opcode + " %d, %a;", type, {{type, operands}});
  for (size_t i = 0; i < seen.size(); ++i) {
    EXPECT_EQ(results[i], seen[i].result) << opcode << " of " << std::hex << seen[i].operand;
  }
}

// Beside the ends of binades, results that are not the nearest.
TEST(Approximate, RootsAndReciprocals) {
  check_seen("rcp.approx.ftz.f32", "b32",
             {{0x3F800000, 0x3F800000},
              {0x3F800001, 0x3F7FFFFE},
              {0x3FB35A7A, 0x3F36B363},
              {0x3F9A2089, 0x3F549A91},
              {0x3FD53601, 0x3F19B02B},
              {0x3FFFFFFF, 0x3F000001}});
  check_seen("rsqrt.approx.ftz.f32", "b32",
             {{0x3F800000, 0x3F800000},
              {0x3F800001, 0x3F7FFFFE},
              {0x3FCB80BC, 0x3F4B079D},
              {0x3FFFFFFF, 0x3F3504F4},
              {0x40000000, 0x3F3504F2},
              {0x40000001, 0x3F3504F2},
              {0x405610BE, 0x3F0BFA1E},
              {0x407FFFFF, 0x3F000000}});
  check_seen("sqrt.approx.ftz.f32", "b32",
             {{0x3F800000, 0x3F800000},
              {0x3F81E01C, 0x3F80EF2E},
              {0x3FDA6500, 0x3FA7322C},
              {0x3FFFFFFF, 0x3FB504F3},
              {0x40000000, 0x3FB504F3},
              {0x4066A041, 0x3FF2FB64},
              {0x407FFFFF, 0x3FFFFFFF}});
}

TEST(Approximate, ExponentialAndLogarithm) {
  check_seen("ex2.approx.ftz.f32", "b32",
             {{0x3F800000, 0x40000000},
              {0x3F800001, 0x40000001},
              {0x3FF54333, 0x40718A07},
              {0xBF800000, 0x3F000000},
              {0xBF800001, 0x3EFFFFFE},
              {0xBFECDC50, 0x3E8DFA71},
              {0xBFFFFFFF, 0x3E800000},
              {0x3D000001, 0x3F82CD87},
              {0x3D674505, 0x3F851BDC}});
  check_seen("lg2.approx.ftz.f32", "b32",
             {{0x3F800000, 0x00000000},
              {0x3F800001, 0x3495F600},
              {0x3F94333A, 0x3E5879F2},
              {0x3FFFFFFF, 0x3F7FFFFF},
              {0x3F000000, 0xBF7FFFFE},
              {0x3F000001, 0xBF7FFFFB},
              {0x3F36B1EA, 0xBEF931A2},
              {0x3F7FFFFF, 0xB24B4000},
              {0x40000000, 0x3F800000},
              {0x404DFE42, 0x3FD7DDAF}});
}

TEST(Approximate, HyperbolicTangent) {
  check_seen("tanh.approx.f32", "b32",
             {{0x3F000000, 0x3EEC9A50},
              {0x3F14803D, 0x3F05D0F5},
              {0x3F7FFFFF, 0x3F42F788},
              {0x3F800000, 0x3F42F848},
              {0x3FCBEE31, 0x3F6BAF60},
              {0x3FFFFFFF, 0x3F76CA58},
              {0x40800000, 0x3F7FD430},
              {0x40C090D7, 0x3F7FFF3A},
              {0x40FFFFFF, 0x3F7FFFFC},
              {0x3D000001, 0x3CFFEAC0},
              {0x3D7FFFFF, 0x3D7FAAC1}});
}

TEST(Approximate, HalvesAreTruncated) {
  check_seen("ex2.approx.f16", "b16",
             {{0x3800, 0x3DA8},
              {0xB800, 0x39A8},
              {0x4BFF, 0x7BF4},
              {0x4C00, 0x7C00},
              {0xCE3A, 0x0000},
              {0x0001, 0x3C00},
              {0x7E00, 0x7FFF},
              {0xFC00, 0x0000}});
  check_seen("ex2.approx.ftz.bf16", "b16",
             {{0x3F00, 0x3FB5},
              {0xBF00, 0x3F35},
              {0x3BB9, 0x3F80},
              {0x4300, 0x7F80},
              {0x42FF, 0x7F35},
              {0xC2FD, 0x0000},
              {0xFFC1, 0x7FFF},
              {0xFF80, 0x0000}});
  check_seen("tanh.approx.f16", "b16",
             {{0x3C00, 0x3A17},
              {0xBC00, 0xBA17},
              {0x3800, 0x3764},
              {0x4800, 0x3C00},
              {0x47FF, 0x3BFF},
              {0x0001, 0x0001},
              {0x7E01, 0x7FFF},
              {0xFC00, 0xBC00}});
  check_seen("tanh.approx.bf16", "b16",
             {{0x3F80, 0x3F42},
              {0xBF80, 0xBF42},
              {0x3F00, 0x3EEC},
              {0x4100, 0x3F80},
              {0x40FF, 0x3F7F},
              {0x0001, 0x0001},
              {0xFFC1, 0x7FFF},
              {0xFF80, 0xBF80}});
}

// Over 2^15 operands from `first` on, the sum of operand and result, mixed.
struct Checksum {
  uint32_t first, sum;
};
constexpr uint32_t kBlock = 1 << 15;

uint32_t mixed(uint32_t operand, uint32_t result) {
  uint32_t v = result * 0x9E3779B1 + operand;
  v ^= v >> 15;
  v *= 0x85EBCA77;
  v ^= v >> 13;
  v *= 0xC2B2AE3D;
  return v ^ v >> 16;
}

// The operand's and the result's bits lie `shift` bits up in the register: 32 for f64.
void check_sums(const std::string& opcode, const std::string& type, int shift,
                const std::vector<Checksum>& sums) {
  for (const Checksum& expected : sums) {
    Values operands(kBlock);
    for (uint32_t i = 0; i < kBlock; ++i) operands[i] = uint64_t{expected.first + i} << shift;
    const Values results = evaluate(opcode + " %d, %a;", type, {{type, operands}});
    uint32_t sum = 0;
    for (uint32_t i = 0; i < kBlock; ++i) {
      sum += mixed(expected.first + i, static_cast<uint32_t>(results[i] >> shift));
    }
    EXPECT_EQ(sum, expected.sum) << opcode << " from " << std::hex << expected.first;
  }
}

TEST(Approximate, ChecksumsOfBlocks) {
  const std::pair<const char*, std::vector<Checksum>> cases[] = {
      {"rcp.approx.ftz.f32",
       {{0x3F800000, 0xDD70088D}, {0x3FB00000, 0x8D3E30C4}, {0x7E800000, 0x1E348AA5}}},
      {"rcp.approx.f32",
       {{0x00000000, 0x49BF5563}, {0x7E800000, 0xDD9AC8FE}, {0xBFC08000, 0x832AB681}}},
      {"rsqrt.approx.ftz.f32",
       {{0x3F800000, 0x73A828C1}, {0x40100000, 0xE70D77A0}, {0x7F7F8000, 0x08ACC2A0}}},
      {"rsqrt.approx.f32",
       {{0x00000000, 0x604A8D84}, {0x3FC00000, 0xEC5D5D6A}, {0x80000000, 0x87323BCA}}},
      {"sqrt.approx.ftz.f32",
       {{0x3F800000, 0xBE392B0E}, {0x40700000, 0x3F102336}, {0x7F7F8000, 0xE9E32A76}}},
      {"sqrt.approx.f32",
       {{0x00000000, 0x5370CC44}, {0x00400000, 0x87F2B92C}, {0x40000000, 0x4FBB6E43}}},
      {"ex2.approx.ftz.f32",
       {{0x3F800000, 0xDBF7783A}, {0xBE800000, 0x4886C4D5}, {0xC2FC0000, 0x753121BE}}},
      {"ex2.approx.f32",
       {{0xC2FC8000, 0x0412698C}, {0xC3150000, 0x808E71E0}, {0xB4000000, 0x8F35A323}}},
      {"lg2.approx.ftz.f32",
       {{0x3F800000, 0x0A57DB93}, {0x3F7F8000, 0xA6DC5D60}, {0x41200000, 0x065EBA67}}},
      {"lg2.approx.f32",
       {{0x00000000, 0x49830D05}, {0x007F8000, 0x53B7A474}, {0x40400000, 0xD7FCC2EA}}},
      {"sin.approx.ftz.f32",
       {{0x40490000, 0xB9AA4D1A}, {0x3C000000, 0x7C54D370}, {0xC7000000, 0x97D88D7F}}},
      {"cos.approx.ftz.f32",
       {{0x3FC90000, 0x589E5B13}, {0x3F000000, 0x0C8ABA4C}, {0xC7000000, 0xF7DA09D6}}},
      {"tanh.approx.f32",
       {{0x3F000000, 0xF86722E5}, {0x3B7F8000, 0x78487AB6}, {0x40A00000, 0x9D1E3E9D}}}};
  for (const auto& [opcode, sums] : cases) check_sums(opcode, "b32", 0, sums);
  check_sums("rcp.approx.ftz.f64", "b64", 32,
             {{0x3FF00000, 0xEF8B441B}, {0x3FF80000, 0xA7F49889}, {0x7FD00000, 0xDCE7AD07}});
  check_sums("rsqrt.approx.ftz.f64", "b64", 32,
             {{0x3FF00000, 0x9EBCF2EE}, {0x40080000, 0xD7184539}, {0x7FE00000, 0x8132394D}});
}

// A division is the reciprocal and a product, of operands that are scaled at the ends.
TEST(Approximate, Divisions) {
  const std::string scale_tiny =
      "abs.f32 %t, %b; setp.lt.f32 %p, %t, 0f00800000;"
      "@%p mul.f32 %a, %a, 0f4B800000; @%p mul.f32 %b, %b, 0f4B800000;";
  const std::string quarter_huge =
      "abs.f32 %t, %b; setp.gt.f32 %p, %t, 0f7E800000;"
      "@%p mul.f32 %a, %a, 0f3E800000; @%p mul.f32 %b, %b, 0f3E800000;";
  const std::string quarter_huge_ftz =
      "abs.f32 %t, %b; setp.gt.f32 %p, %t, 0f7E800000;"
      "@%p mul.ftz.f32 %a, %a, 0f3E800000; @%p mul.ftz.f32 %b, %b, 0f3E800000;";
  const std::string product = "rcp.approx.ftz.f32 %t, %b; mul.f32 %d, %a, %t;";
  const std::string product_ftz = "rcp.approx.ftz.f32 %t, %b; mul.ftz.f32 %d, %a, %t;";
  const std::pair<const char*, std::string> cases[] = {
      {"div.approx.f32", scale_tiny + product},
      {"div.approx.ftz.f32", product_ftz},
      {"div.full.f32", quarter_huge + scale_tiny + product},
      {"div.full.ftz.f32", quarter_huge_ftz + product_ftz}};
  const Pairs operands = pairs(special_floats(60), 20000);
  for (const auto& [opcode, sequence] : cases) {
    const std::vector<Column> columns = {{"b32", operands.a}, {"b32", operands.b}};
    const Values results = evaluate(std::string(opcode) + " %d, %a, %b;", "b32", columns);
    const Values expected = evaluate(sequence, "b32", columns);
    for (size_t i = 0; i < results.size(); ++i) {
      EXPECT_EQ(results[i], expected[i])
          << opcode << " of " << std::hex << operands.a[i] << " and " << operands.b[i];
    }
  }
}

TEST(Approximate, ReciprocalRootOfDoublesIsNear) {
  const Values operands = special_doubles(20000);
  const Values results = evaluate("rsqrt.approx.f64 %d, %a;", "b64", {{"b64", operands}});
  for (size_t i = 0; i < operands.size(); ++i) {
    const double root = 1 / std::sqrt(as_double(operands[i]));
    const double result = as_double(results[i]);
    if (std::isfinite(root)) {
      EXPECT_LE(std::fabs(result - root), root * 0x1p-51) << std::hex << operands[i];
    } else {
      EXPECT_EQ(std::isnan(result), std::isnan(root)) << std::hex << operands[i];
      EXPECT_EQ(std::isinf(result), std::isinf(root)) << std::hex << operands[i];
    }
  }
}

}  // namespace
}  // namespace nibble::emulator
