// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Modules as compilers write them, cut down; and the same with damage, which must give an error or
// a module, never a crash.
#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <string>

#include "runtime/emulator/ptx/parser.h"
#include "tests/emulator/ptx/parse.h"

namespace nibble::emulator {
namespace {

// nvcc 13: a printf, a recursive function, an indirect call, inline assembly, line numbers.
constexpr std::string_view kNvcc = R"(
	// .globl	_Z1kPii
.extern .func  (.param .b32 func_retval0) vprintf
(
	.param .b64 vprintf_param_0,
	.param .b64 vprintf_param_1
)
;
.const .align 4 .b8 ctab[32] = {0, 0, 128, 63, 0, 0, 0, 64, 0, 0, 96, 64};
.global .attribute(.managed) .align 4 .u32 managed_value = 7;
.global .align 4 .b8 target[16];
.global .align 1 .b8 $str[6] = {104, 101, 108, 108, 111};
.global .align 8 .u64 sval[4] = {97, 4611686018427387904, generic(target)+8, generic($str)};
// _ZZ1kPii3BigE2st has been demoted
.extern .shared .align 16 .b8 sm[];

.func  (.param .b32 func_retval0) _Z7recursei(
	.param .b32 _Z7recursei_param_0
)
{
	.reg .pred 	%p<3>;
	.reg .b32 	%r<7>;

	.loc	1 15 0
	ld.param.u32 	%r1, [_Z7recursei_param_0];
$L__tmp0:
	.loc	1 15 70, function_name $L__info_string0, inlined_at 1 20 9
	setp.lt.s32 	%p1, %r1, 2;
	@%p1 bra 	$L__BB0_2;
	.pragma "nounroll";
	{ // callseq 0, 0
	.param .b32 param0;
	st.param.b32 	[param0], %r1;
	.param .b32 retval0;
	call.uni (retval0), 
	_Z7recursei, 
	(
	param0
	);
	ld.param.b32 	%r2, [retval0];
	} // callseq 0
$L__BB0_2:
	st.param.b32 	[func_retval0], %r2;
	ret;

}
.global .align 8 .u64 table[2] = {_Z7recursei, _Z7recursei};
.visible .entry _Z1kPii(
	.param .u64 .ptr .align 1 _Z1kPii_param_0,
	.param .u32 _Z1kPii_param_1
)
.maxntid 256, 1, 1
.minnctapersm 2
{
	.local .align 16 .b8 	__local_depot4[144];
	.reg .b64 	%SP;
	.reg .b64 	%SPL;
	.reg .pred 	%p<21>;
	.reg .b32 	%r<90>;
	.reg .b64 	%rd<50>;
	// demoted variable
	.shared .align 4 .b8 _ZZ1kPii3BigE2st[256];
	mov.u64 	%SPL, __local_depot4;
	cvta.local.u64 	%SP, %SPL;
	mov.u32 	%r6, %tid.x;
	cvta.to.global.u64 %rd1, %rd2;
	ld.global.u64 	%rd3, [%rd1+8];
	// begin inline asm
	{
 .reg .pred p; .reg .b32 t; /* c */ 
 setp.ne.b32 p, %r6, 0;
LAB: @p bra DONE; // x
 mov.b32 t, 5;
 bra LAB;
DONE:
}
	// end inline asm
	// begin inline asm
	{
 .reg .pred p;
 setp.ne.b32 p, %r6, 0;
LAB: @!p bra DONE;
 bra LAB;
DONE:
}
	// end inline asm
	{ // callseq 3, 0
	.param .b32 param0;
	st.param.b32 	[param0], %r6;
	.param .b32 retval0;
	prototype_3 : .callprototype (.param .b32 _) _ (.param .b32 _);
	call (retval0), 
	%rd3, 
	(
	param0
	)
	, prototype_3;
	} // callseq 3
	st.shared.v4.b32 	[sm+16], {%r1, %r2, %r3, %r4};
	shfl.sync.bfly.b32	%r18|%p4, %r17, 1, 31, -1;
	ret;

}
	.file	1 "a.cu"
	.section	.debug_str
	{
$L__info_string0:
.b8 95
.b8 0

	}
)";

// LLVM 14: a jump table, a structure returned by value, debug sections.
constexpr std::string_view kLlvm = R"(
.visible .func  (.param .b32 func_retval0) _Z2f1i
(
	.param .b32 _Z2f1i_param_0
)
;
.visible .global .align 4 .b8 target[16];
.visible .global .align 8 .u64 ptrs[2] = {generic(target)+4, generic(target)};
.visible .global .align 8 .u64 table[1] = {_Z2f1i};
.global .align 1 .b8 _$_str[4] = {37, 100, 10, 0};

.visible .func  (.param .b32 func_retval0) _Z2f1i(
	.param .b32 _Z2f1i_param_0
)
{
	.reg .b32 	%r<4>;
	ld.param.u32 	%r1, [_Z2f1i_param_0];
	st.param.b32 	[func_retval0+0], %r1;
	ret;

}
.visible .func  (.param .align 4 .b8 func_retval0[48]) _Z2mki3Big(
	.param .b32 _Z2mki3Big_param_0,
	.param .align 4 .b8 _Z2mki3Big_param_1[48]
)
{
	.reg .b32 	%r<26>;
	.reg .b64 	%rd<4>;
	.reg .pred 	%p<2>;
$L__func_begin0:
	.loc 1 12 0
	ld.param.u32 	%r1, [_Z2mki3Big_param_1+8];
	setp.gt.u32 	%p1, %r1, 3;
	@%p1 bra 	LBB3_4;
	$L_brx_0: .branchtargets
		LBB3_2,
		LBB3_3,
		LBB3_4;
	brx.idx 	%r1, $L_brx_0;
LBB3_2:
	st.param.v2.b32 	[func_retval0+8], {%r1, %r2};
LBB3_3:
	bar.sync 	0;
LBB3_4:
	ret;
$L__func_end0:

}
	.section	.debug_abbrev
	{
.b8 1                                   // Abbreviation Code
.b8 17
	}
	.section	.debug_info
	{
.b32 2                                  // Length of Unit
.b32 .debug_abbrev
.b64 $L__func_begin0
	}
	.section	.debug_loc	{	}
)";

