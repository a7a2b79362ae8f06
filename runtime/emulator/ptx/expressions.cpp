// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Constant expressions: 64-bit integers, signed unless an operand is unsigned, and .f64 values.
#include <bit>
#include <cmath>
#include <string>

#include "runtime/emulator/ptx/grammar.h"

namespace nibble::emulator {
namespace {

using Kind = Constant::Kind;

struct BinaryOperator {
  std::string_view spelling;
  int level;  // binds tighter the higher
};

constexpr BinaryOperator kOperators[] = {
    {"||", 1}, {"&&", 2}, {"|", 3},  {"^", 4},  {"&", 5},  {"==", 6},
    {"!=", 6}, {"<", 7},  {"<=", 7}, {">", 7},  {">=", 7}, {"<<", 8},
    {">>", 8}, {"+", 9},  {"-", 9},  {"*", 10}, {"/", 10}, {"%", 10},
};

int level_of(const Token& token) {
  if (token.kind != Token::Kind::kPunctuation) return 0;
  for (const BinaryOperator& candidate : kOperators) {
    if (candidate.spelling == token.text) return candidate.level;
  }
  return 0;
}

Constant truth(bool value) { return {Kind::kSigned, value ? 1u : 0u}; }

double to_double(const Constant& value) {
  switch (value.kind) {
    case Kind::kSigned:
      return static_cast<double>(static_cast<int64_t>(value.bits));
    case Kind::kUnsigned:
      return static_cast<double>(value.bits);
    case Kind::kFloat32:
      return std::bit_cast<float>(static_cast<uint32_t>(value.bits));
    case Kind::kFloat64:
      return std::bit_cast<double>(value.bits);
  }
  return 0;
}

template <class T>
std::optional<Constant> compared(std::string_view operation, T a, T b) {
  if (operation == "==") return truth(a == b);
  if (operation == "!=") return truth(a != b);
  if (operation == "<") return truth(a < b);
  if (operation == "<=") return truth(a <= b);
  if (operation == ">") return truth(a > b);
  if (operation == ">=") return truth(a >= b);
  return std::nullopt;
}

// Null where the operator is not one of floating-point values.
std::optional<Constant> float_binary(std::string_view operation, double a, double b) {
  if (const auto result = compared(operation, a, b)) return result;
  double value = 0;
  if (operation == "+") {
    value = a + b;
  } else if (operation == "-") {
    value = a - b;
  } else if (operation == "*") {
    value = a * b;
  } else if (operation == "/") {
    value = a / b;
  } else {
    return std::nullopt;
  }
  return Constant{Kind::kFloat64, std::bit_cast<uint64_t>(value)};
}

uint64_t divide(char operation, uint64_t a, uint64_t b, bool is_signed) {
  if (!is_signed) return operation == '/' ? a / b : a % b;
  if (b == ~uint64_t{0}) return operation == '/' ? 0 - a : 0;  // the lowest value over -1 wraps
  const auto x = static_cast<int64_t>(a);
  const auto y = static_cast<int64_t>(b);
  return static_cast<uint64_t>(operation == '/' ? x / y : x % y);
}

uint64_t shift(bool left, uint64_t value, uint64_t amount, bool is_signed) {
  const bool fill = !left && is_signed && value >> 63 != 0;
  if (amount > 63) return fill ? ~uint64_t{0} : 0;
  if (left) return value << amount;
  return fill ? ~(~value >> amount) : value >> amount;
}

// Null for a division by zero.
std::optional<Constant> integer_binary(std::string_view operation, const Constant& a,
                                       const Constant& b) {
  const uint64_t x = a.bits;
  const uint64_t y = b.bits;
  if (operation == "&&") return truth(x != 0 && y != 0);
  if (operation == "||") return truth(x != 0 || y != 0);
  if (operation == "<<" || operation == ">>") {
    return Constant{a.kind, shift(operation == "<<", x, y, a.kind == Kind::kSigned)};
  }
  const bool is_signed = a.kind == Kind::kSigned && b.kind == Kind::kSigned;
  const auto order = is_signed
                         ? compared(operation, static_cast<int64_t>(x), static_cast<int64_t>(y))
                         : compared(operation, x, y);
  if (order) return order;
  const Kind kind = is_signed ? Kind::kSigned : Kind::kUnsigned;
  switch (operation[0]) {
    case '+':
      return Constant{kind, x + y};
    case '-':
      return Constant{kind, x - y};
    case '*':
      return Constant{kind, x * y};
    case '&':
      return Constant{kind, x & y};
    case '|':
      return Constant{kind, x | y};
    case '^':
      return Constant{kind, x ^ y};
    default:
      if (y == 0) return std::nullopt;
      return Constant{kind, divide(operation[0], x, y, is_signed)};
  }
}

}  // namespace

Constant Parser::parse_constant() {
  const DepthGuard guard(depth_, token_);
  const Constant condition = parse_binary(1);
  if (!accept('?')) return condition;
  const Constant if_true = parse_constant();
  expect(':', "between the two values of '?'");
  const Constant if_false = parse_constant();
  const bool holds = condition.is_integer() ? condition.bits != 0 : to_double(condition) != 0;
  return holds ? if_true : if_false;
}

Constant Parser::parse_binary(int lowest) {
  Constant left = parse_unary();
  for (;;) {
    const int level = level_of(token_);
    if (level == 0 || level < lowest) return left;
    const Token operation = take();
    const Constant right = parse_binary(level + 1);
    if (left.kind == Kind::kFloat32 || right.kind == Kind::kFloat32) {
      fail_at(operation, "a 0f constant cannot be an operand of " + describe(operation));
    }
    const bool integers = left.is_integer() && right.is_integer();
    const std::optional<Constant> result =
        integers ? integer_binary(operation.text, left, right)
                 : float_binary(operation.text, to_double(left), to_double(right));
    if (!result) {
      fail_at(operation, integers ? "division by zero in a constant expression"
                                  : describe(operation) + " does not take floating-point values");
    }
    left = *result;
  }
}

Constant Parser::parse_unary() {
  const DepthGuard guard(depth_, token_);
  const Token operation = token_;
  if (operation.is('+')) {
    advance();
    return parse_unary();
  }
  if (!operation.is('-') && !operation.is('!') && !operation.is('~')) return parse_primary();
  advance();
  Constant value = parse_unary();
  if (operation.is('!')) {
    return truth(value.is_integer() ? value.bits == 0 : to_double(value) == 0);
  }
  if (operation.is('-')) {
    if (value.kind == Kind::kFloat32) {
      value.bits ^= uint64_t{1} << 31;
    } else if (value.kind == Kind::kFloat64) {
      value.bits ^= uint64_t{1} << 63;
    } else {
      value.bits = 0 - value.bits;
    }
    return value;
  }
  if (!value.is_integer()) fail_at(operation, "'~' does not take floating-point values");
  value.bits = ~value.bits;
  return value;
}

Constant Parser::parse_primary() {
  switch (token_.kind) {
    case Token::Kind::kInteger: {
      const Token number = take();
      return {number.is_unsigned ? Kind::kUnsigned : Kind::kSigned, number.value};
    }
    case Token::Kind::kFloat32:
      return {Kind::kFloat32, take().value};
    case Token::Kind::kFloat64:
      return {Kind::kFloat64, take().value};
    default:
      break;
  }
  if (accept("WARP_SZ")) return {Kind::kSigned, 32};
  if (!accept('(')) fail_expected("a constant");
  if (token_.is(".s64") || token_.is(".u64")) {  // a cast
    const Kind kind = take().is(".s64") ? Kind::kSigned : Kind::kUnsigned;
    expect(')', "after the type of a cast");
    const Constant value = parse_unary();
    if (!value.is_integer()) fail_expected("an integer to cast");
    return {kind, value.bits};
  }
  const Constant value = parse_constant();
  expect(')', "after a constant expression");
  return value;
}

int64_t Parser::parse_integer_constant(std::string_view what) {
  const Token first = token_;
  const Constant value = parse_constant();
  if (!value.is_integer()) {
    fail_at(first, "expected " + std::string(what) + ", found a floating-point value");
  }
  return static_cast<int64_t>(value.bits);
}

}  // namespace nibble::emulator
