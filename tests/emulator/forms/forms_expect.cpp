// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Expectations: tables of a format's values searched for the nearest, and the host's own IEEE
// arithmetic in the rounding mode asked for.
#include "tests/emulator/forms/forms_expect.h"

#include <algorithm>
#include <bit>
#include <cfenv>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <map>

#include "tests/emulator/forms/forms_expect_matrix.h"
#include "tests/emulator/forms/forms_expect_tensor.h"

namespace nibble::forms {
namespace {

// Inputs of one thread, zero-extended, to its outputs.
using Element = std::function<void(const uint64_t* in, uint64_t* out)>;

constexpr uint32_t kNan = 0x7FFFFFFF;
constexpr float kInfinity = std::numeric_limits<float>::infinity();

float f32(uint64_t bits) { return std::bit_cast<float>(static_cast<uint32_t>(bits)); }
uint32_t bits_of(float value) { return std::isnan(value) ? kNan : std::bit_cast<uint32_t>(value); }
float f32_of_bf16(uint64_t bits) { return f32(bits << 16); }

float f32_of_f16(uint64_t bits) {
  const auto exponent = static_cast<int>(bits >> 10 & 31);
  const auto mantissa = static_cast<float>(bits & 1023);
  float value =
      exponent == 0 ? std::ldexp(mantissa, -24) : std::ldexp(1024.0F + mantissa, exponent - 25);
  if (exponent == 31) value = (bits & 1023) ? NAN : kInfinity;
  return bits & 0x8000 ? -value : value;
}

// The f16 pattern of an exact value.
uint64_t f16_of(double value) {
  static const std::map<double, uint64_t> kPatterns = [] {
    std::map<double, uint64_t> patterns;
    for (uint64_t bits = 0; bits < 0x7C00; ++bits) {
      patterns[static_cast<double>(f32_of_f16(bits))] = bits;
    }
    return patterns;
  }();
  return kPatterns.at(std::fabs(value)) | (std::signbit(value) ? 0x8000 : 0);
}

// A format below 8 bits without infinities or NaN: the values of its codes of positive sign.
struct SmallFloat {
  uint32_t sign_bit;
  std::vector<double> values;

  SmallFloat(int exponent_bits, int mantissa_bits, int bias)
      : sign_bit(1U << (exponent_bits + mantissa_bits)) {
    for (uint32_t code = 0; code < sign_bit; ++code) {
      const auto exponent = static_cast<int>(code >> mantissa_bits);
      const auto mantissa = static_cast<int>(code & ((1U << mantissa_bits) - 1));
      const int implicit = exponent == 0 ? 0 : 1 << mantissa_bits;
      const int power = std::max(exponent, 1) - bias - mantissa_bits;
      values.push_back(std::ldexp(implicit + mantissa, power));
    }
  }

  // To nearest, ties to the even code, beyond the largest to the largest, NaN too.
  uint32_t encode(float x, bool relu) const {
    const auto largest = static_cast<uint32_t>(values.size() - 1);
    if (std::isnan(x)) return largest;
    if (relu && std::signbit(x)) return 0;
    uint32_t code = 0;
    while (code < largest) {
      const double middle = (values[code] + values[code + 1]) / 2;
      const auto magnitude = static_cast<double>(std::fabs(x));
      if (magnitude < middle || (magnitude == middle && code % 2 == 0)) break;
      ++code;
    }
    return code | (std::signbit(x) ? sign_bit : 0);
  }

