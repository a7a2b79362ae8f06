// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Exchange among the lanes of a warp. Each lane names the lanes that take part; all of them that
// are alive must come before any goes on. Lanes may name different groups.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-shfl-sync
#include "runtime/emulator/machine/warp.h"

#include <bit>
#include <cmath>
#include <cstring>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/machine/block.h"

namespace nibble::emulator {

namespace {

template <class F>
void for_each(uint32_t lanes, F f) {
  for (; lanes != 0; lanes &= lanes - 1) f(static_cast<uint32_t>(std::countr_zero(lanes)));
}

// Waits for the lanes that the masks in `arg` name. False: execute again later.
bool gather(Warp& warp, const Arg& arg) {
  const uint32_t* const masks = warp.reg<const uint32_t>(arg);
  uint32_t needed = 0;
  for_each(warp.active, [&](uint32_t lane) {
    needed |= masks[lane];
    if ((masks[lane] >> lane & 1) == 0) {
      warp.fault(Fault::Kind::kIllegalInstruction,
                 "a lane executes this with a mask of lanes that it is not in", 1u << lane);
    }
  });
  return warp.gather(needed);
}

// Calls f(mask, lanes) for each group: the active lanes that name the same mask.
template <class F>
void for_each_group(Warp& warp, const Arg& arg, F f) {
  const uint32_t* const masks = warp.reg<const uint32_t>(arg);
  for (uint32_t left = warp.active; left != 0;) {
    const uint32_t mask = masks[std::countr_zero(left)];
    uint32_t lanes = 0;
    for_each(left, [&](uint32_t lane) {
      if (masks[lane] == mask) lanes |= 1u << lane;
    });
    left &= ~lanes;
    f(lanes);
  }
}

enum class Shuffle { kUp, kDown, kButterfly, kIndex };

// d|p, a, b, c, membermask. c: clamp in bits 0-4, the segment's mask in bits 8-12.
template <Shuffle kMode>
void shuffle(Warp& warp, const Inst& inst) {
  if (!gather(warp, inst.arg[5])) return;
  uint32_t source[kWarpSize];
  std::memcpy(source, warp.reg<const uint32_t>(inst.arg[2]), sizeof source);
  uint32_t* const d = warp.reg<uint32_t>(inst.arg[0]);
  const uint32_t* const b = warp.reg<const uint32_t>(inst.arg[3]);
  const uint32_t* const c = warp.reg<const uint32_t>(inst.arg[4]);
  uint32_t result[kWarpSize];
  uint32_t in_range = 0;
  for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
    const uint32_t by = b[lane] & 31, clamp = c[lane] & 31, segment = c[lane] >> 8 & 31;
    const uint32_t most = (lane & segment) | (clamp & ~segment);
    const uint32_t least = lane & segment;
    uint32_t from = 0;
    bool is_inside = false;
    if constexpr (kMode == Shuffle::kUp) {
      from = lane - by;
      is_inside = static_cast<int32_t>(from) >= static_cast<int32_t>(most);
    } else {
      if constexpr (kMode == Shuffle::kDown) from = lane + by;
      if constexpr (kMode == Shuffle::kButterfly) from = lane ^ by;
      if constexpr (kMode == Shuffle::kIndex) from = least | (by & ~segment);
      is_inside = from <= most;
    }
    result[lane] = source[is_inside ? from & 31 : lane];
    in_range |= static_cast<uint32_t>(is_inside) << lane;
  }
  if (inst.arg[0].offset != kNoArg) {
    for (uint32_t lane = 0; lane < kWarpSize; ++lane) {
      d[lane] = (warp.active >> lane & 1) != 0 ? result[lane] : d[lane];
    }
  }
  warp.set_predicate(inst.arg[1], in_range);
}

enum class Vote { kAll, kAny, kUniform, kBallot };

template <Vote kVote>
void vote(Warp& warp, const Inst& inst) {
  if (!gather(warp, inst.arg[2])) return;
  const uint32_t votes = warp.predicate(inst.arg[1]);
  uint32_t* const d = warp.reg<uint32_t>(inst.arg[0]);
  uint32_t result = 0;
  for_each_group(warp, inst.arg[2], [&](uint32_t lanes) {
    const uint32_t ballot = votes & lanes;
    if constexpr (kVote == Vote::kBallot) {
      for_each(lanes, [&](uint32_t lane) { d[lane] = ballot; });
    } else {
      const bool all = ballot == lanes, any = ballot != 0;
      const bool value = kVote == Vote::kAll ? all : kVote == Vote::kAny ? any : all || !any;
      if (value) result |= lanes;
    }
  });
  if constexpr (kVote != Vote::kBallot) warp.set_predicate(inst.arg[0], result);
}

// match.any: the lanes of the group with the same value.
template <class T>
void match_any(Warp& warp, const Inst& inst) {
  if (!gather(warp, inst.arg[2])) return;
  T values[kWarpSize];
  std::memcpy(values, warp.reg<const T>(inst.arg[1]), sizeof values);
  uint32_t* const d = warp.reg<uint32_t>(inst.arg[0]);
  for_each_group(warp, inst.arg[2], [&](uint32_t lanes) {
    for_each(lanes, [&](uint32_t lane) {
      uint32_t same = 0;
      for_each(lanes, [&](uint32_t other) {
        if (values[other] == values[lane]) same |= 1u << other;
      });
      d[lane] = same;
    });
  });
}

// match.all: the group where all its values are the same, else 0. d|p, a, membermask.
template <class T>
void match_all(Warp& warp, const Inst& inst) {
  if (!gather(warp, inst.arg[3])) return;
  T values[kWarpSize];
  std::memcpy(values, warp.reg<const T>(inst.arg[2]), sizeof values);
  uint32_t result = 0;
  for_each_group(warp, inst.arg[3], [&](uint32_t lanes) {
    bool same = true;
    for_each(lanes,
             [&](uint32_t lane) { same &= values[lane] == values[std::countr_zero(lanes)]; });
    if (same) result |= lanes;
    if (inst.arg[0].offset == kNoArg) return;
    uint32_t* const d = warp.reg<uint32_t>(inst.arg[0]);
    for_each(lanes, [&](uint32_t lane) { d[lane] = same ? lanes : 0; });
  });
  warp.set_predicate(inst.arg[1], result);
}

struct Same {
  template <class T>
  T operator()(T x) const {
    return x;
  }
};

template <class T, class F, class Prepare = Same>
void reduce(Warp& warp, const Inst& inst, F f, Prepare prepare = {}) {
  if (!gather(warp, inst.arg[2])) return;
  T values[kWarpSize];
  for (uint32_t i = 0; i < kWarpSize; ++i) {
    values[i] = prepare(warp.reg<const T>(inst.arg[1])[i]);
  }
  T* const d = warp.reg<T>(inst.arg[0]);
  for_each_group(warp, inst.arg[2], [&](uint32_t lanes) {
    T total = values[std::countr_zero(lanes)];
    for_each(lanes & (lanes - 1), [&](uint32_t lane) { total = f(total, values[lane]); });
    for_each(lanes, [&](uint32_t lane) { d[lane] = total; });
  });
}

template <class T>
void redux_add(Warp& warp, const Inst& inst) {
  reduce<uint32_t>(warp, inst, [](uint32_t a, uint32_t b) { return a + b; });
}
template <class T>
void redux_min(Warp& warp, const Inst& inst) {
  reduce<T>(warp, inst, [](T a, T b) { return a < b ? a : b; });
}
template <class T>
void redux_max(Warp& warp, const Inst& inst) {
  reduce<T>(warp, inst, [](T a, T b) { return a > b ? a : b; });
}
void redux_and(Warp& warp, const Inst& inst) {
  reduce<uint32_t>(warp, inst, [](uint32_t a, uint32_t b) { return a & b; });
}
void redux_or(Warp& warp, const Inst& inst) {
  reduce<uint32_t>(warp, inst, [](uint32_t a, uint32_t b) { return a | b; });
}
void redux_xor(Warp& warp, const Inst& inst) {
  reduce<uint32_t>(warp, inst, [](uint32_t a, uint32_t b) { return a ^ b; });
}

// NaN inputs lose unless .NaN, then they win with the canonical NaN.
template <bool kMax>
void redux_float(Warp& warp, const Inst& inst) {
  const uint32_t mask = inst.choice[1] != kAbsent ? 0x7FFFFFFFu : kAllLanes;  // {.abs}
  const bool keeps_nan = inst.choice[2] != kAbsent;
  const auto nan = std::bit_cast<float>(0x7FFFFFFFu);
  auto larger = [=](float a, float b) {
    if (a != a || b != b) return keeps_nan || (a != a && b != b) ? nan : (a != a ? b : a);
    if (a == b) return std::signbit(a) == kMax ? b : a;  // -0 is less than +0
    return (a > b) == kMax ? a : b;
  };
  reduce<float>(warp, inst, larger,
                [=](float x) { return std::bit_cast<float>(std::bit_cast<uint32_t>(x) & mask); });
}

// The lowest lane of the group is elected. d|p, membermask.
void elect(Warp& warp, const Inst& inst) {
  if (!gather(warp, inst.arg[2])) return;
  uint32_t leaders = 0;
  for_each_group(warp, inst.arg[2], [&](uint32_t lanes) {
    const auto leader = static_cast<uint32_t>(std::countr_zero(lanes));
    leaders |= 1u << leader;
    if (inst.arg[0].offset == kNoArg) return;
    uint32_t* const d = warp.reg<uint32_t>(inst.arg[0]);
    for_each(lanes, [&](uint32_t lane) { d[lane] = leader; });
  });
  warp.set_predicate(inst.arg[1], leaders);
}

void activemask(Warp& warp, const Inst& inst) {
  lanes<uint32_t>(warp, inst, [mask = warp.active] { return mask; });
}

}  // namespace

