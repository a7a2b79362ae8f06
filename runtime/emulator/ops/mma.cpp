// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// mma.sync of dense matrices: f16, bf16, tf32, fp8 and kind::f8f6f4, integers, bits.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#warp-level-matrix-instructions-mma
#include "runtime/emulator/ops/mma.h"

#include "runtime/emulator/isa/rows.h"

namespace nibble::emulator {

namespace {

using tensor::Format;

constexpr int kOptionGroup = 9;  // {.satfinite}, or the b1 operation

// In a byte of kind::f8f6f4: e2m1 in the middle, 6 bits in the lower ones (9.7.14.5.14).
constexpr Element kE2m1InByte = {Format::kE2m1, 8, 2, 4};
constexpr Element kE3m2InByte = {Format::kE3m2, 8, 0, 6};
constexpr Element kE2m3InByte = {Format::kE2m3, 8, 0, 6};

constexpr MmaFamily kF16Short = {
    {{{16, 8, 8}}}, {Format::kF16, Format::kF32}, {dense(Format::kF16)}};
constexpr MmaFamily kF16 = {{{{16, 8, 16}}}, {Format::kF16, Format::kF32}, {dense(Format::kF16)}};
constexpr MmaFamily kBf16 = {{{{16, 8, 8}, {16, 8, 16}}}, {Format::kF32}, {dense(Format::kBf16)}};
constexpr MmaFamily kTf32 = {{{{16, 8, 4}, {16, 8, 8}}}, {Format::kF32}, {dense(Format::kTf32)}};
constexpr MmaFamily kFp8 = {{{{16, 8, 16}, {16, 8, 32}}},
                            {Format::kF16, Format::kF32},
                            {dense(Format::kE4m3), dense(Format::kE5m2)}};
constexpr MmaFamily kF8f6f4 = {
    {{{16, 8, 32}}},
    {Format::kF16, Format::kF32},
    {dense(Format::kE4m3), dense(Format::kE5m2), kE3m2InByte, kE2m3InByte, kE2m1InByte}};
constexpr MmaFamily kByte = {{{{8, 8, 16}, {16, 8, 16}, {16, 8, 32}}},
                             {Format::kS32},
                             {dense(Format::kU8), dense(Format::kS8)}};
constexpr MmaFamily kNibble = {{{{8, 8, 32}, {16, 8, 32}, {16, 8, 64}}},
                               {Format::kS32},
                               {dense(Format::kU4), dense(Format::kS4)}};
constexpr MmaFamily kBit = {
    {{{8, 8, 128}, {16, 8, 128}, {16, 8, 256}}}, {Format::kS32}, {dense(Format::kB1)}};

template <const MmaFamily& kFamily>
void multiply(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  Mma mma = mma_of(kFamily, inst);
  // No target from sm_90 on has an instruction for s4 and u4: what stands in for it ignores
  // .satfinite.
  mma.saturates = &kFamily == &kByte && inst.choice[kOptionGroup] != kAbsent;
  mma.conjunction = &kFamily == &kBit && inst.choice[kOptionGroup] == 1;
  run_mma(warp, inst, mma);
}

// C and D have one type, and the vectors as many registers as the shape.
template <const MmaFamily& kFamily>
Body multiply_of(const Inst& inst) {
  const Mma mma = mma_of(kFamily, inst);
  return mma.c == mma.d && inst.arg_count == mma.at_rest() ? multiply<kFamily> : nullptr;
}

}  // namespace

void append_mma_rows(Rows& rows) {
  const std::string operands = " {d:b32}, {a:b32}, {b:b32}, {c:b32}";
  const std::string mma = "mma.sync.aligned.";
  const std::string layouts = ".row.col.";
  const Requires f8f6f4{0, "120f"};
  const Row mma_rows[] = {
      {mma + "m16n8k8" + layouts + "{f16,f32}.f16.f16.{f16,f32}" + operands,
       {75},
       nullptr,
       multiply_of<kF16Short>},
      {mma + "m16n8k16" + layouts + "{f16,f32}.f16.f16.{f16,f32}" + operands,
       {80},
       nullptr,
       multiply_of<kF16>},
      {mma + "{m16n8k8,m16n8k16}" + layouts + "f32.bf16.bf16.f32" + operands,
       {80},
       nullptr,
       multiply_of<kBf16>},
      {mma + "{m16n8k4,m16n8k8}" + layouts + "f32.tf32.tf32.f32" + operands,
       {80},
       nullptr,
       multiply_of<kTf32>},
      {mma + "{m16n8k16,m16n8k32}" + layouts + "{f16,f32}.{e4m3,e5m2}.{e4m3,e5m2}.{f16,f32}" +
           operands,
       {89},
       nullptr,
       multiply_of<kFp8>},
      {mma + "m16n8k32" + layouts +
           "{f16,f32}.{e4m3,e5m2,e3m2,e2m3,e2m1}.{e4m3,e5m2,e3m2,e2m3,e2m1}.{f16,f32}"
           ".kind::f8f6f4" +
           operands,
       f8f6f4, nullptr, multiply_of<kF8f6f4>},
      {mma + "{m8n8k16,m16n8k16,m16n8k32}" + layouts + "s32.{u8,s8}.{u8,s8}.s32{.satfinite}" +
           operands,
       {75},
       nullptr,
       multiply_of<kByte>},
      {mma + "{m8n8k32,m16n8k32,m16n8k64}" + layouts + "s32.{u4,s4}.{u4,s4}.s32{.satfinite}" +
           operands,
       {75},
       nullptr,
       multiply_of<kNibble>},
      {mma + "{m8n8k128,m16n8k128,m16n8k256}" + layouts + "s32.b1.b1.s32.{xor,and}.popc" + operands,
       {75},
       nullptr,
       multiply_of<kBit>},
  };
  rows.insert(rows.end(), std::begin(mma_rows), std::end(mma_rows));
  append_mma_f64_rows(rows);
  append_mma_quad_rows(rows);
  append_mma_scaled_rows(rows);
  append_mma_sparse_rows(rows);
  append_wmma_rows(rows);
}

}  // namespace nibble::emulator
