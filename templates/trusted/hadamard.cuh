// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// hadamard_trusted, hadamard_columns_trusted: what the fast kernels are held against. A thread sums
// up one element of y at a time, over the whole of its group. y must not be x.
#pragma once

#include "params/hadamard.h"
#include "trusted/numbers.cuh"

namespace nibble {

namespace trusted {

// Whether a is a square modulo the prime that Paley's matrix of order 12, 20 or 28 rests on. Bit a
// of each constant.
template <int kBase>
__device__ bool is_square(int a) {
  constexpr int kPrime = kBase == 28 ? 13 : kBase - 1;
  constexpr uint32_t kSquares = kBase == 12 ? 1u << 1 | 1u << 3 | 1u << 4 | 1u << 5 | 1u << 9
                                : kBase == 20
                                    ? 1u << 1 | 1u << 4 | 1u << 5 | 1u << 6 | 1u << 7 | 1u << 9 |
                                          1u << 11 | 1u << 16 | 1u << 17
                                    : 1u << 1 | 1u << 3 | 1u << 4 | 1u << 9 | 1u << 10 | 1u << 12;
  return (kSquares >> (a + kPrime) % kPrime & 1) != 0;
}

// Whether the entry of the base's matrix is -1.
template <int kBase>
__device__ bool base_is_negative(int row, int column) {
  if constexpr (kBase == 28) {
    const int r = row / 2;
    const int c = column / 2;
    const bool both_odd = row % 2 != 0 && column % 2 != 0;
    if (r == c) return row % 2 != 0 || column % 2 != 0;
    const bool negative = r != 0 && c != 0 && !is_square<kBase>(r - c);
    return negative != both_odd;
  } else {
    if (row == column || row == 0) return false;
    return column == 0 || !is_square<kBase>(row - column);
  }
}

__device__ inline float signed_sum(float a, float b, bool minus) {
  return minus ? __fsub_rn(a, b) : __fadd_rn(a, b);
}

template <class Config>
__device__ bool is_flipped(const HadamardParams& params, int i) {
  if constexpr (Config::kSigns == 0) return false;
  if constexpr (Config::kSigns == 3) return (0xd7e8u >> i % 16 & 1) != 0;
  const uint32_t word = Config::kSigns == 1 ? params.sign_mask[i % 128 / 32] : params.signs[i / 32];
  return (word >> i % 32 & 1) != 0;
}

// Element i of the transform of a group whose elements are `step` apart, before it is scaled.
template <class Config>
class Group {
 public:
  __device__ Group(const HadamardParams& params, int64_t first, int64_t step)
      : params_(params), first_(first), step_(step) {}

  __device__ float sum(int i) const {
    if constexpr (kBase == 1) {
      return part_sum(0, i);
    } else {
      return base_sum(i);
    }
  }

 private:
  static constexpr int kBase = hadamard_base(Config::kSize);
  static constexpr int kPower = Config::kSize / kBase;

  // Of part `part`, as if there were no base.
  __device__ float part_sum(int part, int i) const {
    return butterflies<hadamard_log2(kPower)>(i % kPower, [&](int j) {
      const int at = part * kPower + j;
      const float x = element<Config::kElementType>(params_.x, first_ + at * step_);
      return Config::kInverse == 0 && is_flipped<Config>(params_, at) ? -x : x;
    });
  }

  __device__ static bool is_negative(int i, int part) {
    return Config::kInverse != 0 ? base_is_negative<kBase>(part, i / kPower)
                                 : base_is_negative<kBase>(i / kPower, part);
  }

  // Over all parts, four at a time.
  __device__ float base_sum(int i) const {
    float sum = 0;
#pragma unroll 1
    for (int quad = 0; quad < kBase; quad += 4) {
      float pair[2];
#pragma unroll
      for (int k = 0; k < 2; ++k) {
        const int part = quad + 2 * k;
        const float left = part_sum(part, i);
        pair[k] = signed_sum(left, part_sum(part + 1, i),
                             is_negative(i, part) != is_negative(i, part + 1));
      }
      const bool begins_negative = is_negative(i, quad);
      const float of_quad =
          signed_sum(pair[0], pair[1], begins_negative != is_negative(i, quad + 2));
      if (quad == 0) {
        sum = begins_negative ? -of_quad : of_quad;
      } else {
        sum = signed_sum(sum, of_quad, begins_negative);
      }
    }
    return sum;
  }

  const HadamardParams& params_;
  const int64_t first_, step_;
};

// kDown: groups go down columns.
template <class Config, bool kDown>
__device__ void hadamard(const HadamardParams& params) {
  float amax = 0;
#pragma unroll 1
  for (int64_t at = thread(); at < params.rows * params.columns; at += threads()) {
    const int64_t row = at / params.columns;
    const int64_t column = at % params.columns;
    const int i = static_cast<int>((kDown ? row : column) % Config::kSize);
    const int64_t step = kDown ? params.x_row_stride : 1;
    const int64_t first = row * params.x_row_stride + column - i * step;
    const float sum = Group<Config>(params, first, step).sum(i);
    const bool flipped = Config::kInverse != 0 && is_flipped<Config>(params, i);
    const float y = __fmul_rn(sum, flipped ? -params.scale : params.scale);
    if constexpr (Config::kWrite != 0) {
      set_element<Config::kElementType>(params.y, row * params.y_row_stride + column, y);
    }
    amax = larger(amax, rounded<Config::kElementType>(y));
  }
  if constexpr (Config::kAmax != 0) set_amax(amax, params.amax);
}

}  // namespace trusted

template <class Config>
__device__ void hadamard_trusted(const HadamardParams& params) {
  trusted::hadamard<Config, false>(params);
}

template <class Config>
__device__ void hadamard_columns_trusted(const HadamardParams& params) {
  trusted::hadamard<Config, true>(params);
}

}  // namespace nibble
