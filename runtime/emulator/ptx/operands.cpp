// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Operands of instructions.
#include <string>
#include <utility>

#include "runtime/emulator/ptx/grammar.h"

namespace nibble::emulator {
namespace {

using Kind = Operand::Kind;

constexpr std::string_view kComponents[] = {".x", ".y", ".z", ".w"};

// Index of a component of a vector register; 4 for another word.
uint32_t component_of(std::string_view word) {
  if (word.size() != 2) return 4;
  const size_t by_place = std::string_view("xyzw").find(word[1]);
  if (by_place != std::string_view::npos) return static_cast<uint32_t>(by_place);
  const size_t by_colour = std::string_view("rgba").find(word[1]);
  return by_colour != std::string_view::npos ? static_cast<uint32_t>(by_colour) : 4;
}

}  // namespace

// `slot`: the place in the operands of the instruction, kNested inside another operand.
Operand Parser::parse_operand(uint32_t slot) {
  if (token_.kind == Token::Kind::kName && !token_.is("WARP_SZ")) return parse_name_operand(slot);
  if (accept('[')) return parse_address();
  if (accept('{')) return parse_elements(Kind::kVector, '}');
  if (opcode_ == "call" && slot != kNested && accept('(')) return parse_elements(Kind::kList, ')');
  if (token_.is('!') || token_.is('-')) {
    const Token next = Lexer(lexer_).next();
    if (next.kind == Token::Kind::kName && !next.is("WARP_SZ")) return parse_negated();
  }
  return parse_constant_operand();
}

Operand Parser::parse_elements(Kind kind, char close) {
  const DepthGuard guard(depth_, token_);
  Operand operand;
  operand.kind = kind;
  if (accept(close)) return operand;
  do {
    operand.elements.push_back(parse_operand(kNested));
  } while (accept(','));
  expect(close, kind == Kind::kVector ? "after the elements of a vector" : "after arguments");
  return operand;
}

// !p and -r
Operand Parser::parse_negated() {
  const Token sign = take();
  const Token name = token_;
  Operand operand = parse_name_operand(kNested);
  if (operand.kind != Kind::kRegister) {
    fail_at(name, "expected a register after " + describe(sign) + ", found " + describe(name));
  }
  operand.negated = true;
  return operand;
}

Operand Parser::parse_constant_operand() {
  const Constant value = parse_constant();
  Operand operand;
  operand.kind = value.kind == Constant::Kind::kFloat32   ? Kind::kFloat32
                 : value.kind == Constant::Kind::kFloat64 ? Kind::kFloat64
                                                          : Kind::kInteger;
  operand.bits = value.bits;
  return operand;
}

Operand Parser::parse_name_operand(uint32_t slot) {
  const Token name = take();
  if (name.text == "_") return parse_pair(Operand{});
  const std::optional<Meaning> meaning = find_name(name.text);
  if (!meaning) return name.text[0] == '%' ? special_operand(name) : label_operand(name, slot);
  Operand operand;
  switch (meaning->kind) {
    case Meaning::Kind::kRegister:
      return parse_pair(register_operand(name, *meaning));
    case Meaning::Kind::kVariable:
      operand.kind = Kind::kVariable;
      operand.name = meaning->operand_name;
      if (token_.is('[')) parse_index(operand, *meaning);
      if (slot != kNested) {
        operand.offset = static_cast<int64_t>(static_cast<uint64_t>(operand.offset) +
                                              static_cast<uint64_t>(parse_offset()));
      }
      return operand;
    case Meaning::Kind::kFunction:
      operand.kind = Kind::kFunction;
      operand.name = meaning->operand_name;
      return operand;
    case Meaning::Kind::kLabel:
    case Meaning::Kind::kTargets:
    case Meaning::Kind::kPrototype:
      break;
  }
  return label_operand(name, slot);
}

Operand Parser::special_operand(const Token& name) {
  Operand operand;
  operand.kind = Kind::kSpecial;
  operand.name = name.text;
  if (token_.kind == Token::Kind::kDotWord) {
    const uint32_t component = component_of(token_.text);
    operand.name += component < 4 ? kComponents[component] : token_.text;
    advance();
  }
  if (!is_special_register(operand.name)) {
    fail_at(name, "'" + operand.name + "' is neither a declared register nor a special register");
  }
  return operand;
}

// Resolved at the end of the scope, as it may stand further down.
Operand Parser::label_operand(const Token& name, uint32_t slot) {
  if (slot == kNested) fail_at(name, describe(name) + " is not declared");
  scopes_.back().label_uses.push_back(
      {name, false, static_cast<uint32_t>(function_->body.size()), slot});
  Operand operand;
  operand.kind = Kind::kLabel;
  operand.name = name.text;
  return operand;
}

Operand Parser::register_operand(const Token& name, const Meaning& meaning) {
  Operand operand;
  operand.kind = Kind::kRegister;
  operand.index = meaning.index;
  if (token_.kind == Token::Kind::kDotWord) {
    const uint32_t component = component_of(token_.text);
    if (component >= meaning.components || meaning.components == 1) {
      fail_at(token_, "the register " + describe(name) + " has no component " + describe(token_));
    }
    operand.index += component;
    advance();
    return operand;
  }
  if (meaning.components == 1) return operand;
  Operand vector;
  vector.kind = Kind::kVector;
  for (uint32_t i = 0; i < meaning.components; ++i) {
    vector.elements.push_back(operand);
    ++operand.index;
  }
  return vector;
}

// p|q, r|p, _|p
Operand Parser::parse_pair(Operand first) {
  if (!token_.is('|')) return first;
  advance();
  Operand pair;
  pair.kind = Kind::kPair;
  const Token name = expect_name("a register or '_' after '|'");
  Operand second;
  if (name.text != "_") {
    const std::optional<Meaning> meaning = find_name(name.text);
    if (!meaning || meaning->kind != Meaning::Kind::kRegister) {
      fail_at(name, "expected a declared register or '_' after '|', found " + describe(name));
    }
    second = register_operand(name, *meaning);
  }
  pair.elements.push_back(std::move(first));
  pair.elements.push_back(std::move(second));
  return pair;
}

// The sum of what follows an address: +8, +-8, +4+2*3.
int64_t Parser::parse_offset() {
  constexpr int kTighterThanPlus = 10;
  uint64_t offset = 0;
  while (accept('+')) {
    const Token at = token_;
    const Constant term = parse_binary(kTighterThanPlus);
    if (!term.is_integer()) fail_at(at, "expected an integer offset, found " + describe(at));
    offset += term.bits;
  }
  return static_cast<int64_t>(offset);
}

// a[3]: the address of an element; for mov the address itself, for others what it points to.
void Parser::parse_index(Operand& operand, const Meaning& meaning) {
  const Token open = take();
  if (token_.kind == Token::Kind::kName && !token_.is("WARP_SZ")) {
    fail_at(token_, "expected a constant index, found " + describe(token_) +
                        "; index with a register as [register+offset]");
  }
  const int64_t index = parse_integer_constant("a constant index");
  expect(']', "after the index of an array");
  if (opcode_.empty()) fail_at(open, "an index is not allowed here");
  const uint64_t bytes = static_cast<uint64_t>(index) * meaning.element_size;
  if (opcode_ == "mov" || opcode_ == "cvta") {
    operand.offset = static_cast<int64_t>(bytes);
    return;
  }
  Operand address;
  address.kind = Kind::kAddress;
  address.offset = static_cast<int64_t>(bytes);
  address.elements.push_back(std::move(operand));
  operand = std::move(address);
}

// What follows '[': a base, its offset, then what instructions put after it.
Operand Parser::parse_address() {
  const DepthGuard guard(depth_, token_);
  Operand address;
  address.kind = Kind::kAddress;
  address.elements.push_back(parse_operand(kNested));
  const Kind base = address.elements[0].kind;
  if (base != Kind::kRegister && base != Kind::kVariable && base != Kind::kInteger) {
    fail_expected("an address of a register, a variable or an integer before this");
  }
  address.offset = parse_offset();
  while (accept(',')) address.elements.push_back(parse_operand(kNested));
  expect(']', "after an address");
  return address;
}

}  // namespace nibble::emulator
