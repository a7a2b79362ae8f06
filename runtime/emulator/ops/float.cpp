// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Floating-point arithmetic of f32, f32x2 and f64: PTX ISA 9.7.3, and the mixed forms of 9.7.5.
// Approximate functions are in approximate.cpp, minimum and maximum in min_max.cpp.
#include "runtime/emulator/ops/float.h"

#include <cmath>

namespace nibble::emulator {
namespace {

struct Add {
  template <class T>
  T operator()(T a, T b) const {
    return a + b;
  }
};
struct Subtract {
  template <class T>
  T operator()(T a, T b) const {
    return a - b;
  }
};
struct Divide {
  template <class T>
  T operator()(T a, T b) const {
    return a / b;
  }
  bool tiny(float a, float b) const { return tiny_when_larger(a * kLarger / b); }
  // The division of f64 is a subroutine: of two NaN operands it passes the first.
  template <class T>
  static T settle(T result, T a, T b) {
    return emulator::settle(result, b, a);
  }
};
struct MultiplyAdd {
  template <class T>
  T operator()(T a, T b, T c) const {
    return std::fma(a, b, c);
  }
  bool tiny(float a, float b, float c) const {
    return tiny_when_larger(std::fma(a * kLarger, b, c * kLarger));
  }
};
struct Reciprocal {
  template <class T>
  T operator()(T a) const {
    return T{1} / a;
  }
  bool tiny(float a) const { return tiny_when_larger(kLarger / a); }
};
struct SquareRoot {
  template <class T>
  T operator()(T a) const {
    return std::sqrt(a);
  }
};

// Rows of an IEEE operation with groups rounding, {.ftz} and, for f32, {.sat}.
template <class Op>
void append_binary(Rows& rows, const std::string& opcode) {
  const std::string head = opcode + "{.rn,.rz,.rm,.rp}";
  rows.push_back({head + "{.ftz}{.sat}.f32 d, a, b", {}, [](Warp& w, const Inst& i) {
                    rounded<1, float, float, float>(w, i, rounding_of(i, 0), chosen(i, 1),
                                                    chosen(i, 2), Op{});
                  }});
  rows.push_back({head + ".f64 d, a, b", {}, [](Warp& w, const Inst& i) {
                    rounded<1, double, double, double>(w, i, rounding_of(i, 0), false, false, Op{});
                  }});
  rows.push_back({head + "{.ftz}.f32x2 d:b64, a:b64, b:b64", {100}, [](Warp& w, const Inst& i) {
                    rounded<2, float, float, float>(w, i, rounding_of(i, 0), chosen(i, 1), false,
                                                    Op{});
                  }});
}

void append_fma(Rows& rows, const std::string& opcode) {
  const std::string head = opcode + ".{rn,rz,rm,rp}";
  rows.push_back({head + "{.ftz}{.sat}.f32 d, a, b, c", {}, [](Warp& w, const Inst& i) {
                    rounded<1, float, float, float, float>(w, i, rounding_of(i, 0), chosen(i, 1),
                                                           chosen(i, 2), MultiplyAdd{});
                  }});
  rows.push_back({head + ".f64 d, a, b, c", {}, [](Warp& w, const Inst& i) {
                    rounded<1, double, double, double, double>(w, i, rounding_of(i, 0), false,
                                                               false, MultiplyAdd{});
                  }});
}

// A form with operands of f16 or bf16 that are widened, exactly, and c and d of f32.
template <class H>
void append_mixed(Rows& rows) {
  const std::string type(type_name<H>());
  const Requires blackwell{100};
  rows.push_back({"add{.rn,.rz,.rm,.rp}{.sat}.f32." + type + " d:f32, a, c:f32", blackwell,
                  [](Warp& w, const Inst& i) {
                    rounded<1, float, H, float>(w, i, rounding_of(i, 0), false, chosen(i, 1),
                                                [](H a, float c) { return to_float(a) + c; });
                  }});
  rows.push_back({"sub{.rn,.rz,.rm,.rp}{.sat}.f32." + type + " d:f32, a, c:f32", blackwell,
                  [](Warp& w, const Inst& i) {
                    rounded<1, float, H, float>(w, i, rounding_of(i, 0), false, chosen(i, 1),
                                                [](H a, float c) { return to_float(a) - c; });
                  }});
  rows.push_back({"fma.{rn,rz,rm,rp}{.sat}.f32." + type + " d:f32, a, b, c:f32", blackwell,
                  [](Warp& w, const Inst& i) {
                    rounded<1, float, H, H, float>(
                        w, i, rounding_of(i, 0), false, chosen(i, 1),
                        [](H a, H b, float c) { return std::fma(to_float(a), to_float(b), c); });
                  }});
}

// Correctly rounded division, reciprocal and root; the rounding is never left out.
template <class Op, class... S>
void append_exact(Rows& rows, const std::string& opcode, const std::string& operands) {
  rows.push_back({opcode + ".{rn,rz,rm,rp}{.ftz}.f32 " + operands, {}, [](Warp& w, const Inst& i) {
                    rounded<1, float, std::conditional_t<true, float, S>...>(
                        w, i, rounding_of(i, 0), chosen(i, 1), false, Op{});
                  }});
  rows.push_back({opcode + ".{rn,rz,rm,rp}.f64 " + operands, {}, [](Warp& w, const Inst& i) {
                    rounded<1, double, std::conditional_t<true, double, S>...>(
                        w, i, rounding_of(i, 0), false, false, Op{});
                  }});
}

// Looks at nothing that it moves: a NaN keeps its payload.
template <class T>
T copy_sign(T sign, T magnitude) {
  const auto bit = bits_of(sign) & static_cast<BitsOf<T>>(LayoutOf<T>::kSign);
  return std::bit_cast<T>(magnitude_of(magnitude) | bit);
}

enum class Property { kFinite, kInfinite, kNumber, kNotANumber, kNormal, kSubnormal };
template <class T>
bool has_property(T x, Property property) {
  const auto magnitude = magnitude_of(x);
  const bool finite = magnitude < LayoutOf<T>::kInfinity;
  const bool subnormal = magnitude != 0 && magnitude >> LayoutOf<T>::kMantissaBits == 0;
  switch (property) {
    case Property::kFinite:
      return finite;
    case Property::kInfinite:
      return magnitude == LayoutOf<T>::kInfinity;
    case Property::kNumber:
      return !is_nan(x);
    case Property::kNotANumber:
      return is_nan(x);
    case Property::kNormal:
      return finite && !subnormal;  // zeros are normal, to GPUs
    case Property::kSubnormal:
      return subnormal;
  }
  return false;
}

template <class T>
void test_property(Warp& w, const Inst& i) {
  const T* a = w.reg<const T>(i.arg[1]);
  const auto property = static_cast<Property>(i.choice[0]);
  w.set_predicate(i.arg[0],
                  mask_of_lanes([=](int lane) { return has_property(a[lane], property); }));
}

void append_sign_rows(Rows& rows) {
  rows.push_back({"neg{.ftz}.f32 d, a", {}, [](Warp& w, const Inst& i) {
                    with_flag(chosen(i, 0), [&](auto flushes) {
                      lanes<float, float>(w, i, [](float a) {
                        return negate(flush_if<decltype(flushes)::value>(a));
                      });
                    });
                  }});
  rows.push_back({"abs{.ftz}.f32 d, a", {}, [](Warp& w, const Inst& i) {
                    with_flag(chosen(i, 0), [&](auto flushes) {
                      lanes<float, float>(w, i, [](float a) {
                        return absolute(flush_if<decltype(flushes)::value>(a));
                      });
                    });
                  }});
  rows.push_back({"neg.f64 d, a", {}, [](Warp& w, const Inst& i) {
                    lanes<double, double>(w, i, negate<double>);
                  }});
  rows.push_back({"abs.f64 d, a", {}, [](Warp& w, const Inst& i) {
                    lanes<double, double>(w, i, absolute<double>);
                  }});
  typed_rows<float, double>(rows, "copysign.%t d, a, b", {}, []<class T>() -> Body {
    return [](Warp& w, const Inst& i) { lanes<T, T, T>(w, i, copy_sign<T>); };
  });
  typed_rows<float, double>(
      rows, "testp.{finite,infinite,number,notanumber,normal,subnormal}.%t p:pred, a", {},
      []<class T>() -> Body { return test_property<T>; });
}

}  // namespace

void append_float_rows(Rows& rows) {
  append_binary<Add>(rows, "add");
  append_binary<Subtract>(rows, "sub");
  append_binary<Product>(rows, "mul");
  append_fma(rows, "fma");
  append_fma(rows, "mad");
  rows.push_back({"fma.{rn,rz,rm,rp}{.ftz}.f32x2 d:b64, a:b64, b:b64, c:b64",
                  {100},
                  [](Warp& w, const Inst& i) {
                    rounded<2, float, float, float, float>(w, i, rounding_of(i, 0), chosen(i, 1),
                                                           false, MultiplyAdd{});
                  }});
  append_mixed<Half>(rows);
  append_mixed<Bfloat>(rows);
  append_exact<Divide, int, int>(rows, "div", "d, a, b");
  append_exact<Reciprocal, int>(rows, "rcp", "d, a");
  append_exact<SquareRoot, int>(rows, "sqrt", "d, a");
  append_sign_rows(rows);
  append_approximate_rows(rows);
  append_min_max_rows(rows);
}

}  // namespace nibble::emulator
