// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/reference/hadamard.h"

#include <bit>
#include <cmath>

namespace nibble::reference {

namespace {

int base_of(int size) {
  for (const int base : {12, 20, 28}) {
    if (size % base == 0 && std::has_single_bit(static_cast<unsigned>(size / base))) return base;
  }
  return 1;
}

bool is_square(int a, int modulus) {
  a = ((a % modulus) + modulus) % modulus;
  switch (modulus) {
    case 11:
      return a == 1 || a == 3 || a == 4 || a == 5 || a == 9;
    case 13:
      return a == 1 || a == 3 || a == 4 || a == 9 || a == 10 || a == 12;
    default:  // 19
      return a == 1 || a == 4 || a == 5 || a == 6 || a == 7 || a == 9 || a == 11 || a == 16 ||
             a == 17;
  }
}

int base_entry(int base, int row, int column) {
  if (base == 1) return 1;
  if (base == 28) {
    static constexpr int kOther[2][2] = {{1, 1}, {1, -1}};
    static constexpr int kDiagonal[2][2] = {{1, -1}, {-1, -1}};
    const int r = row / 2, c = column / 2;
    if (r == c) return kDiagonal[row % 2][column % 2];
    const int sign = r == 0 || c == 0 || is_square(r - c, 13) ? 1 : -1;
    return sign * kOther[row % 2][column % 2];
  }
  if (row == column || row == 0) return 1;
  if (column == 0) return -1;
  return is_square(row - column, base - 1) ? 1 : -1;
}

// The sign that is common to RN(a + sign * b) whatever it is: one rounding.
float sum(float a, float b, int sign) { return sign > 0 ? a + b : a - b; }

// Row `row` of the base's matrix times `t`, whose elements are `stride` apart.
float base_sum(int base, int row, const float* t, size_t stride, bool transposed) {
  float total = 0;
  for (int first = 0; first < base; first += 4) {
    int sign[4];
    float value[4];
    for (int k = 0; k < 4; ++k) {
      const int column = first + k;
      sign[k] = transposed ? base_entry(base, column, row) : base_entry(base, row, column);
      value[k] = t[static_cast<size_t>(column) * stride];
    }
    const float left = sum(value[0], value[1], sign[0] * sign[1]);
    const float right = sum(value[2], value[3], sign[2] * sign[3]);
    const float quad = sum(left, right, sign[0] * sign[2]);
    if (first == 0) {
      total = sign[0] > 0 ? quad : -quad;
    } else {
      total = sum(total, quad, sign[0]);
    }
  }
  return total;
}

float canonical(float value) {
  return std::isnan(value) ? std::bit_cast<float>(0x7FFFFFFFu) : value;
}

}  // namespace

int hadamard_entry(int size, int row, int column) {
  const int base = base_of(size), power = size / base;
  const auto both = static_cast<unsigned>((row % power) & (column % power));
  const int sign = std::popcount(both) % 2 == 0 ? 1 : -1;
  return sign * base_entry(base, row / power, column / power);
}

float orthonormal_scale(int size) {
  return static_cast<float>(1.0L / std::sqrt(static_cast<long double>(size)));
}

std::vector<float> hadamard(const Hadamard& transform, std::span<const float> group) {
  const auto size = static_cast<size_t>(transform.size);
  const int base = base_of(transform.size);
  const size_t power = size / static_cast<size_t>(base);
  std::vector<float> now(group.begin(), group.end());
  const bool signs = !transform.negative.empty();
  for (size_t i = 0; signs && !transform.inverse && i < size; ++i) {
    if (transform.negative[i]) now[i] = -now[i];
  }
  for (size_t distance = 1; distance < power; distance *= 2) {
    std::vector<float> next(size);
    for (size_t j = 0; j < size; ++j) {
      const bool upper = (j % power & distance) != 0;
      next[j] = upper ? now[j - distance] - now[j] : now[j] + now[j + distance];
    }
    now = next;
  }
  if (base > 1) {
    std::vector<float> next(size);
    for (size_t j = 0; j < size; ++j) {
      next[j] =
          base_sum(base, static_cast<int>(j / power), &now[j % power], power, transform.inverse);
    }
    now = next;
  }
  for (size_t i = 0; i < size; ++i) {
    now[i] = now[i] * transform.scale;
    if (signs && transform.inverse && transform.negative[i]) now[i] = -now[i];
    now[i] = canonical(now[i]);
  }
  return now;
}

}  // namespace nibble::reference
