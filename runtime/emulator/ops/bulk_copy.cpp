// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Bulk asynchronous copies and reductions without a tensor map.
// https://docs.nvidia.com/cuda/parallel-thread-execution/#data-movement-and-conversion-instructions-bulk-copy
//
// A copy from shared::cta to shared::cluster may end in the block's own memory: the manual says
// "a different CTA", hardware does not mind.
#include <bit>
#include <cstring>

#include "runtime/emulator/isa/rows.h"
#include "runtime/emulator/machine/report.h"
#include "runtime/emulator/ops/async_copy.h"
#include "runtime/emulator/ops/reduction.h"

namespace nibble::emulator {

namespace {

constexpr uint32_t kAlign = 16;

// From global to shared memory, of one block or several.
class BulkLoad : public Operation {
 public:
  BulkLoad(const Origin& origin, uint64_t from, uint32_t bytes,
           std::vector<Destination> destinations)
      : Operation(origin), from_(from), bytes_(bytes), destinations_(std::move(destinations)) {}

  void perform() override {
    const std::byte* const from = read_global(origin(), from_, bytes_);
    for (const Destination& destination : destinations_) {
      std::memcpy(destination.to.data(), from, bytes_);
      mark_shared(destination.to, bytes_);
    }
    for (const Destination& destination : destinations_)
      complete_tx(*this, destination.mbarrier, bytes_);
  }
  void list_extents(std::vector<Extent>& extents) const override {
    for (const Destination& destination : destinations_) {
      extents.push_back(extent_of(destination.to, bytes_, Access::kWrite));
    }
  }
  uint64_t global_bytes() const override { return bytes_; }

 private:
  uint64_t from_;
  uint32_t bytes_;
  std::vector<Destination> destinations_;
};

// From shared memory to that of another block; `reduce`: instead of a plain copy.
class BulkMove : public Operation {
 public:
  BulkMove(const Origin& origin, SharedPlace from, uint32_t bytes, const Destination& destination,
           Reduce reduce)
      : Operation(origin), from_(from), bytes_(bytes), destination_(destination), reduce_(reduce) {}

  void perform() override {
    check_shared(origin(), from_, bytes_);
    if (reduce_ != nullptr) {
      check_shared(origin(), destination_.to, bytes_);
      reduce_(destination_.to.data(), from_.data(), bytes_);
    } else {
      std::memmove(destination_.to.data(), from_.data(), bytes_);
      mark_shared(destination_.to, bytes_);
    }
    complete_tx(*this, destination_.mbarrier, bytes_);
  }
  void list_extents(std::vector<Extent>& extents) const override {
    extents.push_back(extent_of(from_, bytes_, Access::kRead));
    // Reductions may meet each other: what they reduce into is not looked at.
    if (reduce_ != nullptr) return;
    extents.push_back(extent_of(destination_.to, bytes_, Access::kWrite));
  }

 private:
  SharedPlace from_;
  uint32_t bytes_;
  Destination destination_;
  Reduce reduce_;
};

// From shared to global memory. `mask`: bit i for byte i of every 16.
class BulkStore : public Operation {
 public:
  BulkStore(const Origin& origin, SharedPlace from, uint32_t bytes, uint64_t to, uint32_t mask,
            Reduce reduce)
      : Operation(origin), from_(from), bytes_(bytes), to_(to), mask_(mask), reduce_(reduce) {}

  void perform() override {
    check_shared(origin(), from_, bytes_);
    const Access access = reduce_ != nullptr ? Access::kAtomic : Access::kWrite;
    std::byte* const to = global_place(origin(), to_, bytes_, access);
    if (reduce_ != nullptr) {
      reduce_(to, from_.data(), bytes_);
    } else if (mask_ == 0xFFFF) {
      std::memcpy(to, from_.data(), bytes_);
    } else {
      for (uint32_t i = 0; i < bytes_; ++i) {
        if ((mask_ >> i % kAlign & 1) != 0) to[i] = from_.data()[i];
      }
    }
  }
  void list_extents(std::vector<Extent>& extents) const override {
    extents.push_back(extent_of(from_, bytes_, Access::kRead));
  }
  uint64_t global_bytes() const override {
    return uint64_t{bytes_} / kAlign * static_cast<uint32_t>(std::popcount(mask_));
  }

