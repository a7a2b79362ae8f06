// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// atom and red: atomic on the host too, lane after lane from the lowest.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#parallel-synchronization-and-communication-instructions-atom
#include <bit>
#include <cmath>
#include <cstring>
#include <mutex>
#include <string>
#include <type_traits>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/ops/formats.h"

namespace nibble::emulator {

namespace {

template <class T>
using Word =
    std::conditional_t<sizeof(T) == 2, uint16_t,
                       std::conditional_t<sizeof(T) == 4, uint32_t,
                                          std::conditional_t<sizeof(T) == 8, uint64_t, Bits128>>>;

// Replaces the word at `at` by f(word) at once; returns the old one. 16 bytes: under a lock of this
// process, as not every host has an instruction for it.
template <class W, class F>
W exchange_with(std::byte* at, F f) {
  auto* const word = reinterpret_cast<W*>(at);
  if constexpr (sizeof(W) == 16) {
    static std::mutex mutex;
    const std::lock_guard lock(mutex);
    W old;
    std::memcpy(&old, at, sizeof old);
    const W next = f(old);
    std::memcpy(at, &next, sizeof next);
    return old;
  } else {
    W old = __atomic_load_n(word, __ATOMIC_RELAXED);
    while (!__atomic_compare_exchange_n(word, &old, f(old), true, __ATOMIC_SEQ_CST,
                                        __ATOMIC_RELAXED)) {
    }
    return old;
  }
}

// Where lanes' operands stand: d is there in atom only.
struct Shape {
  uint32_t address = 0;
  uint32_t vector = 1;
  bool has_result = false;
};

Shape shape_of(const Inst& inst) {
  const bool has_result = inst.row->spelling.starts_with("atom");
  return {has_result ? inst.vector : 0u, inst.vector, has_result};
}

// f(old, b, c) on elements of type T, for each lane and element.
template <class T, class F>
void update(Warp& warp, const Inst& inst, F f) {
  const Shape shape = shape_of(inst);
  Places places;
  resolve(warp, inst, inst.arg[shape.address], sizeof(T) * shape.vector, Access::kAtomic, places);
  const bool has_third = inst.arg_count > shape.address + 2 &&
                         inst.arg[shape.address + 2].width == sizeof(T) && shape.vector == 1;
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    const int lane = std::countr_zero(rest);
    for (uint32_t i = 0; i < shape.vector; ++i) {
      const T b = warp.reg<const T>(inst.arg[shape.address + 1 + i])[lane];
      const T c = has_third ? warp.reg<const T>(inst.arg[shape.address + 2])[lane] : b;
      const auto old = exchange_with<Word<T>>(places.at(lane) + i * sizeof(T), [&](Word<T> word) {
        return std::bit_cast<Word<T>>(f(std::bit_cast<T>(word), b, c));
      });
      if (shape.has_result && inst.arg[i].offset != kNoArg) {
        warp.reg<T>(inst.arg[i])[lane] = std::bit_cast<T>(old);
      }
    }
  }
}

template <class T>
void exchange(Warp& warp, const Inst& inst) {
  update<T>(warp, inst, [](T, T b, T) { return b; });
}
template <class T>
void compare_and_swap(Warp& warp, const Inst& inst) {
  update<T>(warp, inst, [](T old, T b, T c) { return old == b ? c : old; });
}
template <class T>
void add(Warp& warp, const Inst& inst) {
  update<T>(warp, inst, [](T old, T b, T) { return static_cast<T>(old + b); });
}
void increment(Warp& warp, const Inst& inst) {
  update<uint32_t>(warp, inst,
                   [](uint32_t old, uint32_t b, uint32_t) { return old >= b ? 0 : old + 1; });
}
void decrement(Warp& warp, const Inst& inst) {
  update<uint32_t>(warp, inst, [](uint32_t old, uint32_t b, uint32_t) {
    return old == 0 || old > b ? b : old - 1;
  });
}
template <class T>
void minimum(Warp& warp, const Inst& inst) {
  update<T>(warp, inst, [](T old, T b, T) { return b < old ? b : old; });
}
template <class T>
void maximum(Warp& warp, const Inst& inst) {
  update<T>(warp, inst, [](T old, T b, T) { return b > old ? b : old; });
}
template <class T>
void bit_and(Warp& warp, const Inst& inst) {
  update<T>(warp, inst, [](T old, T b, T) { return old & b; });
}
template <class T>
void bit_or(Warp& warp, const Inst& inst) {
  update<T>(warp, inst, [](T old, T b, T) { return old | b; });
}
template <class T>
void bit_xor(Warp& warp, const Inst& inst) {
  update<T>(warp, inst, [](T old, T b, T) { return old ^ b; });
}

// Global memory's adder flushes subnormal f32 to zero, shared memory's does not.
float flush(float x) { return std::fpclassify(x) == FP_SUBNORMAL ? std::copysign(0.0f, x) : x; }

float canonical(float x) { return x != x ? std::bit_cast<float>(0x7FFFFFFFu) : x; }

void add_f32(Warp& warp, const Inst& inst) {
  const bool keeps = inst.space == Space::kShared || inst.space == Space::kSharedCluster;
  update<float>(warp, inst, [keeps](float old, float b, float) {
    return canonical(keeps ? old + b : flush(flush(old) + flush(b)));
  });
}
// A NaN passes. Global memory's adder takes the operand's before its own, as it is; in shared
// memory the sum is an ordinary one, which takes memory's first and makes it quiet.
double add_in_shared(double old, double b) {
  const double nan = old != old ? old : b;
  constexpr uint64_t kQuiet = 0x0008000000000000;
  return nan != nan ? std::bit_cast<double>(std::bit_cast<uint64_t>(nan) | kQuiet) : old + b;
}
double add_in_global(double old, double b) { return b != b ? b : old != old ? old : old + b; }

void add_f64(Warp& warp, const Inst& inst) {
  const bool shared = inst.space == Space::kShared || inst.space == Space::kSharedCluster;
  update<double>(warp, inst, [shared](double old, double b, double) {
    return shared ? add_in_shared(old, b) : add_in_global(old, b);
  });
}

// Halves, one or two in a word; the sum is exact in f32 before it is rounded.
template <class H, int kCount, class F>
void update_halves(Warp& warp, const Inst& inst, F f) {
  using W = std::conditional_t<kCount == 1, uint16_t, uint32_t>;
  update<W>(warp, inst, [f](W old, W b, W) {
    W result = 0;
    for (int i = 0; i < kCount; ++i) {
      const H x{static_cast<uint16_t>(old >> (16 * i))}, y{static_cast<uint16_t>(b >> (16 * i))};
      result |= static_cast<W>(static_cast<W>(f(x, y).bits) << (16 * i));
    }
    return result;
  });
}
template <class H, int kCount>
void add_halves(Warp& warp, const Inst& inst) {
  update_halves<H, kCount>(warp, inst, [](H x, H y) {
    const float sum = to_float(x) + to_float(y);
    return sum != sum ? H{0x7FFF} : H{static_cast<uint16_t>(encode<LayoutOf<H>>(sum))};
  });
}
// The number where the other is NaN; -0 is less than +0.
template <class H, int kCount, bool kMax>
void extreme_halves(Warp& warp, const Inst& inst) {
  update_halves<H, kCount>(warp, inst, [](H x, H y) {
    const float a = to_float(x), b = to_float(y);
    if (a != a || b != b) return a == a ? x : b == b ? y : H{0x7FFF};
    if (a == b) return ((x.bits >> 15) != 0) == kMax ? y : x;
    return (a > b) == kMax ? x : y;
  });
}

// Rows of an operation, with a result and without.
class Builder {
 public:
  explicit Builder(Rows& rows) : rows_(rows) {}

