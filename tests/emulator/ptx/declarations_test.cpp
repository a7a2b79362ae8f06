// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Variables and their initial values.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "runtime/emulator/ptx/parser.h"
#include "tests/emulator/ptx/parse.h"

namespace nibble::emulator {
namespace {

Variable variable(std::string_view text) {
  Module module = parse(".global .u32 x[4];\n.func f { ret; }\n" + std::string(text));
  return module.variables.empty() ? Variable{} : std::move(module.variables.back());
}

// The initial bytes as elements of T, the rest zero.
template <class T>
std::vector<T> initial(std::string_view text) {
  const Variable parsed = variable(text);
  EXPECT_LE(parsed.initial.size(), parsed.size) << text;
  std::vector<T> values(parsed.size / sizeof(T));
  if (!parsed.initial.empty()) {
    std::memcpy(values.data(), parsed.initial.data(), parsed.initial.size());
  }
  return values;
}

TEST(Declarations, SizesAndAlignments) {
  const Variable scalar = variable(".visible .global .f64 a;");
  EXPECT_EQ(scalar.size, 8u);
  EXPECT_EQ(scalar.align, 8u);
  EXPECT_EQ(scalar.space, Space::kGlobal);
  const Variable array = variable(".const .align 16 .b16 a[4][3];");
  EXPECT_EQ(array.size, 24u);
  EXPECT_EQ(array.align, 16u);
  EXPECT_EQ(array.space, Space::kConst);
  const Variable vector = variable(".shared .v4 .f32 a[2];");
  EXPECT_EQ(vector.size, 32u);
  EXPECT_EQ(vector.align, 16u);
  const Variable dynamic = variable(".extern .shared .align 16 .b8 smem[];");
  EXPECT_EQ(dynamic.size, 0u);
  EXPECT_TRUE(dynamic.is_extern);
  EXPECT_EQ(variable(".global .attribute(.managed) .b32 a;").size, 4u);
  EXPECT_EQ(variable(".global .attribute(.unified(1, 2)) .b128 a;").size, 16u);
  EXPECT_EQ(variable(".global .b8 a[0xFFFFFFFF];").size, 0xFFFFFFFFu);  // stored, not allocated
  EXPECT_EQ(variable(".common .global .b8 a[2+3*4];").size, 14u);
}

TEST(Declarations, SeveralOfOneType) {
  const Module module = parse(".global .u32 a, b[3], c = 7;");
  ASSERT_EQ(module.variables.size(), 3u);
  EXPECT_EQ(module.variables[1].size, 12u);
  EXPECT_EQ(module.variables[2].initial, (std::vector<uint8_t>{7, 0, 0, 0}));
}

TEST(Declarations, ExternIsCompletedByTheDefinition) {
  const Module module = parse(".extern .global .u32 a;\n.visible .global .u32 a = 3;");
  ASSERT_EQ(module.variables.size(), 1u);
  EXPECT_FALSE(module.variables[0].is_extern);
  EXPECT_EQ(module.variables[0].initial.at(0), 3u);
}

TEST(Declarations, Integers) {
  EXPECT_EQ(initial<int8_t>(".global .b8 a[4] = {1, -2, 255, 0x7F};"),
            (std::vector<int8_t>{1, -2, -1, 127}));
  EXPECT_EQ(initial<uint32_t>(".global .u32 a = 3+4;"), (std::vector<uint32_t>{7}));
  EXPECT_EQ(initial<uint32_t>(".global .u32 a[3] = {1};"), (std::vector<uint32_t>{1, 0, 0}));
  EXPECT_EQ(initial<uint32_t>(".global .u32 a[2] = {};"), (std::vector<uint32_t>{0, 0}));
  EXPECT_EQ(initial<uint16_t>(".const .u16 a[] = {1, 2, 3};"), (std::vector<uint16_t>{1, 2, 3}));
  EXPECT_EQ(initial<int64_t>(".global .b128 a[2] = {-2, 5};"),
            (std::vector<int64_t>{-2, -1, 5, 0}));
}

TEST(Declarations, NestedBraces) {
  EXPECT_EQ(initial<int>(".global .s32 a[2][3] = {{1, 2, 3}, {4}};"),
            (std::vector<int>{1, 2, 3, 4, 0, 0}));
  EXPECT_EQ(initial<int>(".global .s32 a[][2] = {{-1, 0}, {0, -1}, {1, 0}};"),
            (std::vector<int>{-1, 0, 0, -1, 1, 0}));
  EXPECT_EQ(initial<int>(".global .s32 a[][2] = {{1, 2}, {3}};"), (std::vector<int>{1, 2, 3, 0}));
  EXPECT_EQ(initial<float>(".global .v2 .f32 a[2] = {{1.0, 2.0}, {3.0, 4.0}};"),
            (std::vector<float>{1, 2, 3, 4}));
  EXPECT_EQ(initial<int>(".global .u32 a[2][2][2] = {{{1, 2}, {3, 4}}, {{5, 6}}};"),
            (std::vector<int>{1, 2, 3, 4, 5, 6, 0, 0}));
}

TEST(Declarations, Floats) {
  EXPECT_EQ(initial<float>(".global .f32 a[5] = {0f3F800000, 1.5, -2.0, .5, 0d4000000000000000};"),
            (std::vector<float>{1, 1.5, -2, 0.5, 2}));
  EXPECT_EQ(initial<double>(".global .f64 a[3] = {0d3FF0000000000000, 1e300, 0f40000000};"),
            (std::vector<double>{1, 1e300, 2}));
  EXPECT_EQ(initial<float>(".global .b32 a[1] = {0f3F800000};"), (std::vector<float>{1}));
}

TEST(Declarations, Addresses) {
  const Variable parsed = variable(".global .u64 a[5] = {x, x+8, generic(x)+4, 5, f};");
  ASSERT_EQ(parsed.symbols.size(), 4u);
  EXPECT_EQ(parsed.symbols[0].name, "x");
  EXPECT_EQ(parsed.symbols[0].size, 8u);
  EXPECT_FALSE(parsed.symbols[0].generic);
  EXPECT_EQ(parsed.symbols[1].addend, 8);
  EXPECT_EQ(parsed.symbols[1].offset, 8u);
  EXPECT_TRUE(parsed.symbols[2].generic);
  EXPECT_EQ(parsed.symbols[2].addend, 4);
  EXPECT_EQ(parsed.symbols[3].name, "f");
  EXPECT_EQ(parsed.symbols[3].offset, 32u);
  EXPECT_EQ(parsed.initial.at(24), 5u);
  EXPECT_EQ(variable(".global .u32 a = x;").symbols.at(0).size, 4u);
}

TEST(Declarations, BytesOfAnAddressJoin) {
  const Variable whole = variable(
      ".global .u8 a[9] = {7, 0xFF(x), 0xFF00(x), 0xFF0000(x), 0xFF000000(x), 0xFF00000000(x), "
      "0xFF0000000000(x), 0xFF000000000000(x), 0xFF00000000000000(x)};");
  ASSERT_EQ(whole.symbols.size(), 1u);
  EXPECT_EQ(whole.symbols[0].offset, 1u);
  EXPECT_EQ(whole.symbols[0].size, 8u);
  const Variable parts =
      variable(".global .u8 a[4] = {0xFF00(generic(x)+4), 0xFF0000(generic(x)+4), 0xFF(x), 1};");
  ASSERT_EQ(parts.symbols.size(), 2u);
  EXPECT_EQ(parts.symbols[0].shift, 8u);
  EXPECT_EQ(parts.symbols[0].size, 2u);
  EXPECT_TRUE(parts.symbols[0].generic);
  EXPECT_EQ(parts.symbols[0].addend, 4);
  EXPECT_EQ(parts.symbols[1].size, 1u);
}

TEST(Declarations, OfABody) {
  const Function function =
      parse_body(".local .align 8 .b8 depot[24];\n.const .u16 c[2] = {1, 2};");
  ASSERT_EQ(function.variables.size(), 2u);
  EXPECT_EQ(function.variables[0].space, Space::kLocal);
  EXPECT_EQ(function.variables[0].size, 24u);
  EXPECT_EQ(function.variables[1].initial, (std::vector<uint8_t>{1, 0, 2, 0}));
}

}  // namespace
}  // namespace nibble::emulator