 private:
  SharedPlace from_;
  uint32_t bytes_;
  uint64_t to_;
  uint32_t mask_;
  Reduce reduce_;
};

uint32_t size_in(const Origin& origin, const Arg& arg) {
  const auto bytes = static_cast<uint32_t>(origin.warp->integer(arg, origin.lane));
  if (bytes % kAlign != 0) {
    refuse(origin, "a bulk copy of " + std::to_string(bytes) + " bytes, no multiple of 16");
  }
  return bytes;
}

uint64_t global_in(const Origin& origin, const Arg& arg) {
  const uint64_t address = address_in(*origin.warp, arg, origin.lane);
  if (address % kAlign != 0) {
    fault_at(origin, Fault::Kind::kMisaligned,
             "misaligned address: a bulk copy at " + hexadecimal(address) +
                 " of global memory, which is no multiple of 16");
  }
  return address;
}

SharedPlace shared_in(const Origin& origin, const Arg& arg, Space space, uint32_t bytes,
                      uint32_t align = kAlign) {
  return shared_operand(*origin.warp, arg, space, origin.lane, bytes, align);
}

Destination target_in(const Origin& origin, const Inst& inst, Space space, uint32_t bytes) {
  const Destination destination{shared_in(origin, inst.arg[0], space, bytes),
                                shared_in(origin, inst.arg[3], space, 8, 8)};
  check_mbarrier(origin, destination, false);
  return destination;
}

// [to], [from], size, [mbarrier]{, mask}{, policy}
template <Space space, bool is_multicast>
void load(Warp& warp, const Inst& inst) {
  for_each_origin(warp, [&](const Origin& origin) {
    const uint32_t bytes = size_in(origin, inst.arg[2]);
    const uint64_t from = global_in(origin, inst.arg[1]);
    const Destination destination = target_in(origin, inst, space, bytes);
    std::vector<Destination> destinations{destination};
    if constexpr (is_multicast) {
      const auto mask = static_cast<uint32_t>(warp.integer(inst.arg[4], origin.lane));
      destinations = multicast(origin, destination, mask, false);
    }
    issue(origin, std::make_unique<BulkLoad>(origin, from, bytes, std::move(destinations)));
  });
}

void move(Warp& warp, const Inst& inst, Reduce reduce) {
  for_each_origin(warp, [&](const Origin& origin) {
    const uint32_t bytes = size_in(origin, inst.arg[2]);
    const SharedPlace from = shared_in(origin, inst.arg[1], Space::kShared, bytes);
    const Destination destination = target_in(origin, inst, Space::kSharedCluster, bytes);
    issue(origin, std::make_unique<BulkMove>(origin, from, bytes, destination, reduce));
  });
}

void store(Warp& warp, const Inst& inst, Reduce reduce, const Arg* mask) {
  for_each_origin(warp, [&](const Origin& origin) {
    const uint32_t bytes = size_in(origin, inst.arg[2]);
    const uint64_t to = global_in(origin, inst.arg[0]);
    const SharedPlace from = shared_in(origin, inst.arg[1], Space::kShared, bytes);
    const uint32_t chosen =
        mask == nullptr ? 0xFFFF : static_cast<uint32_t>(warp.integer(*mask, origin.lane)) & 0xFFFF;
    issue_in_group(origin, std::make_unique<BulkStore>(origin, from, bytes, to, chosen, reduce));
  });
}

void copy_in_cluster(Warp& warp, const Inst& inst) { move(warp, inst, nullptr); }
void copy_to_global(Warp& warp, const Inst& inst) { store(warp, inst, nullptr, nullptr); }
void copy_masked(Warp& warp, const Inst& inst) {
  store(warp, inst, nullptr, &inst.arg[inst.arg_count - 1]);
}

template <ReduceOp op, ReduceType type>
void reduce_in_cluster(Warp& warp, const Inst& inst) {
  move(warp, inst, find_reduction(op, type));
}
template <ReduceOp op, ReduceType type>
void reduce_to_global(Warp& warp, const Inst& inst) {
  store(warp, inst, find_reduction(op, type), nullptr);
}

void prefetch(Warp& warp, const Inst& inst) {
  for_each_origin(warp, [&](const Origin& origin) {
    global_in(origin, inst.arg[0]);
    size_in(origin, inst.arg[1]);
  });
}

void commit(Warp& warp, const Inst&) { warp.bulk_copies.commit(warp.active); }

// .read too waits for all of the operations: more than it must.
void wait(Warp& warp, const Inst& inst) {
  const auto lane = static_cast<uint32_t>(std::countr_zero(warp.active));
  const auto left = static_cast<uint32_t>(warp.integer(inst.arg[0], lane));
  warp.bulk_copies.wait(warp, warp.active, left);
}

constexpr const char* kShared = ".{shared::cta,shared}";
constexpr const char* kSignal = ".mbarrier::complete_tx::bytes";

// Rows whose operands end with a policy, which is there when the modifier is.
void append_hinted(Rows& rows, const std::string& modifiers, const std::string& operands,
                   Requires target, Select select) {
  rows.push_back(
      {modifiers + "{.L2::cache_hint}" + operands + ", policy?:b64", target, nullptr, select});
}
template <Body body, int group>
Body select_hinted(const Inst& inst) {
  const bool has_policy = inst.arg[inst.arg_count - 1].offset != kNoArg;
  return has_policy == (inst.choice[group] != kAbsent) ? body : nullptr;
}

void append_copies(Rows& rows) {
  const std::string own = std::string("cp.async.bulk") + kShared + ".global" + kSignal;
  const std::string any = std::string("cp.async.bulk.shared::cluster.global") + kSignal;
  const std::string store = std::string("cp.async.bulk.global") + kShared + ".bulk_group";
  const std::string operands = " [a], [b], size:u32";
  append_hinted(rows, own, operands + ", [m]", {90}, select_hinted<load<Space::kShared, false>, 5>);
  append_hinted(rows, any, operands + ", [m]", {90},
                select_hinted<load<Space::kSharedCluster, false>, 5>);
  append_hinted(rows, any + ".multicast::cluster", operands + ", [m], mask:u16", {90},
                select_hinted<load<Space::kSharedCluster, true>, 6>);
  append_hinted(rows, store, operands, {90}, select_hinted<copy_to_global, 5>);
  rows.push_back({store + ".cp_mask" + operands + ", mask:u16", {100}, copy_masked});
  rows.push_back({store + ".cp_mask.L2::cache_hint" + operands + ", policy:b64, mask:u16",
                  {100},
                  copy_masked});
  append_hinted(rows, "cp.async.bulk.prefetch.L2.global", " [a], size:u32", {90},
                select_hinted<prefetch, 5>);
  rows.push_back(
      {std::string("cp.async.bulk.shared::cluster") + kShared + kSignal + operands + ", [m]",
       {90},
       copy_in_cluster});
  rows.push_back({"cp.async.bulk.commit_group", {90}, commit});
  rows.push_back({"cp.async.bulk.wait_group{.read} n:u32", {90}, wait});
}

struct Builder {
  Rows& rows;