  void scalar(const std::string& op_and_type, Requires target, Body body, bool with_red = true) {
    const std::string op = op_and_type.substr(0, op_and_type.find('.'));
    const std::string type = op_and_type.substr(op_and_type.find('.'));
    const std::string third = op == "cas" ? ", c" : "";
    const std::string start = order_ + ("." + op) + "{.L2::cache_hint}" + type;
    rows_.push_back({"atom" + sem_ + start + " d, [a], b" + third + ", policy?:b64", target, body});
    if (!with_red) return;
    rows_.push_back({"red" + red_sem_ + start + " [a], b, policy?:b64", target, body});
  }

  void vector(const std::string& op, const std::string& count_and_type, Body body) {
    const std::string start = std::string("{.cta,.cluster,.gpu,.sys}{.global}.") + op +
                              "{.L2::cache_hint}" + count_and_type;
    rows_.push_back({"atom" + sem_ + start + " {d}, [a], {b}, policy?:b64", {90}, body});
    rows_.push_back({"red" + red_sem_ + start + " [a], {b}, policy?:b64", {90}, body});
  }

 private:
  const std::string sem_ = "{.relaxed,.acquire,.release,.acq_rel}";
  const std::string red_sem_ = "{.relaxed,.release}";
  const std::string order_ =
      "{.cta,.cluster,.gpu,.sys}{.global,.shared,.shared::cta,.shared::cluster}";
  Rows& rows_;
};

void append_integers(Builder& build) {
  build.scalar("exch.b32", {}, exchange<uint32_t>, false);
  build.scalar("exch.b64", {}, exchange<uint64_t>, false);
  build.scalar("exch.b128", {90}, exchange<Bits128>, false);
  build.scalar("cas.b16", {70}, compare_and_swap<uint16_t>, false);
  build.scalar("cas.b32", {}, compare_and_swap<uint32_t>, false);
  build.scalar("cas.b64", {}, compare_and_swap<uint64_t>, false);
  build.scalar("cas.b128", {90}, compare_and_swap<Bits128>, false);
  build.scalar("add.{u32,s32}", {}, add<uint32_t>);
  build.scalar("add.u64", {}, add<uint64_t>);
  build.scalar("inc.u32", {}, increment);
  build.scalar("dec.u32", {}, decrement);
  build.scalar("min.u32", {}, minimum<uint32_t>);
  build.scalar("min.s32", {}, minimum<int32_t>);
  build.scalar("min.u64", {}, minimum<uint64_t>);
  build.scalar("min.s64", {}, minimum<int64_t>);
  build.scalar("max.u32", {}, maximum<uint32_t>);
  build.scalar("max.s32", {}, maximum<int32_t>);
  build.scalar("max.u64", {}, maximum<uint64_t>);
  build.scalar("max.s64", {}, maximum<int64_t>);
  build.scalar("and.b32", {}, bit_and<uint32_t>);
  build.scalar("and.b64", {}, bit_and<uint64_t>);
  build.scalar("or.b32", {}, bit_or<uint32_t>);
  build.scalar("or.b64", {}, bit_or<uint64_t>);
  build.scalar("xor.b32", {}, bit_xor<uint32_t>);
  build.scalar("xor.b64", {}, bit_xor<uint64_t>);
}

void append_floats(Builder& build) {
  build.scalar("add.f32", {}, add_f32);
  build.scalar("add.f64", {60}, add_f64);
  build.scalar("add.noftz.f16", {70}, add_halves<Half, 1>);
  build.scalar("add.noftz.f16x2", {60}, add_halves<Half, 2>);
  build.scalar("add.noftz.bf16", {90}, add_halves<Bfloat, 1>);
  build.scalar("add.noftz.bf16x2", {90}, add_halves<Bfloat, 2>);
  build.vector("add", ".{v2,v4}.f32", add_f32);
  build.vector("add.noftz", ".{v2,v4,v8}.f16", add_halves<Half, 1>);
  build.vector("add.noftz", ".{v2,v4,v8}.bf16", add_halves<Bfloat, 1>);
  build.vector("add.noftz", ".{v2,v4}.f16x2", add_halves<Half, 2>);
  build.vector("add.noftz", ".{v2,v4}.bf16x2", add_halves<Bfloat, 2>);
  build.vector("min.noftz", ".{v2,v4,v8}.f16", extreme_halves<Half, 1, false>);
  build.vector("min.noftz", ".{v2,v4,v8}.bf16", extreme_halves<Bfloat, 1, false>);
  build.vector("min.noftz", ".{v2,v4}.f16x2", extreme_halves<Half, 2, false>);
  build.vector("min.noftz", ".{v2,v4}.bf16x2", extreme_halves<Bfloat, 2, false>);
  build.vector("max.noftz", ".{v2,v4,v8}.f16", extreme_halves<Half, 1, true>);
  build.vector("max.noftz", ".{v2,v4,v8}.bf16", extreme_halves<Bfloat, 1, true>);
  build.vector("max.noftz", ".{v2,v4}.f16x2", extreme_halves<Half, 2, true>);
  build.vector("max.noftz", ".{v2,v4}.bf16x2", extreme_halves<Bfloat, 2, true>);
}

}  // namespace

void append_atomic_rows(Rows& rows) {
  Builder build(rows);
  append_integers(build);
  append_floats(build);
}

}  // namespace nibble::emulator
