// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/ptx/lexer.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

namespace nibble::emulator {
namespace {

using Kind = Token::Kind;

std::vector<Token> tokens_of(std::string_view text) {
  std::vector<Token> tokens;
  Lexer lexer(text);
  for (Token token = lexer.next(); token.kind != Kind::kEnd; token = lexer.next()) {
    tokens.push_back(token);
  }
  return tokens;
}

std::string spellings(std::string_view text) {
  std::string joined;
  for (const Token& token : tokens_of(text)) joined += std::string(token.text) + " ";
  return joined;
}

Token only_token(std::string_view text) {
  const std::vector<Token> tokens = tokens_of(text);
  EXPECT_EQ(tokens.size(), 1u) << text;
  return tokens.empty() ? Token{} : tokens[0];
}

std::string error_of(std::string_view text) {
  try {
    tokens_of(text);
  } catch (const ParseError& error) {
    return std::to_string(error.line) + ":" + std::to_string(error.column) + ": " + error.message;
  }
  return "no error";
}

TEST(Lexer, SplitsAnInstruction) {
  EXPECT_EQ(spellings("@!%p1 ld.global.v2.f32 {%f1,_},[%rd1+-8];"),
            "@ ! %p1 ld .global .v2 .f32 { %f1 , _ } , [ %rd1 + - 8 ] ; ");
}

TEST(Lexer, KeepsColonPairsInsideOneWord) {
  EXPECT_EQ(spellings("cp.async.shared::cluster.mbarrier::complete_tx::bytes.L2::128B"),
            "cp .async .shared::cluster .mbarrier::complete_tx::bytes .L2::128B ");
  EXPECT_EQ(spellings("tcgen05.ld.32x32b.x4"), "tcgen05 .ld .32x32b .x4 ");
  EXPECT_EQ(spellings("$L__BB0_1: ret"), "$L__BB0_1 : ret ");
}

TEST(Lexer, DropsComments) {
  EXPECT_EQ(spellings("a // b\n /* c\n ** / d */ e /**/ f //"), "a e f ");
}

TEST(Lexer, CountsLinesAndColumns) {
  const std::vector<Token> tokens = tokens_of("a\n\n  bc /*\n*/ d\r\n\te");
  ASSERT_EQ(tokens.size(), 4u);
  EXPECT_EQ(tokens[1].line, 3u);
  EXPECT_EQ(tokens[1].column, 3u);
  EXPECT_EQ(tokens[2].line, 4u);
  EXPECT_EQ(tokens[2].column, 4u);
  EXPECT_EQ(tokens[3].line, 5u);
  EXPECT_EQ(tokens[3].column, 2u);
}

TEST(Lexer, ReadsIntegers) {
  EXPECT_EQ(only_token("0").value, 0u);
  EXPECT_EQ(only_token("017").value, 15u);
  EXPECT_EQ(only_token("0b101U").value, 5u);
  EXPECT_EQ(only_token("0X1fU").value, 31u);
  EXPECT_TRUE(only_token("1U").is_unsigned);
  EXPECT_FALSE(only_token("9223372036854775807").is_unsigned);
  EXPECT_TRUE(only_token("9223372036854775808").is_unsigned);
  EXPECT_EQ(only_token("18446744073709551615").value, ~uint64_t{0});
}

TEST(Lexer, ReadsFloats) {
  EXPECT_EQ(only_token("0f3F800000").kind, Kind::kFloat32);
  EXPECT_EQ(only_token("0F3f800000").value, 0x3F800000u);
  EXPECT_EQ(only_token("0d3FF0000000000000").value, 0x3FF0000000000000u);
  EXPECT_EQ(only_token("1.5").value, 0x3FF8000000000000u);
  EXPECT_EQ(only_token("15e-1").value, 0x3FF8000000000000u);
  EXPECT_EQ(only_token("2.").value, 0x4000000000000000u);
  EXPECT_EQ(only_token(".5").value, 0x3FE0000000000000u);
}

TEST(Lexer, TellsTheRemainderFromARegister) {
  EXPECT_EQ(spellings("7%3"), "7 % 3 ");
  EXPECT_EQ(spellings("mov %1, %2;"), "mov %1 , %2 ; ");
  EXPECT_EQ(spellings("(8)%3"), "( 8 ) % 3 ");
  EXPECT_EQ(spellings("7 % %r1"), "7 % %r1 ");
}

TEST(Lexer, ReadsStrings) {
  const Token token = only_token("\"a // \\b {\"");
  EXPECT_EQ(token.kind, Kind::kString);
  EXPECT_EQ(token.text, "a // \\b {");
}

TEST(Lexer, ANulEndsTheText) {
  EXPECT_EQ(spellings(std::string_view("a b\0c \xFF", 7)), "a b ");
  Lexer lexer("");
  EXPECT_EQ(lexer.next().kind, Kind::kEnd);
  EXPECT_EQ(lexer.next().kind, Kind::kEnd);
}

TEST(Lexer, NamesWhatIsWrong) {
  EXPECT_EQ(error_of("a\n  12ab"), "2:3: malformed number '12ab'");
  EXPECT_EQ(error_of("09"), "1:1: malformed number '09'");
  EXPECT_EQ(error_of("0x"), "1:1: malformed number '0x'");
  EXPECT_EQ(error_of("1.5.2.x"), "no error");  // words; the parser refuses them
  EXPECT_EQ(error_of("0f3F80"),
            "1:1: malformed number '0f3F80': expected 8 hexadecimal digits after '0f'");
  EXPECT_EQ(error_of("18446744073709551616"),
            "1:1: the number '18446744073709551616' does not fit 64 bits");
  EXPECT_EQ(error_of("1e999"), "1:1: the number '1e999' is out of the range of .f64");
  EXPECT_EQ(error_of("a /* b"),
            "1:3: this comment has no end: expected '*/', found the end of the text");
  EXPECT_EQ(error_of("\"abc\n\""), "1:1: this string has no end: expected '\"' on the same line");
  EXPECT_EQ(error_of("a . b"), "1:3: expected a word after '.'");
  EXPECT_EQ(error_of("a\x01"), "1:2: expected PTX, found byte 1");
  EXPECT_EQ(error_of("a \xC3"), "1:3: expected PTX, found byte 195");
  EXPECT_EQ(error_of("`"), "1:1: expected PTX, found '`'");
  EXPECT_EQ(error_of("#define X 1"), "1:1: preprocessor lines ('#') are not supported");
}

}  // namespace
}  // namespace nibble::emulator