  template <ReduceOp op, ReduceType type>
  void global(const char* op_and_type) {
    rows.push_back({std::string("cp.reduce.async.bulk.global") + kShared +
                        ".bulk_group{.L2::cache_hint}" + op_and_type +
                        " [a], [b], size:u32, policy?:b64",
                    {90},
                    nullptr,
                    select_hinted<reduce_to_global<op, type>, 6>});
  }
  template <ReduceOp op, ReduceType type>
  void both(const char* op_and_type) {
    global<op, type>(op_and_type);
    rows.push_back({std::string("cp.reduce.async.bulk.shared::cluster") + kShared + kSignal +
                        op_and_type + " [a], [b], size:u32, [m]",
                    {90},
                    reduce_in_cluster<op, type>});
  }
};

void append_reductions(Rows& rows) {
  using Op = ReduceOp;
  using Type = ReduceType;
  Builder build{rows};
  add_cluster_reductions([&]<ReduceOp op, ReduceType type>(const char* op_and_type) {
    build.both<op, type>(op_and_type);
  });
  build.global<Op::kMin, Type::kU64>(".min.u64");
  build.global<Op::kMin, Type::kS64>(".min.s64");
  build.global<Op::kMax, Type::kU64>(".max.u64");
  build.global<Op::kMax, Type::kS64>(".max.s64");
  build.global<Op::kAnd, Type::kU64>(".and.b64");
  build.global<Op::kOr, Type::kU64>(".or.b64");
  build.global<Op::kXor, Type::kU64>(".xor.b64");
  build.global<Op::kAdd, Type::kF32>(".add.f32");
  build.global<Op::kAdd, Type::kF64>(".add.f64");
  build.global<Op::kAdd, Type::kF16>(".add.noftz.f16");
  build.global<Op::kAdd, Type::kBf16>(".add.noftz.bf16");
  build.global<Op::kMin, Type::kF16>(".min.f16");
  build.global<Op::kMin, Type::kBf16>(".min.bf16");
  build.global<Op::kMax, Type::kF16>(".max.f16");
  build.global<Op::kMax, Type::kBf16>(".max.bf16");
}

}  // namespace

void append_bulk_copy_rows(Rows& rows) {
  append_copies(rows);
  append_reductions(rows);
  append_async_store_rows(rows);
}

}  // namespace nibble::emulator
