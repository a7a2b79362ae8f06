// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Asynchronous work of a cluster: copies, tensor-core operations. Issued by a body, performed some
// time later by the worker that runs the cluster, in an order that the launch's seed draws:
// operations of one queue one after another, all others in any order.
#pragma once

#include <cstdint>
#include <deque>
#include <memory>
#include <random>
#include <vector>

#include "runtime/emulator/machine/order.h"
#include "runtime/emulator/machine/origin.h"

namespace nibble::emulator {

// A part of the memory of a cluster that an operation reads or writes.
struct Extent {
  Block* block = nullptr;
  Access access{};
  bool is_tensor = false;
  uint32_t offset = 0, bytes = 0;  // of the block's shared memory
  TensorRange tensor;
  uint8_t part = 0;  // which operand, where it reads several
};

class Operation {
 public:
  explicit Operation(const Origin& origin) : origin_(origin) {}
  virtual ~Operation() = default;
  Operation(const Operation&) = delete;
  Operation& operator=(const Operation&) = delete;

  // All its effects: data first, then signals (Mbarrier::complete_tx and the like with hand_on()).
  // Throws FaultError (fault_at(origin(), ...)).
  virtual void perform() = 0;
  // What it touches; asked for once, at issue, where accesses are checked or counted.
  virtual void list_extents(std::vector<Extent>&) const {}
  // What it reads or writes of global memory, for counters; asked for once, at issue.
  virtual uint64_t global_bytes() const { return 0; }

  const Origin& origin() const { return origin_; }
  // What a barrier that it signals hands on to those who wait.
  const Knowledge& hand_on() const { return hand_on_; }

 private:
  friend class AsyncEngine;
  Origin origin_;
  uint64_t id_ = 0;
  uint64_t issued_at_ = 0;  // Trace's time
  const void* queue_ = nullptr;
  Ticket ticket_;
  Knowledge hand_on_;
};

// An issued operation: to wait for it by name. Small, copied freely.
struct Issued {
  uint64_t id = 0;
  Ticket ticket;
};

class AsyncEngine {
 public:
  AsyncEngine(Cluster& cluster, Order& order, uint64_t seed)
      : cluster_(cluster), order_(order), random_(seed), is_shuffled_(seed != 0) {}

  // Takes the work. `queue`: operations with the same are performed in the order of issue; null:
  // in any order.
  Issued issue(std::unique_ptr<Operation> operation, const void* queue = nullptr);
  // The same in the queue of a block's tensor core (of the pair's even block for cta_group::2).
  Issued issue_tensor(std::unique_ptr<Operation> operation, Block& queue);
  // Performs the operation now if that is still to come, those before it in its queue first.
  void finish(Issued operation);
  // The same, after which `warp` knows of its end.
  void finish(Issued operation, const Warp& warp);
  // Performs some of what is pending, as the seed draws, none without a seed; true when any was.
  bool advance();
  // Performs one operation; false when none is pending.
  bool perform_one();
  // All of a queue, in its order.
  void finish_queue(const void* queue);
  void finish_all();
  bool is_idle() const { return pending_.empty(); }
  size_t pending_count() const { return pending_.size(); }
  // "copy issued by warp 0 ...", a line each, for deadlock reports.
  std::string state() const;

 private:
  void add(std::unique_ptr<Operation> operation, const void* queue);
  void perform(size_t index);
  void trace(const Operation& operation) const;
  size_t draw();

  Cluster& cluster_;
  Order& order_;
  std::minstd_rand random_;
  bool is_shuffled_;
  uint64_t next_id_ = 1;
  std::deque<std::unique_ptr<Operation>> pending_;  // in the order of issue
};

// The groups of one warp's copies (cp.async, bulk_group): each lane waits for its own.
class CopyGroups {
 public:
  void add(Issued operation, uint32_t lanes);
  void commit(uint32_t lanes);
  // Until at most `left` of each lane's latest groups are pending. Also the copies of no group when
  // `all`.
  void wait(Warp& warp, uint32_t lanes, uint32_t left, bool all = false);
  void clear();
  // Operations so far of a lane that are not known to be over, for cp.async.mbarrier.arrive.
  std::vector<Issued> pending(uint32_t lane) const;

 private:
  struct Member {
    Issued operation;
    uint32_t lanes = 0;
  };
  struct Group {
    std::vector<Member> members;
    uint32_t lanes = 0;
  };
  std::vector<Member> open_;
  std::deque<Group> closed_;
};

}  // namespace nibble::emulator
