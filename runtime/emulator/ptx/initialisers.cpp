// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Initial values of variables: numbers and addresses, in nested braces.
#include <algorithm>
#include <bit>
#include <string>

#include "runtime/emulator/ptx/grammar.h"

namespace nibble::emulator {
namespace {

bool is_bits(Type type) {
  return type == Type::kB8 || type == Type::kB16 || type == Type::kB32 || type == Type::kB64 ||
         type == Type::kB128;
}

double as_double(const Constant& value) {
  return value.kind == Constant::Kind::kFloat32
             ? std::bit_cast<float>(static_cast<uint32_t>(value.bits))
             : std::bit_cast<double>(value.bits);
}

// Whether an integer is a value of `bytes` bytes, signed or unsigned.
bool fits(const Constant& value, uint32_t bytes) {
  if (bytes >= 8) return true;
  const auto number = static_cast<int64_t>(value.bits);
  const int64_t limit = int64_t{1} << (8 * bytes);
  return value.kind == Constant::Kind::kUnsigned ? value.bits < static_cast<uint64_t>(limit)
                                                 : number >= -limit / 2 && number < limit;
}

// The bits of `value` as `type`; null where the type has no such values.
std::optional<uint64_t> bits_of(const Constant& value, Type type) {
  if (value.is_integer()) {
    return type == Type::kF32 || type == Type::kF64 ? std::nullopt : std::optional(value.bits);
  }
  if (type == Type::kF32) {
    if (value.kind == Constant::Kind::kFloat32) return value.bits;
    return std::bit_cast<uint32_t>(static_cast<float>(as_double(value)));
  }
  if (type == Type::kF64) return std::bit_cast<uint64_t>(as_double(value));
  const uint32_t size = value.kind == Constant::Kind::kFloat32 ? 4 : 8;
  if (is_bits(type) && size_of(type) == size) return value.bits;
  return std::nullopt;
}

uint64_t elements_within(const std::vector<uint64_t>& dimensions, size_t level) {
  uint64_t count = 1;
  for (size_t i = level + 1; i < dimensions.size(); ++i) count *= dimensions[i];
  return count;
}

}  // namespace

void Parser::parse_initializer(Variable& variable, const Declaration& declaration,
                               const std::vector<uint64_t>& dimensions) {
  const Token equals = take();
  if (declaration.space != Space::kGlobal && declaration.space != Space::kConst) {
    fail_at(equals, "only .global and .const variables can have an initialiser");
  }
  if (variable.is_extern) fail_at(equals, "an .extern variable cannot have an initialiser");
  if (dimensions.empty()) return parse_scalar(variable, 0);
  const uint64_t count = parse_braces(variable, dimensions, 0, 0);
  if (dimensions[0] == 0) {
    const uint64_t inner = elements_within(dimensions, 0);
    variable.size = (count + inner - 1) / inner * inner * size_of(variable.type);
  }
}

// One level of braces, from element `base` on. Returns how many elements it gives: only the last of
// all may be left out, as assemblers disagree with the manual on what short rows mean.
uint64_t Parser::parse_braces(Variable& variable, const std::vector<uint64_t>& dimensions,
                              size_t level, uint64_t base) {
  const DepthGuard guard(depth_, token_);
  expect('{', "of an initialiser");
  if (accept('}')) return 0;
  const bool is_row = level + 1 < dimensions.size();
  const uint64_t row = elements_within(dimensions, level);
  const bool is_unsized = level == 0 && dimensions[0] == 0;
  uint64_t count = 0;
  do {
    if (!is_unsized && count == dimensions[level] * row) {
      fail_at(token_, "too many initial values: expected " + std::to_string(dimensions[level]));
    }
    if (count % row != 0) {
      fail_at(token_, "the row before this is short: expected " + std::to_string(row) +
                          " initial values, found " + std::to_string(count % row));
    }
    if (is_row) {
      count += parse_braces(variable, dimensions, level + 1, base + count);
    } else {
      parse_scalar(variable, base + count++);
    }
  } while (accept(','));
  expect('}', "after the initial values");
  return count;
}

void Parser::parse_scalar(Variable& variable, uint64_t element) {
  const uint32_t size = size_of(variable.type);
  const uint64_t offset = element * size;
  if (token_.kind == Token::Kind::kName && !token_.is("WARP_SZ")) {
    if (size < 4) fail_expected("a number: an address does not fit this type");
    parse_symbol(variable, offset, std::min(size, 8u), 0);
    return;
  }
  const Token at = token_;
  const Constant value = parse_constant();
  if (token_.is('(') && value.is_integer()) {
    parse_masked_symbol(variable, offset, at, value.bits);
    return;
  }
  const std::optional<uint64_t> bits = bits_of(value, variable.type);
  if (!bits) {
    fail_at(at, value.is_integer()
                    ? "expected a floating-point initial value, found an integer"
                    : "expected an integer initial value, found a floating-point one");
  }
  if (value.is_integer() && !fits(value, size)) {
    const std::string number = value.kind == Constant::Kind::kUnsigned
                                   ? std::to_string(value.bits)
                                   : std::to_string(static_cast<int64_t>(value.bits));
    fail_at(at,
            "the initial value " + number + " does not fit " + std::to_string(8 * size) + " bits");
  }
  const bool extend = value.kind == Constant::Kind::kSigned && *bits >> 63 != 0;
  store_initial(variable, offset, *bits);
  for (uint32_t i = 8; extend && i < size; ++i) variable.initial[offset + i] = 0xFF;
}

void Parser::store_initial(Variable& variable, uint64_t offset, uint64_t bits) {
  const uint32_t size = size_of(variable.type);
  variable.initial.resize(offset + size);
  for (uint32_t i = 0; i < std::min(size, 8u); ++i) {
    variable.initial[offset + i] = static_cast<uint8_t>(bits >> (8 * i));
  }
}

// x, x+4, generic(x)-8
void Parser::parse_symbol(Variable& variable, uint64_t offset, uint32_t size, uint32_t shift) {
  Symbol symbol;
  symbol.offset = offset;
  symbol.size = size;
  symbol.shift = shift;
  Token name = expect_name("the name of a variable or a function");
  if (name.is("generic") && accept('(')) {
    symbol.generic = true;
    name = expect_name("the name of a variable");
    expect(')', "after 'generic'");
  }
  const std::optional<Meaning> meaning = find_name(name.text);
  if (!meaning ||
      (meaning->kind != Meaning::Kind::kVariable && meaning->kind != Meaning::Kind::kFunction)) {
    fail_at(name, "expected the name of a declared variable or function, found " + describe(name));
  }
  symbol.name = meaning->operand_name;
  symbol.addend = parse_offset();
  store_initial(variable, offset, 0);
  // Bytes that continue the address before them join it.
  if (!variable.symbols.empty() && shift != 0) {
    Symbol& last = variable.symbols.back();
    if (last.name == symbol.name && last.addend == symbol.addend &&
        last.generic == symbol.generic && last.offset + last.size == offset &&
        last.shift + 8 * last.size == shift) {
      last.size += size;
      return;
    }
  }
  variable.symbols.push_back(std::move(symbol));
}

// 0xFF00(x): one byte of an address.
void Parser::parse_masked_symbol(Variable& variable, uint64_t offset, const Token& at,
                                 uint64_t mask) {
  const auto shift = static_cast<uint32_t>(std::countr_zero(mask));
  if (mask == 0 || shift % 8 != 0 || mask >> shift != 0xFF) {
    fail_at(at, "expected a mask of one byte such as 0xFF00, found " + describe(at));
  }
  if (size_of(variable.type) != 1) {
    fail_at(at, "one byte of an address can initialise only a type of one byte");
  }
  expect('(', "after a mask");
  parse_symbol(variable, offset, 1, shift);
  expect(')', "after a masked address");
}

}  // namespace nibble::emulator
