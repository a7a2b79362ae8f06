// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Minimum and maximum of every floating type: -0 below +0, a number before a NaN unless .NaN.
#include "runtime/emulator/ops/float.h"

namespace nibble::emulator {
namespace {

// Integers in the order of the numbers they encode, -0 below +0.
template <class T>
auto order_key(T x) {
  using Signed = std::make_signed_t<BitsOf<T>>;
  const auto bits = static_cast<Signed>(bits_of(x));
  const auto sign = static_cast<Signed>(bits >> (8 * sizeof(T) - 1));
  return static_cast<Signed>(bits ^ (sign & static_cast<Signed>(LayoutOf<T>::kSign - 1)));
}

template <bool maximum, bool nan_wins, class T>
T pick(T a, T b) {
  const bool first = maximum ? order_key(a) > order_key(b) : order_key(a) < order_key(b);
  const auto number = select(first, bits_of(a), bits_of(b));
  // A NaN operand loses; with .NaN it wins.
  const bool nan_a = is_nan(a);
  const bool nan_b = is_nan(b);
  const auto without_a = select(nan_a, nan_wins ? bits_of(a) : bits_of(b), number);
  const auto result =
      select(nan_b & !(nan_wins & nan_a), nan_wins ? bits_of(b) : bits_of(a), without_a);
  return settle(std::bit_cast<T>(result), a, b);
}

template <class T>
T magnitude(T x) {
  return std::bit_cast<T>(magnitude_of(x));
}
template <class T>
T with_sign_product(T result, T a, T b) {
  const auto sign = static_cast<BitsOf<T>>((bits_of(a) ^ bits_of(b)) & LayoutOf<T>::kSign);
  return is_nan(result) ? result
                        : std::bit_cast<T>(static_cast<BitsOf<T>>(magnitude_of(result) | sign));
}

// d = min or max of a and b for `n` elements a lane.
template <int n, bool maximum, class T>
void two(Warp& warp, const Inst& inst, bool ftz, bool nan, bool xorsign) {
  with_flag(ftz, [&](auto flushes) {
    with_flag(nan, [&](auto nan_wins) {
      with_flag(xorsign, [&](auto signs) {
        constexpr bool kFlush = decltype(flushes)::value;
        constexpr bool kNan = decltype(nan_wins)::value;
        constexpr bool kSigns = decltype(signs)::value;
        elements<n, T, T, T>(warp, inst, [](T x, T y) {
          const T a = flush_if<kFlush>(x);
          const T b = flush_if<kFlush>(y);
          if constexpr (kSigns) {
            return with_sign_product(pick<maximum, kNan>(magnitude(a), magnitude(b)), a, b);
          } else {
            return pick<maximum, kNan>(a, b);
          }
        });
      });
    });
  });
}

template <bool maximum>
void three(Warp& warp, const Inst& inst, bool ftz, bool nan, bool absolute) {
  with_flag(nan, [&](auto nan_wins) {
    constexpr bool kNan = decltype(nan_wins)::value;
    auto prepare = [=](float x) {
      const float flushed = ftz ? flush(x) : x;
      return absolute ? magnitude(flushed) : flushed;
    };
    lanes<float, float, float, float>(warp, inst, [=](float a, float b, float c) {
      return pick<maximum, kNan>(pick<maximum, kNan>(prepare(a), prepare(b)), prepare(c));
    });
  });
}

// Of f16 or bf16, whose spelling differs in {.ftz}.
template <bool maximum>
void append_half(Rows& rows, const std::string& opcode) {
  const std::string half = opcode + "{.ftz}{.NaN}{.xorsign}{.abs}.f16";
  const std::string bfloat = opcode + "{.NaN}{.xorsign}{.abs}.bf16";
  rows.push_back({half + " d, a, b", {80}, [](Warp& w, const Inst& i) {
                    two<1, maximum, Half>(w, i, chosen(i, 0), chosen(i, 1), chosen(i, 2));
                  }});
  rows.push_back({half + "x2 d:b32, a:b32, b:b32", {80}, [](Warp& w, const Inst& i) {
                    two<2, maximum, Half>(w, i, chosen(i, 0), chosen(i, 1), chosen(i, 2));
                  }});
  rows.push_back({bfloat + " d, a, b", {80}, [](Warp& w, const Inst& i) {
                    two<1, maximum, Bfloat>(w, i, false, chosen(i, 0), chosen(i, 1));
                  }});
  rows.push_back({bfloat + "x2 d:b32, a:b32, b:b32", {80}, [](Warp& w, const Inst& i) {
                    two<2, maximum, Bfloat>(w, i, false, chosen(i, 0), chosen(i, 1));
                  }});
}

template <bool maximum>
void append_rows(Rows& rows, const std::string& opcode) {
  rows.push_back(
      {opcode + "{.ftz}{.NaN}{.xorsign}{.abs}.f32 d, a, b", {}, [](Warp& w, const Inst& i) {
         two<1, maximum, float>(w, i, chosen(i, 0), chosen(i, 1), chosen(i, 2));
       }});
  rows.push_back({opcode + "{.ftz}{.NaN}{.abs}.f32 d, a, b, c", {100}, [](Warp& w, const Inst& i) {
                    three<maximum>(w, i, chosen(i, 0), chosen(i, 1), chosen(i, 2));
                  }});
  rows.push_back({opcode + ".f64 d, a, b", {}, [](Warp& w, const Inst& i) {
                    two<1, maximum, double>(w, i, false, false, false);
                  }});
  append_half<maximum>(rows, opcode);
}

}  // namespace

void append_min_max_rows(Rows& rows) {
  append_rows<false>(rows, "min");
  append_rows<true>(rows, "max");
}

}  // namespace nibble::emulator
