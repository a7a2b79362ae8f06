// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Variables, registers and parameters.
#include <algorithm>
#include <bit>
#include <string>
#include <utility>

#include "runtime/emulator/ptx/grammar.h"

namespace nibble::emulator {
namespace {

constexpr uint64_t kMaxVariableBytes = uint64_t{1} << 40;
constexpr uint64_t kMaxRegisters = 1u << 20;  // of one declaration
constexpr uint32_t kMaxAlign = 1u << 20;
constexpr std::string_view kComponents[] = {".x", ".y", ".z", ".w"};

// Elements of `.v2`, `.v4` and `.v8`; 0 for another word.
uint32_t vector_length(std::string_view word) {
  if (word == ".v2") return 2;
  if (word == ".v4") return 4;
  if (word == ".v8") return 8;
  return 0;
}

}  // namespace

std::optional<Space> Parser::space_of(std::string_view word) {
  if (word == ".global") return Space::kGlobal;
  if (word == ".shared") return Space::kShared;
  if (word == ".local") return Space::kLocal;
  if (word == ".const") return Space::kConst;
  if (word == ".param") return Space::kParam;
  if (word == ".reg") return Space::kRegister;
  return std::nullopt;
}

Parser::Declaration Parser::parse_declaration_words(Space space) {
  Declaration declaration;
  declaration.space = space;
  while (token_.kind == Token::Kind::kDotWord) {
    if (accept(".align")) {
      const Token align = token_;
      declaration.align = expect_number("an alignment in bytes", kMaxAlign);
      if (!std::has_single_bit(declaration.align)) {
        fail_at(align, "expected an alignment that is a power of two, found " + describe(align));
      }
    } else if (accept(".ptr")) {
      parse_pointer_attribute();
    } else if (accept(".attribute")) {
      parse_attribute();
    } else if (const uint32_t length = vector_length(token_.text); length != 0) {
      declaration.vector = length;
      advance();
    } else if (const std::optional<Type> type = type_of(token_.text)) {
      if (declaration.type) fail_expected("one type");
      declaration.type = type;
      advance();
    } else {
      fail_expected("a type");
    }
  }
  if (!declaration.type) fail_expected("a type");
  return declaration;
}

// What a pointer parameter points to: `.ptr .global .align 16`. Said for the compiler only.
void Parser::parse_pointer_attribute() {
  const std::optional<Space> space = space_of(token_.text);
  if (token_.kind == Token::Kind::kDotWord && space) advance();
  if (accept(".align")) expect_number("an alignment in bytes", kMaxAlign);
}

// .attribute(.managed) or .attribute(.unified(1, 2)): where the variable lives, not what it is.
void Parser::parse_attribute() {
  expect('(', "after '.attribute'");
  do {
    if (!accept(".managed")) {
      if (!accept(".unified")) fail_expected("'.managed' or '.unified'");
      if (accept('(')) {
        do {
          parse_integer_constant("an integer");
        } while (accept(','));
        expect(')', "after '.unified'");
      }
    }
  } while (accept(','));
  expect(')', "after '.attribute'");
}

// `[4][8]`, or `[]` with 0 for the first.
std::vector<uint64_t> Parser::parse_dimensions() {
  std::vector<uint64_t> dimensions;
  while (accept('[')) {
    if (dimensions.empty() && accept(']')) {
      dimensions.push_back(0);
      continue;
    }
    const Token at = token_;
    const int64_t size = parse_integer_constant("the size of an array");
    if (size < 0) fail_at(at, "the size of an array is negative: " + std::to_string(size));
    if (size == 0 && !dimensions.empty()) fail_at(at, "an inner size of an array is 0");
    dimensions.push_back(static_cast<uint64_t>(size));
    expect(']', "after the size of an array");
  }
  return dimensions;
}

// A name and its array sizes. The dimensions returned include that of a vector type.
Variable Parser::parse_declarator(const Declaration& declaration,
                                  std::vector<uint64_t>& dimensions) {
  const Token name = expect_name("the name of a variable");
  Variable variable;
  variable.name = name.text;
  variable.space = declaration.space;
  variable.type = *declaration.type;
  variable.location = location(name);
  dimensions = parse_dimensions();
  const uint32_t natural = size_of(variable.type) * declaration.vector;
  variable.align = declaration.align != 0 ? declaration.align : natural;
  if (declaration.vector > 1) dimensions.push_back(declaration.vector);
  if (variable.type == Type::kPred && variable.space != Space::kRegister) {
    fail_at(name, describe(name) + " is .pred, which only a register can be");
  }
  variable.size = size_of(variable.type);
  for (const uint64_t dimension : dimensions) {
    if (dimension == 0) continue;  // only the first can be
    if (variable.size > kMaxVariableBytes / dimension) {
      fail_at(name, "the array " + describe(name) + " is larger than 2^40 bytes");
    }
    variable.size *= dimension;
  }
  if (!dimensions.empty() && dimensions[0] == 0) variable.size = 0;
  return variable;
}

// Index of a new variable of the module, or of the extern declaration that it completes.
uint32_t Parser::add_module_variable(const Token& name, const Variable& variable) {
  const auto found = module_names_.find(name.text);
  if (found != module_names_.end() && found->second.kind == Meaning::Kind::kVariable) {
    Variable& earlier = module_.variables[found->second.index];
    const bool same = earlier.space == variable.space && earlier.type == variable.type;
    if (same && (earlier.is_extern || variable.is_extern)) {
      if (earlier.is_extern) earlier = variable;
      return found->second.index;
    }
  }
  Meaning meaning;
  meaning.kind = Meaning::Kind::kVariable;
  meaning.type = variable.type;
  meaning.index = static_cast<uint32_t>(module_.variables.size());
  meaning.element_size = size_of(variable.type);
  meaning.operand_name = name.text;
  declare(name, meaning);
  module_.variables.push_back(variable);
  return meaning.index;
}

void Parser::parse_module_variable(Linkage linkage) {
  const std::optional<Space> space =
      token_.kind == Token::Kind::kDotWord ? space_of(token_.text) : std::nullopt;
  if (!space || *space == Space::kParam || *space == Space::kRegister || *space == Space::kLocal) {
    fail_expected("a function or a .global, .const or .shared variable");
  }
  advance();
  const Declaration declaration = parse_declaration_words(*space);
  do {
    const Token name = token_;
    std::vector<uint64_t> dimensions;
    Variable variable = parse_declarator(declaration, dimensions);
    variable.is_extern = linkage == Linkage::kExtern;
    const uint32_t index = add_module_variable(name, variable);
    const bool is_unsized = variable.size == 0 && !variable.is_extern;
    if (token_.is('=')) {
      parse_initializer(variable, declaration, dimensions);
      module_.variables[index] = std::move(variable);
    } else if (is_unsized && !dimensions.empty() && dimensions[0] == 0) {
      fail_at(name, "the array " + describe(name) + " has no size, no initialiser and no .extern");
    }
  } while (accept(','));
  expect(';', "after the declaration of a variable");
}

void Parser::parse_body_variable() {
  const Declaration declaration = parse_declaration_words(*space_of(take().text));
  do {
    const Token name = token_;
    std::vector<uint64_t> dimensions;
    Variable variable = parse_declarator(declaration, dimensions);
    Meaning meaning;
    meaning.kind = Meaning::Kind::kVariable;
    meaning.type = variable.type;
    meaning.index = static_cast<uint32_t>(function_->variables.size());
    meaning.element_size = size_of(variable.type);
    meaning.operand_name = unique_name(name.text, variable.space);
    variable.name = meaning.operand_name;
    declare(name, meaning);
    if (token_.is('=')) parse_initializer(variable, declaration, dimensions);
    if (variable.size == 0 && variable.space != Space::kParam) {
      fail_at(name, "the array " + describe(name) + " has no size and no initialiser");
    }
    function_->variables.push_back(std::move(variable));
  } while (accept(','));
  expect(';', "after the declaration of a variable");
}

void Parser::take_register_budget(const Token& at, uint64_t count) {
  if (count > kMaxRegisters || count > register_budget_) {
    fail_at(at, describe(at) + " declares " + std::to_string(count) +
                    " registers, more than the limit of " +
                    std::to_string(std::min(kMaxRegisters, register_budget_)));
  }
  register_budget_ -= count;
}

// .reg .b32 %r<100>, p, q;
void Parser::parse_registers() {
  advance();
  const Declaration declaration = parse_declaration_words(Space::kRegister);
  if (declaration.vector > std::size(kComponents))
    fail_expected("at most 4 components before this");
  do {
    const Token name = expect_name("the name of a register");
    if (token_.is('<')) {
      declare_register_range(name, declaration);
    } else {
      declare_register(name, *declaration.type, declaration.vector);
    }
  } while (accept(','));
  expect(';', "after the declaration of registers");
}

void Parser::add_registers(const std::string& name, Type type, uint32_t components) {
  if (components == 1) {
    function_->registers.push_back({name, type});
    return;
  }
  for (uint32_t i = 0; i < components; ++i) {
    function_->registers.push_back({name + std::string(kComponents[i]), type});
  }
}

void Parser::declare_register_range(const Token& name, const Declaration& declaration) {
  expect('<', "after the name of registers");
  const uint32_t count = expect_number("a number of registers", UINT32_MAX);
  expect('>', "after a number of registers");
  take_register_budget(name, uint64_t{count} * declaration.vector);
  RegisterRange range;
  range.first = static_cast<uint32_t>(function_->registers.size());
  range.count = count;
  range.components = static_cast<uint8_t>(declaration.vector);
  range.type = *declaration.type;
  if (!scopes_.back().ranges.emplace(name.text, range).second) {
    fail_at(name, "the registers " + describe(name) + " are already declared in this scope");
  }
  for (uint32_t i = 0; i < count; ++i) {
    add_registers(std::string(name.text) + std::to_string(i), range.type, range.components);
  }
}

void Parser::declare_register(const Token& name, Type type, uint32_t components) {
  take_register_budget(name, components);
  Meaning meaning;
  meaning.components = static_cast<uint8_t>(components);
  meaning.type = type;
  meaning.index = static_cast<uint32_t>(function_->registers.size());
  declare(name, meaning);
  add_registers(std::string(name.text), type, components);
}

// ( .param .b64 a, .param .align 8 .b8 b[16], .reg .b32 c ). Without `named`, of a prototype.
std::vector<Variable> Parser::parse_parameters(bool named) {
  std::vector<Variable> parameters;
  expect('(', "before parameters");
  if (accept(')')) return parameters;
  do {
    parameters.push_back(parse_parameter(named));
  } while (accept(','));
  expect(')', "after parameters");
  return parameters;
}

Variable Parser::parse_parameter(bool named) {
  if (!token_.is(".param") && !token_.is(".reg")) fail_expected("'.param' or '.reg'");
  const Declaration declaration = parse_declaration_words(*space_of(take().text));
  const Token name = token_;
  std::vector<uint64_t> dimensions;
  Variable parameter = parse_declarator(declaration, dimensions);
  if (parameter.space == Space::kRegister && !dimensions.empty()) {
    fail_at(name, "the register parameter " + describe(name) + " must be a scalar");
  }
  if (named) parameter_names_.push_back(name);
  return parameter;
}

}  // namespace nibble::emulator
