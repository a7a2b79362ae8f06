// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Initial values of variables: numbers and addresses, in nested braces.
#include <algorithm>
#include <bit>
#include <string>

#include "runtime/emulator/ptx/grammar.h"

namespace nibble::emulator {
namespace {

constexpr uint64_t kMaxInitialBytes = 1u << 28;  // of all variables of a module

bool is_bits(Type type) {
  return type == Type::kB8 || type == Type::kB16 || type == Type::kB32 || type == Type::kB64 ||
         type == Type::kB128;
}

// The double behind any constant.
double as_double(const Constant& value) {
  switch (value.kind) {
    case Constant::Kind::kSigned:
      return static_cast<double>(static_cast<int64_t>(value.bits));
    case Constant::Kind::kUnsigned:
      return static_cast<double>(value.bits);
    case Constant::Kind::kFloat32:
      return std::bit_cast<float>(static_cast<uint32_t>(value.bits));
    case Constant::Kind::kFloat64:
      break;
  }
  return std::bit_cast<double>(value.bits);
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
  if (type == Type::kF32) {
    if (value.kind == Constant::Kind::kFloat32) return value.bits;
    return std::bit_cast<uint32_t>(static_cast<float>(as_double(value)));
  }
  if (type == Type::kF64) return std::bit_cast<uint64_t>(as_double(value));
  if (value.is_integer()) return value.bits;
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
                               std::vector<uint64_t> dimensions) {
  const Token equals = take();
  if (declaration.space != Space::kGlobal && declaration.space != Space::kConst) {
    fail_at(equals, "only .global and .const variables can have an initialiser");
  }
  if (variable.is_extern) fail_at(equals, "an .extern variable cannot have an initialiser");
  if (dimensions.empty() && !token_.is('{')) {
    parse_scalar(variable, 0);
    return;
  }
  if (!token_.is('{')) fail_expected("'{' of an array's initialiser");
  if (dimensions.empty()) dimensions.push_back(1);
  const uint64_t count = parse_braces(variable, dimensions, 0, 0);
  if (dimensions[0] == 0) {
    const uint64_t inner = elements_within(dimensions, 0);
    variable.size = (count + inner - 1) / inner * inner * size_of(variable.type);
  }
}

// One level of braces, from element `base` on; a nested one fills the next whole row. Returns how
// many elements it passed.
uint64_t Parser::parse_braces(Variable& variable, const std::vector<uint64_t>& dimensions,
                              size_t level, uint64_t base) {
  const DepthGuard guard(depth_, token_);
  if (level == dimensions.size()) fail_at(token_, "braces nest deeper than the array has sizes");
  expect('{', "of an initialiser");
  const uint64_t row = elements_within(dimensions, level);
  const uint64_t capacity =
      dimensions[level] == 0 && level == 0 ? ~uint64_t{0} / 16 : dimensions[level] * row;
  uint64_t position = 0;
  while (!token_.is('}')) {
    const Token at = token_;
    const bool is_row = token_.is('{');
    if (is_row) position = (position + row - 1) / row * row;
    if (position >= capacity) {
      fail_at(at, "too many initial values: expected at most " + std::to_string(capacity));
    }
    if (is_row) {
      parse_braces(variable, dimensions, level + 1, base + position);
    } else {
      parse_scalar(variable, base + position);
    }
    position += is_row ? row : 1;
    if (!accept(',')) break;
  }
  expect('}', "after the initial values");
  return position;
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
  if (!bits) fail_at(at, "the initial value " + describe(at) + " is not one of the type");
  if (value.is_integer() && variable.type != Type::kF32 && !fits(value, size)) {
    fail_at(at, "the initial value " + describe(at) + " does not fit " + std::to_string(size) +
                    " bytes");
  }
  const bool extend = value.kind == Constant::Kind::kSigned && *bits >> 63 != 0;
  store_initial(variable, at, offset, *bits);
  for (uint32_t i = 8; extend && i < size; ++i) variable.initial[offset + i] = 0xFF;
}

void Parser::store_initial(Variable& variable, const Token& at, uint64_t offset, uint64_t bits) {
  const uint32_t size = size_of(variable.type);
  const uint64_t end = offset + size;
  if (end > variable.initial.size()) {
    initial_bytes_ += end - variable.initial.size();
    if (initial_bytes_ > kMaxInitialBytes) {
      fail_at(at, "the initial values of the module are larger than 2^28 bytes");
    }
    variable.initial.resize(end);
  }
  for (uint32_t i = 0; i < std::min(size, 8u); ++i) {
    variable.initial[offset + i] = static_cast<uint8_t>(bits >> (8 * i));
  }
}

// x, x+4, generic(x)-8
void Parser::parse_symbol(Variable& variable, uint64_t offset, uint32_t size, uint32_t shift) {
  const Token first = token_;
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
  store_initial(variable, first, offset, 0);
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
