// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Loads, stores, synchronous copies, cache hints.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-ld
#include <algorithm>
#include <bit>
#include <cstring>
#include <span>
#include <string>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/async.h"

namespace nibble::emulator {

namespace {

// Whether the warp's elements lie one after another, so that they can be copied at once.
template <class T, uint32_t kCount>
bool is_one_piece(const Warp& warp, const Places& places) {
  return kCopiesWarps && warp.active == kAllLanes && places.is_strided &&
         places.stride == int64_t{sizeof(T) * kCount};
}

// Args: the destinations, the address. Registers as wide as the elements.
template <class T, uint32_t kCount>
void load(Warp& warp, const Inst& inst) {
  Places places;
  resolve(warp, inst, inst.arg[kCount], sizeof(T) * kCount, Access::kRead, places);
  T element[kCount][kWarpSize];
  if (is_one_piece<T, kCount>(warp, places)) {
    T piece[kWarpSize][kCount];
    std::memcpy(piece, places.origin, sizeof piece);
    for (int lane = 0; lane < kWarpSize; ++lane) {
      for (uint32_t i = 0; i < kCount; ++i) element[i][lane] = piece[lane][i];
    }
  } else if (warp.active == kAllLanes && places.is_strided && places.stride == 0) {
    for (uint32_t i = 0; i < kCount; ++i) {
      std::fill_n(element[i], kWarpSize, load_relaxed<T>(places.origin + i * sizeof(T)));
    }
  } else {
    for (uint32_t i = 0; i < kCount; ++i) {
      if (inst.arg[i].offset == kNoArg) continue;
      T* const d = warp.reg<T>(inst.arg[i]);
      places.visit(warp.active, [&](int lane, const std::byte* at) {
        d[lane] = load_relaxed<T>(at + i * sizeof(T));
      });
    }
    return;
  }
  for (uint32_t i = 0; i < kCount; ++i) {
    if (inst.arg[i].offset == kNoArg) continue;
    std::memcpy(warp.reg<T>(inst.arg[i]), element[i], sizeof element[i]);
  }
}

// Destinations wider than the elements: extended by sign for .s types, with zeros for others.
template <class T>
void load_wide(Warp& warp, const Inst& inst) {
  Places places;
  resolve(warp, inst, inst.arg[inst.vector], sizeof(T) * inst.vector, Access::kRead, places);
  const bool is_signed = inst.type.kind == ValueType::Kind::kSigned;
  for (uint32_t i = 0; i < inst.vector; ++i) {
    const Arg& arg = inst.arg[i];
    if (arg.offset == kNoArg) continue;
    places.visit(warp.active, [&](int lane, const std::byte* at) {
      const T bits = load_relaxed<T>(at + i * sizeof(T));
      const int64_t extended{static_cast<std::make_signed_t<T>>(bits)};
      uint64_t value[2] = {is_signed ? static_cast<uint64_t>(extended) : bits, 0};
      if (is_signed && extended < 0) value[1] = ~0ull;
      std::memcpy(warp.reg<std::byte>(arg) + lane * size_t{arg.width}, value, arg.width);
    });
  }
}

// Args: the address, the sources.
template <class T, uint32_t kCount>
void store(Warp& warp, const Inst& inst) {
  Places places;
  resolve(warp, inst, inst.arg[0], sizeof(T) * kCount, Access::kWrite, places);
  if (is_one_piece<T, kCount>(warp, places)) {
    T piece[kWarpSize][kCount];
    for (int lane = 0; lane < kWarpSize; ++lane) {
      for (uint32_t i = 0; i < kCount; ++i) {
        piece[lane][i] = warp.reg<const T>(inst.arg[i + 1])[lane];
      }
    }
    std::memcpy(places.origin, piece, sizeof piece);
    return;
  }
  places.visit(warp.active, [&](int lane, std::byte* at) {
    for (uint32_t i = 0; i < kCount; ++i) {
      store_relaxed(at + i * sizeof(T), warp.reg<const T>(inst.arg[i + 1])[lane]);
    }
  });
}

// Sources wider than the elements: their low bytes. What a sink stands for stays as it is.
template <class T>
void store_wide(Warp& warp, const Inst& inst) {
  Places places;
  resolve(warp, inst, inst.arg[0], sizeof(T) * inst.vector, Access::kWrite, places);
  for (uint32_t i = 0; i < inst.vector; ++i) {
    const Arg& arg = inst.arg[i + 1];
    if (arg.offset == kNoArg) continue;
    places.visit(warp.active, [&](int lane, std::byte* at) {
      T value;
      std::memcpy(&value, warp.reg<std::byte>(arg) + lane * size_t{arg.width}, sizeof value);
      store_relaxed(at + i * sizeof(T), value);
    });
  }
}

bool has_wider(const Inst& inst, uint32_t first) {
  for (uint32_t i = 0; i < inst.vector; ++i) {
    const Arg& arg = inst.arg[first + i];
    if (arg.offset != kNoArg && arg.width != inst.type.size) return true;
  }
  return false;
}

bool has_sink(const Inst& inst, uint32_t first) {
  for (uint32_t i = 0; i < inst.vector; ++i) {
    if (inst.arg[first + i].offset == kNoArg) return true;
  }
  return false;
}

template <class T>
Body load_of(uint32_t count) {
  switch (count) {
    case 1:
      return load<T, 1>;
    case 2:
      return load<T, 2>;
    case 4:
      return load<T, 4>;
    default:
      return load<T, 8>;
  }
}

template <class T>
Body store_of(uint32_t count) {
  switch (count) {
    case 1:
      return store<T, 1>;
    case 2:
      return store<T, 2>;
    case 4:
      return store<T, 4>;
    default:
      return store<T, 8>;
  }
}

Body select_load(const Inst& inst) {
  const bool wide = has_wider(inst, 0);
  switch (inst.type.size) {
    case 1:
      return wide ? Body{load_wide<uint8_t>} : load_of<uint8_t>(inst.vector);
    case 2:
      return wide ? Body{load_wide<uint16_t>} : load_of<uint16_t>(inst.vector);
    case 4:
      return wide ? Body{load_wide<uint32_t>} : load_of<uint32_t>(inst.vector);
    case 8:
      return wide ? Body{load_wide<uint64_t>} : load_of<uint64_t>(inst.vector);
    case 16:
      return load<Bits128, 1>;
    default:
      return nullptr;
  }
}

Body select_store(const Inst& inst) {
  const bool wide = has_wider(inst, 1) || has_sink(inst, 1);
  switch (inst.type.size) {
    case 1:
      return wide ? Body{store_wide<uint8_t>} : store_of<uint8_t>(inst.vector);
    case 2:
      return wide ? Body{store_wide<uint16_t>} : store_of<uint16_t>(inst.vector);
    case 4:
      return wide ? Body{store_wide<uint32_t>} : store_of<uint32_t>(inst.vector);
    case 8:
      return wide ? Body{store_wide<uint64_t>} : store_of<uint64_t>(inst.vector);
    case 16:
      return store<Bits128, 1>;
    default:
      return nullptr;
  }
}

// Orders with respect to other host threads; within one, instructions are executed in order.
template <Body (*kSelect)(const Inst&)>
void ordered(Warp& warp, const Inst& inst) {
  full_fence();
  warp.is_ordering = true;
  kSelect(inst)(warp, inst);
  warp.is_ordering = false;
  full_fence();
}
template <Body (*kSelect)(const Inst&)>
Body select_ordered(const Inst& inst) {
  return kSelect(inst) != nullptr ? Body{ordered<kSelect>} : nullptr;
}

// cp.async of a warp: `size` bytes a lane, of which the first few come from global memory and the
// rest are zero. Addresses are checked at issue.
class CopyAsync : public Operation {
 public:
  CopyAsync(const Origin& origin, uint32_t copying, uint32_t size)
      : Operation(origin), lanes(copying), bytes(size) {}

