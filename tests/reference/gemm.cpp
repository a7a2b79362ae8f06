// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "tests/reference/gemm.h"

#include <array>
#include <bit>
#include <cmath>
#include <limits>

#include "tests/reference/nvfp4.h"

namespace nibble::reference {

namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();

bool is_fp4(Format format) { return format == Format::kNvfp4 || format == Format::kMxfp4; }

// A fixed-point number from 2^-640 to 2^704 that adds fp64 numbers of magnitude 2^-580 to 2^600
// exactly: 32 bits to a limb, whose carries are spread at the end. 2^31 additions fit.
class ExactSum {
 public:
  void add(double value) {
    if (!std::isfinite(value)) {
      special_ += value;
      return;
    }
    if (value == 0) return;
    int exponent = 0;
    const auto integer = static_cast<int64_t>(std::ldexp(std::frexp(value, &exponent), 53));
    const int lowest = exponent - 53 + kPoint;
    const auto limb = static_cast<size_t>(lowest / 32);
    __extension__ using Wide = __int128;
    Wide shifted = static_cast<Wide>(integer) * (Wide{1} << lowest % 32);  // 85 bits
    for (size_t i = 0; i < 2; ++i) {
      limbs_[limb + i] += static_cast<int64_t>(shifted & 0xFFFFFFFF);
      shifted >>= 32;
    }
    limbs_[limb + 2] += static_cast<int64_t>(shifted);  // with the sign
  }

  float nearest() {
    if (special_ != 0) return static_cast<float>(special_);  // infinity or NaN
    bool negative = spread();
    if (negative) {
      for (int64_t& limb : limbs_) limb = -limb;
      spread();
    }
    // The highest bit, and the unit of the last place of the fp32 that it makes.
    int top = static_cast<int>(limbs_.size()) * 32 - 1;
    while (top >= 0 && !bit(top)) --top;
    if (top < 0) return 0.0f;
    const int unit = std::max(top - 23, kPoint - 149);
    int64_t steps = 0;
    for (int i = top; i >= unit; --i) steps = steps * 2 + bit(i);
    bool more = false;
    for (int i = 0; i < unit - 1 && !more; ++i) more = bit(i);
    if (bit(unit - 1) && (more || steps % 2 != 0)) ++steps;
    const double magnitude = std::ldexp(static_cast<double>(steps), unit - kPoint);
    const double most = std::numeric_limits<float>::max();
    const float result =
        magnitude > most ? std::numeric_limits<float>::infinity() : static_cast<float>(magnitude);
    return negative ? -result : result;
  }

 private:
  static constexpr int kPoint = 640;

  bool bit(int i) const { return (limbs_[static_cast<size_t>(i / 32)] >> (i % 32) & 1) != 0; }
  // Leaves 32 bits in each limb; true when the number is negative, and the last limb with it.
  bool spread() {
    for (size_t i = 0; i + 1 < limbs_.size(); ++i) {
      const int64_t low = limbs_[i] & 0xFFFFFFFF;
      limbs_[i + 1] += (limbs_[i] - low) / (int64_t{1} << 32);
      limbs_[i] = low;
    }
    return limbs_.back() < 0;
  }

  std::array<int64_t, 42> limbs_{};
  double special_ = 0;
};

double block_scale(const Operand& a, int64_t row, const Operand& b, int64_t column, int64_t i) {
  const int elements = scaled_elements(a.format);
  if (elements == 0) return 1;
  return a.scale(row, i / elements) * b.scale(column, i / elements);
}

}  // namespace

int scaled_elements(Format format) {
  if (format == Format::kNvfp4) return 16;
  return format == Format::kMxfp4 || format == Format::kMxfp8 ? 32 : 0;
}

double decode_element(Format format, uint16_t code) {
  if (is_fp4(format)) return decode_e2m1(static_cast<uint8_t>(code));
  return format == Format::kBf16 ? decode_bf16(code) : decode_e4m3(static_cast<uint8_t>(code));
}

// Exponent 31: infinity and NaN; 0: multiples of 2^-16.
double decode_e5m2(uint8_t code) {
  const int exponent = code >> 2 & 31;
  const int mantissa = code & 3;
  double magnitude =
      std::ldexp(exponent == 0 ? mantissa : 4 + mantissa, std::max(exponent, 1) - 17);
  if (exponent == 31) magnitude = mantissa == 0 ? std::numeric_limits<double>::infinity() : kNan;
  return code >= 128 ? -magnitude : magnitude;
}

double decode_scale(Format format, uint8_t byte) {
  if (format == Format::kNvfp4) return decode_e4m3(byte & 0x7F);
  return byte == 255 ? kNan : std::ldexp(1.0, byte - 127);
}

int64_t Operand::blocks() const {
  const int elements = scaled_elements(format);
  return elements == 0 ? 0 : (k + elements - 1) / elements;
}

// A product of two elements and two scales has at most 8 + 8 bits, two bf16 16: exact in fp64, from
// 2^-274 (fp8 and ue8m0) or 2^-266 (bf16) to 2^272.
float exact_sum(const Operand& a, int64_t row, const Operand& b, int64_t column) {
  ExactSum sum;
  for (int64_t i = 0; i < a.k; ++i) {
    sum.add(a.element(row, i) * b.element(column, i) * block_scale(a, row, b, column, i));
  }
  return sum.nearest();
}

float trusted_sum(const Operand& a, int64_t row, const Operand& b, int64_t column) {
  const int64_t step = std::max(1, scaled_elements(a.format));
  double sum = 0;
  for (int64_t first = 0; first < a.k; first += step) {
    double dot = 0;  // exact: multiples of 1/4 up to 1152, or of 2^-18 up to 2^23
    for (int64_t i = first; i < std::min(a.k, first + step); ++i) {
      dot += a.element(row, i) * b.element(column, i);
    }
    sum += dot * block_scale(a, row, b, column, first);
  }
  return static_cast<float>(sum);
}

double trusted_bound(const Operand& a, int64_t row, const Operand& b, int64_t column) {
  double magnitudes = 0;
  for (int64_t i = 0; i < a.k; ++i) {
    magnitudes +=
        std::fabs(a.element(row, i) * b.element(column, i) * block_scale(a, row, b, column, i));
  }
  return std::ldexp(static_cast<double>(a.k) * magnitudes, -53) * 1.01;
}

}  // namespace nibble::reference
