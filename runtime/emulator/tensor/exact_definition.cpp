// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The exact sum, rounded once to nearest even, one output at a time.
#include <array>

#include "runtime/emulator/tensor/model.h"

namespace nibble::emulator::tensor {
namespace {

// A fixed-point number that holds any sum of products, scaled, and C.
class Accumulator {
 public:
  void add(uint64_t magnitude, int exponent, bool negative) {  // magnitude < 2^32
    const auto offset = static_cast<uint32_t>(exponent - kLowest);
    const uint64_t shifted = magnitude << (offset % 32);
    const size_t limb = offset / 32;
    const auto low = static_cast<int64_t>(shifted & 0xFFFFFFFF);
    const auto high = static_cast<int64_t>(shifted >> 32);
    limbs_[limb] += negative ? -low : low;
    limbs_[limb + 1] += negative ? -high : high;
  }

  uint32_t rounded(Format d) {
    carry();
    const bool negative = limbs_.back() < 0;
    if (negative) {
      for (int64_t& limb : limbs_) limb = -limb;
      carry();
    }
    size_t top = limbs_.size() - 1;
    while (top > 1 && limbs_[top] == 0) --top;
    // 63 bits: the top limb, the next, and whether there is more.
    int64_t sum = limbs_[top] << 31 | limbs_[top - 1] >> 1;
    bool more = (limbs_[top - 1] & 1) != 0;
    for (size_t i = 0; i + 1 < top; ++i) more = more || limbs_[i] != 0;
    // The largest limb has 32 bits, so the lowest of these 63 is far below any result's last.
    sum |= int64_t{more};
    const int exponent = kLowest + 32 * static_cast<int>(top - 1) + 1;
    return round_to_nearest(d, negative ? -sum : sum, exponent);
  }

 private:
  // tf32: twice -126 - 10. fp8 with ue8m0: twice -14 - 2 - 127, the largest twice 16 + 127.
  static constexpr int kLowest = -320;
  static constexpr size_t kLimbs = 22;

  // Leaves 32 bits in each limb but the last, which has the sign.
  void carry() {
    for (size_t i = 0; i + 1 < limbs_.size(); ++i) {
      limbs_[i + 1] += limbs_[i] >> 32;
      limbs_[i] &= 0xFFFFFFFF;
    }
  }

  std::array<int64_t, kLimbs> limbs_{};
};

}  // namespace

uint32_t exact(const Model& model, const Terms& terms, uint32_t c) {
  const auto& [a, b, a_scales, b_scales] = terms;
  const Layout layout = layout_of(model.d);
  const Number addend = decode(layout, c);
  if (const auto special = special_result(model, terms, addend)) return *special;
  Accumulator sum;
  sum.add(addend.significand, addend.exponent - layout.mantissa_bits, addend.negative);
  const int point =
      model.a.mantissa_bits + model.b.mantissa_bits + 2 * scale_mantissa_bits(model.scale);
  for (uint32_t i = 0; i < model.k; ++i) {
    uint64_t magnitude = uint64_t{a[i].significand} * b[i].significand;
    int exponent = a[i].exponent + b[i].exponent;
    if (model.scale != ScaleFormat::kNone) {
      const Number& x = a_scales[i / model.scale_block];
      const Number& y = b_scales[i / model.scale_block];
      magnitude *= uint64_t{x.significand} * y.significand;
      exponent += x.exponent + y.exponent;
    }
    if (magnitude != 0) sum.add(magnitude, exponent - point, a[i].negative != b[i].negative);
  }
  return sum.rounded(model.d);
}

}  // namespace nibble::emulator::tensor
