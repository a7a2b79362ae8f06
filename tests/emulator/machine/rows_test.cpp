// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The instruction table as a whole, the matching of spellings, targets.
#include <gtest/gtest.h>

#include "runtime/emulator/isa/pattern.h"
#include "tests/emulator/machine/machine.h"

namespace nibble::emulator {
namespace {

TEST(Rows, EverySpellingParses) {
  ASSERT_GT(all_rows().size(), 200u);
  for (const Row& row : all_rows()) {
    EXPECT_NO_THROW(parse_spelling(row)) << row.spelling;
    EXPECT_TRUE(row.body != nullptr || row.select != nullptr) << row.spelling;
  }
}

TEST(Rows, NoTwoMatchTheSameInstruction) {
  std::vector<Pattern> patterns;
  for (const Row& row : all_rows()) patterns.push_back(parse_spelling(row));
  for (size_t i = 0; i < patterns.size(); ++i) {
    for (size_t j = i + 1; j < patterns.size(); ++j) {
      EXPECT_FALSE(overlap(patterns[i], patterns[j])) << patterns[i].row->spelling << "\n"
                                                      << patterns[j].row->spelling;
    }
  }
}

TEST(Rows, OverlapIsSeen) {
  const Row rows[] = {{"x{.a}.{u32,s32} d, a", {}, nullptr},
                      {"x.s32{.b} d, a", {}, nullptr},
                      {"x{.a}.{u32,s32} d, a, b", {}, nullptr},
                      {"x.b.{u32,s32} d, a", {}, nullptr}};
  EXPECT_TRUE(overlap(parse_spelling(rows[0]), parse_spelling(rows[1])));   // x.s32
  EXPECT_FALSE(overlap(parse_spelling(rows[0]), parse_spelling(rows[2])));  // operands
  EXPECT_FALSE(overlap(parse_spelling(rows[0]), parse_spelling(rows[3])));  // .b is required
}

TEST(Rows, ModifiersMatchInAnyOrderButTypesKeepTheirs) {
  const Row row{"cvt{.rn,.rz}{.sat}.{f32,f16}.{s32,u32} d, a", {}, nullptr};
  const Pattern pattern = parse_spelling(row);
  uint8_t choice[16];
  EXPECT_TRUE(match_modifiers(pattern, {"sat", "rz", "f32", "u32"}, choice));
  EXPECT_EQ(choice[0], 1);
  EXPECT_EQ(choice[1], 0);
  EXPECT_EQ(choice[2], 0);
  EXPECT_EQ(choice[3], 1);
  EXPECT_TRUE(match_modifiers(pattern, {"f16", "s32"}, choice));
  EXPECT_EQ(choice[0], kAbsent);
  EXPECT_FALSE(match_modifiers(pattern, {"u32", "f32"}, choice));
  EXPECT_FALSE(match_modifiers(pattern, {"f32", "u32", "u32"}, choice));
  EXPECT_FALSE(match_modifiers(pattern, {"f32"}, choice));
}

TEST(Rows, BadSpellingsAreRefused) {
  for (const char* bad : {"x.{a d", "x{a} d", "x.a d b", "x.a d:z99", "x.a [d"}) {
    EXPECT_THROW(parse_spelling({bad, {}, nullptr}), std::logic_error) << bad;
  }
}

TEST(Targets, RunsOn) {
  auto runs = [](const char* ptx, const char* device) {
    return runs_on(parse_target(ptx), parse_target(device));
  };
  EXPECT_TRUE(runs("sm_80", "sm_90a"));
  EXPECT_TRUE(runs("sm_90", "sm_100a"));
  EXPECT_FALSE(runs("sm_100", "sm_90a"));
  EXPECT_TRUE(runs("sm_90a", "sm_90a"));
  EXPECT_FALSE(runs("sm_90a", "sm_100a"));
  EXPECT_TRUE(runs("sm_100f", "sm_103a"));
  EXPECT_FALSE(runs("sm_103f", "sm_100a"));
  EXPECT_FALSE(runs("sm_100f", "sm_120a"));
  EXPECT_FALSE(runs("sm_90x", "sm_90a"));
  EXPECT_FALSE(runs("compute_90", "sm_90a"));
}

TEST(Targets, HasForm) {
  auto has = [](const char* ptx, Requires form) { return has_form(parse_target(ptx), form); };
  EXPECT_TRUE(has("sm_100a", {90}));
  EXPECT_FALSE(has("sm_80", {90}));
  EXPECT_TRUE(has("sm_100a", {0, "100f 120f"}));
  EXPECT_TRUE(has("sm_103f", {0, "100f 120f"}));
  EXPECT_FALSE(has("sm_100", {0, "100f 120f"}));
  EXPECT_FALSE(has("sm_90a", {0, "100f 120f"}));
  EXPECT_TRUE(has("sm_90a", {0, "90a"}));
  EXPECT_FALSE(has("sm_103a", {0, "100a"}));
}

TEST(Refusals, NameTheLineTheTextAndTheClosestForm) {
  Machine machine;
  EXPECT_FALSE(machine.load(kernel("add.u31 %r1, %r2, %r3;")));
  const std::string line = std::to_string(kBodyLine);
  EXPECT_EQ(machine.error.rfind("line " + line + ": add.u31 %r1, %r2, %r3;: unknown form", 0), 0u)
      << machine.error;
  EXPECT_NE(machine.error.find("known: add"), std::string::npos);

  auto refused = [&](const std::string& body, const std::string& why) {
    EXPECT_FALSE(machine.load(kernel(body))) << body;
    EXPECT_EQ(machine.error.rfind("line " + line + ":", 0), 0u) << machine.error;
    EXPECT_NE(machine.error.find(why), std::string::npos) << machine.error;
  };
  refused("frobnicate.u32 %r1;", "no such instruction");
  refused("ld.global.u32 %r1, %r2;", "operands do not fit");
  refused("mov.u32 %rd1, %r2;", "%rd1 has 64 bits, the operand needs 32");
  refused("mov.u32 %r1, %p1;", "%p1 is a predicate");
  refused("mov.u32 %r1, %nosuch;", "%nosuch");
  refused("mov.u16 %h1, 70000;", "too large");
  refused("mov.f32 %f1, 3;", "an integer");
  refused("ld.global.v2.u32 {%r1, %r2, %r3}, [%rd1];", "a vector of 2");
  refused("add.u32 %r1, %clock, %r2;", "only be read by mov");
  refused("ld.global.v8.b32 {%r1, %r2, %r3, %r4, %r5, %r6, %r7, %r8}, [%rd1];",
          "not on sm_90a; needs sm_100");
}

TEST(Refusals, Targets) {
  Machine machine("sm_90a");
  EXPECT_FALSE(machine.load(kernel("ret;", "", "sm_100a")));
  EXPECT_NE(machine.error.find("sm_100a does not run on"), std::string::npos) << machine.error;
  EXPECT_TRUE(machine.load(kernel("ret;", "", "sm_80"))) << machine.error;
  EXPECT_EQ(find_model("sm_42"), nullptr);
}

}  // namespace
}  // namespace nibble::emulator
