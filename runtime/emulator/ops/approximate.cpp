// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The approximate functions: div, rcp, sqrt, rsqrt, sin, cos, lg2, ex2, tanh. Each gives the
// nearest value, ties to even, which lies inside the manual's error bound; hardware may differ by a
// few units in the last place. Special values are those of the manual's tables.
#include <cmath>

#include "runtime/emulator/ops/float.h"

namespace nibble::emulator {
namespace {

// f32 functions are computed in double, then rounded.
struct Reciprocal {
  double operator()(double x) const { return 1 / x; }
};
struct SquareRoot {
  double operator()(double x) const { return std::sqrt(x); }
};
struct ReciprocalRoot {
  double operator()(double x) const { return 1 / std::sqrt(x); }
};
struct Sine {
  double operator()(double x) const { return std::sin(x); }
};
struct Cosine {
  double operator()(double x) const { return std::cos(x); }
};
struct Log2 {
  double operator()(double x) const { return std::log2(x); }
};
struct Exp2 {
  double operator()(double x) const { return std::exp2(x); }
};
struct Tanh {
  double operator()(double x) const { return std::tanh(x); }
};

template <class Op>
void append_function(Rows& rows, const std::string& opcode) {
  rows.push_back({opcode + ".approx{.ftz}.f32 d, a", {}, [](Warp& w, const Inst& i) {
                    rounded<1, float, float>(w, i, Rounding::kNearestEven, chosen(i, 1), false,
                                             [](float a) { return static_cast<float>(Op{}(a)); });
                  }});
}

// Of f16 or bf16, with or without .ftz, for `n` elements a lane.
template <int n, class H, class Op, bool ftz>
Body half_function() {
  return [](Warp& w, const Inst& i) {
    rounded<n, H, H>(w, i, Rounding::kNearestEven, ftz, false,
                     [](H a) { return to_half<H>(Op{}(to_float(a))); });
  };
}

// a / b; a divisor of 2^126 and beyond has the reciprocal zero.
float divide_approximately(float a, float b) {
  constexpr float kHuge = 0x1p126f;
  const float divisor = std::fabs(b) > kHuge ? std::copysign(INFINITY, b) : b;
  return a / divisor;
}

// Only the upper words of the operand and the result exist; subnormals are flushed. A NaN gives
// 0x7FFFFFFF00000000.
template <class Op>
double upper_word(double a, Op op) {
  constexpr uint64_t kUpper = 0xFFFFFFFF00000000;
  const double x = flush(std::bit_cast<double>(bits_of(a) & kUpper));
  const double result = flush(op(x));
  const uint64_t bits = is_nan(result) ? 0x7FFFFFFF00000000 : bits_of(result) & kUpper;
  return std::bit_cast<double>(bits);
}

void append_double_rows(Rows& rows) {
  rows.push_back({"rcp.approx.ftz.f64 d, a", {}, [](Warp& w, const Inst& i) {
                    lanes<double, double>(w, i,
                                          [](double a) { return upper_word(a, Reciprocal{}); });
                  }});
  rows.push_back({"rsqrt.approx.ftz.f64 d, a", {}, [](Warp& w, const Inst& i) {
                    lanes<double, double>(w, i,
                                          [](double a) { return upper_word(a, ReciprocalRoot{}); });
                  }});
  rows.push_back({"rsqrt.approx.f64 d, a", {}, [](Warp& w, const Inst& i) {
                    rounded<1, double, double>(w, i, Rounding::kNearestEven, false, false,
                                               ReciprocalRoot{});
                  }});
}

void append_half_rows_of_functions(Rows& rows) {
  rows.push_back({"tanh.approx.f16 d, a", {75}, half_function<1, Half, Tanh, false>()});
  rows.push_back({"tanh.approx.f16x2 d:b32, a:b32", {75}, half_function<2, Half, Tanh, false>()});
  rows.push_back({"tanh.approx.bf16 d, a", {90}, half_function<1, Bfloat, Tanh, false>()});
  rows.push_back(
      {"tanh.approx.bf16x2 d:b32, a:b32", {90}, half_function<2, Bfloat, Tanh, false>()});
  rows.push_back({"ex2.approx.f16 d, a", {75}, half_function<1, Half, Exp2, false>()});
  rows.push_back({"ex2.approx.f16x2 d:b32, a:b32", {75}, half_function<2, Half, Exp2, false>()});
  rows.push_back({"ex2.approx.ftz.bf16 d, a", {90}, half_function<1, Bfloat, Exp2, true>()});
  rows.push_back(
      {"ex2.approx.ftz.bf16x2 d:b32, a:b32", {90}, half_function<2, Bfloat, Exp2, true>()});
}

}  // namespace

void append_approximate_rows(Rows& rows) {
  append_function<Reciprocal>(rows, "rcp");
  append_function<SquareRoot>(rows, "sqrt");
  append_function<ReciprocalRoot>(rows, "rsqrt");
  append_function<Sine>(rows, "sin");
  append_function<Cosine>(rows, "cos");
  append_function<Log2>(rows, "lg2");
  append_function<Exp2>(rows, "ex2");
  rows.push_back({"tanh.approx.f32 d, a", {75}, [](Warp& w, const Inst& i) {
                    rounded<1, float, float>(w, i, Rounding::kNearestEven, false, false,
                                             [](float a) { return static_cast<float>(Tanh{}(a)); });
                  }});
  rows.push_back({"div.{approx,full}{.ftz}.f32 d, a, b", {}, [](Warp& w, const Inst& i) {
                    const bool full = i.choice[0] == 1;
                    rounded<1, float, float, float>(
                        w, i, Rounding::kNearestEven, chosen(i, 1), false, [=](float a, float b) {
                          return full ? a / b : divide_approximately(a, b);
                        });
                  }});
  append_double_rows(rows);
  append_half_rows_of_functions(rows);
}

}  // namespace nibble::emulator
