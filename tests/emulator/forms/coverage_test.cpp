// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Which rows of the instruction table the forms exercise. Rows that no form hits are listed; their
// number may only fall.
#include <gtest/gtest.h>

#include <iostream>
#include <set>

#include "runtime/emulator/machine/code.h"
#include "runtime/emulator/machine/device.h"
#include "runtime/emulator/ptx/parser.h"
#include "tests/emulator/forms/form.h"

namespace nibble::forms {
namespace {

// Lower these when forms are added; never raise them.
constexpr size_t kMissedOnCard = 2;  // rows that sm_90a has: trap and brkpt end a launch
constexpr size_t kMissedElsewhere =
    7;  // rows of later targets: cvt.rs, which the tests of ops/ cover

constexpr uint64_t kMemory = uint64_t{1} << 26;

// The rows behind every instruction of a form, or why it is refused.
void add_rows(const Form& form, std::set<const emulator::Row*>& rows) {
  emulator::ParseError error;
  const auto module = emulator::parse_ptx(form.text, error);
  ASSERT_TRUE(module) << form.name << ": line " << error.line << ": " << error.message;
  const emulator::DeviceModel* model = emulator::find_model(form.target);
  ASSERT_NE(model, nullptr) << form.name << ": " << form.target;
  emulator::GlobalMemory memory(kMemory, false);
  std::string refusal;
  const auto program = emulator::Program::load(*module, *model, memory, refusal);
  ASSERT_NE(program, nullptr) << form.name << ": " << refusal;
  for (const auto& function : program->code().functions) {
    for (const emulator::Inst& inst : function.body) {
      if (inst.row != nullptr) rows.insert(inst.row);
    }
  }
}

TEST(Coverage, EveryRowIsHitByAForm) {
  std::vector<Form> forms;
  std::string error;
  ASSERT_TRUE(
      read_forms({std::filesystem::path(NIBBLE_SOURCE_DIR) / "tests/emulator/forms"}, forms, error))
      << error;
  std::set<const emulator::Row*> hit;
  for (const Form& form : forms) add_rows(form, hit);
  const emulator::Target card = {90, 'a'};
  size_t on_card = 0;
  size_t elsewhere = 0;
  for (const emulator::Row& row : emulator::all_rows()) {
    if (hit.contains(&row)) continue;
    const bool has = emulator::has_form(card, row.target);
    ++(has ? on_card : elsewhere);
    std::cout << "no form hits " << (has ? "" : "(not on sm_90a) ") << row.spelling << '\n';
  }
  std::cout << hit.size() << " of " << emulator::all_rows().size() << " rows are hit\n";
  EXPECT_LE(on_card, kMissedOnCard);
  EXPECT_LE(elsewhere, kMissedElsewhere);
}

}  // namespace
}  // namespace nibble::forms
