// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/ops/reduction.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "runtime/emulator/ops/formats.h"

namespace nibble::emulator {

namespace {

template <class T, class F>
void each(std::byte* to, const std::byte* from, size_t bytes, F f) {
  using Word = BitsOf<T>;
  for (size_t i = 0; i < bytes; i += sizeof(T)) {
    T b;
    std::memcpy(&b, from + i, sizeof b);
    auto* const at = reinterpret_cast<Word*>(to + i);
    Word old = __atomic_load_n(at, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(at, &old, std::bit_cast<Word>(f(std::bit_cast<T>(old), b)),
                                        true, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {
    }
  }
}

template <class T>
void add(std::byte* to, const std::byte* from, size_t bytes) {
  each<T>(to, from, bytes, [](T old, T b) { return static_cast<T>(old + b); });
}
// Subnormal inputs and results are flushed to zero.
template <>
void add<float>(std::byte* to, const std::byte* from, size_t bytes) {
  auto flush = [](float x) {
    return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0F, x) : x;
  };
  each<float>(to, from, bytes, [&](float old, float b) {
    const float sum = flush(flush(old) + flush(b));
    return sum != sum ? std::bit_cast<float>(kNan32) : sum;
  });
}
void add_kept(std::byte* to, const std::byte* from, size_t bytes) {
  each<float>(to, from, bytes, [](float old, float b) {
    const float sum = old + b;
    return sum != sum ? std::bit_cast<float>(kNan32) : sum;
  });
}
// A NaN passes as it is, the operand's before memory's.
template <>
void add<double>(std::byte* to, const std::byte* from, size_t bytes) {
  each<double>(to, from, bytes, [](double old, double b) {
    return b != b ? b : old != old ? old : old + b;
  });
}
// The sum is exact in f32 before it is rounded.
template <class H>
void add_half(std::byte* to, const std::byte* from, size_t bytes) {
  each<H>(to, from, bytes, [](H old, H b) {
    const float sum = to_float(old) + to_float(b);
    return sum != sum ? H{0x7FFF} : H{static_cast<uint16_t>(encode<LayoutOf<H>>(sum))};
  });
}

template <class T, bool kMax>
void extreme(std::byte* to, const std::byte* from, size_t bytes) {
  each<T>(to, from, bytes, [](T old, T b) { return (b > old) == kMax ? b : old; });
}
// The number where the other is NaN; -0 is less than +0.
template <class H, bool kMax>
void extreme_half(std::byte* to, const std::byte* from, size_t bytes) {
  each<H>(to, from, bytes, [](H x, H y) {
    const float a = to_float(x), b = to_float(y);
    if (a != a || b != b) return a == a ? x : b == b ? y : H{0x7FFF};
    if (a == b) return ((x.bits >> 15) != 0) == kMax ? y : x;
    return (a > b) == kMax ? x : y;
  });
}

void increment(std::byte* to, const std::byte* from, size_t bytes) {
  each<uint32_t>(to, from, bytes, [](uint32_t old, uint32_t b) { return old >= b ? 0 : old + 1; });
}
void decrement(std::byte* to, const std::byte* from, size_t bytes) {
  each<uint32_t>(to, from, bytes,
                 [](uint32_t old, uint32_t b) { return old == 0 || old > b ? b : old - 1; });
}

template <class T>
Reduce bitwise(ReduceOp op) {
  switch (op) {
    case ReduceOp::kAnd:
      return [](std::byte* to, const std::byte* from, size_t bytes) {
        each<T>(to, from, bytes, [](T old, T b) { return old & b; });
      };
    case ReduceOp::kOr:
      return [](std::byte* to, const std::byte* from, size_t bytes) {
        each<T>(to, from, bytes, [](T old, T b) { return old | b; });
      };
    default:
      return [](std::byte* to, const std::byte* from, size_t bytes) {
        each<T>(to, from, bytes, [](T old, T b) { return old ^ b; });
      };
  }
}

Reduce find_add(ReduceType type) {
  switch (type) {
    case ReduceType::kU32:
    case ReduceType::kS32:
      return add<uint32_t>;
    case ReduceType::kU64:
      return add<uint64_t>;
    case ReduceType::kF16:
      return add_half<Half>;
    case ReduceType::kBf16:
      return add_half<Bfloat>;
    case ReduceType::kF32:
      return add<float>;
    case ReduceType::kF32Kept:
      return add_kept;
    case ReduceType::kF64:
      return add<double>;
    default:
      return nullptr;
  }
}

template <bool kMax>
Reduce find_extreme(ReduceType type) {
  switch (type) {
    case ReduceType::kU32:
      return extreme<uint32_t, kMax>;
    case ReduceType::kS32:
      return extreme<int32_t, kMax>;
    case ReduceType::kU64:
      return extreme<uint64_t, kMax>;
    case ReduceType::kS64:
      return extreme<int64_t, kMax>;
    case ReduceType::kF16:
      return extreme_half<Half, kMax>;
    case ReduceType::kBf16:
      return extreme_half<Bfloat, kMax>;
    default:
      return nullptr;
  }
}

}  // namespace

Reduce find_reduction(ReduceOp op, ReduceType type) {
  switch (op) {
    case ReduceOp::kAdd:
      return find_add(type);
    case ReduceOp::kMin:
      return find_extreme<false>(type);
    case ReduceOp::kMax:
      return find_extreme<true>(type);
    case ReduceOp::kInc:
      return type == ReduceType::kU32 ? increment : nullptr;
    case ReduceOp::kDec:
      return type == ReduceType::kU32 ? decrement : nullptr;
    default:
      break;
  }
  if (type <= ReduceType::kS32) return bitwise<uint32_t>(op);
  return type <= ReduceType::kS64 ? bitwise<uint64_t>(op) : nullptr;
}

}  // namespace nibble::emulator
