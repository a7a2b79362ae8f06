// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// From sums to D as the numerics contract in templates/README.md says it. Where a kernel may be off
// by the documented errors of CUDA's exp, erf and fast division, values are intervals; elsewhere an
// interval has one member.
#pragma once

#include <cstdint>
#include <functional>
#include <limits>
#include <span>
#include <vector>

namespace nibble::reference {

struct Interval {
  float low = 0, high = 0;

  // Every number, and NaN.
  static Interval any() {
    constexpr float kInfinity = std::numeric_limits<float>::infinity();
    return {-kInfinity, kInfinity};
  }
  bool is_any() const { return low < 0 && high > 0 && low * 0 != 0 && high * 0 != 0; }
  bool is_nan() const { return low != low || high != high; }
  // One number, to the sign of zero.
  bool is_exact() const;
};

// The order of enum Activation.
Interval activation(int kind, float v);

struct Epilogue {
  float alpha = 1;
  // Both or neither. is_amax: amaxes of NVFP4, else scales of tensors.
  const float* a_factor = nullptr;
  const float* b_factor = nullptr;
  bool is_amax = false;
  float beta = 0;
  std::span<const float> c;            // [m, n], exact in its type; empty: none
  std::span<const float> column_bias;  // [n] or empty
  std::span<const float> row_bias;     // [m] or empty
  int activation = 0;
  bool gated = false;
  std::span<const float> residual;  // [m, columns of D] or empty
  // Must not decrease as the value grows. Empty: none.
  std::function<float(float value, int64_t row, int64_t column)> user;
};

// The values of D before they are rounded to its type, [m, n] or, gated, [m, n / 2].
std::vector<Interval> finish(const Epilogue& epilogue, std::span<const float> sums, int64_t m,
                             int64_t n);

// The largest magnitude; NaN ignored.
Interval amax(std::span<const Interval> values);

// MXFP4: the scale byte of a block whose largest magnitude is amax.
uint8_t mx_scale(float amax);

// One block of D in FP4. values: up to 16 (NVFP4) or 32 (MXFP4); the missing ones count as 0.
struct Fp4Block {
  bool mx = false;
  float tensor_amax = 0;  // NVFP4

  int elements() const { return mx ? 32 : 16; }
  // The least and the largest scale byte.
  std::pair<uint8_t, uint8_t> scales(std::span<const Interval> values) const;
  // The codes between which that of `value` must lie, given the block's scale.
  std::pair<uint8_t, uint8_t> codes(Interval value, uint8_t scale) const;
};

}  // namespace nibble::reference
