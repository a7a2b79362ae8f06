// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/order.h"

#include <algorithm>
#include <bit>
#include <cstring>
#include <string>

#include "runtime/emulator/machine/access.h"
#include "runtime/emulator/machine/block.h"
#include "runtime/emulator/machine/counters.h"
#include "runtime/emulator/machine/report.h"

namespace nibble::emulator {

namespace {

constexpr uint32_t kWordBytes = 4;
constexpr uint32_t kAllBytes = 0xF;
// Tensor memory is told apart in groups of lanes: the least that an instruction addresses alone.
constexpr uint32_t kLaneGroup = 16;
constexpr uint32_t kLaneGroups = TensorMemory::kLanes / kLaneGroup;
// Clocks have 24 bits in an epoch; a cluster that begins beyond this forgets what was.
constexpr uint32_t kClockLimit = 1u << 23;
constexpr Agent kMostAgents = 1u << 12;

void raise_to(uint32_t& value, uint32_t least) { value = std::max(value, least); }

// Which of a word's bytes [begin, end) touches; offsets from the word's start.
uint32_t byte_mask(uint32_t begin, uint32_t end) {
  return ((1u << std::min(end, kWordBytes)) - 1) & ~((1u << begin) - 1);
}

}  // namespace

void Clocks::raise(Agent agent, uint32_t clock) {
  if (agent >= at_.size()) at_.resize(agent + 1, 0);
  raise_to(at_[agent], clock);
}

void Clocks::join(const Clocks& other) {
  if (other.at_.size() > at_.size()) at_.resize(other.at_.size(), 0);
  for (size_t i = 0; i < other.at_.size(); ++i) raise_to(at_[i], other.at_[i]);
}

void Knowledge::join(const Knowledge& other) {
  seen.join(other.seen);
  fenced.join(other.fenced);
  tensor.join(other.tensor);
}

void Knowledge::clear() {
  seen.clear();
  fenced.clear();
  tensor.clear();
}

Order::Order(Cluster& cluster, uint32_t blocks, uint32_t warps_per_block, bool is_enabled)
    : cluster_(cluster),
      blocks_(blocks),
      warps_(warps_per_block),
      is_enabled_(is_enabled),
      states_(size_t{blocks} * warps_per_block),
      tensor_queue_(blocks, 1),
      shared_(blocks),
      tensor_(blocks) {
  is_enabled_ = is_enabled_ && first_slot() < kMostAgents / 2;
}

void Order::start() {
  if (!is_enabled_) return;
  Knowledge all;
  all.join(world_);
  uint32_t latest = 0;
  for (size_t i = 0; i < states_.size(); ++i) {
    all.join(states_[i].knowledge);
    const auto agent = static_cast<Agent>(2 * i);
    all.seen.raise(agent + 1, states_[i].tensor_clock);
    latest = std::max({latest, all.seen.of(agent), states_[i].tensor_clock});
  }
  for (uint32_t i = 0; i < blocks_; ++i) {
    all.seen.raise(2 * static_cast<uint32_t>(states_.size()) + i, tensor_queue_[i]);
    latest = std::max(latest, tensor_queue_[i]);
  }
  for (uint32_t i = 0; i < slots_.size(); ++i) {
    all.seen.raise(first_slot() + i, slots_[i].clock);
    latest = std::max(latest, slots_[i].clock);
  }
  if (latest > kClockLimit) {
    all.clear();
    shared_.assign(blocks_, {});
    tensor_.assign(blocks_, {});
    slots_.clear();
    next_slot_ = 0;
    tensor_queue_.assign(blocks_, 1);
    for (State& state : states_) state.tensor_clock = 1;
  }
  world_ = all;
  for (size_t i = 0; i < states_.size(); ++i) {
    Knowledge& own = states_[i].knowledge;
    own = all;
    own.fenced.join(all.seen);
    own.tensor.join(all.seen);
    states_[i].tensor_ordered = all.seen;
    const auto agent = static_cast<Agent>(2 * i);
    own.seen.raise(agent, own.seen.of(agent) + 1);
    ++states_[i].tensor_clock;
  }
}

Agent Order::agent_of(const Warp& warp) const {
  return 2 * (warp.block().rank() * warps_ + warp.index());
}

const Knowledge& Order::knowledge(const Warp& warp) const {
  return states_[agent_of(warp) / 2].knowledge;
}

void Order::tick(const Warp& warp) {
  const Agent agent = agent_of(warp);
  Clocks& seen = states_[agent / 2].knowledge.seen;
  seen.raise(agent, seen.of(agent) + 1);
}

void Order::release(const Warp& warp, Knowledge& into) {
  if (!is_enabled_) return;
  settle();
  into.join(state_of(warp).knowledge);
  tick(warp);
}

void Order::acquire(const Warp& warp, const Knowledge& from) {
  if (is_enabled_) state_of(warp).knowledge.join(from);
}

void Order::synchronize(const Warp& warp) {
  if (!is_enabled_) return;
  acquire(warp, world_);
  release(warp, world_);
}

void Order::fence_async_proxy(const Warp& warp) {
  if (!is_enabled_) return;
  Knowledge& own = state_of(warp).knowledge;
  own.fenced.join(own.seen);
  tick(warp);
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

void Order::check_shared(const Attempt& attempt, uint32_t offset, uint32_t bytes) {
  const uint32_t end = offset + bytes;
  Cell* cell = shared_cells(attempt.block, offset / kWordBytes);
  for (uint32_t word = offset & ~(kWordBytes - 1); word < end; word += kWordBytes, ++cell) {
    const uint32_t mask = byte_mask(offset > word ? offset - word : 0, end - word);
    check_cell(attempt, *cell, mask, word, false);
  }
}

void Order::check_tensor(const Attempt& attempt, const TensorRange& range) {
  std::vector<Cell>& cells = tensor_[attempt.block.rank()];
  if (cells.empty()) cells.resize(size_t{kLaneGroups} * TensorMemory::kColumns);
  const uint32_t last = (range.lane + range.lanes + kLaneGroup - 1) / kLaneGroup;
  for (uint32_t group = range.lane / kLaneGroup; group < last; ++group) {
    for (uint32_t i = 0; i < range.columns; ++i) {
      const uint32_t column = range.column + i;
      const uint64_t where = uint64_t{group} * kLaneGroup << 16 | column;
      Cell& cell = cells[size_t{group} * TensorMemory::kColumns + column];
      if (attempt.tensor_state != nullptr) check_tensor_fences(attempt, cell, where);
      check_cell(attempt, cell, kAllBytes, where, true);
    }
  }
}

// What happened before through a barrier alone also needs the fences of tcgen05.
void Order::check_tensor_fences(const Attempt& attempt, const Cell& cell, uint64_t where) {
  auto check = [&](Epoch other, bool other_writes) {
    const Agent agent = other.agent();
    if (other.is_none() || agent == attempt.epoch.agent() ||
        other.clock() > attempt.seen.of(agent) ||
        other.clock() <= attempt.tensor_state->tensor_ordered.of(agent) ||
        !is_finding(attempt, other)) {
      return;
    }
    const bool lacks_before = other.clock() > attempt.tensor_state->knowledge.tensor.of(agent);
    std::string what = "missing tcgen05.fence::";
    what += lacks_before ? "before_thread_sync by the other" : "after_thread_sync";
    what += attempt.access == Access::kRead ? ": reads" : ": writes";
    what += " tensor memory at lane " + std::to_string(where >> 16) + ", column " +
            std::to_string(where & 0xFFFF) + "\n  the other: " + describe(other, other_writes);
    emit(attempt.origin, what);
  };
  check(cell.write, true);
  if (attempt.access == Access::kRead) return;
  for (const Epoch read : cell.read) check(read, false);
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
  const Origin origin(warp, static_cast<uint32_t>(std::countr_zero(warp.active)));
  const Epoch epoch(agent, seen.of(agent), warp.current().id, 0);
  const Attempt attempt{origin, seen, nullptr, epoch, access, block};
  if (stride == 0) return check_shared(attempt, static_cast<uint32_t>(offset), bytes);
  if (stride == bytes && warp.active == kAllLanes) {
    return check_shared(attempt, static_cast<uint32_t>(offset), bytes * kWarpSize);
  }
  for (uint32_t rest = warp.active; rest != 0; rest &= rest - 1) {
    check_shared(attempt, static_cast<uint32_t>(offset + std::countr_zero(rest) * stride), bytes);
  }
}

// A slot whose last operation the warp knows to be over is used again, so that clocks stay short.
Ticket Order::begin(const Origin& origin) {
  if (!is_enabled_) return {};
  settle();
  const Clocks& seen = state_of(*origin.warp).knowledge.seen;
  const uint32_t base = first_slot();
  uint32_t chosen = 0;
  for (; chosen < slots_.size(); ++chosen) {
    if (slots_[chosen].clock <= seen.of(base + chosen)) break;
  }
  if (base + chosen >= kMostAgents) chosen = next_slot_++ % (kMostAgents - base);
  if (chosen == slots_.size()) slots_.emplace_back();
  Slot& slot = slots_[chosen];
  slot.origin = origin;
  return {base + chosen, ++slot.clock};
}

Ticket Order::begin_tensor(const Origin&, const Block& queue) {
  return {2 * static_cast<uint32_t>(states_.size()) + queue.rank(), ++tensor_queue_[queue.rank()]};
}

void Order::touch(const Origin& origin, Ticket ticket, Block& block, uint32_t offset,
                  uint32_t bytes, Access access) {
  if (!is_enabled_ || bytes == 0) return;
  const Knowledge& known = state_of(*origin.warp).knowledge;
  check_shared({origin, known.seen, &known.fenced,
                Epoch(ticket.agent, ticket.clock, origin.inst->id, 0), access, block},
               offset, bytes);
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

void Order::complete(Ticket ticket, const Knowledge& issuer, Knowledge& into) {
  if (!is_enabled_) return;
  into.join(issuer);
  into.seen.raise(ticket.agent, ticket.clock);
}

void Order::complete(Ticket ticket, const Warp& warp) {
  if (is_enabled_) state_of(warp).knowledge.seen.raise(ticket.agent, ticket.clock);
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

void Order::wait_tensor(const Warp& warp) {
  if (!is_enabled_) return;
  State& state = state_of(warp);
  state.knowledge.seen.raise(agent_of(warp) + 1, state.tensor_clock);
  state.tensor_ordered.raise(agent_of(warp) + 1, state.tensor_clock);
  ++state.tensor_clock;
}

bool Order::checks_tensor_fences() const {
  return cluster_.block(0)->grid().settings.check_tensor_fences;
}

void Order::fence_tensor_before(const Warp& warp) {
  if (!is_enabled_ || !checks_tensor_fences()) return;
  const Agent agent = agent_of(warp) + 1;
  Knowledge& own = state_of(warp).knowledge;
  own.tensor.raise(agent, own.seen.of(agent));
}

void Order::fence_tensor_after(const Warp& warp) {
  if (!is_enabled_ || !checks_tensor_fences()) return;
  State& state = state_of(warp);
  state.tensor_ordered.join(state.knowledge.tensor);
}

std::string Order::describe(Epoch epoch, bool writes) const {
  const Agent agent = epoch.agent();
  const auto& instructions = cluster_.block(0)->grid().code.instructions;
  std::string text;
  const auto warps = static_cast<Agent>(2 * states_.size());
  if (agent < warps) {
    Block& block = *cluster_.block(agent / 2 / warps_);
    text = "warp " + std::to_string(agent / 2 % warps_) + " of block " + to_text(block.index());
  } else if (agent < first_slot()) {
    text = "the tensor core of block " + to_text(cluster_.block(agent - warps)->index());
  } else {
    const Slot& slot = slots_[agent - first_slot()];
    text = "an asynchronous operation";
    if (slot.clock == epoch.clock() && slot.origin.warp != nullptr) {
      text += " of warp " + std::to_string(slot.origin.warp->index()) + " of block " +
              to_text(slot.origin.warp->block().index());
    }
  }
  text += writes ? " writes it" : " reads it";
  if (epoch.instruction() < instructions.size()) {
    const auto& place = instructions[epoch.instruction()];
    const auto at = static_cast<size_t>(place.inst - place.function->body.data());
    text += " at PTX line " + std::to_string(place.inst->location.line) + ": " +
            place.function->text[at];
  }
  return text;
}

void Order::report(const Attempt& attempt, Epoch other, bool other_writes, uint64_t where,
                   bool tensor, bool lacks_fence) const {
  if (!is_finding(attempt, other)) return;
  std::string what;
  if (lacks_fence) {
    what = "missing fence.proxy.async: an asynchronous operation reads";
  } else {
    const bool other_is_async = other.agent() >= 2 * states_.size() || other.agent() % 2 != 0;
    what = other_is_async ? "unordered access while an asynchronous operation may be pending: "
                          : "race: ";
    what += attempt.access == Access::kRead ? "reads" : "writes";
  }
  if (tensor) {
    what += " tensor memory at lane " + std::to_string(where >> 16) + ", column " +
            std::to_string(where & 0xFFFF);
  } else {
    const uint64_t address = (uint64_t{attempt.block.rank()} << kRankShift) + where +
                             cluster_.block(0)->grid().model.shared_reserved;
    what += " shared memory at " + hexadecimal(address);
  }
  what += "\n  the other: " + describe(other, other_writes);
  what += lacks_fence
              ? "\n  nobody has executed fence.proxy.async between that write and this operation"
              : "\n  no barrier, wait or fence orders the two";
  emit(attempt.origin, what);
}

bool Order::is_finding(const Attempt& attempt, Epoch other) const {
  const Grid& grid = cluster_.block(0)->grid();
  return grid.settings.report == nullptr ||
         grid.findings.is_new(attempt.origin.inst->id, other.instruction());
}

void Order::emit(const Origin& origin, const std::string& what) const {
  const Grid& grid = cluster_.block(0)->grid();
  if (grid.settings.report == nullptr) fault_at(origin, Fault::Kind::kRace, what);
  std::string text =
      what + place_of(*origin.warp, *origin.function, *origin.inst, 1u << origin.lane);
  if (grid.settings.seed != 0) text += "\n  seed: " + std::to_string(grid.settings.seed);
  grid.settings.report(text);
}

}  // namespace nibble::emulator
