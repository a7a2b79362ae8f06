// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// After Xie et al., "MMA-Sim: Bit-Accurate Reference Model of Tensor Cores and Matrix Cores",
// arXiv 2511.10909.
#include "runtime/emulator/tensor/model.h"

#include <algorithm>
#include <array>
#include <cstdlib>

namespace nibble::emulator::tensor {
namespace {

// significand * 2^(exponent - point).
struct Term {
  int64_t significand = 0;
  int point = 0;
  int exponent = 0;
};

int64_t with_sign(uint64_t magnitude, bool negative) {
  return negative ? -static_cast<int64_t>(magnitude) : static_cast<int64_t>(magnitude);
}

class Sum {
 public:
  void add(const Term& term) { terms_[count_++] = term; }

  uint32_t result(const Model& model) const {
    int highest = terms_[0].exponent;
    for (uint32_t i = 1; i < count_; ++i) highest = std::max(highest, terms_[i].exponent);
    int64_t sum = 0;
    for (uint32_t i = 0; i < count_; ++i) sum += aligned(terms_[i], highest, model.fraction_bits);
    const int exponent = highest - model.fraction_bits;
    return model.d == Format::kF16 ? round_to_nearest(Format::kF16, sum, exponent)
                                   : truncate_to_f32(sum, exponent, model.mantissa_bits);
  }

 private:
  static int64_t aligned(const Term& term, int highest, int fraction_bits) {
    const int shift = fraction_bits - term.point - (highest - term.exponent);
    const auto magnitude = static_cast<uint64_t>(std::llabs(term.significand));
    const uint64_t kept = shift >= 0 ? magnitude << shift : magnitude >> std::min(-shift, 63);
    return with_sign(kept, term.significand < 0);
  }

  std::array<Term, kMostK + 1> terms_;
  uint32_t count_ = 0;
};

// What infinities and NaN among the operands make of the result.
class SpecialCases {
 public:
  void product(const Number& a, const Number& b) {
    const bool infinite = a.kind == Kind::kInfinity || b.kind == Kind::kInfinity;
    const bool zero = is_zero(a) || is_zero(b);
    if (a.kind == Kind::kNan || b.kind == Kind::kNan || (infinite && zero)) nan_ = true;
    if (infinite) infinity(a.negative != b.negative);
  }
  void value(const Number& x) {
    if (x.kind == Kind::kNan) nan_ = true;
    if (x.kind == Kind::kInfinity) infinity(x.negative);
  }
  bool any() const { return nan_ || positive_ || negative_; }
  uint32_t result(Format d) const {
    if (nan_ || (positive_ && negative_)) return nan_of(d);
    return infinity_of(d, negative_);
  }

 private:
  static bool is_zero(const Number& x) { return x.kind == Kind::kFinite && x.significand == 0; }
  void infinity(bool negative) { (negative ? negative_ : positive_) = true; }

