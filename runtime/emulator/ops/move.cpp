// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// mov, and conversion of addresses between spaces.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-mov
#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/block.h"

namespace nibble::emulator {

namespace {

template <class T>
void move(Warp& warp, const Inst& inst) {
  lanes<T, T>(warp, inst, [](const T& a) { return a; });
}

Body select_move(const Inst& inst) {
  switch (inst.type.size) {
    case 2:
      return move<uint16_t>;
    case 4:
      return move<uint32_t>;
    case 8:
      return move<uint64_t>;
    case 16:
      return move<Bits128>;
    default:
      return nullptr;
  }
}

void move_predicate(Warp& warp, const Inst& inst) {
  warp.set_predicate(inst.arg[0], warp.predicate(inst.arg[1]));
}

template <class F>
void for_each_active(const Warp& warp, F f) {
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    f(static_cast<uint32_t>(std::countr_zero(rest)));
  }
}

// The elements of a vector are the parts of a register, the first the least significant.
void pack(Warp& warp, const Inst& inst) {
  std::byte* const d = warp.reg<std::byte>(inst.arg[0]);
  const uint32_t size = inst.arg[0].width;
  const uint32_t part = size / (inst.arg_count - 1u);
  for_each_active(warp, [&](uint32_t lane) {
    std::byte whole[16];
    for (uint32_t i = 1; i < inst.arg_count; ++i) {
      std::memcpy(whole + (i - 1) * part, warp.reg<std::byte>(inst.arg[i]) + size_t{lane} * part,
                  part);
    }
    std::memcpy(d + size_t{lane} * size, whole, size);
  });
}

void unpack(Warp& warp, const Inst& inst) {
  const Arg& source = inst.arg[inst.arg_count - 1u];
  const uint32_t part = source.width / (inst.arg_count - 1u);
  for_each_active(warp, [&](uint32_t lane) {
    std::byte whole[16];
    std::memcpy(whole, warp.reg<std::byte>(source) + size_t{lane} * source.width, source.width);
    for (uint32_t i = 0; i + 1 < inst.arg_count; ++i) {
      if (inst.arg[i].offset == kNoArg) continue;
      std::memcpy(warp.reg<std::byte>(inst.arg[i]) + size_t{lane} * part, whole + i * part, part);
    }
  });
}

// Base of a space's window of generic addresses; 0 where both addresses are the same.
uint64_t window_of(Space space) {
  switch (space) {
    case Space::kShared:
    case Space::kSharedCluster:
      return kSharedWindow;
    case Space::kLocal:
      return kLocalWindow;
    default:
      return 0;
  }
}

template <class T>
void to_generic(Warp& warp, const Inst& inst) {
  lanes<T, T>(warp, inst,
              [base = static_cast<T>(window_of(inst.space))](T a) -> T { return a + base; });
}

template <class T>
void from_generic(Warp& warp, const Inst& inst) {
  lanes<T, T>(warp, inst,
              [base = static_cast<T>(window_of(inst.space))](T a) -> T { return a - base; });
}

// With 32-bit addresses there is no generic address of shared or local memory to convert to.
Body select_to_generic(const Inst& inst) {
  if (inst.type.size == 8) return to_generic<uint64_t>;
  return nullptr;
}
Body select_from_generic(const Inst& inst) {
  if (inst.type.size == 8) return from_generic<uint64_t>;
  return nullptr;
}

// In a block of `rank` of a cluster of `blocks`.
bool in_space(uint64_t address, Space space, uint32_t rank, uint32_t blocks) {
  switch (space) {
    case Space::kShared:
      return address - kSharedWindow < kWindowSize &&
             (address - kSharedWindow) >> kRankShift == rank;
    case Space::kSharedCluster:
      return address - kSharedWindow < kWindowSize &&
             (address - kSharedWindow) >> kRankShift < blocks;
    case Space::kLocal:
      return address - kLocalWindow < kWindowSize;
    case Space::kParam:
      return address - kParamWindow < kWindowSize;
    default:
      return address - kSharedWindow >= kCodeWindow + kWindowSize - kSharedWindow;
  }
}

void isspacep(Warp& warp, const Inst& inst) {
  uint32_t mask = 0;
  for_each_active(warp, [&](uint32_t lane) {
    const uint64_t address = warp.integer(inst.arg[1], lane);
    bool inside = in_space(address, inst.space, warp.block().rank(), warp.block().cluster().size());
    if (inst.space == Space::kConst || inst.space == Space::kGlobal) {
      const auto* const found = warp.block().grid().memory.find(address, 1);
      const bool is_constant = found != nullptr && found->read_only;
      inside = inside && is_constant == (inst.space == Space::kConst);
      // The window of parameters is part of that of global memory.
      inside |= inst.space == Space::kGlobal && address - kParamWindow < kWindowSize;
    }
    if (inside) mask |= 1u << lane;
  });
  warp.set_predicate(inst.arg[0], mask);
}

// The address of the same variable in another block of the cluster.
template <class T>
void mapa(Warp& warp, const Inst& inst) {
  lanes<T, T, uint32_t>(warp, inst, [](T a, uint32_t rank) -> T {
    constexpr T kRankBits = T{0xFF} << kRankShift;
    return (a & ~kRankBits) | (static_cast<T>(rank) << kRankShift);
  });
}
Body select_mapa(const Inst& inst) {
  return inst.type.size == 8 ? Body{mapa<uint64_t>} : Body{mapa<uint32_t>};
}

template <class T>
void getctarank(Warp& warp, const Inst& inst) {
  lanes<uint32_t, T>(warp, inst,
                     [](T a) { return static_cast<uint32_t>(a >> kRankShift) & 0xFFu; });
}
Body select_getctarank(const Inst& inst) {
  return inst.arg[1].width == 8 ? Body{getctarank<uint64_t>} : Body{getctarank<uint32_t>};
}

}  // namespace

void append_move_rows(Rows& rows) {
  const Row move_rows[] = {
      {"mov.{b16,b32,b64,b128,u16,u32,u64,s16,s32,s64,f16,f16x2,bf16,bf16x2,f32,f64} d, a",
       {},
       nullptr,
       select_move},
      {"mov.pred d, a", {}, move_predicate},
      {"mov.{b16,b32,b64,b128} d, {a}", {}, pack},
      {"mov.{b16,b32,b64,b128} {d}, a", {}, unpack},
      {"cvta.{const,global,local,shared,shared::cta,shared::cluster,param,param::entry}.{u32,u64} "
       "d, a",
       {},
       nullptr,
       select_to_generic},
      {"cvta.to.{const,global,local,shared,shared::cta,shared::cluster,param,param::entry}.{u32,"
       "u64} d, a",
       {},
       nullptr,
       select_from_generic},
      {"isspacep.{const,global,local,shared,shared::cta,shared::cluster,param,param::entry} "
       "p:pred, a:b64",
       {},
       isspacep},
      {"mapa{.shared::cluster}.{u32,u64} d, a, b:u32", {90}, nullptr, select_mapa},
      {"getctarank{.shared::cluster}.u32 d, a", {90}, nullptr, select_getctarank},
      {"getctarank{.shared::cluster}.u64 d:u32, a", {90}, nullptr, select_getctarank},
  };
  rows.insert(rows.end(), std::begin(move_rows), std::end(move_rows));
}

}  // namespace nibble::emulator