TEST(Compilers, Nvcc) {
  const Module module = parse(kNvcc);
  ASSERT_EQ(module.functions.size(), 3u);
  EXPECT_TRUE(module.functions[0].is_extern);
  EXPECT_EQ(module.functions[0].parameters.size(), 2u);
  EXPECT_EQ(module.functions[1].body.size(), 8u);
  EXPECT_EQ(module.functions[1].body[1].location.source_line, 15u);
  const Function& kernel = module.functions[2];
  EXPECT_EQ(kernel.body.size(), 17u);
  EXPECT_EQ(kernel.max_threads[0], 256u);
  EXPECT_EQ(kernel.variables.at(1).size, 256u);
  EXPECT_EQ(text_of(kernel.body.at(13), kernel),
            "call (retval0), %rd3, (param0), prototype:prototype_3");
  EXPECT_EQ(text_of(kernel.body.at(15), kernel), "shfl.sync.bfly.b32 %r18|%p4, %r17, 1, 31, -1");
  EXPECT_EQ(module.variables.at(0).size, 32u);
  EXPECT_EQ(module.variables.at(0).initial.size(), 12u);
}

TEST(Compilers, Llvm) {
  const Module module = parse(kLlvm);
  ASSERT_EQ(module.functions.size(), 2u);
  EXPECT_FALSE(module.functions[0].is_extern);
  const Function& function = module.functions[1];
  EXPECT_EQ(function.returns.at(0).size, 48u);
  EXPECT_EQ(function.branch_targets.at(0), (std::vector<uint32_t>{4, 5, 6}));
}

// Replaces, removes, doubles or moves a few pieces of the text.
std::string damaged(std::string_view text, std::mt19937& random) {
  constexpr std::string_view kAlphabet = "{}()[]<>,;:@!+-*/%&|^~?=.\"_$ \n\t019afxUu#\\";
  std::string result(text);
  const auto below = [&](size_t limit) { return static_cast<size_t>(random() % limit); };
  for (size_t edits = 1 + below(3); edits > 0 && !result.empty(); --edits) {
    const size_t at = below(result.size());
    const size_t length = 1 + below(24);
    switch (below(5)) {
      case 0:
        result[at] = kAlphabet[below(kAlphabet.size())];
        break;
      case 1:
        result[at] = static_cast<char>(random());
        break;
      case 2:
        result.erase(at, length);
        break;
      case 3:
        result.insert(below(result.size()), result.substr(at, length));
        break;
      default:
        if (below(20) == 0) result.resize(at);
        result.insert(at < result.size() ? at : 0, 1, kAlphabet[below(kAlphabet.size())]);
    }
  }
  return result;
}

TEST(Compilers, DamageGivesAnErrorOrAModule) {
  std::mt19937 random(20240229);
  size_t refused = 0;
  constexpr int kMutations = 50000;  // of each text
  for (const std::string_view text : {kNvcc, kLlvm}) {
    const std::string whole = std::string(kHeader) + std::string(text);
    for (int i = 0; i < kMutations; ++i) {
      const std::string input = damaged(whole, random);
      ParseError error;
      if (parse_ptx(input, error)) continue;
      ++refused;
      const auto lines = static_cast<size_t>(std::count(input.begin(), input.end(), '\n')) + 1;
      ASSERT_GE(error.line, 1u) << input;
      ASSERT_LE(error.line, lines) << input;
      ASSERT_GE(error.column, 1u) << input;
      ASSERT_FALSE(error.message.empty()) << input;
    }
  }
  EXPECT_GT(refused, kMutations / 2u);
  EXPECT_LT(refused, kMutations * 2u);
}

}  // namespace
}  // namespace nibble::emulator
