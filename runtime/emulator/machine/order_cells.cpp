// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Accesses, checked against who touched the same before.
#include <algorithm>
#include <bit>
#include <cstring>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/counters.h"
#include "runtime/emulator/machine/order.h"

namespace nibble::emulator {

namespace {

constexpr uint32_t kWordBytes = 4;
constexpr uint32_t kAllBytes = 0xF;
// Tensor memory is told apart in groups of lanes: the least that an instruction addresses alone.
constexpr uint32_t kLaneGroup = 16;
constexpr uint32_t kLaneGroups = TensorMemory::kLanes / kLaneGroup;

// Which of a word's bytes [begin, end) touches; offsets from the word's start.
uint32_t byte_mask(uint32_t begin, uint32_t end) {
  return ((1u << std::min(end, kWordBytes)) - 1) & ~((1u << begin) - 1);
}

// The common accesses of whole cells by an agent with clocks `seen`: nothing to report, no byte to
// tell apart. False, and nothing has changed, where that takes a closer look. `self`: with all its
// bytes. `fenced`: not null where a write of one of the first `warps` agents has to be fenced too.
template <bool kWrites>
bool pass_quickly(Cell& cell, Epoch self, const Clocks& seen, const Clocks* fenced, Agent warps) {
  auto is_known = [&](Epoch other) {
    return other.agent() == self.agent() || other.clock() <= seen.of(other.agent());
  };
  if (!is_known(cell.write)) return false;
  if constexpr (kWrites) {
    if (!is_known(cell.read[0]) || !is_known(cell.read[1])) return false;
    cell = {self, {}};
    return true;
  }
  if (fenced != nullptr && cell.write.agent() < warps &&
      cell.write.clock() > fenced->of(cell.write.agent())) {
    return false;
  }
  if (cell.read[0] == self || cell.read[1] == self) return true;
  if (!is_known(cell.read[0]) || cell.read[0].same_but_bytes(self) ||
      cell.read[1].same_but_bytes(self)) {
    return false;
  }
  cell.read[0] = self;
  return true;
}

}  // namespace

Agent Order::agent_of(const Warp& warp) const {
  return 2 * (warp.block().rank() * warps_ + warp.index());
}

Cell* Order::shared_cells(Block& block, uint32_t word) {
  std::vector<Cell>& cells = shared_[block.rank()];
  if (cells.empty()) cells.resize(block.shared_size() / kWordBytes + 2);
  return cells.data() + word;
}

void Order::check_cell(const Attempt& attempt, Cell& cell, uint32_t bytes, uint64_t where,
                       bool tensor) {
  const Epoch self = attempt.epoch;
  auto is_known = [&](Epoch other) {
    return other.agent() == self.agent() || other.clock() <= attempt.seen.of(other.agent());
  };
  const Epoch write = cell.write;
  if ((write.bytes() & bytes) != 0) {
    const bool is_generic = !tensor && write.agent() < 2 * states_.size() && write.agent() % 2 == 0;
    if (!is_known(write)) {
      const bool may_agree =
          is_generic && attempt.access == Access::kWrite && attempt.fenced == nullptr;
      if (may_agree) {
        suspect(attempt, write, bytes & write.bytes(), where);
      } else {
        report(attempt, write, true, where, tensor, false);
      }
    }
    if (attempt.fenced != nullptr && attempt.access == Access::kRead && is_generic &&
        write.clock() > attempt.fenced->of(write.agent())) {
      report(attempt, write, true, where, tensor, true);
    }
  }
  if (attempt.access == Access::kRead) {
    for (Epoch& read : cell.read) {
      if (read.same_but_bytes(self)) return read.add_bytes(bytes);
    }
    Epoch mine = self;
    mine.add_bytes(bytes);
    for (Epoch& read : cell.read) {
      if (read.is_none() || is_known(read)) {
        read = mine;
        return;
      }
    }
    cell.read[self.clock() & 1] = mine;
    return;
  }
  for (Epoch& read : cell.read) {
    if ((read.bytes() & bytes) != 0 && !is_known(read)) {
      report(attempt, read, false, where, tensor, false);
    }
    if ((read.bytes() & ~bytes) == 0) read = Epoch{};
  }
  if (write.same_but_bytes(self)) {
    cell.write.add_bytes(bytes);
  } else {
    cell.write = self;
    cell.write.add_bytes(bytes);
  }
}

void Order::suspect(const Attempt& attempt, Epoch other, uint32_t bytes, uint64_t where) {
  Suspect found{
      attempt.origin, &attempt.block, attempt.epoch, other, static_cast<uint32_t>(where), bytes, 0};
  const uint32_t size = attempt.block.shared_size();
  std::memcpy(&found.before, attempt.block.shared() + where,
              std::min<size_t>(sizeof found.before, size - where));
  suspects_.push_back(found);
}

void Order::settle() {
  if (suspects_.empty()) return;
  for (const Suspect& found : suspects_) {
    uint32_t now = 0;
    std::memcpy(&now, found.block->shared() + found.offset,
                std::min<size_t>(sizeof now, found.block->shared_size() - found.offset));
    for (uint32_t byte = 0; byte < kWordBytes; ++byte) {
      if ((found.bytes >> byte & 1) == 0 || ((now ^ found.before) >> (8 * byte) & 0xFF) == 0) {
        continue;
      }
      const Knowledge& known = state_of(*found.origin.warp).knowledge;
      report({found.origin, known.seen, nullptr, found.epoch, Access::kWrite, *found.block},
             found.other, true, found.offset, false, false);
    }
  }
  suspects_.clear();
}

void Order::check_words(const Attempt& attempt, Cell* cell, uint32_t offset, uint32_t count) {
  Epoch self = attempt.epoch;
  self.add_bytes(kAllBytes);
  const auto warps = static_cast<Agent>(2 * states_.size());
  const bool writes = attempt.access != Access::kRead;
  for (uint32_t i = 0; i < count; ++i, ++cell, offset += kWordBytes) {
    const bool passes = writes
                            ? pass_quickly<true>(*cell, self, attempt.seen, attempt.fenced, warps)
                            : pass_quickly<false>(*cell, self, attempt.seen, attempt.fenced, warps);
    if (!passes) check_cell(attempt, *cell, kAllBytes, offset, false);
  }
}

void Order::check_shared(const Attempt& attempt, uint32_t offset, uint32_t bytes) {
  Cell* cell = shared_cells(attempt.block, offset / kWordBytes);
  if ((offset | bytes) % kWordBytes == 0) {
    return check_words(attempt, cell, offset, bytes / kWordBytes);
  }
  const uint32_t end = offset + bytes;
  for (uint32_t word = offset & ~(kWordBytes - 1); word < end; word += kWordBytes, ++cell) {
    const uint32_t mask = byte_mask(offset > word ? offset - word : 0, end - word);
    check_cell(attempt, *cell, mask, word, false);
  }
}

void Order::check_tensor(const Attempt& attempt, const TensorRange& range) {
  std::vector<Cell>& cells = tensor_[attempt.block.rank()];
  if (cells.empty()) cells.resize(size_t{kLaneGroups} * TensorMemory::kColumns);
  Epoch self = attempt.epoch;
  self.add_bytes(kAllBytes);
  const bool writes = attempt.access != Access::kRead;
  const uint32_t last = (range.lane + range.lanes + kLaneGroup - 1) / kLaneGroup;
  for (uint32_t group = range.lane / kLaneGroup; group < last; ++group) {
    for (uint32_t i = 0; i < range.columns; ++i) {
      const uint32_t column = range.column + i;
      const uint64_t where = uint64_t{group} * kLaneGroup << 16 | column;
      Cell& cell = cells[size_t{group} * TensorMemory::kColumns + column];
      if (attempt.tensor_state != nullptr) check_tensor_fences(attempt, cell, where);
      const bool passes = writes ? pass_quickly<true>(cell, self, attempt.seen, nullptr, 0)
                                 : pass_quickly<false>(cell, self, attempt.seen, nullptr, 0);
      if (!passes) check_cell(attempt, cell, kAllBytes, where, true);
    }
  }
}

void Order::access(Warp& warp, Block& block, uint32_t offset, uint32_t bytes, Access access) {
  access_strided(warp, block, offset, 0, bytes, access);
}

void Order::access_strided(Warp& warp, Block& block, int64_t offset, int64_t stride, uint32_t bytes,
                           Access access) {
  if (!is_enabled_) return;
  settle();
  const Agent agent = agent_of(warp);
  const Clocks& seen = states_[agent / 2].knowledge.seen;
  const Epoch epoch(agent, seen.of(agent), warp.current().id, 0);
  if (agent != last_agent_) {
    last_agent_ = agent;
    ++turn_;
  }
  const Latest latest{epoch, turn_, &block, offset, stride, bytes, warp.active};
  Latest& before = latest_[epoch.instruction() % latest_.size()];
  if (before == latest) return;
  before = latest;
  const Origin origin(warp, static_cast<uint32_t>(std::countr_zero(warp.active)));
  const Attempt attempt{origin, seen, nullptr, epoch, access, block};
  if (stride == 0) return check_shared(attempt, static_cast<uint32_t>(offset), bytes);
  if (stride == bytes && warp.active == kAllLanes) {
    return check_shared(attempt, static_cast<uint32_t>(offset), bytes * kWarpSize);
  }
  if ((offset | stride | bytes) % kWordBytes == 0) {
    Cell* const cells = shared_cells(block, 0);
    for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
      const auto at = static_cast<uint32_t>(offset + std::countr_zero(rest) * stride);
      check_words(attempt, cells + at / kWordBytes, at, bytes / kWordBytes);
    }
    return;
  }
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    check_shared(attempt, static_cast<uint32_t>(offset + std::countr_zero(rest) * stride), bytes);
  }
}

