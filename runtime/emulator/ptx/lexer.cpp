// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/ptx/lexer.h"

#include <array>
#include <bit>
#include <charconv>
#include <string>

namespace nibble::emulator {
namespace {

enum CharClass : uint8_t { kWord = 1, kWordStart = 2, kDigit = 4, kHexDigit = 8, kBlank = 16 };

constexpr std::array<uint8_t, 256> kClasses = [] {
  std::array<uint8_t, 256> classes{};
  for (int c = 'a'; c <= 'z'; ++c) classes[c] = classes[c - 32] = kWord | kWordStart;
  for (int c = '0'; c <= '9'; ++c) classes[c] = kWord | kDigit | kHexDigit;
  for (int c = 'a'; c <= 'f'; ++c) classes[c] = classes[c - 32] = kWord | kWordStart | kHexDigit;
  for (char c : {'_', '$'}) classes[c] = kWord | kWordStart;
  for (char c : {' ', '\t', '\r', '\n', '\f', '\v'}) classes[c] = kBlank;
  return classes;
}();

bool is(char c, uint8_t classes) { return (kClasses[static_cast<uint8_t>(c)] & classes) != 0; }

}  // namespace

std::string describe(const Token& token) {
  constexpr size_t kLongest = 40;
  if (token.kind == Token::Kind::kEnd) return "the end of the text";
  std::string text(token.text.substr(0, kLongest));
  if (token.text.size() > kLongest) text += "...";
  return token.kind == Token::Kind::kString ? "\"" + text + "\"" : "'" + text + "'";
}

Lexer::Lexer(std::string_view text) : text_(text.substr(0, text.find('\0'))) {}

void Lexer::fail(const Token& token, std::string message) const {
  throw ParseError{token.line, token.column, std::move(message)};
}

Token Lexer::start(Token::Kind kind) const {
  Token token;
  token.kind = kind;
  token.line = line_;
  token.column = static_cast<uint32_t>(at_ - line_start_ + 1);
  token.text = text_.substr(at_, 0);
  return token;
}

Token Lexer::finish(Token token) {
  const size_t begin = static_cast<size_t>(token.text.data() - text_.data());
  token.text = text_.substr(begin, at_ - begin);
  return token;
}

void Lexer::skip_line() {
  while (at_ < text_.size() && text_[at_] != '\n') ++at_;
}

void Lexer::skip_block_comment() {
  const Token opening = start(Token::Kind::kPunctuation);
  for (at_ += 2; at_ < text_.size(); ++at_) {
    if (text_[at_] == '\n') newline();
    if (text_[at_] == '*' && peek(1) == '/') {
      at_ += 2;
      return;
    }
  }
  fail(opening, "this comment has no end: expected '*/', found the end of the text");
}

void Lexer::skip_blanks() {
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (is(c, kBlank)) {
      if (c == '\n') newline();
      ++at_;
    } else if (c == '/' && peek(1) == '/') {
      skip_line();
    } else if (c == '/' && peek(1) == '*') {
      skip_block_comment();
    } else {
      return;
    }
  }
}

Token Lexer::next() {
  skip_blanks();
  if (at_ == text_.size()) return start(Token::Kind::kEnd);
  const char c = text_[at_];
  const bool starts_name =
      is(c, kWordStart) ||
      (c == '%' && (is(peek(1), kWordStart) || (is(peek(1), kDigit) && !after_value_)));
  Token token;
  if (starts_name) {
    token = name();
  } else if (is(c, kDigit)) {
    token = number();
  } else if (c == '.' && is(peek(1), kDigit) && (at_ == 0 || !is(text_[at_ - 1], kWord))) {
    token = decimal_float(start(Token::Kind::kFloat64));  // .5; but add.2d is a word
  } else if (c == '.') {
    token = dot_word();
  } else if (c == '"') {
    token = string();
  } else {
    token = punctuation();
  }
  after_value_ = token.kind == Token::Kind::kInteger || token.kind == Token::Kind::kFloat32 ||
                 token.kind == Token::Kind::kFloat64 || token.is(')') || token.is("WARP_SZ");
  return token;
}

Token Lexer::name() {
  const Token token = start(Token::Kind::kName);
  for (++at_; is(peek(0), kWord);) ++at_;
  return finish(token);
}