  double decode(uint32_t code) const {
    const double magnitude = values[code & (sign_bit - 1)];
    return code & sign_bit ? -magnitude : magnitude;
  }
};

const SmallFloat& e2m1() {
  static const SmallFloat kFormat(2, 1, 1);
  return kFormat;
}
const SmallFloat& e2m3() {
  static const SmallFloat kFormat(2, 3, 1);
  return kFormat;
}
const SmallFloat& e3m2() {
  static const SmallFloat kFormat(3, 2, 3);
  return kFormat;
}

void e2m1x2_from_f32(const uint64_t* in, uint64_t* out) {
  for (int relu = 0; relu < 2; ++relu) {
    const uint32_t pair =
        e2m1().encode(f32(in[0]), relu != 0) << 4 | e2m1().encode(f32(in[1]), relu != 0);
    out[relu] = pair * 0x01010101ULL;
  }
}

void f16x2_from_e2m1x2(const uint64_t* in, uint64_t* out) {
  const double low = e2m1().decode(in[0] & 15);
  const double high = e2m1().decode(in[0] >> 4 & 15);
  out[0] = f16_of(high) << 16 | f16_of(low);
  const auto relu = [](double x) { return std::signbit(x) ? 0.0 : x; };
  out[1] = f16_of(relu(high)) << 16 | f16_of(relu(low));
}

Element from_f32(const SmallFloat& format) {
  return [&format](const uint64_t* in, uint64_t* out) {
    for (int relu = 0; relu < 2; ++relu) {
      out[relu] = format.encode(f32(in[0]), relu != 0) << 8 | format.encode(f32(in[1]), relu != 0);
    }
  };
}

Element to_f16x2(const SmallFloat& format) {
  return [&format](const uint64_t* in, uint64_t* out) {
    const double low = format.decode(in[0] & 63);
    const double high = format.decode(in[0] >> 8 & 63);
    out[0] = f16_of(high) << 16 | f16_of(low);
  };
}

// Code c is 2^(c - 127), 255 is NaN. The sign is lost.
uint32_t ue8m0(float x, bool up, bool finite) {
  if (std::isnan(x)) return 255;
  const auto magnitude = static_cast<double>(std::fabs(x));
  uint32_t code = 0;
  if (up) {
    while (code < 255 && std::ldexp(1.0, static_cast<int>(code) - 127) < magnitude) ++code;
  } else {
    while (code < 255 && std::ldexp(1.0, static_cast<int>(code) + 1 - 127) <= magnitude) ++code;
  }
  return finite ? std::min(code, 254U) : code;
}

void ue8m0x2_pair(float high, float low, uint64_t* out) {
  for (uint32_t mode = 0; mode < 4; ++mode) {
    out[mode] = ue8m0(high, mode & 1, mode & 2) << 8 | ue8m0(low, mode & 1, mode & 2);
  }
}

void ue8m0x2_from_f32(const uint64_t* in, uint64_t* out) {
  ue8m0x2_pair(f32(in[0]), f32(in[1]), out);
}

void ue8m0x2_from_bf16x2(const uint64_t* in, uint64_t* out) {
  ue8m0x2_pair(f32_of_bf16(in[0] >> 16), f32_of_bf16(in[0] & 0xFFFF), out);
}

void bf16x2_from_ue8m0x2(const uint64_t* in, uint64_t* out) {
  const auto decode = [](uint32_t code) -> uint64_t {
    if (code == 255) return 0x7FFF;
    return std::bit_cast<uint32_t>(std::ldexp(1.0F, static_cast<int>(code) - 127)) >> 16;
  };
  out[0] = decode(in[0] >> 8 & 255) << 16 | decode(in[0] & 255);
}

// The host's arithmetic under a rounding mode; volatile so that it happens at run time, there.
constexpr int kModes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};

enum class Operation { kAdd, kSub, kMul, kFma };

float arithmetic(Operation operation, float a, float b, float c, int mode) {
  volatile float x = a;
  volatile float y = b;
  volatile float z = c;
  volatile float result = 0;
  std::fesetround(mode);
  switch (operation) {
    case Operation::kAdd:
      result = x + y;
      break;
    case Operation::kSub:
      result = x - y;
      break;
    case Operation::kMul:
      result = x * y;
      break;
    case Operation::kFma:
      result = std::fmaf(x, y, z);
      break;
  }
  std::fesetround(FE_TONEAREST);
  return result;
}

float flush(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0F, x) : x; }

// .ftz makes a result zero that is below the least normal after rounding to 24 bits with an
// unbounded exponent, as cards do; only products round there. Scaling by 2^64 gives the exponent
// its bounds.
float flush_result(Operation operation, const float* x, int mode, float result) {
  constexpr float kScale = 0x1p64F;
  constexpr float kLeastNormal = 0x1p-126F;
  const bool product = operation == Operation::kMul || operation == Operation::kFma;
  if (!product || std::fabs(result) != kLeastNormal) return flush(result);
  const bool scale_first = std::fabs(x[0]) < std::fabs(x[1]);
  const float scaled = arithmetic(operation, scale_first ? x[0] * kScale : x[0],
                                  scale_first ? x[1] : x[1] * kScale, x[2] * kScale, mode);
  return std::fabs(scaled) < kLeastNormal * kScale ? std::copysign(0.0F, result) : result;
}