  void list_extents(std::vector<Extent>& extents) const override {
    each([&](int lane) {
      Extent extent;
      extent.block = &origin().warp->block();
      extent.access = Access::kWrite;
      extent.offset = static_cast<uint32_t>(to[lane] - extent.block->shared());
      extent.bytes = bytes;
      extents.push_back(extent);
    });
  }

  void perform() override {
    each([&](int lane) {
      uint8_t copied[16] = {};
      for (uint32_t i = 0; i < from_bytes[lane]; ++i) {
        copied[i] = load_relaxed<uint8_t>(from[lane] + i);
      }
      std::memcpy(to[lane], copied, bytes);
    });
  }

  const uint32_t lanes;
  const uint32_t bytes;
  std::byte* to[kWarpSize] = {};
  const std::byte* from[kWarpSize] = {};
  uint32_t from_bytes[kWarpSize] = {};

 private:
  template <class F>
  void each(F f) const {
    for (uint32_t rest = lanes; rest != 0; rest &= rest - 1) f(std::countr_zero(rest));
  }
};

// cp.async: args are the shared address, the global address, the size, and how much is read of it.
void copy_async(Warp& warp, const Inst& inst) {
  const auto size = static_cast<uint32_t>(inst.arg[2].immediate);
  const uint32_t all = warp.active;
  const Origin origin(warp, static_cast<uint32_t>(std::countr_zero(all)));
  auto copy = std::make_unique<CopyAsync>(origin, all, size);
  Inst side = inst;  // the two addresses are in two spaces
  const bool has_source_size = inst.arg_count > 3 && inst.arg[3].offset != kNoArg;
  uint32_t reading = 0;
  for (uint32_t rest = all; rest != 0; rest &= rest - 1) {
    const auto lane = static_cast<uint32_t>(std::countr_zero(rest));
    const uint64_t wanted = has_source_size ? warp.integer(inst.arg[3], lane) : size;
    copy->from_bytes[lane] = static_cast<uint32_t>(std::min<uint64_t>(wanted, size));
    if (copy->from_bytes[lane] != 0) reading |= 1u << lane;
  }
  if (reading != 0) {
    warp.active = reading;
    Places places;
    side.space = Space::kGlobal;
    resolve(warp, side, inst.arg[1], size, Access::kRead, places);
    places.visit(reading, [&](int lane, const std::byte* at) { copy->from[lane] = at; });
    warp.active = all;
  }
  Places places;
  side.space = Space::kShared;
  warp.is_unordered = true;  // the operation's access, not the warp's
  resolve(warp, side, inst.arg[0], size, Access::kWrite, places);
  warp.is_unordered = false;
  places.visit(all, [&](int lane, std::byte* at) { copy->to[lane] = at; });
  warp.copies.add(warp.block().cluster().async().issue(std::move(copy)), all);
}

void commit_copies(Warp& warp, const Inst&) { warp.copies.commit(warp.active); }

void wait_copies(Warp& warp, const Inst& inst) {
  warp.copies.wait(warp, warp.active, static_cast<uint32_t>(inst.arg[0].immediate));
}

void wait_all_copies(Warp& warp, const Inst&) { warp.copies.wait(warp, warp.active, 0, true); }

Body select_copy_async(const Inst& inst) {
  const int64_t size = inst.arg[2].immediate;
  const bool is_cg = inst.choice[1] == 1;
  if (!inst.arg[2].is_constant) return nullptr;
  return size == 16 || (!is_cg && (size == 4 || size == 8)) ? copy_async : nullptr;
}

void nothing(Warp&, const Inst&) {}

// Bits that the device alone understands; any value serves as a policy here.
void create_policy(Warp& warp, const Inst& inst) {
  lanes<uint64_t>(warp, inst, [] { return uint64_t{0x12F0000000000000}; });
}

// Vectors of up to 16 bytes; sm_100 has those of 32.
constexpr const char* kVectors[] = {"{.v2,.v4}.{b8,b16,b32,u8,u16,u32,s8,s16,s32,f32}",
                                    "{.v2}.{b64,u64,s64,f64}"};
constexpr const char* kScalars = ".{b8,b16,b32,b64,u8,u16,u32,u64,s8,s16,s32,s64,f32,f64}";
constexpr const char* kLongVectors[] = {".v8.{b32,u32,s32,f32}", ".v4.{b64,u64,s64,f64}"};
constexpr const char* kLoadSpaces =
    "{.global,.shared,.shared::cta,.shared::cluster,.local,.const,.param,.param::entry,"
    ".param::func}";
constexpr const char* kStoreSpaces =
    "{.global,.shared,.shared::cta,.shared::cluster,.local,.param,.param::func}";
constexpr const char* kHints =
    "{.L1::evict_normal,.L1::evict_unchanged,.L1::evict_first,.L1::evict_last,.L1::no_allocate}"
    "{.L2::evict_normal,.L2::evict_first,.L2::evict_last}{.L2::cache_hint}";
constexpr const char* kPrefetch = "{.L2::64B,.L2::128B,.L2::256B}";
constexpr const char* kScopes = ".{cta,cluster,gpu,sys}";

struct Form {
  std::string start;
  Requires target;
  bool is_ordered;
  bool has_vectors = true;
};

// Every vector and type of `forms`, with the operands given for vectors and for single values.
void append_forms(Rows& rows, std::span<const Form> forms, const char* vector_operands,
                  const char* operands, Select plain, Select ordered) {
  for (const Form& form : forms) {
    const Select select = form.is_ordered ? ordered : plain;
    auto row = [&](const char* types, const char* arguments, Requires target) {
      rows.push_back({form.start + types + arguments, target, nullptr, select});
    };
    if (form.has_vectors) {
      for (const char* vectors : kVectors) row(vectors, vector_operands, form.target);
      for (const char* vectors : kLongVectors) row(vectors, vector_operands, {100});
    } else {
      row(kScalars, operands, form.target);
    }
    row(".b128", operands, {70});
  }
}

void append_loads(Rows& rows) {
  const std::string hints = kHints;
  const std::string prefetch = kPrefetch;
  const std::string space = kLoadSpaces;
  const Form forms[] = {
      {"ld{.weak}" + space + hints + prefetch, {}, false},
      {"ld{.weak}" + space + ".{ca,cg,cs,lu,cv}{.L2::cache_hint}" + prefetch, {}, false},
      {"ld.volatile" + space + prefetch, {}, true},
      {"ld.{relaxed,acquire}" + (kScopes + space) + hints + prefetch, {70}, true},
      {"ld.mmio.relaxed.sys{.global}", {70}, true, false},
      {"ld.global{.ca,.cg,.cs}.nc" + hints + prefetch, {}, false},
  };
  append_forms(rows, forms, " {d}, [a], policy?:b64", " d, [a], policy?:b64", select_load,
               select_ordered<select_load>);
  for (const char* vectors : kVectors) {
    rows.push_back({std::string("ldu{.global}") + vectors + " {d}, [a]", {}, nullptr, select_load});
  }
}

void append_stores(Rows& rows) {
  const std::string hints = kHints;
  const std::string space = kStoreSpaces;
  const Form forms[] = {
      {"st{.weak}" + space + hints, {}, false},
      {"st{.weak}" + space + ".{wb,cg,cs,wt}{.L2::cache_hint}", {}, false},
      {"st.volatile" + space, {}, true},
      {"st.{relaxed,release}" + (kScopes + space) + hints, {70}, true},
      {"st.mmio.relaxed.sys{.global}", {70}, true, false},
  };
  append_forms(rows, forms, " [a], {b}, policy?:b64", " [a], b, policy?:b64", select_store,
               select_ordered<select_store>);
}

}  // namespace

void append_memory_rows(Rows& rows) {
  append_loads(rows);
  append_stores(rows);
  const Row others[] = {
      {"cp.async.{ca,cg}.{shared,shared::cta}.global{.L2::cache_hint}{.L2::64B,.L2::128B,"
       ".L2::256B} [a], [b], size:u32, read?:u32, policy?:b64",
       {80},
       nullptr,
       select_copy_async},
      {"cp.async.commit_group", {80}, commit_copies},
      {"cp.async.wait_group n:u32", {80}, wait_copies},
      {"cp.async.wait_all", {80}, wait_all_copies},
      {"prefetch{.global,.local}.{L1,L2} [a]", {}, nothing},
      {"prefetch{.global}.{L2::evict_last,L2::evict_normal} [a]", {80}, nothing},
      {"prefetchu.L1 [a]", {}, nothing},
      {"applypriority{.global}.L2::evict_normal [a], size:u32", {80}, nothing},
      {"discard{.global}.L2 [a], size:u32", {80}, nothing},
      {"createpolicy.fractional.{L2::evict_last,L2::evict_normal,L2::evict_first,"
       "L2::evict_unchanged}{.L2::evict_first,.L2::evict_unchanged}.b64 d, fraction?:f32",
       {80},
       create_policy},
      {"createpolicy.range{.global}.{L2::evict_last,L2::evict_normal,L2::evict_first,"
       "L2::evict_unchanged}{.L2::evict_first,.L2::evict_unchanged}.b64 d, [a], primary:u32, "
       "total:u32",
       {80},
       create_policy},
      {"createpolicy.cvt.L2.b64 d, a", {80}, create_policy},
  };
  rows.insert(rows.end(), std::begin(others), std::end(others));
}

}  // namespace nibble::emulator
