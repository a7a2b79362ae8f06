// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Instructions, operands, labels, scopes and functions.
#include "runtime/emulator/ptx/parser.h"

#include <gtest/gtest.h>

#include <bit>
#include <string>

#include "tests/emulator/ptx/parse.h"

namespace nibble::emulator {
namespace {

// The first instruction of a body, as text.
std::string first(std::string_view body) {
  const Function function = parse_body(body);
  return function.body.empty() ? "nothing" : text_of(function.body[0], function);
}

int64_t constant(std::string_view expression) {
  const Function function = parse_body("mov.b64 %rd0, " + std::string(expression) + ";");
  if (function.body.empty()) return -1;
  const Operand& operand = function.body[0].operands.at(1);
  EXPECT_EQ(operand.kind, Operand::Kind::kInteger) << expression;
  return static_cast<int64_t>(operand.bits);
}

double float_constant(std::string_view expression) {
  const Function function = parse_body("mov.f64 %fd0, " + std::string(expression) + ";");
  if (function.body.empty()) return -1;
  const Operand& operand = function.body[0].operands.at(1);
  EXPECT_EQ(operand.kind, Operand::Kind::kFloat64) << expression;
  return std::bit_cast<double>(operand.bits);
}

TEST(Parser, Header) {
  ParseError error;
  const auto module = parse_ptx("// c\n.version 8.10 .target sm_90a, debug, map_f64_to_f32", error);
  ASSERT_TRUE(module) << error.message;
  EXPECT_EQ(module->version_major, 8u);
  EXPECT_EQ(module->version_minor, 10u);
  EXPECT_EQ(module->target, "sm_90a");
  EXPECT_EQ(module->target_options, (std::vector<std::string>{"debug", "map_f64_to_f32"}));
  EXPECT_EQ(module->address_size, 64u);
}

TEST(Parser, OperandForms) {
  EXPECT_EQ(first("add.s32 %r1, %r2, -5;"), "add.s32 %r1, %r2, -5");
  EXPECT_EQ(first("@!%p3 mov.u32 %r1, %tid.x;"), "@!%p3 mov.u32 %r1, special:%tid.x");
  EXPECT_EQ(first("mov.u64 %rd1, %clock64;"), "mov.u64 %rd1, special:%clock64");
  EXPECT_EQ(first("mov.u32 %r1, %envreg31;"), "mov.u32 %r1, special:%envreg31");
  EXPECT_EQ(first("mov.u32 %r1, %ctaid.g;"), "mov.u32 %r1, special:%ctaid.y");
  EXPECT_EQ(first("mov.u32 %r1, WARP_SZ;"), "mov.u32 %r1, 32");
  EXPECT_EQ(first("mov.f32 %f1, 0fBF800000;"), "mov.f32 %f1, f32:3212836864");
  EXPECT_EQ(first("mov.f32 %f1, -0fBF800000;"), "mov.f32 %f1, f32:1065353216");
  EXPECT_EQ(first("mov.b64 %rd1, {%r1, %r2};"), "mov.b64 %rd1, {%r1, %r2}");
  EXPECT_EQ(first("mov.b64 {_, %r2}, %rd1;"), "mov.b64 {_, %r2}, %rd1");
  EXPECT_EQ(first("setp.lt.and.s32 %p1|%p2, %r1, %r2, !%p3;"),
            "setp.lt.and.s32 %p1|%p2, %r1, %r2, !%p3");
  EXPECT_EQ(first("elect.sync _|%p1, 0xffffffff;"), "elect.sync _|%p1, 4294967295");
  EXPECT_EQ(first("shfl.sync.bfly.b32 %r1|_, %r2, 1, 31, -1;"),
            "shfl.sync.bfly.b32 %r1|_, %r2, 1, 31, -1");
  EXPECT_EQ(first("ret;"), "ret");
  EXPECT_EQ(first("sub.f32 %f1, -%f2, %f3;"), "sub.f32 %f1, !%f2, %f3");  // negated
}

TEST(Parser, Addresses) {
  EXPECT_EQ(first("ld.param.u64 %rd1, [p];"), "ld.param.u64 %rd1, [p]");
  EXPECT_EQ(first("ld.param.u64 %rd1, [p+4+4];"), "ld.param.u64 %rd1, [p+8]");
  EXPECT_EQ(first("ld.u64 %rd1, [%rd2+-8];"), "ld.u64 %rd1, [%rd2+-8]");
  EXPECT_EQ(first("ld.u64 %rd1, [%rd2 + 2*(3+1)];"), "ld.u64 %rd1, [%rd2+8]");
  EXPECT_EQ(first("ld.u64 %rd1, [16];"), "ld.u64 %rd1, [16]");
  EXPECT_EQ(first("cp.async.bulk.tensor.2d.shared::cta.global.tile.mbarrier::complete_tx::bytes "
                  "[%r1], [%rd1, {%r2, 5}], [%r3+8];"),
            "cp.async.bulk.tensor.2d.shared::cta.global.tile.mbarrier::complete_tx::bytes "
            "[%r1], [%rd1, {%r2, 5}], [%r3+8]");
  EXPECT_EQ(first("x.im2col [%r1], [%rd1, {%r2, %r3, %r4}, {%r5}], [%r3], {%r6}, %rd2;"),
            "x.im2col [%r1], [%rd1, {%r2, %r3, %r4}, {%r5}], [%r3], {%r6}, %rd2");
  EXPECT_EQ(first("mbarrier.arrive.shared::cta.b64 _, [%r1];"),
            "mbarrier.arrive.shared::cta.b64 _, [%r1]");
}

TEST(Parser, VariableOperands) {
  EXPECT_EQ(first(".shared .b32 s[4]; mov.u64 %rd1, s;"), "mov.u64 %rd1, s");
  EXPECT_EQ(first(".shared .b32 s[4]; mov.u64 %rd1, s+4;"), "mov.u64 %rd1, s+4");
  EXPECT_EQ(first(".shared .b32 s[4]; mov.u64 %rd1, s[3];"), "mov.u64 %rd1, s+12");
  EXPECT_EQ(first(".shared .b32 s[4]; ld.shared.u32 %r1, s[2];"), "ld.shared.u32 %r1, [s+8]");
}

TEST(Parser, VectorRegisters) {
  EXPECT_EQ(first(".reg .v4 .f32 v; ld.v4.f32 v, [%rd1];"),
            "ld.v4.f32 {v.x, v.y, v.z, v.w}, [%rd1]");
  EXPECT_EQ(first(".reg .v2 .f32 v; mov.f32 v.y, %f0;"), "mov.f32 v.y, %f0");
  EXPECT_EQ(first(".reg .v4 .f32 v; mov.f32 v.a, v.r;"), "mov.f32 v.w, v.x");
  EXPECT_EQ(first(".reg .v2 .f32 v<3>; mov.f32 v2.x, v1.y;"), "mov.f32 v2.x, v1.y");
}

TEST(Parser, ConstantExpressions) {
  EXPECT_EQ(constant("1 + 2 * 3 - 4"), 3);
  EXPECT_EQ(constant("(1 + 2) * 3"), 9);
  EXPECT_EQ(constant("7 % 4 << 2"), 12);
  EXPECT_EQ(constant("-8 >> 1"), -4);
  EXPECT_EQ(constant("-8 / 3"), -2);
  EXPECT_EQ(constant("0xF0 & ~0x30 | 3 ^ 1"), 0xC2);
  EXPECT_EQ(constant("1 << 64"), 0);
  EXPECT_EQ(constant("-1 >> 70"), -1);
  EXPECT_EQ(constant("!5 + !0"), 1);
  EXPECT_EQ(constant("3 > 2 && 1 >= 1 || 0"), 1);
  EXPECT_EQ(constant("1 == 2 ? 10 : 2 != 3 ? 20 : 30"), 20);
  EXPECT_EQ(constant("-1 < 1"), 1);
  EXPECT_EQ(constant("-1 < 1U"), 0);  // unsigned wins
  EXPECT_EQ(constant("(.s64) 0xFFFFFFFFFFFFFFFF < 0"), 1);
  EXPECT_EQ(constant("(.u64) -1 >> 63"), 1);
  EXPECT_EQ(constant("(.s64) 0x8000000000000000 / -1"), INT64_MIN);
  EXPECT_EQ(constant("017 + 0b11"), 18);
  EXPECT_EQ(constant("WARP_SZ * 2"), 64);
  EXPECT_EQ(constant("1.5 < 2.5"), 1);
  EXPECT_EQ(float_constant("-1.5 + 2 * .5"), -0.5);
  EXPECT_EQ(float_constant("1e300 / 1e299"), 1e300 / 1e299);
  EXPECT_EQ(float_constant("0d4000000000000000 - 1"), 1.0);
}

TEST(Parser, LabelsAreInstructionIndices) {
  const Function function =
      parse_body("top: add.s32 %r1, %r1, 1;\n@%p1 bra.uni top;\nbra end;\n$a: $b: bra $b;\nend:");
  ASSERT_EQ(function.body.size(), 4u);
  EXPECT_EQ(function.body[1].operands[0].index, 0u);
  EXPECT_EQ(function.body[2].operands[0].index, 4u);  // the end of the body
  EXPECT_EQ(function.body[3].operands[0].index, 3u);
  EXPECT_EQ(function.body[3].location.line, 10u);
}

TEST(Parser, ScopesHaveNamesOfTheirOwn) {
  const Function function = parse_body(R"(
    bra done;
    { .reg .pred p; .reg .b32 %r<2>; .shared .b32 s;
      wait: setp.eq.u32 p, %r1, %r2; @p bra done; bra wait; done: st.shared.u32 [s], %r1; }
    { .reg .pred p; .shared .b32 s;
      wait: setp.eq.u32 p, %r1, %r2; @p bra done; bra wait; done: st.shared.u32 [s], %r1; }
    done: ret;)");
  ASSERT_EQ(function.body.size(), 10u);
  EXPECT_EQ(function.body[0].operands[0].index, 9u);
  EXPECT_EQ(function.body[2].operands[0].index, 4u);
  EXPECT_EQ(function.body[3].operands[0].index, 1u);
  EXPECT_EQ(function.body[6].operands[0].index, 8u);
  EXPECT_EQ(function.body[7].operands[0].index, 5u);
  const auto& inner = function.body[1].operands;
  const auto& outer = function.body[5].operands;
  EXPECT_NE(inner[0].index, outer[0].index);  // two registers p
  EXPECT_NE(inner[1].index, outer[1].index);  // %r1 of the first scope is its own
  EXPECT_EQ(inner[2].index, outer[2].index);  // %r2 is the function's in both
  ASSERT_EQ(function.variables.size(), 2u);
  EXPECT_NE(function.variables[0].name, function.variables[1].name);
  EXPECT_EQ(function.body[4].operands[0].elements[0].name, function.variables[0].name);
  EXPECT_EQ(function.body[8].operands[0].elements[0].name, function.variables[1].name);
}

TEST(Parser, BodyVariablesHideThoseOfTheModule) {
  const Module module = parse(".global .b32 g;\n" + entry("ld.u32 %r1, [g];\n"
                                                          "{ .local .b32 g; ld.u32 %r1, [g]; }"));
  const Function& function = module.functions.at(0);
  EXPECT_EQ(function.body[0].operands[1].elements[0].name, "g");
  EXPECT_EQ(function.body[1].operands[1].elements[0].name, function.variables.at(0).name);
  EXPECT_NE(function.variables[0].name, "g");
}

TEST(Parser, Registers) {
  const Function function = parse_body(".reg .b16 a, %h<3>, %1; mov.b16 %1, %h2;");
  EXPECT_EQ(text_of(function.body.at(0), function), "mov.b16 %1, %h2");
  const Register& last = function.registers.back();
  EXPECT_EQ(last.name, "%1");
  EXPECT_EQ(last.type, Type::kB16);
}

TEST(Parser, Calls) {
  const std::string functions = R"(
    .func (.param .b32 r) f (.param .b32 a);
    .func g;
    .extern .func (.param .b32 r) vprintf (.param .b64 a, .param .b64 b);
  )";
  const Module module = parse(functions + entry(R"(
    { .param .b32 a; .param .b32 r; st.param.b32 [a], 1; call.uni (r), f, (a); }
    { .param .b32 a; .param .b32 r; call (r), f, (a); }
    call g;
    call.uni g, ();
    call (%r1), f, (4);
    call (_), f, (%r2);
    proto: .callprototype (.param .b32 _) _ (.param .b64 _, .param .align 8 .b8 _[16]) .noreturn;
    list: .calltargets f, vprintf;
    mov.u64 %rd1, f;
    call (%r1), %rd1, (%rd2, %rd3), proto;
    call (%r1), %rd1, (%rd2), list;)"));
  const Function& k = module.functions.at(3);
  ASSERT_EQ(k.body.size(), 10u);
  EXPECT_EQ(text_of(k.body[1], k), "call.uni (r), function:f, (a)");
  EXPECT_EQ(text_of(k.body[2], k),
            "call (" + k.variables[3].name + "), function:f, (" + k.variables[2].name + ")");
  EXPECT_EQ(text_of(k.body[3], k), "call function:g");
  EXPECT_EQ(text_of(k.body[4], k), "call.uni function:g, ()");
  EXPECT_EQ(text_of(k.body[5], k), "call (%r1), function:f, (4)");
  EXPECT_EQ(text_of(k.body[6], k), "call (_), function:f, (%r2)");
  EXPECT_EQ(text_of(k.body[7], k), "mov.u64 %rd1, function:f");
  EXPECT_EQ(text_of(k.body[8], k), "call (%r1), %rd1, (%rd2, %rd3), prototype:proto");
  EXPECT_EQ(text_of(k.body[9], k), "call (%r1), %rd1, (%rd2), prototype:list");
  ASSERT_EQ(k.prototypes.size(), 2u);
  EXPECT_EQ(k.prototypes[0].parameters.at(1).size, 16u);
  EXPECT_EQ(k.prototypes[0].parameters.at(1).align, 8u);
  EXPECT_EQ(k.prototypes[1].targets, (std::vector<std::string>{"f", "vprintf"}));
}

TEST(Parser, BranchTables) {
  const Function function = parse_body(R"(
    a: mov.u32 %r1, 0;
    table: .branchtargets a, b, c, a;
    brx.idx.uni %r1, table;
    b: ret;
    c: exit;)");
  ASSERT_EQ(function.branch_targets.size(), 1u);
  EXPECT_EQ(function.branch_targets[0], (std::vector<uint32_t>{0, 2, 3, 0}));
  EXPECT_EQ(function.body[1].operands[1].kind, Operand::Kind::kLabel);
  EXPECT_EQ(function.body[1].operands[1].index, 0u);
}

TEST(Parser, FunctionHeads) {
  const Module module = parse(R"(
    .visible .entry k1 (
      .param .u64 .ptr .global .align 16 k1_param_0, .param .align 16 .b8 k1_param_1[64])
      .maxntid 256, 2 .minnctapersm 2 .maxnreg 128 .pragma "nounroll"; .maxclusterrank 8 { ret; }
    .entry k2 .reqntid 64 .reqnctapercluster 2, 1, 1 .explicitcluster .abi_preserve 4 { ret; }
    .func f (.param .b32 a);
    .weak .func (.reg .b32 result) g (.reg .b32 a, .reg .pred b) { mov.b32 result, a; ret; }
    .func f (.param .b32 a) .noreturn { exit; }
  )");
  ASSERT_EQ(module.functions.size(), 4u);
  const Function& k1 = module.functions[0];
  EXPECT_TRUE(k1.is_entry);
  EXPECT_FALSE(k1.is_extern);
  ASSERT_EQ(k1.parameters.size(), 2u);
  EXPECT_EQ(k1.parameters[0].size, 8u);
  EXPECT_EQ(k1.parameters[0].align, 8u);  // .ptr's alignment is of what it points to
  EXPECT_EQ(k1.parameters[1].size, 64u);
  EXPECT_EQ(k1.parameters[1].align, 16u);
  EXPECT_EQ(k1.max_threads[0], 256u);
  EXPECT_EQ(k1.max_threads[1], 2u);
  EXPECT_EQ(k1.max_threads[2], 1u);
  EXPECT_EQ(k1.min_blocks_per_sm, 2u);
  EXPECT_EQ(k1.max_registers, 128u);
  EXPECT_EQ(k1.max_cluster_rank, 8u);
  EXPECT_EQ(module.functions[1].required_threads[0], 64u);
  EXPECT_EQ(module.functions[1].required_cluster[0], 2u);
  EXPECT_TRUE(module.functions[1].explicit_cluster);
  EXPECT_EQ(module.functions[2].name, "f");
  EXPECT_FALSE(module.functions[2].is_extern);
  EXPECT_TRUE(module.functions[2].no_return);
  const Function& g = module.functions[3];
  EXPECT_EQ(text_of(g.body[0], g), "mov.b32 result, a");
  EXPECT_EQ(g.registers.at(2).type, Type::kPred);
  EXPECT_EQ(g.returns.at(0).space, Space::kRegister);
}

TEST(Parser, AliasesBecomeTheirTargets) {
  const Module module = parse(R"(
    .visible .func a (.param .b32 x);
    .visible .func f (.param .b32 x) { ret; }
    .global .u64 table[1] = {a};
  )" + entry("call a, (%r1);") +
                              ".alias a, f;");
  ASSERT_EQ(module.functions.size(), 2u);
  EXPECT_EQ(module.functions[0].name, "f");
  EXPECT_EQ(module.functions[1].body[0].operands[0].name, "f");
  EXPECT_EQ(module.variables[0].symbols.at(0).name, "f");
}

TEST(Parser, SourceLines) {
  const Module module = parse(
      ".file 1 \"a.cu\", 1700000000, 120\n.file 3 \"dir\" \"b.h\"\n" +
      entry("ret;\n.loc 1 12 5\nret;\n"
            ".loc 3 7 1, function_name $L__info_string0+16, inlined_at 1 13 2\n{ ret; }\nret;") +
      ".section .debug_str { $L__info_string0: .b8 95, 0 .b64 $L__tmp1-$L__tmp0 { } }\n" +
      ".entry k2 { ret; }");
  EXPECT_EQ(module.files, (std::vector<std::string>{"", "a.cu", "", "dir/b.h"}));
  const auto& body = module.functions.at(0).body;
  ASSERT_EQ(body.size(), 4u);
  EXPECT_EQ(body[0].location.source_line, 0u);
  EXPECT_EQ(body[1].location.source_line, 12u);
  EXPECT_EQ(body[1].location.source_file, 1u);
  EXPECT_EQ(body[1].location.line, 11u);
  EXPECT_EQ(body[2].location.source_file, 3u);
  EXPECT_EQ(body[2].location.source_line, 7u);
  EXPECT_EQ(body[3].location.source_line, 7u);
  EXPECT_EQ(module.functions.at(1).body[0].location.source_line, 0u);
}

}  // namespace
}  // namespace nibble::emulator
