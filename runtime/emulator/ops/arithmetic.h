// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the floating-point files of ops/ share: NaN rules, flushing, saturation, directed rounding,
// and loops over packed elements.
#pragma once

#include <cfenv>
#include <concepts>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/ops/formats.h"

namespace nibble::emulator {

template <>
constexpr std::string_view type_name<Half>() {
  return "f16";
}
template <>
constexpr std::string_view type_name<Bfloat>() {
  return "bf16";
}

// `n` elements a lane, each d = f(sources...): 1 for scalars, 2 for f16x2 and f32x2.
template <int n, class D, class... S, class F>
void elements(Warp& warp, const Inst& inst, F f) {
  [&]<size_t... I>(std::index_sequence<I...>) {
    D* d = warp.reg<D>(inst.arg[0]);
    const uint32_t active = warp.active;
    if (active == kAllLanes) {
      alignas(64) D result[kWarpSize * n];
      for (int i = 0; i < kWarpSize * n; ++i) {
        result[i] = f(warp.reg<const S>(inst.arg[I + 1])[i]...);
      }
      std::memcpy(d, result, sizeof result);
    } else {
      for (uint32_t rest = active; rest != 0; rest &= rest - 1) {
        const int first = std::countr_zero(rest) * n;
        for (int i = first; i < first + n; ++i) {
          d[i] = f(warp.reg<const S>(inst.arg[I + 1])[i]...);
        }
      }
    }
  }
  (std::index_sequence_for<S...>{});
}

// Bit `lane` of the result: f(lane). Bytes first, so that the loop vectorises.
template <class F>
uint32_t mask_of_lanes(F f) {
  alignas(32) uint8_t one[kWarpSize];
  for (int lane = 0; lane < kWarpSize; ++lane) one[lane] = static_cast<uint8_t>(f(lane));
  uint32_t mask = 0;
  for (int first = 0; first < kWarpSize; first += 8) {
    uint64_t bytes = 0;
    for (int i = 0; i < 8; ++i) bytes |= uint64_t{one[first + i]} << (8 * i);
    constexpr uint64_t kGather = 0x0102040810204080;  // moves bit 8 i to bit 56 + i
    mask |= static_cast<uint32_t>(bytes * kGather >> 56) << first;
  }
  return mask;
}

// The parts of a spelling, joined.
template <class... Part>
std::string joined(const Part&... part) {
  std::string text;
  (text.append(part), ...);
  return text;
}

// Calls f with the flag as a type, so that the loop inside f has no test of it.
template <class F>
void with_flag(bool flag, F f) {
  if (flag) {
    f(std::true_type{});
  } else {
    f(std::false_type{});
  }
}

constexpr bool chosen(const Inst& inst, int group) { return inst.choice[group] != kAbsent; }

template <class T>
constexpr BitsOf<T> bits_of(T x) {
  return std::bit_cast<BitsOf<T>>(x);
}
template <class T>
constexpr BitsOf<T> magnitude_of(T x) {
  return static_cast<BitsOf<T>>(bits_of(x) & (LayoutOf<T>::kSign - 1));
}
template <class T>
constexpr bool is_nan(T x) {
  return magnitude_of(x) > LayoutOf<T>::kInfinity;
}

// What a GPU gives where a result is NaN: f16, bf16 and f32 have a single NaN, without a sign; f64
// passes a NaN operand with its sign and payload, made quiet, or else has the default of IEEE
// hardware. Of several NaN operands the second comes first, then the third, then the first.
template <class T, class First, class... Rest>
constexpr T settle(T result, First first, Rest... rest) {
  if constexpr (std::is_same_v<T, double>) {
    constexpr uint64_t kQuiet = 0x0008000000000000;
    uint64_t nan = 0xFFF8000000000000;
    const double list[] = {rest..., first};
    for (int i = sizeof...(Rest); i >= 0; --i) {
      nan = select(is_nan(list[i]), bits_of(list[i]) | kQuiet, nan);
    }
    return std::bit_cast<double>(select(is_nan(result), nan, bits_of(result)));
  } else {
    constexpr auto kNan = static_cast<BitsOf<T>>(LayoutOf<T>::kNan);
    return std::bit_cast<T>(select(is_nan(result), kNan, bits_of(result)));
  }
}

// neg and abs: the one NaN of f16, bf16 and f32; a NaN of f64 keeps its sign too.
template <class T>
constexpr T negate(T x) {
  return settle(std::bit_cast<T>(static_cast<BitsOf<T>>(bits_of(x) ^ LayoutOf<T>::kSign)), x);
}
template <class T>
constexpr T absolute(T x) {
  return settle(std::bit_cast<T>(magnitude_of(x)), x);
}

// .ftz of an operand: a subnormal becomes the zero of its sign. Of a result: one that is tiny does.
template <class T>
constexpr T zero_if(bool tiny, T x) {
  constexpr auto kSign = static_cast<BitsOf<T>>(LayoutOf<T>::kSign);
  return std::bit_cast<T>(select(tiny, static_cast<BitsOf<T>>(bits_of(x) & kSign), bits_of(x)));
}
template <class T>
constexpr T flush(T x) {
  return zero_if(magnitude_of(x) < BitsOf<T>{1} << LayoutOf<T>::kMantissaBits, x);
}
template <bool enabled, class T>
constexpr T flush_if(T x) {
  if constexpr (enabled) return flush(x);
  return x;
}

// .sat: to [0, 1]; a NaN and -0 become +0.
template <class T>
constexpr T saturate(T x) {
  constexpr auto kOne =
      static_cast<BitsOf<T>>(LayoutOf<T>::kInfinity >> 1 & LayoutOf<T>::kInfinity);
  using U = BitsOf<T>;
  const bool nan = is_nan(x);
  const bool negative = (bits_of(x) & LayoutOf<T>::kSign) != 0;
  return std::bit_cast<T>(
      select(nan | negative, U{0}, select(bits_of(x) > kOne, kOne, bits_of(x))));
}
template <bool enabled, class T>
constexpr T saturate_if(T x) {
  if constexpr (enabled) return saturate(x);
  return x;
}

// .relu: a negative number becomes +0; a NaN stays.
template <bool enabled, class T>
constexpr T relu_if(T x) {
  if constexpr (!enabled) return x;
  const bool nan = is_nan(x);
  const bool negative = (bits_of(x) & LayoutOf<T>::kSign) != 0;
  return std::bit_cast<T>(select(!nan & negative, BitsOf<T>{0}, bits_of(x)));
}

// The host rounds this way while it lives. Operands and results that must be computed inside go
// through pinned(), past which the compiler moves no arithmetic.
class RoundingScope {
 public:
  explicit RoundingScope(Rounding rounding) {
    constexpr int kModes[] = {FE_TONEAREST, FE_TOWARDZERO, FE_DOWNWARD, FE_UPWARD};
    std::fesetround(kModes[static_cast<int>(rounding)]);
  }
  ~RoundingScope() { std::fesetround(FE_TONEAREST); }
  RoundingScope(const RoundingScope&) = delete;
  RoundingScope& operator=(const RoundingScope&) = delete;
};
template <class T>
T pinned(T x) {
  asm volatile("" : "+m"(x) : : "memory");
  return x;
}

// The rounding that group `group`, {.rn,.rz,.rm,.rp}, chose; nearest where absent.
constexpr Rounding rounding_of(const Inst& inst, int group) {
  return chosen(inst, group) ? static_cast<Rounding>(inst.choice[group]) : Rounding::kNearestEven;
}

// op(s...), under .ftz where `flushes`. GPUs judge whether a result is tiny after rounding it to
// T's digits with an exponent that has no least: 0x3F7FFFFF * 0x00800000 is flushed, although it
// rounds to the smallest normal number, 2^-126. An operation that can round such a number has
// tiny(s...).
template <bool flushes, class T, class Op, class... S>
T value_of(Op op, S... s) {
  const T result = op(flush_if<flushes>(s)...);
  if constexpr (!flushes) {
    return result;
  } else if constexpr (requires { op.tiny(s...); }) {
    return zero_if(op.tiny(flush(s)...), result);
  } else {
    return flush(result);
  }
}

// The NaN of operations that have a choice of their own, settle(), or the usual one.
template <class Op, class T, class... S>
T settle_result(T result, S... s) {
  if constexpr (requires { Op::settle(result, s...); }) {
    return Op::settle(result, s...);
  } else {
    return settle(result, s...);
  }
}

// d = op(sources...) for `n` elements a lane in floating type T, IEEE-rounded, with .ftz and .sat.
template <int n, class T, class... S, class Op>
void rounded(Warp& warp, const Inst& inst, Rounding rounding, bool ftz, bool sat, Op op) {
  with_flag(ftz, [&](auto flushes) {
    with_flag(sat, [&](auto saturates) {
      constexpr bool kFlush = decltype(flushes)::value;
      constexpr bool kSaturate = decltype(saturates)::value;
      auto finish = [](T result, S... s) {
        return saturate_if<kSaturate>(settle_result<Op>(result, s...));
      };
      auto nearest = [=](S... s) { return finish(value_of<kFlush, T>(op, s...), s...); };
      auto directed = [=](S... s) {
        return finish(pinned(value_of<kFlush, T>(op, pinned(s)...)), s...);
      };
      if (rounding == Rounding::kNearestEven) {
        elements<n, T, S...>(warp, inst, nearest);
      } else {
        const RoundingScope scope(rounding);
        elements<n, T, S...>(warp, inst, directed);
      }
    });
  });
}

}  // namespace nibble::emulator