void Order::touch(const Origin& origin, Ticket ticket, Block& block, uint32_t offset,
                  uint32_t bytes, Access access) {
  if (!is_enabled_ || bytes == 0) return;
  const Knowledge& known = state_of(*origin.warp).knowledge;
  last_agent_ = ticket.agent;
  ++turn_;
  check_shared({origin, known.seen, &known.fenced,
                Epoch(ticket.agent, ticket.clock, origin.inst->id, 0), access, block},
               offset, bytes);
}

bool Order::was_written(const Block& block, uint32_t offset, uint32_t bytes) const {
  if (has_unseen_writes_) return true;
  const std::vector<Cell>& cells = shared_[block.rank()];
  if (cells.empty()) return false;
  const auto first = cells.begin() + offset / kWordBytes;
  const auto last = cells.begin() + (offset + bytes + kWordBytes - 1) / kWordBytes;
  return std::any_of(first, last, [&](const Cell& cell) {
    return !cell.write.is_none() && cell.write.clock() > before_.of(cell.write.agent());
  });
}

void Order::touch_tensor(const Origin& origin, Ticket ticket, Block& block,
                         const TensorRange& range, Access access) {
  if (!is_enabled_) return;
  const State& state = state_of(*origin.warp);
  check_tensor(
      {origin, state.knowledge.seen, nullptr, Epoch(ticket.agent, ticket.clock, origin.inst->id, 0),
       access, block, checks_tensor_fences() ? &state : nullptr},
      range);
}

