// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/machine/order.h"

#include <algorithm>

#include "runtime/emulator/machine/block.h"

namespace nibble::emulator {

namespace {

// Clocks have 24 bits in an epoch; a cluster that begins beyond this forgets what was.
constexpr uint32_t kClockLimit = 1u << 23;
constexpr Agent kMostAgents = 1u << 12;

void raise_to(uint32_t& value, uint32_t least) { value = std::max(value, least); }

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
  released.join(other.released);
}

void Knowledge::clear() {
  seen.clear();
  fenced.clear();
  tensor.clear();
  released.clear();
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
    for (State& state : states_) {
      state.tensor_clock = 1;
      state.covered.clear();
    }
  }
  world_ = all;
  before_ = all.seen;
  has_unseen_writes_ = false;
  ++turn_;
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
  const State& state = state_of(warp);
  into.join(state.knowledge);
  into.released.join(state.covered);
  tick(warp);
}

void Order::acquire(const Warp& warp, const Knowledge& from) {
  if (is_enabled_) state_of(warp).knowledge.join(from);
}

void Order::synchronize(const Warp& warp) {
  if (!is_enabled_) return;
  learn(warp);
  publish(warp);
}

void Order::publish(const Warp& warp) {
  if (!is_enabled_) return;
  release_to_cluster(warp);
  release(warp, world_);
}

void Order::release_to_cluster(const Warp& warp) {
  if (!is_enabled_ || !cluster_.block(0)->grid().settings.check_init_fences) return;
  State& state = state_of(warp);
  state.covered.join(state.knowledge.seen);
}

Epoch Order::now(const Warp& warp) const {
  const Agent agent = agent_of(warp);
  return {agent, knowledge(warp).seen.of(agent), warp.current().id, 0};
}

void Order::fence_async_proxy(const Warp& warp) {
  if (!is_enabled_) return;
  Knowledge& own = state_of(warp).knowledge;
  own.fenced.join(own.seen);
  tick(warp);
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

void Order::complete(Ticket ticket, const Knowledge& issuer, Knowledge& into) {
  if (!is_enabled_) return;
  into.join(issuer);
  into.seen.raise(ticket.agent, ticket.clock);
}

void Order::complete(Ticket ticket, const Warp& warp) {
  if (is_enabled_) state_of(warp).knowledge.seen.raise(ticket.agent, ticket.clock);
}

void Order::wait_tensor(const Warp& warp) {
  if (!is_enabled_) return;
  wait_tensor(warp, state_of(warp).tensor_clock++);
}

void Order::wait_tensor(const Warp& warp, uint32_t last) {
  if (!is_enabled_) return;
  State& state = state_of(warp);
  state.knowledge.seen.raise(agent_of(warp) + 1, last);
  state.tensor_ordered.raise(agent_of(warp) + 1, last);
}

uint32_t Order::last_tensor_access(const Warp& warp) const {
  return states_[agent_of(warp) / 2].tensor_clock - 1;
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

}  // namespace nibble::emulator
