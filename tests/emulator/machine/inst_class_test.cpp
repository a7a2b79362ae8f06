// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Classes of instructions, and shapes of multiplications, read off spellings.
#include "runtime/emulator/machine/inst_class.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <tuple>

#include "runtime/emulator/isa/isa.h"

namespace nibble::emulator {
namespace {

// Only arithmetic may fall through the table of classes to be classed by its type.
TEST(InstClass, EveryOpcodeHasAClass) {
  const std::set<std::string, std::less<>> arithmetic = {
      "abs", "add", "addc", "bfe", "copysign", "div",       "dp2a",  "dp4a",
      "fma", "mad", "madc", "max", "min",      "mul",       "mul24", "mad24",
      "neg", "rem", "sad",  "sub", "subc",     "vabsdiff4", "vadd4"};
  for (const Row& row : all_rows()) {
    const std::string opcode = row.spelling.substr(0, row.spelling.find_first_of(" .{"));
    const InstClass kind = class_of(opcode_of(row.spelling.substr(0, row.spelling.find('{'))));
    const bool is_arithmetic = kind == InstClass::kInteger || kind == InstClass::kFloat ||
                               kind == InstClass::kHalf || kind == InstClass::kDouble;
    EXPECT_TRUE(!is_arithmetic || arithmetic.count(opcode) != 0) << row.spelling;
  }
  EXPECT_EQ(class_of("ld.relaxed.gpu.global.L1::no_allocate.v4.f32"), InstClass::kLoadGlobal);
  EXPECT_EQ(class_of("ld.param.u64"), InstClass::kLoadParameter);
  EXPECT_EQ(class_of("ld.u64"), InstClass::kLoadGeneric);
  EXPECT_EQ(class_of("st.volatile.shared::cluster.u32"), InstClass::kStoreShared);
  EXPECT_EQ(class_of("red.async.relaxed.cluster.global.add.u32"), InstClass::kAsyncStore);
  EXPECT_EQ(class_of("fma.rn.bf16x2"), InstClass::kHalf);
  EXPECT_EQ(class_of("mul.wide.u32"), InstClass::kInteger);
  EXPECT_EQ(class_of("tcgen05.ld.sync.aligned.32x32b.x4.b32"), InstClass::kTensorLoad);
  EXPECT_EQ(class_of("cp.async.bulk.tensor.2d.shared::cluster.global"), InstClass::kTensorCopy);
  EXPECT_EQ(opcode_of("@!%p1 bra LOOP;"), "bra");
}

TEST(InstClass, ShapesOfSpellings) {
  const MmaSpelling wide = mma_spelling("wgmma.mma_async.sync.aligned.m64n256k16.f32.bf16.bf16");
  EXPECT_EQ(std::tuple(wide.m, wide.n, wide.k, wide.types),
            std::tuple(64u, 256u, 16u, std::string("f32.bf16.bf16")));
  const MmaSpelling scaled = mma_spelling(
      "mma.sync.aligned.m16n8k64.row.col.kind::mxf4nvf4.block_scale.scale_vec::4X.f32.e2m1.e2m1.f32"
      ".ue4m3");
  EXPECT_EQ(std::tuple(scaled.m, scaled.n, scaled.k, scaled.types),
            std::tuple(16u, 8u, 64u, std::string("kind::mxf4nvf4.f32.e2m1.e2m1.f32.ue4m3")));
  EXPECT_EQ(mma_spelling("tcgen05.mma.cta_group::1.kind::mxf4.block_scale.block32").types,
            "kind::mxf4");
}

}  // namespace
}  // namespace nibble::emulator
