// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What happens before what in a cluster, and accesses that nothing orders.
//
// Every agent has a clock: a warp, a warp's tensor-memory loads and stores, a block's tensor-core
// queue, an asynchronous copy in flight. Knowledge is, for each agent, up to which of its clock's
// ticks everything has happened before; barriers hand it on (FastTrack: Flanagan and Freund, 2009).
// Each word of shared memory and each cell of tensor memory remembers who touched it last and when;
// an access whose warp does not know of a conflicting one is a fault.
//
// Warps count as one agent: lanes of one warp do not race with each other here. Where the model is
// coarser than the PTX memory model (atomics, fences and volatile accesses order everything that
// they meet) it is so that no correct program is refused. What is found goes to Settings::report,
// once for each pair of instructions, or ends the launch where that is null.
#pragma once

#include <array>
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/emulator/machine/origin.h"

namespace nibble::emulator {

class Block;
class Cluster;
class Warp;
enum class Access : uint8_t;

using Agent = uint32_t;

class Clocks {
 public:
  uint32_t of(Agent agent) const { return agent < at_.size() ? at_[agent] : 0; }
  void raise(Agent agent, uint32_t clock);
  void join(const Clocks& other);
  void clear() { at_.clear(); }

 private:
  std::vector<uint32_t> at_;
};

// `seen`: what has happened before. `fenced`: writes through the generic proxy that a proxy fence
// made visible to asynchronous operations. `tensor`: work on tensor memory that was handed over
// behind a tcgen05.fence::before_thread_sync, or a commit. `released`: what others released to it
// and other blocks; only with Settings::check_init_fences.
struct Knowledge {
  Clocks seen, fenced, tensor, released;
  void join(const Knowledge& other);
  void clear();
};

// A tick of an agent's clock, with the instruction that made the access and, for shared memory,
// which bytes of the word it touched. Zero: none.
class Epoch {
 public:
  Epoch() = default;
  Epoch(Agent agent, uint32_t clock, uint32_t instruction, uint32_t bytes)
      : bits_(uint64_t{clock} << 40 | uint64_t{agent} << 28 | uint64_t{instruction} << 4 | bytes) {}
  uint32_t clock() const { return static_cast<uint32_t>(bits_ >> 40); }
  Agent agent() const { return static_cast<Agent>(bits_ >> 28 & 0xFFF); }
  uint32_t instruction() const { return static_cast<uint32_t>(bits_ >> 4 & 0xFFFFFF); }
  uint32_t bytes() const { return static_cast<uint32_t>(bits_ & 0xF); }
  bool is_none() const { return bits_ == 0; }
  bool same_but_bytes(Epoch other) const { return bits_ >> 4 == other.bits_ >> 4; }
  bool operator==(const Epoch&) const = default;
  void add_bytes(uint32_t bytes) { bits_ |= bytes; }

 private:
  uint64_t bits_ = 0;
};

// Who last touched a word of shared memory or a cell of tensor memory. Of readers only two are
// kept; those that a later reader knows of need not be.
struct Cell {
  Epoch write;
  Epoch read[2];
};

// An asynchronous operation as an agent.
struct Ticket {
  Agent agent = 0;
  uint32_t clock = 0;
};

// Lanes [lane, lane + lanes) and columns [column, column + columns) of a block's tensor memory.
struct TensorRange {
  uint32_t lane = 0, lanes = 0;
  uint32_t column = 0, columns = 0;
};

class Order {
 public:
  Order(Cluster& cluster, uint32_t blocks, uint32_t warps_per_block, bool is_enabled);

  bool is_enabled() const { return is_enabled_; }
  // A new cluster begins: all that was is over.
  void start();

  // Hands the warp's knowledge on, and takes it over.
  void release(const Warp& warp, Knowledge& into);
  void acquire(const Warp& warp, const Knowledge& from);
  // Of fences, atomics and volatile accesses: with all others that did so. publish, learn: fences
  // that are a release or an acquire alone.
  void synchronize(const Warp& warp);
  void publish(const Warp& warp);
  void learn(const Warp& warp) { acquire(warp, world_); }
  // A release to other blocks begins here; release() alone may be a barrier of its own block or a
  // relaxed arrival.
  void release_to_cluster(const Warp& warp);
  // fence.proxy.async: generic accesses that the warp knows of become visible to the async proxy.
  void fence_async_proxy(const Warp& warp);

  // A generic access of `bytes` at `offset` of a block's shared memory.
  void access(Warp& warp, Block& block, uint32_t offset, uint32_t bytes, Access access);
  // The same by the active lanes of a warp, lane l at offset + l * stride.
  void access_strided(Warp& warp, Block& block, int64_t offset, int64_t stride, uint32_t bytes,
                      Access access);

  // mbarrier.init, and the use of what it made by whoever knows `known`: that must know of the
  // initialisation; with Settings::check_init_fences another block by way of a release.
  Epoch now(const Warp& warp) const;
  void check_initialised(const Origin& user, const Knowledge& known, const Block& owner,
                         uint32_t offset, Epoch init) const;

  // Two warps may write the same values to the same place. Called before memory changes again;
  // reports those conflicts of writes that were something else.
  void settle();

