// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// One warp-level multiplication: fragments to matrices, metadata and scales, the product, back.
#include <string>
#include <vector>

#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/ops/arithmetic_of.h"
#include "runtime/emulator/ops/mma.h"
#include "runtime/emulator/ops/sparsity.h"

namespace nibble::emulator {

namespace {

using tensor::Format;

constexpr uint32_t kMostOperand = 16 * 256;  // elements of A: m16n8k256
constexpr uint32_t kMostResult = 16 * 8;
constexpr uint32_t kMostScales = 16 * 4;

// --- Scales (PTX ISA 9.7.14.3) ---

struct Selector {
  uint32_t byte = 0, thread = 0;
};

// Args: the data, the byte, the thread.
Selector selector_of(Warp& warp, const Arg* args, uint32_t scales, uint32_t threads) {
  const Selector selector{uniform_value(warp, args[1], "byte-id of the scales"),
                          uniform_value(warp, args[2], "thread-id of the scales")};
  if (selector.byte % scales != 0 || selector.byte > 4 - scales) {
    refuse_operand(warp, "byte-id " + std::to_string(selector.byte) +
                             " with scale_vec::" + std::to_string(scales) + "X");
  }
  if (selector.thread >= threads) {
    refuse_operand(warp, "thread-id " + std::to_string(selector.thread) + "; there are 0 to " +
                             std::to_string(threads - 1));
  }
  return selector;
}

struct Scales {
  std::array<uint8_t, kMostScales> a, b;
};

void read_scales(Warp& warp, const Inst& inst, const Mma& mma, Scales& scales) {
  const Arg* const args = inst.arg + mma.at_rest() + (mma.is_sparse ? 2 : 0);
  const Selector of_a = selector_of(warp, args, mma.scales, 2);
  const Selector of_b = selector_of(warp, args + 3, mma.scales, 4);
  const uint32_t* const data_a = warp.reg<const uint32_t>(args[0]);
  const uint32_t* const data_b = warp.reg<const uint32_t>(args[3]);
  for (uint32_t i = 0; i < mma.scales; ++i) {
    // Of four lanes two have rows g and g + 8, one has column g.
    for (uint32_t row = 0; row < mma.shape.m; ++row) {
      const uint32_t lane = row % 8 * 4 + of_a.thread * 2 + row / 8;
      scales.a[row * mma.scales + i] = static_cast<uint8_t>(data_a[lane] >> (of_a.byte + i) * 8);
    }
    for (uint32_t column = 0; column < mma.shape.n; ++column) {
      const uint32_t lane = column * 4 + of_b.thread;
      scales.b[column * mma.scales + i] = static_cast<uint8_t>(data_b[lane] >> (of_b.byte + i) * 8);
    }
  }
}

struct Matrices {
  std::array<uint32_t, kMostOperand> a, b;
  std::array<uint32_t, kMostResult> d;
};

void read_matrices(Warp& warp, const Inst& inst, const Mma& mma, Matrices& matrices) {
  const uint32_t k = mma.shape.k, stored = mma.stored_k(), n = mma.shape.n;
  const uint32_t each_a = 32u / mma.a.bits, each_b = 32u / mma.b.bits;
  read_codes(warp, inst.arg + mma.at_a(), mma.a, mma.count_a(),
             [&](uint32_t lane, uint32_t i, uint32_t code) {
               const Place place = place_in_a(lane, i, each_a);
               matrices.a[place.line * stored + place.along] = code;
             });
  read_codes(warp, inst.arg + mma.at_b(), mma.b, mma.count_b(),
             [&](uint32_t lane, uint32_t i, uint32_t code) {
               const Place place = place_in_b(lane, i, each_b);
               matrices.b[place.line * k + place.along] = code;
             });
  read_codes(warp, inst.arg + mma.at_c(), dense(mma.c), mma.count_c(),
             [&](uint32_t lane, uint32_t i, uint32_t code) {
               const Place place = place_in_c(lane, i);
               matrices.d[place.line * n + place.along] = code;
             });
}

}  // namespace

tensor::Arithmetic mma_arithmetic(const Warp& warp, const Element& a, bool has_scales) {
  using tensor::Arithmetic;
  const uint32_t target = warp.block().grid().model.target.number;
  const bool is_byte_float = a.format >= Format::kE4m3 && a.format <= Format::kE2m1;
  Arithmetic hardware = target < 100 ? Arithmetic::kMmaHopper : Arithmetic::kMmaBlackwell;
  // sm_120 has instructions for these formats, sm_100 goes by way of f16.
  if (has_scales || (is_byte_float && target >= 120)) hardware = Arithmetic::kTcgen05;
  return arithmetic_of(warp, hardware);
}

void run_mma(Warp& warp, const Inst& inst, const Mma& mma) {
  Matrices matrices;
  read_matrices(warp, inst, mma, matrices);
  tensor::Multiply shape;
  shape.m = mma.shape.m;
  shape.n = mma.shape.n;
  shape.k = mma.stored_k();
  shape.a = mma.a.format;
  shape.b = mma.b.format;
  shape.d = mma.d;
  shape.scale = mma.scale;
  shape.scale_block = mma.scales == 0 ? 0 : shape.k / mma.scales;
  shape.arithmetic = mma_arithmetic(warp, mma.a, mma.scales != 0);
  shape.saturates = mma.saturates;
  shape.conjunction = mma.conjunction;
  Scales scales;
  const bool has_scales = mma.scales != 0;
  if (has_scales) read_scales(warp, inst, mma, scales);
  const uint8_t* const a_scales = has_scales ? scales.a.data() : nullptr;
  const uint8_t* const b_scales = has_scales ? scales.b.data() : nullptr;
  if (mma.is_sparse) {
    const Metadata metadata(warp, inst.arg[mma.at_rest()], inst.arg[mma.at_rest() + 1],
                            {mma.a.bits, mma.shape.k, mma.needs_order});
    std::array<uint16_t, kMostOperand> columns;
    for (uint32_t row = 0; row < shape.m; ++row) {
      for (uint32_t i = 0; i < shape.k; ++i) columns[row * shape.k + i] = metadata.column(row, i);
    }
    tensor::multiply_sparse(shape, matrices.a.data(), columns.data(), matrices.b.data(),
                            mma.shape.k, a_scales, b_scales, matrices.d.data());
  } else {
    tensor::multiply(shape, matrices.a.data(), matrices.b.data(), a_scales, b_scales,
                     matrices.d.data());
  }
  write_codes(warp, inst.arg, register_bits(mma.d), mma.count_c(), [&](uint32_t lane, uint32_t i) {
    const Place place = place_in_c(lane, i);
    return matrices.d[place.line * mma.shape.n + place.along];
  });
}

}  // namespace nibble::emulator
