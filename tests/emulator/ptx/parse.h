// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the tests of the parser share: modules from fragments, and operands as text.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "runtime/emulator/ptx/module.h"
#include "runtime/emulator/ptx/parser.h"

namespace nibble::emulator {

constexpr std::string_view kHeader = ".version 9.0\n.target sm_100a\n.address_size 64\n";

// The module of `text`, which the three lines of kHeader go before; fails the test on an error.
inline Module parse(std::string_view text) {
  ParseError error;
  const auto module = parse_ptx(std::string(kHeader) + std::string(text), error);
  if (!module) ADD_FAILURE() << "line " << error.line << ": " << error.message << "\n" << text;
  return module.value_or(Module{});
}

// "line:column: message" with the header not counted, or "no error".
inline std::string error_of(std::string_view text) {
  ParseError error;
  if (parse_ptx(std::string(kHeader) + std::string(text), error)) return "no error";
  return std::to_string(error.line - 3) + ":" + std::to_string(error.column) + ": " + error.message;
}

// An entry with a parameter `p`, registers of usual names, and a body from line 4 on.
inline std::string entry(std::string_view body) {
  return ".visible .entry k(.param .u64 p)\n"
         "{ .reg .b32 %r<9>; .reg .b64 %rd<9>; .reg .f32 %f<9>; .reg .f64 %fd<9>;\n"
         ".reg .pred %p<9>;\n" +
         std::string(body) + "\n}\n";
}

inline Function parse_body(std::string_view body) {
  Module module = parse(entry(body));
  return module.functions.empty() ? Function{} : std::move(module.functions[0]);
}

inline std::string text_of(const Operand& operand, const Function& function);

inline std::string join(const Operand& operand, const Function& function, size_t from,
                        std::string_view separator) {
  std::string text;
  for (size_t i = from; i < operand.elements.size(); ++i) {
    if (i != from) text += separator;
    text += text_of(operand.elements[i], function);
  }
  return text;
}

// The operand as PTX, labels as L<index>; for comparison with what a test expects.
inline std::string text_of(const Operand& operand, const Function& function) {
  using Kind = Operand::Kind;
  const std::string offset = operand.offset != 0 ? "+" + std::to_string(operand.offset) : "";
  switch (operand.kind) {
    case Kind::kRegister:
      return (operand.negated ? "!" : "") + function.registers.at(operand.index).name;
    case Kind::kInteger:
      return std::to_string(static_cast<int64_t>(operand.bits));
    case Kind::kFloat32:
      return "f32:" + std::to_string(operand.bits);
    case Kind::kFloat64:
      return "f64:" + std::to_string(operand.bits);
    case Kind::kSpecial:
      return "special:" + operand.name;
    case Kind::kVariable:
      return operand.name + offset;
    case Kind::kFunction:
      return "function:" + operand.name;
    case Kind::kLabel:
      return "L" + std::to_string(operand.index);
    case Kind::kPrototype:
      return "prototype:" + function.prototypes.at(operand.index).name;
    case Kind::kAddress: {
      std::string text = "[" + text_of(operand.elements.at(0), function) + offset;
      if (operand.elements.size() > 1) text += ", " + join(operand, function, 1, ", ");
      return text + "]";
    }
    case Kind::kVector:
      return "{" + join(operand, function, 0, ", ") + "}";
    case Kind::kPair:
      return join(operand, function, 0, "|");
    case Kind::kList:
      return "(" + join(operand, function, 0, ", ") + ")";
    case Kind::kSink:
      return "_";
  }
  return "?";
}

inline std::string text_of(const Instruction& instruction, const Function& function) {
  std::string text;
  if (instruction.guard != kNoRegister) {
    text += std::string("@") + (instruction.guard_negated ? "!" : "") +
            function.registers.at(instruction.guard).name + " ";
  }
  text += instruction.opcode;
  for (const std::string& modifier : instruction.modifiers) text += "." + modifier;
  for (size_t i = 0; i < instruction.operands.size(); ++i) {
    text += (i == 0 ? " " : ", ") + text_of(instruction.operands[i], function);
  }
  return text;
}

}  // namespace nibble::emulator
