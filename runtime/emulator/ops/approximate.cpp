// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The approximate functions: div, rcp, sqrt, rsqrt, sin, cos, lg2, ex2, tanh. Each is the sequence
// of machine instructions that ptxas 13.0 makes of it for sm_90, on the multifunction unit of an
// H200: equal bits for every operand.
#include <cmath>

#include "runtime/emulator/ops/float.h"
#include "runtime/emulator/ops/multifunction.h"

namespace nibble::emulator {
namespace {

namespace unit = multifunction;
using unit::choose;

// Without .ftz an operand that the unit would take for zero is scaled before, the result after.
constexpr float kSmallestNormal = 0x1p-126F;
constexpr float kScale = 0x1p24F;
constexpr float kHuge = 0x1p126F;  // reciprocals of what is larger are subnormal

float scale_of(float a) { return choose(std::fabs(a) < kSmallestNormal, kScale, 1.0F); }

struct Reciprocal {
  float flushed(float a) const { return unit::reciprocal(a); }
  float exact(float a) const {
    const float scale = choose(std::fabs(a) > kHuge, 0.25F, scale_of(a));
    return unit::reciprocal(a * scale) * scale;
  }
};
struct SquareRoot {
  float flushed(float a) const { return unit::square_root(a); }
  float exact(float a) const {
    const float scale = scale_of(a);
    return unit::square_root(a * scale) * choose(scale == 1, 1.0F, 0x1p-12F);
  }
};
struct ReciprocalRoot {
  float flushed(float a) const { return unit::reciprocal_root(a); }
  float exact(float a) const {
    const float scale = scale_of(a);
    return unit::reciprocal_root(a * scale) * choose(scale == 1, 1.0F, 0x1p12F);
  }
};
struct Log2 {
  float flushed(float a) const { return unit::logarithm(a); }
  float exact(float a) const {
    const float scale = scale_of(a);
    return unit::logarithm(a * scale) - choose(scale == 1, 0.0F, 24.0F);
  }
};
struct Exp2 {
  float flushed(float a) const { return unit::exponential(a); }
  float exact(float a) const {
    const bool small = a < -126;  // of half the operand, then the square
    const float root = unit::exponential(a * choose(small, 0.5F, 1.0F));
    return root * choose(small, root, 1.0F);
  }
};
// The operand is multiplied by the float nearest to 1 / (2 pi), toward zero.
template <uint32_t quarters>
struct Circular {
  float flushed(float a) const { return exact(a); }
  float exact(float a) const {
    constexpr double kTurn = 0x1.45F306p-3;
    return unit::sine_of_turns<quarters>(static_cast<float>(unit::truncated(double{a} * kTurn)));
  }
};
struct Tanh {
  float flushed(float a) const { return unit::hyperbolic_tangent(a); }
};

template <class Op>
void append_function(Rows& rows, const std::string& opcode) {
  rows.push_back({opcode + ".approx{.ftz}.f32 d, a", {}, [](Warp& w, const Inst& i) {
                    if (chosen(i, 1)) {
                      lanes<float, float>(w, i, [](float a) { return Op{}.flushed(a); });
                    } else {
                      lanes<float, float>(w, i, [](float a) {
                        const float d = Op{}.exact(a);
                        return settle(d, a);
                      });
                    }
                  }});
}

// Of f16 or bf16, for `n` elements a lane: the result of f32 truncated, infinite where it is beyond
// the largest number.
template <int n, class H, class Op>
Body half_function() {
  return [](Warp& w, const Inst& i) {
    elements<n, H, H>(w, i, [](H a) {
      using Layout = LayoutOf<H>;
      const float x = Op{}.flushed(to_float(a));
      constexpr float kBeyond = Layout::kBias < Binary32::kBias ? 0x1p16F : INFINITY;
      const float in_range = choose(std::fabs(x) >= kBeyond, std::copysign(INFINITY, x), x);
      return H{static_cast<uint16_t>(encode<Layout>(in_range, Rounding::kZero))};
    });
  };
}

struct DivideApproximately {
  float flushed(float a, float b) const {
    return value_of<true, float>(Product{}, a, unit::reciprocal(b));
  }
  float exact(float a, float b) const {
    const float scale = scale_of(b);
    return unit::reciprocal(b * scale) * (a * scale);
  }
};
// div.full: a quarter of both where the reciprocal were subnormal.
struct DivideFull {
  float flushed(float a, float b) const {
    const float scale = choose(std::fabs(b) > kHuge, 0.25F, 1.0F);
    return DivideApproximately{}.flushed(value_of<true, float>(Product{}, a, scale), b * scale);
  }
  float exact(float a, float b) const {
    const float scale = choose(std::fabs(b) > kHuge, 0.25F, 1.0F);
    return DivideApproximately{}.exact(a * scale, b * scale);
  }
};

template <class Op>
void append_division(Rows& rows, const std::string& opcode) {
  rows.push_back({opcode + "{.ftz}.f32 d, a, b", {}, [](Warp& w, const Inst& i) {
                    with_flag(chosen(i, 1), [&](auto flushes) {
                      lanes<float, float, float>(w, i, [](float a, float b) {
                        constexpr bool kFlush = decltype(flushes)::value;
                        const float d = kFlush ? Op{}.flushed(a, b) : Op{}.exact(a, b);
                        return settle(d, a, b);
                      });
                    });
                  }});
}

// One step of Newton's method, of third order, from the unit's 20 bits.
double refined_reciprocal_root(double a) {
  const double root = unit::upper_reciprocal_root(a);
  const double error = std::fma(a, -(root * root), 1.0);
  return std::fma(std::fma(error, 0.375, 0.5), root * error, root);
}
double reciprocal_root(double a) {
  const bool special = !(std::fabs(a) < INFINITY) || a <= 0;
  if (special) return settle(1 / std::sqrt(a), a);
  if (a >= 0x1p-1022) return refined_reciprocal_root(a);
  return refined_reciprocal_root(a * 0x1p54) * 0x1p27;
}

void append_double_rows(Rows& rows) {
  rows.push_back({"rcp.approx.ftz.f64 d, a", {}, [](Warp& w, const Inst& i) {
                    lanes<double, double>(w, i, unit::upper_reciprocal);
                  }});
  rows.push_back({"rsqrt.approx.ftz.f64 d, a", {}, [](Warp& w, const Inst& i) {
                    lanes<double, double>(w, i, unit::upper_reciprocal_root);
                  }});
  rows.push_back({"rsqrt.approx.f64 d, a", {}, [](Warp& w, const Inst& i) {
                    lanes<double, double>(w, i, reciprocal_root);
                  }});
}

void append_half_rows_of_functions(Rows& rows) {
  rows.push_back({"tanh.approx.f16 d, a", {75}, half_function<1, Half, Tanh>()});
  rows.push_back({"tanh.approx.f16x2 d:b32, a:b32", {75}, half_function<2, Half, Tanh>()});
  rows.push_back({"tanh.approx.bf16 d, a", {90}, half_function<1, Bfloat, Tanh>()});
  rows.push_back({"tanh.approx.bf16x2 d:b32, a:b32", {90}, half_function<2, Bfloat, Tanh>()});
  rows.push_back({"ex2.approx.f16 d, a", {75}, half_function<1, Half, Exp2>()});
  rows.push_back({"ex2.approx.f16x2 d:b32, a:b32", {75}, half_function<2, Half, Exp2>()});
  rows.push_back({"ex2.approx.ftz.bf16 d, a", {90}, half_function<1, Bfloat, Exp2>()});
  rows.push_back({"ex2.approx.ftz.bf16x2 d:b32, a:b32", {90}, half_function<2, Bfloat, Exp2>()});
}

}  // namespace

void append_approximate_rows(Rows& rows) {
  append_function<Reciprocal>(rows, "rcp");
  append_function<SquareRoot>(rows, "sqrt");
  append_function<ReciprocalRoot>(rows, "rsqrt");
  append_function<Circular<0>>(rows, "sin");
  append_function<Circular<1>>(rows, "cos");
  append_function<Log2>(rows, "lg2");
  append_function<Exp2>(rows, "ex2");
  rows.push_back({"tanh.approx.f32 d, a", {75}, [](Warp& w, const Inst& i) {
                    lanes<float, float>(w, i, unit::hyperbolic_tangent);
                  }});
  append_division<DivideApproximately>(rows, "div.approx");
  append_division<DivideFull>(rows, "div.full");
  append_double_rows(rows);
  append_half_rows_of_functions(rows);
}

}  // namespace nibble::emulator
