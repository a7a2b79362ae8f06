// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The fused sum of tensor cores, one output at a time. All terms and C are aligned to the largest
// exponent among them, cut towards zero after so many bits, added exactly, then converted once.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "runtime/emulator/tensor/families.h"
#include "runtime/emulator/tensor/number.h"

namespace nibble::emulator::tensor {

// Of e2m1 in instructions with k of 64 and 96, so many products make one term, added exactly.
constexpr uint32_t kGroup = 16;

struct Model {
  Layout a, b;
  Format d = Format::kF32;
  uint32_t k = 0;
  ScaleFormat scale = ScaleFormat::kNone;
  uint32_t scale_block = 0;
  int fraction_bits = 25;  // kept of each term, relative to the largest exponent
  int mantissa_bits = 23;  // of an f32 result; what a wgmma of fp8 gives has fewer than f32
  bool grouped = false;    // terms of kGroup products each
};

// `shape` is floating. kExact uses the formats and the groups alone.
Model model_of(const Multiply& shape);

// One output's operands: k numbers each, and k / scale_block scales.
struct Terms {
  const Number* a = nullptr;
  const Number* b = nullptr;
  const Number* a_scales = nullptr;
  const Number* b_scales = nullptr;
};

// The result where NaN and infinities decide it.
std::optional<uint32_t> special_result(const Model& model, const Terms& terms, const Number& c);

// One output, by definition: of a model, and of kExact.
uint32_t fused(const Model& model, const Terms& terms, uint32_t c);
uint32_t exact(const Model& model, const Terms& terms, uint32_t c);

// The numbers of all codes of an instruction.
class Decoded {
 public:
  Decoded(const Multiply& shape, const Model& model, const Operands& operands);
  Terms terms(size_t row, size_t column) const {
    return {&a_[row * k_], &b_[column * k_], a_scales_.data() + row * blocks_,
            b_scales_.data() + column * blocks_};
  }

 private:
  size_t k_, blocks_;
  std::vector<Number> a_, b_, a_scales_, b_scales_;
};

}  // namespace nibble::emulator::tensor
