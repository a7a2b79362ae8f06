// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The exact sum, rounded once to nearest even: 80 bits from the highest exponent down in two
// doubles. An output with anything below is added up again without such a limit.
#include <algorithm>
#include <cmath>

#include "runtime/emulator/tensor/blocks.h"

namespace nibble::emulator::tensor {
namespace {

// Below the highest exponent: in the first double, and below that in the second. A term is less
// than 2^11 (16 products of 36 and two scales below 2), so that kMostK / kGroup of them stay exact.
constexpr int kBits = 36, kMoreBits = 44;

template <size_t width>
struct WideSum {
  // In units of 2^(highest exponent - kBits), and of 2^-kMoreBits of that.
  alignas(64) double high[width] = {}, low[width] = {}, rest[width] = {};
  alignas(64) double factor[width];

  explicit WideSum(const Lanes<width>& lanes) {
    for (size_t j = 0; j < width; ++j) factor[j] = power_of_two(kBits - lanes.highest[j]);
  }
  void add(const double* term) {
    for (size_t j = 0; j < width; ++j) {
      const double units = term[j] * factor[j];
      const double whole = std::trunc(units);
      const double fraction = (units - whole) * power_of_two(kMoreBits);
      const double second = std::trunc(fraction);
      high[j] += whole;
      low[j] += second;
      rest[j] += std::abs(fraction - second);
    }
  }
  // The sum in 53 bits with the last of them set if it is not exact: what is rounded from that to
  // fewer bits is rounded once.
  void to_odd(double* sum) const {
    for (size_t j = 0; j < width; ++j) {
      const double y = low[j] * power_of_two(-kMoreBits);
      const double total = high[j] + y;
      const double part = total - high[j];
      const double error = (high[j] - (total - part)) + (y - part);
      const auto bits = std::bit_cast<uint64_t>(total);
      // Towards zero first: one less where the error points there.
      const uint64_t less = (error < 0) == (total < 0) ? 0 : 1;
      const uint64_t odd = (bits - less) | 1;
      sum[j] = std::bit_cast<double>(error != 0 ? odd : bits);
    }
  }
};

template <size_t width, class Terms>
void multiply_terms(const Multiply& shape, const Operands& operands, uint32_t* d) {
  const Terms terms(shape, operands);
  const SpecialOutputs special(shape, operands, terms.rows(), terms.columns());
  for_each_block<width>(
      shape, special, d, [&](const Block& block, Lanes<width>& lanes, uint32_t* results) {
        terms.raise(block, lanes);
        WideSum<width> sum(lanes);
        sum.add(lanes.addend);
        alignas(64) double term[width];
        for (size_t i = 0; i < terms.count(); ++i) {
          terms.term(block, i, term);
          sum.add(term);
        }
        sum.to_odd(lanes.sum);
        lanes.store_nearest(shape.d, kBits, results);
        for (size_t j = 0; j < block.count; ++j) {
          if (sum.rest[j] != 0) {
            results[j] = special.by_definition(block.row, block.first + j, lanes.c[j]);
          }
        }
      });
}

template <size_t width>
void multiply_with(const Multiply& shape, const Operands& operands, uint32_t* d) {
  if (model_of(shape).grouped) {
    multiply_terms<width, Groups<width>>(shape, operands, d);
  } else {
    multiply_terms<width, Products<double, width>>(shape, operands, d);
  }
}

}  // namespace

void multiply_exact(const Multiply& shape, const Operands& operands, uint32_t* d) {
  (shape.n >= kWide ? multiply_with<kWide> : multiply_with<kNarrow>)(shape, operands, d);
}

}  // namespace nibble::emulator::tensor
