// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// tcgen05.alloc, .dealloc, .relinquish_alloc_permit: PTX ISA 9.7.16.7. With .cta_group::2 a warp of
// each block of the pair must come; here dealloc waits for the other too, as it may.
#include <cstring>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/report.h"
#include "runtime/emulator/ops/tcgen05.h"

namespace nibble::emulator::tcgen05 {

namespace {

using Request = TensorMemory::Request;

TensorRange columns_of(uint32_t column, uint32_t columns) {
  return {0, TensorMemory::kLanes, column, columns};
}

void store_address(Warp& warp, const Inst& inst, const Origin& origin, uint32_t column) {
  const SharedPlace place = shared_operand(warp, inst.arg[0], inst.space, origin.lane, 4, 4);
  if (place.block != &warp.block()) {
    refuse(origin, "the address goes to the shared memory of another block");
  }
  warp.block().cluster().order().access(warp, *place.block, place.offset, 4, Access::kWrite);
  store_relaxed<uint32_t>(place.data(), column);
  if (uint8_t* const written = place.block->shared_written()) {
    std::memset(written + place.offset, 1, 4);
  }
}

void take(Warp& warp, const Origin& origin, uint32_t column, uint32_t columns) {
  TensorMemory& memory = warp.block().tensor_memory();
  memory.allocate(origin, column, columns);
  warp.block().cluster().order().acquire(warp, memory.released());
  warp.block().cluster().order().fence_tensor_after(warp);
}

// An access by the deallocating warp: whoever still works there is not ordered before it.
void give_back(Warp& warp, const Origin& origin, uint32_t address, uint32_t columns,
               const Block* queue) {
  Block& block = warp.block();
  Order& order = block.cluster().order();
  // What nobody has waited for still goes to its memory; the order tells of it.
  block.cluster().async().finish_queue(queue);
  block.tensor_memory().deallocate(origin, address, columns);
  order.free_tensor(warp, block, columns_of(address, columns));
  order.release(warp, block.tensor_memory().released());
}

// The requests of a pair meet in the even block's tensor memory.
struct Pair {
  TensorMemory& meeting;
  Request& own;
  Request& other;
};

// Once both have asked, the other block may be gone before this one goes on.
Pair pair_of(const Origin& origin) {
  Block& own = origin.warp->block();
  const uint32_t rank = own.rank();
  if (Block* const even = own.cluster().block(rank & ~1u)) {
    TensorMemory& meeting = even->tensor_memory();
    Request& request = meeting.request(rank);
    if (request.is_done && request.origin.warp == origin.warp) {
      return {meeting, request, meeting.request(rank + 1)};
    }
  }
  TensorMemory& meeting = blocks_of(origin, 2).queue().tensor_memory();
  return {meeting, meeting.request(rank), meeting.request(rank + 1)};
}

// True when this warp's request has been registered or was; false when it has to wait for another
// warp's of the same block.
bool enter(const Pair& pair, const Origin& origin, Request::Kind kind, uint32_t columns,
           uint32_t address) {
  if (pair.own.kind == Request::Kind::kNone) pair.own = {kind, origin, columns, address, false};
  if (pair.own.origin.warp != origin.warp) return false;
  if (pair.own.is_done || pair.other.kind == Request::Kind::kNone || pair.other.is_done) {
    return true;
  }
  if (pair.other.kind != kind || pair.other.columns != columns || pair.other.address != address) {
    refuse(origin, "the blocks of a pair do not ask for the same: " + std::to_string(columns) +
                       " columns at " + hexadecimal(address) + " here, " +
                       std::to_string(pair.other.columns) + " at " +
                       hexadecimal(pair.other.address) +
                       " there\n  the other: " + to_text(pair.other.origin));
  }
  return true;
}

// Ends this warp's part of what both blocks have done.
void leave(Warp& warp, const Pair& pair) {
  pair.own = {};
  warp.block().cluster().wake(&pair.meeting);
}

void allocate_alone(Warp& warp, const Inst& inst, const Origin& origin, uint32_t columns) {
  TensorMemory& memory = blocks_of(origin, 1).queue().tensor_memory();
  memory.check_request(origin, columns);
  const auto column = memory.find_free(columns, nullptr);
  if (!column) return warp.wait_event(&memory);
  take(warp, origin, *column, columns);
  store_address(warp, inst, origin, *column);
}

void allocate_together(Warp& warp, const Inst& inst, const Origin& origin, uint32_t columns) {
  const Pair pair = pair_of(origin);
  TensorMemory& memory = warp.block().tensor_memory();
  if (!pair.own.is_done || pair.own.origin.warp != &warp) memory.check_request(origin, columns);
  if (!enter(pair, origin, Request::Kind::kAllocate, columns, 0)) {
    return warp.wait_event(&pair.meeting);
  }
  if (!pair.own.is_done) {
    const bool is_met = pair.other.kind == Request::Kind::kAllocate && !pair.other.is_done;
    Block& peer = *warp.block().cluster().block(warp.block().rank() ^ 1);
    const auto column = is_met ? memory.find_free(columns, &peer.tensor_memory()) : std::nullopt;
    if (!column) return warp.wait_event(&pair.meeting);
    take(warp, origin, *column, columns);
    take(*pair.other.origin.warp, pair.other.origin, *column, columns);
    pair.own.address = *column;
    pair.other.address = *column;
    pair.other.is_done = true;
  }
  store_address(warp, inst, origin, pair.own.address);
  leave(warp, pair);
}

void allocate(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const Origin origin(warp, 0);
  const uint32_t columns = uniform(warp, inst.arg[1], "the number of columns");
  if (group_of(inst.choice[1]) == 1) {
    allocate_alone(warp, inst, origin, columns);
  } else {
    allocate_together(warp, inst, origin, columns);
  }
}

void deallocate(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const Origin origin(warp, 0);
  const uint32_t address = uniform(warp, inst.arg[0], "the tensor memory address");
  const uint32_t columns = uniform(warp, inst.arg[1], "the number of columns");
  if (group_of(inst.choice[1]) == 1) {
    TensorMemory& memory = blocks_of(origin, 1).queue().tensor_memory();
    give_back(warp, origin, address, columns, &warp.block());
    warp.block().cluster().wake(&memory);
    return;
  }
  const Pair pair = pair_of(origin);
  if (!enter(pair, origin, Request::Kind::kDeallocate, columns, address)) {
    return warp.wait_event(&pair.meeting);
  }
  if (!pair.own.is_done) {
    if (pair.other.kind == Request::Kind::kNone || pair.other.is_done) {
      return warp.wait_event(&pair.meeting);
    }
    pair.other.is_done = true;
  }
  give_back(warp, origin, address, columns,
            warp.block().cluster().block(warp.block().rank() & ~1u));
  leave(warp, pair);
}

void relinquish(Warp& warp, const Inst& inst) {
  if (!gather_warp(warp)) return;
  const Origin origin(warp, 0);
  blocks_of(origin, group_of(inst.choice[1]));
  warp.block().tensor_memory().relinquish(origin);
}

}  // namespace

void append_allocation_rows(Rows& rows) {
  const std::string groups(kGroups);
  const Requires target{100, kEveryTarget};
  rows.push_back(
      {"tcgen05.alloc" + groups + ".sync.aligned{.shared::cta}.b32 [a], b:u32", target, allocate});
  rows.push_back(
      {"tcgen05.dealloc" + groups + ".sync.aligned.b32 a:u32, b:u32", target, deallocate});
  rows.push_back(
      {"tcgen05.relinquish_alloc_permit" + groups + ".sync.aligned", target, relinquish});
}

}  // namespace nibble::emulator::tcgen05
