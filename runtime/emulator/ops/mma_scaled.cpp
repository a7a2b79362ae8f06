// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// mma.sync of sparse A (mma.sp) and with block scales (kind::mxf8f6f4, mxf4, mxf4nvf4), and both.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#warp-level-block-scaling
#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/ops/mma.h"

namespace nibble::emulator {

namespace {

using tensor::Format;
using tensor::ScaleFormat;

constexpr Element kE2m1InByte = {Format::kE2m1, 8, 2, 4};
constexpr Element kE3m2InByte = {Format::kE3m2, 8, 0, 6};
constexpr Element kE2m3InByte = {Format::kE2m3, 8, 0, 6};
constexpr std::array<Element, 5> kBytes = {dense(Format::kE4m3), dense(Format::kE5m2), kE3m2InByte,
                                           kE2m3InByte, kE2m1InByte};
constexpr std::array<Format, 2> kHalfOrSingle = {Format::kF16, Format::kF32};

// --- Sparse. Groups: the usual ones, the variant, an option ---

constexpr int kVariantGroup = 9, kOptionGroup = 10;

constexpr MmaFamily kF16 = {{{{16, 8, 16}, {16, 8, 32}}}, kHalfOrSingle, {dense(Format::kF16)}};
constexpr MmaFamily kBf16 = {{{{16, 8, 16}, {16, 8, 32}}}, {Format::kF32}, {dense(Format::kBf16)}};
constexpr MmaFamily kTf32 = {{{{16, 8, 8}, {16, 8, 16}}}, {Format::kF32}, {dense(Format::kTf32)}};
constexpr MmaFamily kFp8 = {
    {{{16, 8, 64}}}, {Format::kF32}, {dense(Format::kE4m3), dense(Format::kE5m2)}};
constexpr MmaFamily kF8f6f4 = {{{{16, 8, 64}}}, kHalfOrSingle, kBytes};
constexpr MmaFamily kByte = {
    {{{16, 8, 32}, {16, 8, 64}}}, {Format::kS32}, {dense(Format::kU8), dense(Format::kS8)}};
constexpr MmaFamily kNibble = {
    {{{16, 8, 64}, {16, 8, 128}}}, {Format::kS32}, {dense(Format::kU4), dense(Format::kS4)}};

template <const MmaFamily& kFamily>
Mma sparse_of(const Inst& inst) {
  Mma mma = mma_of(kFamily, inst);
  mma.is_sparse = true;
  mma.needs_order = inst.choice[kVariantGroup] == 1 || &kFamily == &kF8f6f4;
  mma.saturates = &kFamily == &kByte && inst.choice[kOptionGroup] != kAbsent;
  return mma;
}
template <const MmaFamily& kFamily>
void multiply_sparse(Warp& warp, const Inst& inst) {
  if (gather_warp(warp)) run_mma(warp, inst, sparse_of<kFamily>(inst));
}
template <const MmaFamily& kFamily>
Body multiply_sparse_of(const Inst& inst) {
  const Mma mma = sparse_of<kFamily>(inst);
  const bool fits = mma.c == mma.d && inst.arg_count == mma.at_rest() + 2;
  return fits ? multiply_sparse<kFamily> : nullptr;
}

// --- Scaled. Groups: the usual ones, the kind, block_scale, scale_vec, the scales' type ---

constexpr int kVectorGroup = 11, kScaleGroup = 12;

struct ScaledFamily {
  MmaFamily mma;
  bool is_sparse;
  std::array<uint8_t, 2> scales;  // by the alternatives of scale_vec; the first where absent
  std::array<ScaleFormat, 2> formats;
};

constexpr ScaledFamily kMxf8f6f4 = {
    {{{{16, 8, 32}}}, {Format::kF32}, kBytes}, false, {1}, {ScaleFormat::kUe8m0}};
constexpr ScaledFamily kMxf4 = {
    {{{{16, 8, 64}}}, {Format::kF32}, {dense(Format::kE2m1)}}, false, {2}, {ScaleFormat::kUe8m0}};
constexpr ScaledFamily kMxf4nvf4 = {{{{{16, 8, 64}}}, {Format::kF32}, {dense(Format::kE2m1)}},
                                    false,
                                    {2, 4},
                                    {ScaleFormat::kUe8m0, ScaleFormat::kUe4m3}};
constexpr ScaledFamily kSparseMxf8f6f4 = {
    {{{{16, 8, 64}}}, {Format::kF32}, kBytes}, true, {1}, {ScaleFormat::kUe8m0}};
constexpr ScaledFamily kSparseMxf4 = {
    {{{{16, 8, 128}}}, {Format::kF32}, {dense(Format::kE2m1)}}, true, {2}, {ScaleFormat::kUe8m0}};
constexpr ScaledFamily kSparseMxf4nvf4 = {
    {{{{16, 8, 128}}}, {Format::kF32}, {dense(Format::kE2m1)}},
    true,
    {2, 4},
    {ScaleFormat::kUe8m0, ScaleFormat::kUe4m3}};

template <const ScaledFamily& kFamily>
Mma scaled_of(const Inst& inst) {
  Mma mma = mma_of(kFamily.mma, inst);
  const uint8_t vector = inst.choice[kVectorGroup];
  mma.scales = kFamily.scales[vector == kAbsent ? 0 : vector];
  mma.scale = kFamily.formats[inst.choice[kScaleGroup]];
  mma.is_sparse = kFamily.is_sparse;
  mma.needs_order = kFamily.is_sparse;
  return mma;
}
template <const ScaledFamily& kFamily>
void multiply_scaled(Warp& warp, const Inst& inst) {
  if (gather_warp(warp)) run_mma(warp, inst, scaled_of<kFamily>(inst));
}
template <const ScaledFamily& kFamily>
Body multiply_scaled_of(const Inst& inst) {
  const Mma mma = scaled_of<kFamily>(inst);
  // Table 36: a ue4m3 scales 16 elements.
  if (mma.scale == ScaleFormat::kUe4m3 && mma.scales != 4) return nullptr;
  const uint32_t rest = 6 + (mma.is_sparse ? 2 : 0);
  return inst.arg_count == mma.at_rest() + rest ? multiply_scaled<kFamily> : nullptr;
}

constexpr const char* kOperands = " {d:b32}, {a:b32}, {b:b32}, {c:b32}";
constexpr const char* kFive = "{e4m3,e5m2,e3m2,e2m3,e2m1}";

}  // namespace

void append_mma_sparse_rows(Rows& rows) {
  const std::string mma = "mma.sync.aligned.";
  const std::string variant = ".{sp,sp::ordered_metadata}";
  const std::string operands = std::string(kOperands) + ", e:b32, f:b32";
  const Row sparse_rows[] = {
      {mma + "{m16n8k16,m16n8k32}.row.col.{f16,f32}.f16.f16.{f16,f32}" + variant + operands,
       {80},
       nullptr,
       multiply_sparse_of<kF16>},
      {mma + "{m16n8k16,m16n8k32}.row.col.f32.bf16.bf16.f32" + variant + operands,
       {80},
       nullptr,
       multiply_sparse_of<kBf16>},
      {mma + "{m16n8k8,m16n8k16}.row.col.f32.tf32.tf32.f32" + variant + operands,
       {80},
       nullptr,
       multiply_sparse_of<kTf32>},
      {mma + "m16n8k64.row.col.f32.{e4m3,e5m2}.{e4m3,e5m2}.f32" + variant + operands,
       {89},
       nullptr,
       multiply_sparse_of<kFp8>},
      {mma + "m16n8k64.row.col.{f16,f32}." + kFive + "." + kFive +
           ".{f16,f32}.sp::ordered_metadata.kind::f8f6f4" + operands,
       {0, "120f"},
       nullptr,
       multiply_sparse_of<kF8f6f4>},
      {mma + "{m16n8k32,m16n8k64}.row.col.s32.{u8,s8}.{u8,s8}.s32" + variant + "{.satfinite}" +
           operands,
       {80},
       nullptr,
       multiply_sparse_of<kByte>},
      {mma + "{m16n8k64,m16n8k128}.row.col.s32.{u4,s4}.{u4,s4}.s32" + variant + "{.satfinite}" +
           operands,
       {80},
       nullptr,
       multiply_sparse_of<kNibble>},
  };
  rows.insert(rows.end(), std::begin(sparse_rows), std::end(sparse_rows));
}

void append_mma_scaled_rows(Rows& rows) {
  const std::string mma = "mma.sync.aligned.";
  const std::string types = ".row.col.f32.e2m1.e2m1.f32";
  const std::string bytes = std::string(".row.col.f32.") + kFive + "." + kFive + ".f32";
  const std::string scales = ", s:b32, {i:u16}, t:b32, {j:u16}";
  const std::string operands = std::string(kOperands) + scales;
  const std::string sparse_operands = std::string(kOperands) + ", e:b32, f:b32" + scales;
  const std::string mxf8f6f4 = ".kind::mxf8f6f4.block_scale{.scale_vec::1X}.ue8m0";
  const std::string mxf4 = ".kind::mxf4.block_scale{.scale_vec::2X}.ue8m0";
  const std::string mxf4nvf4 =
      ".kind::mxf4nvf4.block_scale.{scale_vec::2X,scale_vec::4X}.{ue8m0,ue4m3}";
  const std::string ordered = ".sp::ordered_metadata";
  const Requires family{0, "120f"};
  // Sparse, these two kinds are not of the family (9.7.14.6.3).
  const Requires specific{0, "120a 121a"};
  const Row scaled_rows[] = {
      {mma + "m16n8k32" + bytes + mxf8f6f4 + operands, family, nullptr,
       multiply_scaled_of<kMxf8f6f4>},
      {mma + "m16n8k64" + types + mxf4 + operands, family, nullptr, multiply_scaled_of<kMxf4>},
      {mma + "m16n8k64" + types + mxf4nvf4 + operands, family, nullptr,
       multiply_scaled_of<kMxf4nvf4>},
      {mma + "m16n8k64" + bytes + mxf8f6f4 + ordered + sparse_operands, family, nullptr,
       multiply_scaled_of<kSparseMxf8f6f4>},
      {mma + "m16n8k128" + types + mxf4 + ordered + sparse_operands, specific, nullptr,
       multiply_scaled_of<kSparseMxf4>},
      {mma + "m16n8k128" + types + mxf4nvf4 + ordered + sparse_operands, specific, nullptr,
       multiply_scaled_of<kSparseMxf4nvf4>},
  };
  rows.insert(rows.end(), std::begin(scaled_rows), std::end(scaled_rows));
}

}  // namespace nibble::emulator