Token Lexer::dot_word() {
  const Token token = start(Token::Kind::kDotWord);
  ++at_;
  if (!is(peek(0), kWord)) fail(token, "expected a word after '.'");
  while (is(peek(0), kWord)) {
    while (is(peek(0), kWord)) ++at_;
    if (peek(0) == ':' && peek(1) == ':' && is(peek(2), kWord)) at_ += 2;
  }
  return finish(token);
}

Token Lexer::string() {
  Token token = start(Token::Kind::kString);
  const size_t begin = ++at_;
  while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\n') ++at_;
  if (peek(0) != '"') fail(token, "this string has no end: expected '\"' on the same line");
  token.text = text_.substr(begin, at_ - begin);
  ++at_;
  return token;
}

Token Lexer::number() {
  const Token token = start(Token::Kind::kInteger);
  const char prefix = peek(0) == '0' ? static_cast<char>(peek(1) | 0x20) : '\0';
  if (prefix == 'f') return hex_float(token, Token::Kind::kFloat32, 8);
  if (prefix == 'd') return hex_float(token, Token::Kind::kFloat64, 16);
  if (prefix == 'x' || prefix == 'b') return integer(token);
  size_t digits = 0;
  while (is(peek(digits), kDigit)) ++digits;
  const char after = peek(digits);
  return after == '.' || after == 'e' || after == 'E' ? decimal_float(token) : integer(token);
}

Token Lexer::hex_float(Token token, Token::Kind kind, size_t digits) {
  at_ += 2;
  const size_t begin = at_;
  while (is(peek(0), kWord)) ++at_;
  const std::string_view text = text_.substr(begin, at_ - begin);
  const auto [end, error] =
      std::from_chars(text.data(), text.data() + text.size(), token.value, 16);
  token.kind = kind;
  token = finish(token);
  if (text.size() != digits || error != std::errc() || end != text.data() + text.size()) {
    fail(token, "malformed number " + describe(token) + ": expected " + std::to_string(digits) +
                    " hexadecimal digits after '" + std::string(token.text.substr(0, 2)) + "'");
  }
  return token;
}

Token Lexer::decimal_float(Token token) {
  double value = 0;
  const char* begin = text_.data() + at_;
  const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
  at_ = static_cast<size_t>(end - text_.data());
  token.kind = Token::Kind::kFloat64;
  token.value = std::bit_cast<uint64_t>(value);
  while (is(peek(0), kWord)) ++at_;
  token = finish(token);
  if (error == std::errc::result_out_of_range) {
    fail(token, "the number " + describe(token) + " is out of the range of .f64");
  }
  if (end != token.text.data() + token.text.size()) {
    fail(token, "malformed number " + describe(token));
  }
  return token;
}

Token Lexer::integer(Token token) {
  while (is(peek(0), kWord)) ++at_;
  token = finish(token);
  std::string_view digits = token.text;
  if (digits.back() == 'U') {
    token.is_unsigned = true;
    digits.remove_suffix(1);
  }
  int base = 10;
  if (digits.size() > 1 && digits[0] == '0') {
    const char prefix = static_cast<char>(digits[1] | 0x20);
    base = prefix == 'x' ? 16 : prefix == 'b' ? 2 : 8;
    digits.remove_prefix(base == 8 ? 1 : 2);
  }
  const char* stop = digits.data() + digits.size();
  const auto [end, error] = std::from_chars(digits.data(), stop, token.value, base);
  if (error == std::errc::result_out_of_range) {
    fail(token, "the number " + describe(token) + " does not fit 64 bits");
  }
  if (error != std::errc() || end != stop) fail(token, "malformed number " + describe(token));
  if (token.value >> 63 != 0) token.is_unsigned = true;
  return token;
}

Token Lexer::punctuation() {
  const Token token = start(Token::Kind::kPunctuation);
  const std::string_view two = text_.substr(at_, 2);
  for (std::string_view operation : {"<<", ">>", "<=", ">=", "==", "!=", "&&", "||"}) {
    if (two == operation) {
      at_ += 2;
      return finish(token);
    }
  }
  const char c = text_[at_++];
  if (c == '#') fail(token, "preprocessor lines ('#') are not supported");
  if (std::string_view("{}()[]<>,;:@!+-*/%&|^~?=").find(c) == std::string_view::npos) {
    const bool printable = c > 0x20 && c < 0x7F;
    fail(token,
         "expected PTX, found " + (printable ? "'" + std::string(1, c) + "'"
                                             : "byte " + std::to_string(static_cast<uint8_t>(c))));
  }
  return finish(token);
}

}  // namespace nibble::emulator