  // Asynchronous operations. begin: a new agent, or the next tick of the block's tensor-core queue,
  // ordered after all that the issuing warp knows. touch: what it reads or writes, checked against
  // what the warp knows, and from here on in flight until somebody knows the ticket.
  Ticket begin(const Origin& origin);
  Ticket begin_tensor(const Origin& origin, const Block& queue);
  void touch(const Origin& origin, Ticket ticket, Block& block, uint32_t offset, uint32_t bytes,
             Access access);
  void touch_tensor(const Origin& origin, Ticket ticket, Block& block, const TensorRange& range,
                    Access access);
  // Whether any of these bytes has been written since the cluster began, or a write of them issued.
  bool was_written(const Block& block, uint32_t offset, uint32_t bytes) const;
  // An operation is issued that reads bytes which were not.
  void report_unwritten(const Origin& origin, const Block& block, uint32_t offset) const;
  // Something is written to shared memory in ways that are not looked at.
  void note_unseen_write() { has_unseen_writes_ = true; }
  // What whoever learns of the operation's end knows.
  void complete(Ticket ticket, const Knowledge& issuer, Knowledge& into);
  void complete(Ticket ticket, const Warp& warp);
  // The issuing warp's knowledge now, to be handed on at the operation's end.
  const Knowledge& knowledge(const Warp& warp) const;

  // tcgen05.ld and .st by a warp, and tcgen05.wait that ends them; the first use of a load's
  // registers ends it and those before it.
  void access_tensor(Warp& warp, Block& block, const TensorRange& range, Access access);
  void wait_tensor(const Warp& warp);
  void wait_tensor(const Warp& warp, uint32_t last);
  // The warp's latest access to tensor memory, for wait_tensor().
  uint32_t last_tensor_access(const Warp& warp) const;
  // Deallocation: a write that is done at once, which needs none of the fences below.
  void free_tensor(Warp& warp, Block& block, const TensorRange& range);
  // tcgen05.fence::before_thread_sync and ::after_thread_sync: with Settings::check_tensor_fences
  // accesses to tensor memory also need them, between warps.
  void fence_tensor_before(const Warp& warp);
  void fence_tensor_after(const Warp& warp);

 private:
  struct State {
    Knowledge knowledge;
    Clocks covered;             // by its releases to other blocks, for those that learn of them
    Clocks tensor_ordered;      // of knowledge.tensor, what a fence has put before what comes
    uint32_t tensor_clock = 1;  // of the warp's tensor-memory accesses
  };
  struct Slot {
    uint32_t clock = 0;
    Origin origin;
  };
  struct Attempt {  // an access about to be made
    const Origin& origin;
    const Clocks& seen;
    const Clocks* fenced;  // not null: through the async proxy
    Epoch epoch;
    Access access;
    Block& block;
    const State* tensor_state = nullptr;  // not null: fences are checked
  };
  struct Suspect {  // a write to what another warp wrote
    Origin origin;
    Block* block = nullptr;
    Epoch epoch, other;
    uint32_t offset = 0;  // of the word
    uint32_t bytes = 0;   // mask
    uint32_t before = 0;  // the word's contents
  };
  // The latest access of an instruction. The same again tells nothing new while nobody else has
  // touched shared memory: loops in which a warp goes over its own words.
  struct Latest {
    Epoch epoch;
    uint64_t turn = 0;
    const Block* block = nullptr;
    int64_t offset = 0, stride = 0;
    uint32_t bytes = 0, lanes = 0;
    bool operator==(const Latest&) const = default;
  };
  void suspect(const Attempt& attempt, Epoch other, uint32_t bytes, uint64_t where);
  void check_shared(const Attempt& attempt, uint32_t offset, uint32_t bytes);
  void check_words(const Attempt& attempt, Cell* cell, uint32_t offset, uint32_t count);
  void check_cell(const Attempt& attempt, Cell& cell, uint32_t bytes, uint64_t where, bool tensor);
  void check_tensor(const Attempt& attempt, const TensorRange& range);
  void check_tensor_fences(const Attempt& attempt, const Cell& cell, uint64_t where);
  void report(const Attempt& attempt, Epoch other, bool other_writes, uint64_t where, bool tensor,
              bool lacks_fence) const;
  void emit(const Origin& origin, const std::string& what) const;
  bool checks_tensor_fences() const;
  std::string describe(Epoch epoch, const char* verb) const;
  bool is_finding(const Origin& origin, Epoch other) const;  // not reported yet
  Agent agent_of(const Warp& warp) const;
  State& state_of(const Warp& warp) { return states_[agent_of(warp) / 2]; }
  void tick(const Warp& warp);
  uint32_t first_slot() const { return 2 * static_cast<uint32_t>(states_.size()) + blocks_; }
  Cell* shared_cells(Block& block, uint32_t word);

  Cluster& cluster_;
  uint32_t blocks_, warps_;
  bool is_enabled_;
  std::vector<State> states_;           // by block and warp
  std::vector<uint32_t> tensor_queue_;  // clocks, by block
  std::vector<Slot> slots_;
  uint32_t next_slot_ = 0;
  Knowledge world_;
  Clocks before_;  // all that was when the cluster began
  bool has_unseen_writes_ = false;
  std::vector<Suspect> suspects_;
  std::array<Latest, 256> latest_;         // by the last bits of the instruction's number
  Agent last_agent_ = 0;                   // that touched shared memory
  uint64_t turn_ = 1;                      // counts changes of it
  std::vector<std::vector<Cell>> shared_;  // by block, a cell a word
  std::vector<std::vector<Cell>> tensor_;  // by block, kLaneGroups x kColumns
};

}  // namespace nibble::emulator