// The order of outputs: .rn .rz .rm .rp, then the same with .ftz.
Element pairs(Operation operation) {
  return [operation](const uint64_t* in, uint64_t* out) {
    const bool fused = operation == Operation::kFma;
    for (int k = 0; k < 8; ++k) {
      const bool ftz = k >= 4;
      out[k] = 0;
      for (int half = 0; half < 2; ++half) {
        float x[3] = {};
        for (int i = 0; i < (fused ? 3 : 2); ++i) {
          x[i] = f32(in[i] >> (32 * half));
          if (ftz) x[i] = flush(x[i]);
        }
        float result = arithmetic(operation, x[0], x[1], x[2], kModes[k % 4]);
        if (ftz) result = flush_result(operation, x, kModes[k % 4], result);
        out[k] |= uint64_t{bits_of(result)} << (32 * half);
      }
    }
  };
}

float saturate(float x) { return x > 0.0F ? std::min(x, 1.0F) : 0.0F; }

// op.f32.f16 d, a, c: the sources a and b are widened first. Then the same with .sat.
Element mixed(Operation operation, float (*widen)(uint64_t)) {
  return [operation, widen](const uint64_t* in, uint64_t* out) {
    for (int k = 0; k < 8; ++k) {
      const int mode = kModes[k % 4];
      const float result = operation == Operation::kFma
                               ? arithmetic(operation, widen(in[0]), widen(in[1]), f32(in[2]), mode)
                               : arithmetic(operation, widen(in[0]), f32(in[1]), 0, mode);
      out[k] = bits_of(k >= 4 ? saturate(result) : result);
    }
  };
}

// The lesser or greater of two; -0 is below +0; NaN loses, or wins where `nan_wins`.
float extreme(float a, float b, bool greater, bool nan_wins) {
  if (std::isnan(a) || std::isnan(b)) {
    if (nan_wins || (std::isnan(a) && std::isnan(b))) return NAN;
    return std::isnan(a) ? b : a;
  }
  if (a == b) return std::signbit(a) == greater ? b : a;
  return (a > b) == greater ? a : b;
}

// Outputs: plain, .abs, .NaN, .NaN.abs, then with .ftz.
Element extreme_of_three(bool greater) {
  return [greater](const uint64_t* in, uint64_t* out) {
    for (int k = 0; k < 8; ++k) {
      float x[3];
      for (int i = 0; i < 3; ++i) {
        x[i] = f32(in[i]);
        if (k >= 4) x[i] = flush(x[i]);
        if (k % 2 == 1) x[i] = std::fabs(x[i]);
      }
      const bool nan_wins = k % 4 >= 2;
      out[k] = bits_of(extreme(extreme(x[0], x[1], greater, nan_wins), x[2], greater, nan_wins));
    }
  };
}

void vectors_256_bits(const uint64_t* in, uint64_t* out) {
  const uint64_t source[4] = {in[0], in[1], ~in[0], ~in[1]};
  const auto swap = [](uint64_t x) { return x << 32 | x >> 32; };
  for (int k = 0; k < 4; ++k) out[k] = source[k];
  for (int k = 0; k < 4; ++k) out[4 + k] = swap(source[3 - k]);
  const int order[4] = {2, 0, 3, 1};
  for (int k = 0; k < 4; ++k) out[8 + k] = out[4 + order[k]];
  for (int k = 0; k < 4; ++k) out[12 + k] = swap(source[k]);
}

void copies_256_bits(const uint64_t* in, uint64_t* out) {
  for (int copy = 0; copy < 15; ++copy) {
    const uint64_t source[4] = {in[0], in[1], in[1], in[0]};
    std::copy(source, source + 4, out + 4 * copy);
  }
}

void copies_64_bits(const uint64_t* in, uint64_t* out) {
  for (int copy = 0; copy < 10; ++copy) std::copy(in, in + 2, out + 2 * copy);
}

// 10 bits of mantissa in a 32-bit pattern, the others zero. Outputs: .rn, .rz, .rn.relu, .rz.relu.
void tf32_satfinite(const uint64_t* in, uint64_t* out) {
  constexpr double kLargest = 0x1.FFCp127;
  const float x = f32(in[0]);
  for (int k = 0; k < 4; ++k) {
    if (std::isnan(x) || (k >= 2 && std::signbit(x))) {
      out[k] = std::isnan(x) ? kNan & ~uint64_t{0x1FFF} : 0;
      continue;
    }
    const auto magnitude = static_cast<double>(std::fabs(x));
    int power = -126;
    if (x != 0.0F && !std::isinf(x)) power = std::max(power, std::ilogb(x));
    const double unit = std::ldexp(1.0, power - 10);  // of the last place
    const double steps = magnitude / unit;            // exact
    const double rounded = (k % 2 == 0 ? std::nearbyint(steps) : std::floor(steps)) * unit;
    const auto result = static_cast<float>(std::min(rounded, kLargest));
    out[k] = bits_of(std::copysign(result, x));
  }
}

