// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// PTX text to tokens, one at a time, without copying. Comments and white space are dropped.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "runtime/emulator/ptx/parser.h"

namespace nibble::emulator {

struct Token {
  enum class Kind : uint8_t {
    kEnd,
    kName,         // add, %r1, $L__BB0_2, _
    kDotWord,      // .global, .32x128b, .mbarrier::complete_tx::bytes; the text has the dot
    kInteger,      // value: 64 bits; is_unsigned: a U suffix, or above the signed range
    kFloat32,      // value: the bits of 0f...
    kFloat64,      // value: the bits of 0d... or of a decimal literal
    kString,       // the text is without the quotes
    kPunctuation,  // one or two characters
  };
  Kind kind = Kind::kEnd;
  bool is_unsigned = false;
  uint32_t line = 1;    // from 1
  uint32_t column = 1;  // from 1, in bytes
  std::string_view text;
  uint64_t value = 0;

  bool is(char punctuation) const {
    return kind == Kind::kPunctuation && text.size() == 1 && text[0] == punctuation;
  }
  bool is(std::string_view spelling) const {
    return text == spelling && kind != Kind::kString && kind != Kind::kEnd;
  }
};

// How an error message names a token: its text in quotes, cut where it is long.
std::string describe(const Token& token);

class Lexer {
 public:
  // The text must outlive the lexer and its tokens. A NUL byte ends it, as in a C string.
  explicit Lexer(std::string_view text);

  // The next token; kEnd again and again at the end. Throws ParseError for what is no token.
  Token next();
  // Drops the rest of the current line.
  void skip_line();

 private:
  void skip_blanks();
  void skip_block_comment();
  void newline() { ++line_, line_start_ = at_ + 1; }
  char peek(size_t ahead) const { return at_ + ahead < text_.size() ? text_[at_ + ahead] : '\0'; }
  Token start(Token::Kind kind) const;
  Token finish(Token token);
  Token name();
  Token dot_word();
  Token string();
  Token number();
  Token hex_float(Token token, Token::Kind kind, size_t digits);
  Token decimal_float(Token token);
  Token integer(Token token);
  Token punctuation();
  [[noreturn]] void fail(const Token& token, std::string message) const;

  std::string_view text_;
  size_t at_ = 0;
  size_t line_start_ = 0;
  uint32_t line_ = 1;
  bool after_value_ = false;  // `%` followed by a digit is then the operator, else a name
};

}  // namespace nibble::emulator