void Order::access_tensor(Warp& warp, Block& block, const TensorRange& range, Access access) {
  if (warp.counters != nullptr) {
    warp.counters->detail[warp.current().id].tensor_bytes +=
        uint64_t{range.lanes} * range.columns * sizeof(uint32_t);
  }
  if (!is_enabled_) return;
  State& state = state_of(warp);
  const Origin origin(warp, static_cast<uint32_t>(std::countr_zero(warp.active)));
  check_tensor({origin, state.knowledge.seen, nullptr,
                Epoch(agent_of(warp) + 1, state.tensor_clock, warp.current().id, 0), access, block,
                checks_tensor_fences() ? &state : nullptr},
               range);
  ++state.tensor_clock;
}

void Order::free_tensor(Warp& warp, Block& block, const TensorRange& range) {
  if (!is_enabled_) return;
  State& state = state_of(warp);
  const Agent agent = agent_of(warp) + 1;
  const Origin origin(warp, static_cast<uint32_t>(std::countr_zero(warp.active)));
  check_tensor({origin, state.knowledge.seen, nullptr,
                Epoch(agent, state.tensor_clock, warp.current().id, 0), Access::kWrite, block},
               range);
  wait_tensor(warp);
  state.knowledge.tensor.raise(agent, state.knowledge.seen.of(agent));
}

}  // namespace nibble::emulator
