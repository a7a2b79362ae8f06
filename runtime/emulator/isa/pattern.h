// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A row's spelling taken apart, and the matching of instructions against it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/emulator/isa/isa.h"

namespace nibble::emulator {

// "s32", "f16x2", "e4m3x2", "pred"; empty where the text names no type.
std::optional<ValueType> parse_value_type(std::string_view text);

struct Group {
  std::vector<std::string> alternatives;
  bool optional = false;
};

struct OperandPattern {
  enum class Kind : uint8_t { kValue, kPair, kVector, kAddress, kLabel, kFunction };
  Kind kind = Kind::kValue;
  bool optional = false;
  bool is_result = false;  // named d: a register, or the sink where bodies know it
  bool plain = false;      // kVector: a plain register will do, as the vector modifier is optional
  std::optional<ValueType> type;   // the row's last type modifier where none is given
  std::optional<ValueType> right;  // of the second name of a pair
  bool coordinates = false;        // kAddress: a vector follows inside the brackets, of `right`
};

struct Pattern {
  const Row* row = nullptr;
  std::string opcode;
  std::vector<Group> groups;
  std::vector<OperandPattern> operands;
};

// Throws std::logic_error where a spelling breaks the grammar of isa.h: rows are our own text.
Pattern parse_spelling(const Row& row);

// Fills choice[g] for every group; false when the modifiers are not this row's. Modifiers may stand
// in any order, but types keep theirs: cvt.f32.s32 is not cvt.s32.f32.
bool match_modifiers(const Pattern& pattern, const std::vector<std::string>& modifiers,
                     uint8_t choice[16]);
// Whether the count and the kinds of operands are those of the row; types are not looked at.
bool match_operands(const Pattern& pattern, const std::vector<Operand>& operands);

// Whether some instruction could match both.
bool overlap(const Pattern& a, const Pattern& b);

// The patterns of an opcode, in the order of the rows; null where there are none. Thread-safe.
const std::vector<Pattern>* patterns_of(std::string_view opcode);

}  // namespace nibble::emulator
