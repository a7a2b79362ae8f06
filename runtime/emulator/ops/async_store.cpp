// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// st.async, red.async, st.bulk.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-st-async
//
// st.async and red.async may address the block's own memory, and clusters of one block: hardware
// does not mind.
#include <array>
#include <cstring>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/ops/async_copy.h"
#include "runtime/emulator/ops/reduction.h"

namespace nibble::emulator {

namespace {

// All lanes of an instruction: a few bytes each.
class AsyncStore : public Operation {
 public:
  struct Item {
    Destination destination;
    std::array<std::byte, 16> data;
  };
  AsyncStore(const Origin& origin, uint32_t bytes, Reduce reduce)
      : Operation(origin), bytes_(bytes), reduce_(reduce) {}
  void add(const Item& item) { items_.push_back(item); }

  void perform() override {
    for (const Item& item : items_) {
      const SharedPlace& to = item.destination.to;
      if (reduce_ != nullptr) {
        check_shared(origin(), to, bytes_);
        reduce_(to.data(), item.data.data(), bytes_);
      } else {
        std::memcpy(to.data(), item.data.data(), bytes_);
        mark_shared(to, bytes_);
      }
      complete_tx(*this, item.destination.mbarrier, bytes_);
    }
  }
  void list_extents(std::vector<Extent>& extents) const override {
    // Reductions may meet each other: what they reduce into is not looked at.
    if (reduce_ != nullptr) return;
    for (const Item& item : items_) {
      extents.push_back(extent_of(item.destination.to, bytes_, Access::kWrite));
    }
  }

 private:
  uint32_t bytes_;
  Reduce reduce_;
  std::vector<Item> items_;
};

// [a], b..., [mbarrier]
void store(Warp& warp, const Inst& inst, Reduce reduce) {
  const uint32_t size = inst.type.size, bytes = size * inst.vector;
  const uint32_t mbarrier = 1 + inst.vector;
  const Origin first(warp, static_cast<uint32_t>(std::countr_zero(warp.active)));
  auto operation = std::make_unique<AsyncStore>(first, bytes, reduce);
  for_each_origin(warp, [&](const Origin& origin) {
    AsyncStore::Item item{};
    const uint32_t lane = origin.lane;
    item.destination.to = shared_operand(warp, inst.arg[0], inst.space, lane, bytes, bytes);
    item.destination.mbarrier = shared_operand(warp, inst.arg[mbarrier], inst.space, lane, 8, 8);
    check_mbarrier(origin, item.destination, false);
    for (uint32_t i = 0; i < inst.vector; ++i) {
      const uint64_t value = warp.integer(inst.arg[1 + i], lane);
      std::memcpy(item.data.data() + i * size, &value, size);
    }
    operation->add(item);
  });
  issue(first, std::move(operation));
}

void store_async(Warp& warp, const Inst& inst) { store(warp, inst, nullptr); }
template <ReduceOp op, ReduceType type>
void reduce_async(Warp& warp, const Inst& inst) {
  store(warp, inst, find_reduction(op, type));
}

// A release store or addition to global memory. It may come later, it does not have to.
void release(Warp& warp, const Inst& inst, Reduce reduce) {
  warp.block().cluster().order().synchronize(warp);
  full_fence();
  Places places;
  resolve(warp, inst, inst.arg[0], inst.type.size,
          reduce != nullptr ? Access::kAtomic : Access::kWrite, places);
  places.visit(warp.active, [&](int lane, std::byte* at) {
    const uint64_t value = warp.integer(inst.arg[1], static_cast<uint32_t>(lane));
    std::byte data[8];
    std::memcpy(data, &value, sizeof data);
    if (reduce != nullptr) {
      reduce(at, data, inst.type.size);
      return;
    }
    switch (inst.type.size) {
      case 1:
        return store_relaxed(at, static_cast<uint8_t>(value));
      case 2:
        return store_relaxed(at, static_cast<uint16_t>(value));
      case 4:
        return store_relaxed(at, static_cast<uint32_t>(value));
      default:
        return store_relaxed(at, value);
    }
  });
}
void store_release(Warp& warp, const Inst& inst) { release(warp, inst, nullptr); }
template <ReduceType type>
void add_release(Warp& warp, const Inst& inst) {
  release(warp, inst, find_reduction(ReduceOp::kAdd, type));
}

constexpr uint32_t kMaxBulkStore = 16777216;

// [a], size, 0
void store_bulk(Warp& warp, const Inst& inst) {
  for_each_origin(warp, [&](const Origin& origin) {
    const uint64_t bytes = warp.integer(inst.arg[1], origin.lane);
    if (bytes % 8 != 0 || bytes > kMaxBulkStore) {
      refuse(origin, "st.bulk of " + std::to_string(bytes) +
                         " bytes, which must be a multiple of 8 and at most 16777216");
    }
    const auto size = static_cast<uint32_t>(bytes);
    const SharedPlace to = shared_operand(warp, inst.arg[0], inst.space, origin.lane, size, 8);
    if (to.block != &warp.block()) refuse(origin, "st.bulk to the memory of another block");
    warp.block().cluster().order().access(warp, *to.block, to.offset, size, Access::kWrite);
    std::memset(to.data(), 0, size);
    mark_shared(to, size);
  });
}
Body select_store_bulk(const Inst& inst) {
  const Arg& value = inst.arg[2];
  return value.is_constant && value.immediate == 0 ? Body{store_bulk} : nullptr;
}

struct Builder {
  Rows& rows;
  template <ReduceOp op, ReduceType type>
  void reduction(const char* op_and_type) {
    rows.push_back({std::string("red.async.relaxed.cluster{.shared::cluster}"
                                "{.mbarrier::complete_tx::bytes}") +
                        op_and_type + " [a], b, [m]",
                    {90},
                    reduce_async<op, type>});
  }
  template <ReduceType type>
  void release(const char* types) {
    rows.push_back(
        {std::string("red.async{.mmio}.release.{gpu,sys}{.global}.add.") + types + " [a], b",
         {100},
         add_release<type>});
  }
};

}  // namespace

void append_async_store_rows(Rows& rows) {
  for (const char* types : {"{.v2,.v4}.{b32,u32,s32,f32}", "{.v2}.{b64,u64,s64,f64}"}) {
    rows.push_back({std::string("st.async{.weak,.cluster}{.shared::cluster}"
                                ".mbarrier::complete_tx::bytes") +
                        types + " [a], {b}, [m]",
                    {90},
                    store_async});
  }
  rows.push_back(
      {"st.async{.mmio}.release.{gpu,sys}{.global}"
       ".{b8,b16,b32,b64,u8,u16,u32,u64,s8,s16,s32,s64,f32,f64} [a], b",
       {100},
       store_release});
  using Type = ReduceType;
  Builder build{rows};
  add_cluster_reductions([&]<ReduceOp op, ReduceType type>(const char* op_and_type) {
    build.reduction<op, type>(op_and_type);
  });
  build.release<Type::kU32>("{u32,s32}");
  build.release<Type::kU64>("{u64,s64}");
  rows.push_back(
      {"st.bulk{.weak}{.shared::cta} [a], size:u32, value:u32", {100}, nullptr, select_store_bulk});
}

}  // namespace nibble::emulator
