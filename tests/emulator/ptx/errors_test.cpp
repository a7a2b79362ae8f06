// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What is no PTX: the first error with its place, what was found and what was expected.
#include <gtest/gtest.h>

#include <string>

#include "runtime/emulator/ptx/parser.h"
#include "tests/emulator/ptx/parse.h"

namespace nibble::emulator {
namespace {

std::string whole(std::string_view text) {
  ParseError error;
  if (parse_ptx(text, error)) return "no error";
  return std::to_string(error.line) + ":" + std::to_string(error.column) + ": " + error.message;
}

// The error in a body, whose first line is line 4.
std::string in_body(std::string_view body) { return error_of(entry(body)); }

TEST(ParserErrors, Header) {
  EXPECT_EQ(whole(""),
            "1:1: expected '.version' at the start of the module, found the end of the "
            "text");
  EXPECT_EQ(whole("\x7f"
                  "ELF"),
            "1:1: expected PTX, found byte 127");
  EXPECT_EQ(whole(".version nine"), "1:10: expected a version such as '9.0', found 'nine'");
  EXPECT_EQ(whole(".version 9"), "1:10: expected a version such as '9.0', found '9'");
  EXPECT_EQ(whole(".version 9.0\n.func f;"),
            "2:1: expected '.target' after '.version', found "
            "'.func'");
  EXPECT_EQ(whole(".version 9.0 .target sm_80\n.address_size 32"),
            "2:15: expected an address size of 64, found '32'; addresses of 32 bits are not "
            "supported");
}

TEST(ParserErrors, ModuleScope) {
  EXPECT_EQ(error_of("\n  hello"),
            "2:3: expected a function or a .global, .const or .shared variable, found 'hello'");
  EXPECT_EQ(error_of(".global .u33 x;"), "1:9: expected a type, found '.u33'");
  EXPECT_EQ(error_of(".global .u32 .u32 x;"), "1:14: expected one type, found '.u32'");
  EXPECT_EQ(error_of(".global .u32 x\n.global"),
            "2:1: expected ';' after the declaration of a variable, found '.global'");
  EXPECT_EQ(error_of(".global .u32 x;\n.global .u32 x;"),
            "2:14: 'x' is already declared in this scope, on line 4");
  EXPECT_EQ(error_of(".func f { ret; }\n.func f { ret; }"),
            "2:7: the function 'f' is already defined, on line 4");
  EXPECT_EQ(error_of(".extern .func f { ret; }"), "1:15: the .extern function 'f' has a body");
  EXPECT_EQ(error_of(".func f { ret; "),
            "1:16: expected '}' for the '{' on line 4, found the end of the text");
  EXPECT_EQ(error_of(".func f (.param .u32 a"),
            "1:23: expected ')' after parameters, found the end of the text");
  EXPECT_EQ(error_of(".func f (.b32 a)"), "1:10: expected '.param' or '.reg', found '.b32'");
  EXPECT_EQ(error_of(".func f ret;"),
            "1:9: expected '{' or ';' after the head of a function, found 'ret'");
  EXPECT_EQ(error_of(".section .debug_x\n{ { }"),
            "2:1: this section has no end: expected '}', found the end of the text");
  EXPECT_EQ(error_of(".func f; .alias g, f;"),
            "1:17: expected the name of a declared function, found 'g'");
  EXPECT_EQ(error_of(".func f; .func g; .alias g, f;"),
            "1:29: the function 'f' of an alias is not defined");
  EXPECT_EQ(error_of(".entry k .maxntid 1,2,3,4 { ret; }"),
            "1:25: expected at most 3 sizes before this, found '4'");
  EXPECT_EQ(error_of(".file 70000 \"a\""),
            "1:7: expected the index of a file of at most 65536, found '70000'");
}

TEST(ParserErrors, Variables) {
  EXPECT_EQ(error_of(".global .align 3 .u32 x;"),
            "1:16: expected an alignment that is a power of two, found '3'");
  EXPECT_EQ(error_of(".global .pred x;"), "1:15: 'x' is .pred, which only a register can be");
  EXPECT_EQ(error_of(".shared .b8 x[];"),
            "1:13: the array 'x' has no size, no initialiser and no .extern");
  EXPECT_EQ(error_of(".global .b8 x[-1];"), "1:15: the size of an array is negative: -1");
  EXPECT_EQ(error_of(".global .b8 x[0x1000000][0x1000000];"),
            "1:13: the array 'x' is larger than 2^40 bytes");
  EXPECT_EQ(error_of(".global .b8 x[][0x1000000][0x1000000];"),
            "1:13: the array 'x' is larger than 2^40 bytes");
  EXPECT_EQ(error_of(".global .u32 x[2] = {1, 2, 3};"),
            "1:28: too many initial values: expected 2");
  EXPECT_EQ(error_of(".global .u32 x[2][2] = {{1}, {2, 3}};"),
            "1:30: the row before this is short: expected 2 initial values, found 1");
  EXPECT_EQ(error_of(".global .u32 x[2][2] = {1, 2};"),
            "1:25: expected '{' of an initialiser, found '1'");
  EXPECT_EQ(error_of(".global .u32 x[1] = {{1}};"), "1:22: expected a constant, found '{'");
  EXPECT_EQ(error_of(".global .b8 x = -129;"), "1:17: the initial value -129 does not fit 8 bits");
  EXPECT_EQ(error_of(".global .f32 x = 1;"),
            "1:18: expected a floating-point initial value, found an integer");
  EXPECT_EQ(error_of(".global .u32 x = 1.0;"),
            "1:18: expected an integer initial value, found a floating-point one");
  EXPECT_EQ(error_of(".shared .u32 x = 1;"),
            "1:16: only .global and .const variables can have an initialiser");
  EXPECT_EQ(error_of(".global .u64 x = y;"),
            "1:18: expected the name of a declared variable or function, found 'y'");
  EXPECT_EQ(error_of(".global .b8 y; .global .b8 x = y;"),
            "1:32: expected a number: an address does not fit this type, found 'y'");
  EXPECT_EQ(error_of(".global .b8 y; .global .b8 x = 0xF(y);"),
            "1:32: expected a mask of one byte such as 0xFF00, found '0xF'");
}

TEST(ParserErrors, Registers) {
  EXPECT_EQ(in_body(".reg .b32 %x<2000000000>;"),
            "4:11: '%x' declares 2000000000 registers, more than the limit of 1048576");
  EXPECT_EQ(in_body(".reg .b32 %x<4294967296>;"),
            "4:14: expected a number of registers of at most 4294967295, found '4294967296'");
  EXPECT_EQ(in_body(".reg .b32 x, x;"), "4:14: 'x' is already declared in this scope, on line 7");
  EXPECT_EQ(in_body(".reg .b32 x<2>, x<3>;"),
            "4:17: the registers 'x' are already declared in this scope");
  EXPECT_EQ(in_body("mov.b32 %r9, 1;"),
            "4:9: '%r9' is neither a declared register nor a special register");
  EXPECT_EQ(in_body("mov.b32 %r01, 1;"),
            "4:9: '%r01' is neither a declared register nor a special register");
  EXPECT_EQ(in_body("mov.b32 %r1, %tid.q;"),
            "4:14: '%tid.q' is neither a declared register nor a special register");
  EXPECT_EQ(in_body("mov.b32 %r1, %envreg32;"),
            "4:14: '%envreg32' is neither a declared register nor a special register");
  EXPECT_EQ(in_body("mov.b32 %r1.x, 1;"), "4:12: the register '%r1' has no component '.x'");
  EXPECT_EQ(in_body(".reg .v2 .b32 v; mov.b32 v.z, 1;"),
            "4:27: the register 'v' has no component '.z'");
  EXPECT_EQ(in_body("{ .reg .b32 t; }\nmov.b32 t, 1;"), "5:9: 't' is not declared");
}

TEST(ParserErrors, Instructions) {
  EXPECT_EQ(in_body("mov.b32 %r1, 5\nret;"),
            "5:1: expected ';' or ',' after an operand, found 'ret'");
  EXPECT_EQ(in_body("mov.b32 %r1, ;"), "4:14: expected a constant, found ';'");
  EXPECT_EQ(in_body("%r1 = 5;"), "4:1: expected an instruction, found '%r1'");
  EXPECT_EQ(in_body("5;"), "4:1: expected an instruction, found '5'");
  EXPECT_EQ(in_body(".foo 5;"), "4:1: expected an instruction or a declaration, found '.foo'");
  EXPECT_EQ(in_body("@%r1 ret;"), "4:2: the guard '%r1' is not a .pred register");
  EXPECT_EQ(in_body("@q ret;"), "4:2: expected a declared register as the guard, found 'q'");
  EXPECT_EQ(in_body("@%p1 .reg .b32 x;"),
            "4:6: expected an instruction after its guard, found '.reg'");
  EXPECT_EQ(in_body("ld.u32 %r1, [%rd1;"), "4:18: expected ']' after an address, found ';'");
  EXPECT_EQ(in_body("ld.u32 %r1, [%rd1+%rd2];"), "4:19: expected a constant, found '%rd2'");
  EXPECT_EQ(in_body("ld.u32 %r1, [x];"), "4:14: 'x' is not declared");
  EXPECT_EQ(in_body("mov.b64 %rd1, {%r1, %r2;"),
            "4:24: expected '}' after the elements of a vector, found ';'");
  EXPECT_EQ(in_body("setp.eq.u32 %p1|5, %r1, %r2;"),
            "4:17: expected a register or '_' after '|', found '5'");
  EXPECT_EQ(in_body("mov.u64 %rd1, p[%r1];"),
            "4:17: expected a constant index, found '%r1'; index with a register as "
            "[register+offset]");
  EXPECT_EQ(in_body("mov.b32 %r1, 5/(2-2);"), "4:15: division by zero in a constant expression");
  EXPECT_EQ(in_body("mov.b32 %r1, 1.0 << 2;"), "4:18: '<<' does not take floating-point values");
}

TEST(ParserErrors, Labels) {
  EXPECT_EQ(in_body("ret;\n  bra nowhere;"), "5:7: 'nowhere' is not declared");
  EXPECT_EQ(in_body("bra inside;\n{ inside: ret; }"), "4:5: 'inside' is not declared");
  EXPECT_EQ(in_body("a: a: ret;"), "4:4: 'a' is already declared in this scope, on line 7");
  EXPECT_EQ(in_body("t: .branchtargets a; a: bra t;"), "4:29: expected a label, found 't'");
  EXPECT_EQ(in_body("a: brx.idx %r1, a;"), "4:17: expected a .branchtargets table, found 'a'");
  EXPECT_EQ(in_body("a: call %rd1, (%r1), a;"),
            "4:22: expected a .callprototype or .calltargets, found 'a'");
  EXPECT_EQ(in_body("t: .branchtargets t2; t2: .branchtargets t2;"),
            "4:19: expected a label, found 't2'");
  EXPECT_EQ(in_body("t: .calltargets p;"),
            "4:17: expected the name of a declared function, found 'p'");
}

TEST(ParserErrors, NestingHasALimit) {
  const auto repeated = [](std::string_view text, int times) {
    std::string all;
    for (int i = 0; i < times; ++i) all += text;
    return all;
  };
  const std::string deep = "nested deeper than 200 levels";
  EXPECT_NE(in_body("mov.b32 %r1, " + repeated("(", 100000)).find(deep), std::string::npos);
  EXPECT_NE(in_body("mov.b32 %r1, " + repeated("-", 100000)).find(deep), std::string::npos);
  EXPECT_NE(in_body("mov.b32 %r1, " + repeated("1?", 100000)).find(deep), std::string::npos);
  EXPECT_NE(in_body("mov.b32 %r1, " + repeated("1?2:", 100000)).find(deep), std::string::npos);
  EXPECT_NE(in_body("mov.b32 %r1, " + repeated("{", 100000)).find(deep), std::string::npos);
  EXPECT_NE(in_body("mov.b32 %r1, " + repeated("[", 100000)).find(deep), std::string::npos);
  EXPECT_NE(in_body(repeated("{", 100000)).find("deeper than 200"), std::string::npos);
  EXPECT_EQ(in_body("mov.b32 %r1, " + repeated("(", 50) + "1" + repeated(")", 50) + ";"),
            "no error");
  // Many small declarations cannot add up to more than the text can pay for.
  EXPECT_NE(in_body(repeated("{ .reg .b32 x<1000000>; }", 3)).find("registers, more than"),
            std::string::npos);
}

}  // namespace
}  // namespace nibble::emulator