void append_warp_rows(Rows& rows) {
  const Row warp_rows[] = {
      {"shfl.sync.up.b32 d|p:pred, a, b, c, m", {70}, shuffle<Shuffle::kUp>},
      {"shfl.sync.down.b32 d|p:pred, a, b, c, m", {70}, shuffle<Shuffle::kDown>},
      {"shfl.sync.bfly.b32 d|p:pred, a, b, c, m", {70}, shuffle<Shuffle::kButterfly>},
      {"shfl.sync.idx.b32 d|p:pred, a, b, c, m", {70}, shuffle<Shuffle::kIndex>},
      {"vote.sync.all.pred d, a, m:b32", {70}, vote<Vote::kAll>},
      {"vote.sync.any.pred d, a, m:b32", {70}, vote<Vote::kAny>},
      {"vote.sync.uni.pred d, a, m:b32", {70}, vote<Vote::kUniform>},
      {"vote.sync.ballot.b32 d, a:pred, m", {70}, vote<Vote::kBallot>},
      {"match.any.sync.b32 d, a, m", {70}, match_any<uint32_t>},
      {"match.any.sync.b64 d:b32, a, m:b32", {70}, match_any<uint64_t>},
      {"match.all.sync.b32 d|p:pred, a, m", {70}, match_all<uint32_t>},
      {"match.all.sync.b64 d:b32|p:pred, a, m:b32", {70}, match_all<uint64_t>},
      {"redux.sync.add.u32 d, a, m", {80}, redux_add<uint32_t>},
      {"redux.sync.add.s32 d, a, m", {80}, redux_add<int32_t>},
      {"redux.sync.min.u32 d, a, m", {80}, redux_min<uint32_t>},
      {"redux.sync.min.s32 d, a, m", {80}, redux_min<int32_t>},
      {"redux.sync.max.u32 d, a, m", {80}, redux_max<uint32_t>},
      {"redux.sync.max.s32 d, a, m", {80}, redux_max<int32_t>},
      {"redux.sync.and.b32 d, a, m", {80}, redux_and},
      {"redux.sync.or.b32 d, a, m", {80}, redux_or},
      {"redux.sync.xor.b32 d, a, m", {80}, redux_xor},
      {"redux.sync{.abs}{.NaN}.min.f32 d, a, m:b32", {0, "100f"}, redux_float<false>},
      {"redux.sync{.abs}{.NaN}.max.f32 d, a, m:b32", {0, "100f"}, redux_float<true>},
      {"elect.sync d|p:pred, m:b32", {90}, elect},
      {"activemask.b32 d", {}, activemask},
  };
  rows.insert(rows.end(), std::begin(warp_rows), std::end(warp_rows));
}

}  // namespace nibble::emulator
