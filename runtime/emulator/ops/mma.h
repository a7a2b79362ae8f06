// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the warp-level multiplications have in common: mma.sync dense, sparse and block-scaled,
// wmma.
#pragma once

#include <array>

#include "runtime/emulator/ops/fragment.h"

namespace nibble::emulator {

struct MmaShape {
  uint16_t m = 0, n = 0, k = 0;
};

// One instruction's multiplication, and where its operands begin among the args.
struct Mma {
  MmaShape shape;
  Element a, b;
  tensor::Format c = tensor::Format::kF32, d = tensor::Format::kF32;
  tensor::ScaleFormat scale = tensor::ScaleFormat::kNone;
  uint32_t scales = 0;  // to a row of A, a column of B
  bool is_sparse = false;
  bool needs_order = false;  // of the sparse metadata
  bool saturates = false;
  bool conjunction = false;

  uint32_t stored_k() const { return is_sparse ? shape.k / 2u : shape.k; }
  // Elements a lane.
  uint32_t count_a() const { return shape.m * stored_k() / kWarpSize; }
  uint32_t count_b() const { return shape.n * uint32_t{shape.k} / kWarpSize; }
  uint32_t count_c() const { return uint32_t{shape.m} * shape.n / kWarpSize; }
  // Args before A, B, C and what follows.
  uint32_t at_a() const { return registers(count_c(), register_bits(d)); }
  uint32_t at_b() const { return at_a() + registers(count_a(), a.bits); }
  uint32_t at_c() const { return at_b() + registers(count_b(), b.bits); }
  uint32_t at_rest() const { return at_c() + registers(count_c(), register_bits(c)); }

  static uint32_t registers(uint32_t count, uint32_t bits) {
    return bits == 64 ? count : count * bits / 32;
  }
};

// A family of instructions: rows whose groups are sync, aligned, shape, layouts of A and B, types
// of D, A, B, C, then others. Its lists are in the order of the row's alternatives.
struct MmaFamily {
  std::array<MmaShape, 3> shapes;
  std::array<tensor::Format, 2> results = {tensor::Format::kF32};
  std::array<Element, 5> operands;
};
constexpr int kShapeGroup = 2, kResultGroup = 5, kAGroup = 6, kBGroup = 7, kCGroup = 8;

inline Mma mma_of(const MmaFamily& family, const Inst& inst) {
  Mma mma;
  mma.shape = family.shapes[inst.choice[kShapeGroup]];
  mma.d = family.results[inst.choice[kResultGroup]];
  mma.c = family.results[inst.choice[kCGroup]];
  mma.a = family.operands[inst.choice[kAGroup]];
  mma.b = family.operands[inst.choice[kBGroup]];
  return mma;
}

// D = A B + C for the whole warp, which has been gathered. Formats of C and D are the same.
void run_mma(Warp& warp, const Inst& inst, const Mma& mma);

// The device's rounding of an mma of these formats, or exact sums where the settings ask for them.
tensor::Arithmetic mma_arithmetic(const Warp& warp, const Element& a, bool has_scales);

void append_mma_f64_rows(Rows& rows);
void append_mma_quad_rows(Rows& rows);  // m8n8k4 of f16
void append_mma_scaled_rows(Rows& rows);
void append_mma_sparse_rows(Rows& rows);
void append_wmma_rows(Rows& rows);

}  // namespace nibble::emulator