  bool nan_ = false, positive_ = false, negative_ = false;
};

Term product_of(const Model& model, const Number& a, const Number& b) {
  return {with_sign(uint64_t{a.significand} * b.significand, a.negative != b.negative),
          model.a.mantissa_bits + model.b.mantissa_bits, a.exponent + b.exponent};
}

// The products of one scale block, or part of it, exactly; the scale's significands multiplied in.
Term group_of(const Model& model, const Number* a, const Number* b, const Number& a_scale,
              const Number& b_scale) {
  Term term;
  for (uint32_t i = 0; i < kGroup; ++i) {
    // e2m1's exponents are 0 to 2, and kZeroExponent.
    const int shift = std::max(a[i].exponent, int16_t{0}) + std::max(b[i].exponent, int16_t{0});
    term.significand += product_of(model, a[i], b[i]).significand * (int64_t{1} << shift);
  }
  term.significand *= int64_t{a_scale.significand} * b_scale.significand;
  term.point = model.a.mantissa_bits + model.b.mantissa_bits + 2 * scale_mantissa_bits(model.scale);
  term.exponent = a_scale.exponent + b_scale.exponent;
  return term;
}

}  // namespace

Model model_of(const Multiply& shape) {
  Model model;
  model.a = layout_of(shape.a);
  model.b = layout_of(shape.b);
  model.d = shape.d;
  model.k = shape.k;
  model.scale = shape.scale;
  model.scale_block = shape.scale_block;
  const bool fp4 = shape.a == Format::kE2m1 && shape.b == Format::kE2m1;
  model.grouped = shape.scale != ScaleFormat::kNone && fp4 && shape.k != 32;
  if (model.grouped) model.fraction_bits = 35;
  if (shape.arithmetic == Arithmetic::kWgmmaHopper && shape.a >= Format::kE4m3) {
    model.fraction_bits = 13;
    model.mantissa_bits = 13;
  }
  return model;
}

std::optional<uint32_t> special_result(const Model& model, const Terms& terms, const Number& c) {
  SpecialCases special;
  special.value(c);
  for (uint32_t i = 0; i < model.k; ++i) special.product(terms.a[i], terms.b[i]);
  if (model.scale != ScaleFormat::kNone) {
    for (uint32_t i = 0; i < model.k / model.scale_block; ++i) {
      special.value(terms.a_scales[i]);
      special.value(terms.b_scales[i]);
    }
  }
  if (!special.any()) return std::nullopt;
  return special.result(model.d);
}

uint32_t fused(const Model& model, const Terms& terms, uint32_t c) {
  const auto& [a, b, a_scales, b_scales] = terms;
  const Layout layout = layout_of(model.d);
  const Number addend = decode(layout, c);
  if (const auto special = special_result(model, terms, addend)) return *special;

  Sum sum;
  sum.add({with_sign(addend.significand, addend.negative), layout.mantissa_bits, addend.exponent});
  if (model.grouped) {
    for (uint32_t i = 0; i < model.k; i += kGroup) {
      const uint32_t block = i / model.scale_block;
      sum.add(group_of(model, a + i, b + i, a_scales[block], b_scales[block]));
    }
    return sum.result(model);
  }
  for (uint32_t i = 0; i < model.k; ++i) {
    Term term = product_of(model, a[i], b[i]);
    if (model.scale != ScaleFormat::kNone) {
      const uint32_t block = i / model.scale_block;
      term.significand *= int64_t{a_scales[block].significand} * b_scales[block].significand;
      term.point += 2 * scale_mantissa_bits(model.scale);
      term.exponent += a_scales[block].exponent + b_scales[block].exponent;
    }
    sum.add(term);
  }
  return sum.result(model);
}

Decoded::Decoded(const Multiply& shape, const Model& model, const Operands& operands)
    : k_(shape.k), blocks_(shape.scale == ScaleFormat::kNone ? 0 : shape.k / shape.scale_block) {
  auto numbers = [](std::vector<Number>& list, const Layout& layout, const uint32_t* codes,
                    size_t count) {
    list.resize(count);
    for (size_t i = 0; i < count; ++i) list[i] = decode(layout, codes[i]);
  };
  auto scales = [&](std::vector<Number>& list, const uint8_t* codes, size_t count) {
    list.resize(count);
    for (size_t i = 0; i < count; ++i) list[i] = decode_scale(shape.scale, codes[i]);
  };
  numbers(a_, model.a, operands.a, shape.m * k_);
  numbers(b_, model.b, operands.b, shape.n * k_);
  scales(a_scales_, operands.a_scales, shape.m * blocks_);
  scales(b_scales_, operands.b_scales, shape.n * blocks_);
}

void multiply_by_definition(const Multiply& shape, const Operands& operands, uint32_t* d) {
  const Model model = model_of(shape);
  const Decoded decoded(shape, model, operands);
  const auto one = shape.arithmetic == Arithmetic::kExact ? exact : fused;
  for (size_t row = 0; row < shape.m; ++row) {
    for (size_t column = 0; column < shape.n; ++column, ++d) {
      *d = one(model, decoded.terms(row, column), *d);
    }
  }
}

}  // namespace nibble::emulator::tensor
