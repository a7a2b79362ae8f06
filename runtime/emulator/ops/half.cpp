// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Arithmetic of f16, bf16 and their pairs: PTX ISA 9.7.4. Each result is rounded once. f32 has more
// than twice the digits of f16 and bf16, so a sum or product rounded there and again is exact.
#include <cmath>

#include "runtime/emulator/ops/float.h"

namespace nibble::emulator {
namespace {

// tiny() for .ftz, which only f16 has: below the half way from the smallest normal number, 2^-14,
// to the next lower of 11 digits. A tie is rounded to 2^-14, which is even. Tiny sums are exact.
template <class Wide>
bool tiny_half(Wide exact) {
  constexpr Wide kBound = 0x1p-14F - 0x1p-26F;
  return (exact < kBound) & (exact > -kBound);
}

template <class H>
struct Add {
  H operator()(H a, H b) const { return to_half<H>(to_float(a) + to_float(b)); }
};
template <class H>
struct Subtract {
  H operator()(H a, H b) const { return to_half<H>(to_float(a) - to_float(b)); }
};
template <class H>
struct Multiply {
  H operator()(H a, H b) const { return to_half<H>(to_float(a) * to_float(b)); }
  bool tiny(H a, H b) const { return tiny_half(to_float(a) * to_float(b)); }
};

// a * b + c rounded to odd in double: inexact results have their last bit set, so that rounding
// again to fewer digits sees on which side of a tie they lie. The product is exact.
double multiply_add_to_odd(float a, float b, float c) {
  const double product = static_cast<double>(a) * static_cast<double>(b);
  const double addend = c;
  const double sum = product + addend;
  const double part = sum - product;
  const double error = (product - (sum - part)) + (addend - part);  // sum + error is exact
  const uint64_t bits = bits_of(sum);
  const bool inexact = (error > 0) | (error < 0);
  const bool grows = (error > 0) == (sum > 0);
  const uint64_t odd = grows ? bits + 1 : bits - 1;
  return std::bit_cast<double>(select(inexact & ((bits & 1) == 0), odd, bits));
}

template <class H>
struct MultiplyAdd {
  static double exact(H a, H b, H c) {  // as far as rounding sees
    return multiply_add_to_odd(to_float(a), to_float(b), to_float(c));
  }
  H operator()(H a, H b, H c) const { return to_half<H>(exact(a, b, c)); }
  bool tiny(H a, H b, H c) const { return tiny_half(exact(a, b, c)); }
};

template <int n, class H, bool has_ftz>
void multiply_add(Warp& warp, const Inst& inst) {
  // Groups: .rn {.ftz} {.sat,.relu} for f16, .rn {.relu} for bf16.
  const int limit_group = has_ftz ? 2 : 1;
  const bool ftz = has_ftz && chosen(inst, 1);
  const bool relu = has_ftz ? inst.choice[limit_group] == 1 : chosen(inst, limit_group);
  const bool sat = has_ftz && inst.choice[limit_group] == 0;
  with_flag(ftz, [&](auto flushes) {
    auto fma = [](H a, H b, H c) {
      return value_of<decltype(flushes)::value, H>(MultiplyAdd<H>{}, a, b, c);
    };
    if (sat) {
      elements<n, H, H, H, H>(warp, inst, [=](H a, H b, H c) { return saturate(fma(a, b, c)); });
    } else if (relu) {
      elements<n, H, H, H, H>(warp, inst,
                              [=](H a, H b, H c) { return relu_if<true>(fma(a, b, c)); });
    } else {
      elements<n, H, H, H, H>(warp, inst, fma);
    }
  });
}

// add, sub and mul: groups {.rn} {.ftz} {.sat} for f16, {.rn} for bf16.
template <int n, class H, class Op, bool has_ftz>
void binary(Warp& warp, const Inst& inst) {
  rounded<n, H, H, H>(warp, inst, Rounding::kNearestEven, has_ftz && chosen(inst, 1),
                      has_ftz && chosen(inst, 2), Op{});
}

template <template <class> class Op>
void append_binary(Rows& rows, const std::string& opcode) {
  using HalfOp = Op<Half>;
  using BfloatOp = Op<Bfloat>;
  const std::string pair = " d:b32, a:b32, b:b32";
  const std::string half = opcode + "{.rn}{.ftz}{.sat}.f16";
  const std::string bfloat = opcode + "{.rn}.bf16";
  rows.push_back({half + " d, a, b", {53}, binary<1, Half, HalfOp, true>});
  rows.push_back({half + "x2" + pair, {53}, binary<2, Half, HalfOp, true>});
  rows.push_back({bfloat + " d, a, b", {90}, binary<1, Bfloat, BfloatOp, false>});
  rows.push_back({bfloat + "x2" + pair, {90}, binary<2, Bfloat, BfloatOp, false>});
}

template <int n, class H, bool is_absolute>
void change_sign(Warp& warp, const Inst& inst, bool ftz) {
  with_flag(ftz, [&](auto flushes) {
    elements<n, H, H>(warp, inst, [](H x) {
      const H flushed = flush_if<decltype(flushes)::value>(x);
      return is_absolute ? absolute(flushed) : negate(flushed);
    });
  });
}

template <bool absolute>
void append_sign(Rows& rows, const std::string& opcode) {
  rows.push_back({opcode + "{.ftz}.f16 d, a", {53}, [](Warp& w, const Inst& i) {
                    change_sign<1, Half, absolute>(w, i, chosen(i, 0));
                  }});
  rows.push_back({opcode + "{.ftz}.f16x2 d:b32, a:b32", {53}, [](Warp& w, const Inst& i) {
                    change_sign<2, Half, absolute>(w, i, chosen(i, 0));
                  }});
  rows.push_back({opcode + ".bf16 d, a", {80}, [](Warp& w, const Inst& i) {
                    change_sign<1, Bfloat, absolute>(w, i, false);
                  }});
  rows.push_back({opcode + ".bf16x2 d:b32, a:b32", {80}, [](Warp& w, const Inst& i) {
                    change_sign<2, Bfloat, absolute>(w, i, false);
                  }});
}

}  // namespace

void append_half_rows(Rows& rows) {
  append_binary<Add>(rows, "add");
  append_binary<Subtract>(rows, "sub");
  append_binary<Multiply>(rows, "mul");
  rows.push_back({"fma.rn{.ftz}{.sat,.relu}.f16 d, a, b, c", {53}, multiply_add<1, Half, true>});
  rows.push_back({"fma.rn{.ftz}{.sat,.relu}.f16x2 d:b32, a:b32, b:b32, c:b32",
                  {53},
                  multiply_add<2, Half, true>});
  rows.push_back({"fma.rn{.relu}.bf16 d, a, b, c", {80}, multiply_add<1, Bfloat, false>});
  rows.push_back(
      {"fma.rn{.relu}.bf16x2 d:b32, a:b32, b:b32, c:b32", {80}, multiply_add<2, Bfloat, false>});
  append_sign<false>(rows, "neg");
  append_sign<true>(rows, "abs");
}

}  // namespace nibble::emulator
