// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/reference/gemm_epilogue.h"

#include <algorithm>
#include <bit>
#include <cfloat>
#include <cmath>

#include "tests/reference/nvfp4.h"

namespace nibble::reference {

namespace {

float round_down(double value) {
  const auto nearest = static_cast<float>(value);
  return static_cast<double>(nearest) > value ? std::nextafterf(nearest, -INFINITY) : nearest;
}

float round_up(double value) { return -round_down(-value); }

Interval around(double value, double error) {
  if (std::isinf(value) || std::isnan(value)) {
    return {static_cast<float>(value), static_cast<float>(value)};
  }
  return {round_down(value - error), round_up(value + error)};
}

Interval exactly(float value) { return {value, value}; }

// 2^-24 of a number is half a unit in its last place, or less.
const double kHalf = std::ldexp(1.0, -24);

// v / (1 + exp(-x)), computed in fp32 with x off by up to x_error of itself. exp is off by at most
// 2 units in the last place (4 kHalf), the addition by half of one, the fast division by 2. exp
// overflows or the division gives 0 where the quotient is below |v| 2^-125.
Interval times_sigmoid(float v, double x, double x_error) {
  const double e = std::exp(-x);
  const double value = v / (1 + e);
  const double share = std::isinf(e) ? 1 : e / (1 + e);  // of an error of e in the quotient
  const double relative = share * (x_error * std::fabs(x) + 4 * kHalf) + (1 + 4) * kHalf;
  return around(value, 1.01 * std::fabs(value) * relative +
                           std::fabs(static_cast<double>(v)) * std::ldexp(1.0, -125));
}

// v / 2 (1 + erf(v / sqrt 2)): the argument is off by 2 kHalf, erf's slope is at most
// 2 / sqrt(pi); erf by 2 units of its last place, of numbers up to 1; one fused operation.
Interval gelu_erf(float v) {
  const double half = 0.5 * v;
  const double x = v * std::sqrt(0.5);
  if (std::isinf(v)) return exactly(v > 0 ? v : NAN);
  const double erf_error = 2 * kHalf * std::fabs(x) * 1.13 * std::exp(-x * x * 0.99) + 4 * kHalf;
  const double value = half * (1 + std::erf(x));
  return around(
      value, 1.01 * std::fabs(half) * erf_error + kHalf * std::fabs(value) + std::ldexp(1.0, -148));
}

template <class Function>
Interval map(Interval x, Function function) {
  const float a = function(x.low), b = function(x.high);
  if (a != a || b != b) return exactly(NAN);
  return a <= b ? Interval{a, b} : Interval{b, a};
}

float alpha_of(const Epilogue& epilogue) {
  if (epilogue.a_factor == nullptr) return epilogue.alpha;
  const float scaled = epilogue.alpha * *epilogue.a_factor * *epilogue.b_factor;
  return epilogue.is_amax ? scaled * static_cast<float>(1.0 / (2688.0 * 2688.0)) : scaled;
}

// Before the activation: exact operations only.
float before_activation(const Epilogue& epilogue, float alpha, float sum, int64_t row,
                        int64_t column, int64_t n) {
  float value = alpha * sum;
  if (!epilogue.c.empty()) {
    value = std::fma(epilogue.beta, epilogue.c[static_cast<size_t>(row * n + column)], value);
  }
  if (!epilogue.column_bias.empty()) value += epilogue.column_bias[static_cast<size_t>(column)];
  if (!epilogue.row_bias.empty()) value += epilogue.row_bias[static_cast<size_t>(row)];
  return value;
}

float largest(Interval value) { return std::max(std::fabs(value.low), std::fabs(value.high)); }
float smallest(Interval value) {
  if (value.low <= 0 && value.high >= 0) return 0;
  return std::min(std::fabs(value.low), std::fabs(value.high));
}

}  // namespace

bool Interval::is_exact() const {
  return std::bit_cast<uint32_t>(low) == std::bit_cast<uint32_t>(high) || is_nan();
}

Interval activation(int kind, float v) {
  if (std::isnan(v)) return exactly(v);
  const float rectified = v < 0 ? 0.0f : v;
  const double x = v;
  switch (kind) {
    case 1:
      return exactly(rectified);
    case 2:
      return exactly(rectified * rectified);
    case 3: {
      // 2 sqrt(2 / pi) (v + 0.044715 v^3): two constants, two products, one fused: 5 kHalf. Where
      // the cube overflows fp32 the sigmoid is 0 or 1.
      const double linear = 2 * std::sqrt(2 / M_PI);
      return times_sigmoid(v, linear * (x + 0.044715 * x * x * x), 5 * kHalf);
    }
    case 4:
      return gelu_erf(v);
    case 5:
      return times_sigmoid(v, x, 0);
    default:
      return exactly(v);
  }
}

std::vector<Interval> finish(const Epilogue& epilogue, std::span<const float> sums, int64_t m,
                             int64_t n) {
  const float alpha = alpha_of(epilogue);
  const int64_t columns = epilogue.gated ? n / 2 : n;
  std::vector<Interval> values;
  for (int64_t row = 0; row < m; ++row) {
    auto value_of = [&](int64_t column) {
      return before_activation(epilogue, alpha, sums[static_cast<size_t>(row * n + column)], row,
                               column, n);
    };
    for (int64_t column = 0; column < columns; ++column) {
      Interval value;
      if (epilogue.gated) {
        const float factor = value_of(2 * column + 1);
        const Interval gate = activation(epilogue.activation, value_of(2 * column));
        // 0 times infinity is NaN, its neighbours times infinity are infinities.
        const bool any = std::isinf(factor) && !gate.is_exact() && gate.low <= 0 && gate.high >= 0;
        value = any ? Interval::any() : map(gate, [&](float v) { return v * factor; });
      } else {
        value = activation(epilogue.activation, value_of(column));
      }
      if (!epilogue.residual.empty()) {
        const float residual = epilogue.residual[static_cast<size_t>(row * columns + column)];
        value = map(value, [&](float v) { return v + residual; });
      }
      if (epilogue.user) {
        value = map(value, [&](float v) { return epilogue.user(v, row, column); });
      }
      values.push_back(value);
    }
  }
  return values;
}

Interval amax(std::span<const Interval> values) {
  Interval result;
  for (const Interval& value : values) {
    if (value.is_nan()) continue;
    result.low = std::max(result.low, smallest(value));
    result.high = std::max(result.high, largest(value));
  }
  return result;
}

uint8_t mx_scale(float amax) {
  const float wanted = amax * static_cast<float>(1.0 / 6.0);
  int scale = 0;
  while (scale < 254 && std::ldexp(1.0, scale - 127) < static_cast<double>(wanted)) ++scale;
  return static_cast<uint8_t>(scale);
}

std::pair<uint8_t, uint8_t> Fp4Block::scales(std::span<const Interval> values) const {
  auto scale_of = [&](float block_amax) {
    if (mx) return mx_scale(block_amax);
    const std::vector<float> alone{block_amax};
    return quantize_block(alone, tensor_amax).scale;
  };
  const Interval block_amax = amax(values);
  return {scale_of(block_amax.low), scale_of(block_amax.high)};
}

std::pair<uint8_t, uint8_t> Fp4Block::codes(Interval value, uint8_t scale) const {
  float factor = 0;
  if (mx) {
    factor = static_cast<float>(std::ldexp(1.0, 127 - scale));
  } else {
    const float step = decode_e4m3(scale) * tensor_scale(tensor_amax).decode;
    factor = std::min(1.0f / step, FLT_MAX);
  }
  return {encode_e2m1(value.low * factor), encode_e2m1(value.high * factor)};
}

}  // namespace nibble::reference
