// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The tensor cores' accumulation.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/reference/gemm.h"

namespace nibble::reference {

namespace {

constexpr int kExponentOfZero = -126;

// value = integer * 2^(exponent - bits below the point of its format).
struct Number {
  int64_t integer = 0;
  int exponent = kExponentOfZero;
  double value = 0;  // for infinities and NaN
};

// Of a format of `point` mantissa bits whose smallest normal number is 2^lowest.
Number number(double value, int point, int lowest) {
  Number result;
  result.value = value;
  if (value == 0 || !std::isfinite(value)) return result;
  result.exponent = std::max(std::ilogb(value), lowest);
  result.integer = static_cast<int64_t>(std::ldexp(value, point - result.exponent));
  return result;
}

struct ModelFormat {
  int element_point, element_lowest, scale_point, scale_lowest;
  int mma_k, fraction_bits;
  int group;  // elements to a term
};

ModelFormat model_format(Format format) {
  switch (format) {
    case Format::kNvfp4:
      return {1, 0, 3, -6, 64, 35, 16};
    case Format::kMxfp4:
      return {1, 0, 0, -127, 64, 35, 16};
    case Format::kMxfp8:
      return {3, -6, 0, -127, 32, 25, 1};
    case Format::kFp8:
      return {3, -6, 0, 0, 32, 25, 1};
    case Format::kBf16:
      break;
  }
  return {7, -126, 0, 0, 16, 25, 1};
}

// An operand as the MMAs see it: a whole number of them, zeros beyond k.
struct Rows {
  int point = 0;  // of the elements
  std::vector<Number> elements, scales;
  int64_t k = 0, blocks = 0;
};

Rows rows_of(const Operand& operand, const ModelFormat& model) {
  Rows rows;
  rows.point = operand.e5m2 ? 2 : model.element_point;
  const int lowest = operand.e5m2 ? -14 : model.element_lowest;
  rows.k = (operand.k + model.mma_k - 1) / model.mma_k * model.mma_k;
  const int block = scaled_elements(operand.format);
  rows.blocks = block == 0 ? 0 : rows.k / block;
  for (int64_t row = 0; row < operand.rows; ++row) {
    for (int64_t i = 0; i < rows.k; ++i) {
      const double value = i < operand.k ? operand.element(row, i) : 0;
      rows.elements.push_back(number(value, rows.point, lowest));
    }
    for (int64_t i = 0; i < rows.blocks; ++i) {
      const double value =
          i < operand.blocks() ? operand.scale(row, i) : decode_scale(operand.format, 0);
      rows.scales.push_back(number(value, model.scale_point, model.scale_lowest));
    }
  }
  return rows;
}

// integer * 2^(exponent - point).
struct Term {
  int64_t integer;
  int exponent, point;
};

// Cut towards zero to fp32; too large is infinity, zero is +0.
float cut(double value) {
  if (std::fabs(value) >= std::ldexp(1.0, 128)) {
    return value < 0 ? -std::numeric_limits<float>::infinity()
                     : std::numeric_limits<float>::infinity();
  }
  auto result = static_cast<float>(value);
  if (std::fabs(static_cast<double>(result)) > std::fabs(value))
    result = std::nextafterf(result, 0);
  return result == 0 ? 0.0f : result;
}

// The terms of one output's MMA.
class Mma {
 public:
  // point: of a product of two elements.
  Mma(const ModelFormat& model, int point) : model_(model), point_(point) {}

  float add(float c, const Number* a, const Number* b, const Number* a_scales,
            const Number* b_scales, int block) {
    terms_.clear();
    special_ = 0;
    const Number of_c = number(c, 23, -126);
    note(of_c.value, 1);
    terms_.push_back({of_c.integer, of_c.exponent, 23});
    for (int first = 0; first < model_.mma_k; first += model_.group) {
      Term term = dot(a + first, b + first);
      if (block != 0) {
        const Number& x = a_scales[first / block];
        const Number& y = b_scales[first / block];
        note(x.value, 1);
        note(y.value, 1);
        term.integer *= x.integer * y.integer;
        term.exponent += x.exponent + y.exponent;
        term.point += 2 * model_.scale_point;
      }
      terms_.push_back(term);
    }
    return special_ != 0 ? static_cast<float>(special_) : sum();
  }

 private:
  // An infinity or NaN among what is added: what IEEE makes of their sum.
  void note(double x, double y) {
    if (!std::isfinite(x) || !std::isfinite(y)) special_ += x * y;
  }

  Term dot(const Number* a, const Number* b) {
    if (model_.group == 1) {
      note(a->value, b->value);
      return {a->integer * b->integer, a->exponent + b->exponent, point_};
    }
    int64_t integer = 0;  // E2M1 has no exponent below 0
    for (int i = 0; i < model_.group; ++i) {
      integer += static_cast<int64_t>(a[i].value * b[i].value * 4);
    }
    return {integer, 0, point_};
  }

  float sum() const {
    int highest = terms_[0].exponent;
    for (const Term& term : terms_) highest = std::max(highest, term.exponent);
    int64_t total = 0;
    for (const Term& term : terms_) {
      // Integers below 2^48, and shifts to the left of at most 35 - 8.
      const int shift = term.exponent - term.point - (highest - model_.fraction_bits);
      const int64_t magnitude = std::abs(term.integer);
      const int64_t kept = shift >= 0 ? magnitude << shift : magnitude >> std::min(63, -shift);
      total += term.integer < 0 ? -kept : kept;
    }
    return cut(std::ldexp(static_cast<double>(total), highest - model_.fraction_bits));
  }

  const ModelFormat& model_;
  const int point_;
  std::vector<Term> terms_;
  double special_ = 0;
};

}  // namespace

std::vector<float> tensor_sums(const Operand& a, const Operand& b, std::span<const int64_t> parts) {
  const ModelFormat model = model_format(a.format);
  const int block = scaled_elements(a.format);
  const Rows of_a = rows_of(a, model), of_b = rows_of(b, model);
  Mma mma(model, of_a.point + of_b.point);
  std::vector<float> sums;
  for (int64_t row = 0; row < a.rows; ++row) {
    for (int64_t column = 0; column < b.rows; ++column) {
      float sum = 0;
      int64_t k = 0;
      for (size_t part = 0; part < parts.size(); ++part) {
        float partial = 0;
        for (; k < std::min(parts[part], of_a.k); k += model.mma_k) {
          const int64_t first = block == 0 ? 0 : k / block;
          partial = mma.add(partial, &of_a.elements[static_cast<size_t>(row * of_a.k + k)],
                            &of_b.elements[static_cast<size_t>(column * of_b.k + k)],
                            of_a.scales.data() + row * of_a.blocks + first,
                            of_b.scales.data() + column * of_b.blocks + first, block);
        }
        sum = part == 0 ? partial : sum + partial;
      }
      sums.push_back(sum);
    }
  }
  return sums;
}

}  // namespace nibble::reference