// Over each warp: plain, .NaN, .abs, .abs.NaN.
Bytes redux(const Form& form, const Bytes& input, bool greater) {
  Bytes output(form.output_bytes());
  for (uint64_t first = 0; first < form.threads(); first += 32) {
    for (int k = 0; k < 4; ++k) {
      const auto source = [&](uint64_t lane) {
        const float x = f32(value_at(input, first + lane, 4));
        return k >= 2 ? std::fabs(x) : x;
      };
      float result = source(0);
      for (uint64_t lane = 1; lane < 32; ++lane) {
        result = extreme(result, source(lane), greater, k % 2 == 1);
      }
      const uint32_t bits = bits_of(result);
      for (uint64_t lane = 0; lane < 32; ++lane) {
        std::memcpy(output.data() + ((first + lane) * 4 + static_cast<uint64_t>(k)) * 4, &bits, 4);
      }
    }
  }
  return output;
}

const std::map<std::string, Element>& elements() {
  static const std::map<std::string, Element> kElements = {
      {"e2m1x2_from_f32", e2m1x2_from_f32},
      {"f16x2_from_e2m1x2", f16x2_from_e2m1x2},
      {"e2m3x2_from_f32", from_f32(e2m3())},
      {"e3m2x2_from_f32", from_f32(e3m2())},
      {"f16x2_from_e2m3x2", to_f16x2(e2m3())},
      {"f16x2_from_e3m2x2", to_f16x2(e3m2())},
      {"ue8m0x2_from_f32", ue8m0x2_from_f32},
      {"ue8m0x2_from_bf16x2", ue8m0x2_from_bf16x2},
      {"bf16x2_from_ue8m0x2", bf16x2_from_ue8m0x2},
      {"add_f32x2", pairs(Operation::kAdd)},
      {"sub_f32x2", pairs(Operation::kSub)},
      {"mul_f32x2", pairs(Operation::kMul)},
      {"fma_f32x2", pairs(Operation::kFma)},
      {"min3_f32", extreme_of_three(false)},
      {"max3_f32", extreme_of_three(true)},
      {"add_f32_f16", mixed(Operation::kAdd, f32_of_f16)},
      {"sub_f32_f16", mixed(Operation::kSub, f32_of_f16)},
      {"fma_f32_f16", mixed(Operation::kFma, f32_of_f16)},
      {"add_f32_bf16", mixed(Operation::kAdd, f32_of_bf16)},
      {"sub_f32_bf16", mixed(Operation::kSub, f32_of_bf16)},
      {"fma_f32_bf16", mixed(Operation::kFma, f32_of_bf16)},
      {"vectors_256_bits", vectors_256_bits},
      {"copies_256_bits", copies_256_bits},
      {"copies_64_bits", copies_64_bits},
      {"tf32_satfinite", tf32_satfinite},
  };
  return kElements;
}

}  // namespace

std::optional<Bytes> expected_output(const Form& form, const std::vector<Bytes>& inputs) {
  if (auto output = expected_matrix(form, inputs)) return output;
  if (auto output = expected_tensor(form)) return output;
  if (form.expect == "redux_min_f32") return redux(form, inputs[0], false);
  if (form.expect == "redux_max_f32") return redux(form, inputs[0], true);
  if (form.expect == "copy") return inputs[0];
  const auto found = elements().find(form.expect);
  if (found == elements().end()) return std::nullopt;
  Bytes output(form.output_bytes());
  const uint32_t size = size_of_type(form.output_type);
  std::vector<uint64_t> in(inputs.size());
  std::vector<uint64_t> out(form.outputs);
  for (uint64_t i = 0; i < form.threads(); ++i) {
    for (size_t k = 0; k < inputs.size(); ++k) {
      in[k] = value_at(inputs[k], i, size_of_type(form.inputs[k].type));
    }
    found->second(in.data(), out.data());
    for (uint32_t k = 0; k < form.outputs; ++k) {
      std::memcpy(output.data() + (i * form.outputs + k) * size, &out[k], size);
    }
  }
  return output;
}

}  // namespace nibble::forms
