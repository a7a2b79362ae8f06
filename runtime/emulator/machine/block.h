// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Blocks and clusters: warps in turn, shared memory, barriers.
#pragma once

#include <array>
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <random>
#include <set>
#include <utility>
#include <vector>

#include "runtime/emulator/machine/async.h"
#include "runtime/emulator/machine/code.h"
#include "runtime/emulator/machine/device.h"
#include "runtime/emulator/machine/mbarrier.h"
#include "runtime/emulator/machine/order.h"
#include "runtime/emulator/machine/pending_clusters.h"
#include "runtime/emulator/machine/tensor_memory.h"
#include "runtime/emulator/machine/warp.h"

namespace nibble::emulator {

// Leaves a body, is caught by the worker. Never leaves run().
struct FaultError {
  Fault fault;
};

// Pairs of instructions that were reported to race. Thread-safe.
class Findings {
 public:
  bool is_new(uint32_t instruction, uint32_t other) {
    const std::lock_guard lock(mutex_);
    return pairs_.size() < kMost && pairs_.emplace(instruction, other).second;
  }
  void note(const std::string& what) {
    const std::lock_guard lock(mutex_);
    text_ += "\n  found before: " + what;
  }
  // What was noted, for reports of what may have come of it.
  std::string text() const {
    const std::lock_guard lock(mutex_);
    return text_;
  }

 private:
  static constexpr size_t kMost = 16;
  mutable std::mutex mutex_;
  std::set<std::pair<uint32_t, uint32_t>> pairs_;
  std::string text_;
};

// What all blocks of a launch share.
struct Grid {
  const Launch& launch;
  const DeviceModel& model;
  GlobalMemory& memory;
  const Settings& settings;
  const Program::Code& code;
  const DecodedFunction& kernel;
  const KernelLayout& layout;
  PendingClusters& pending;
  uint64_t id = 0;  // of the launch, in this process
  Findings& findings;
};

// The allocation that a memory instruction touched last, so that it need not be looked up. One for
// each instruction and worker.
struct MemorySite {
  uint64_t begin = 0, end = 0;
  uint8_t* written = nullptr;  // of the byte at `begin`
  bool read_only = false;
  uint64_t frees = 0;  // GlobalMemory::frees() when it was looked up
};

class Cluster;
struct Counters;

class Block {
 public:
  static constexpr uint32_t kBarriers = 16;

  Block(const Grid& grid, Cluster& cluster, std::vector<MemorySite>& sites);

  // Begins the kernel as block `index` of the grid.
  void start(const Dim3& index, uint32_t rank);
  // Gives every runnable warp a turn. Returns the instructions executed; 0: none could run.
  // `random`: draws turns of other lengths and orders; null: plain turns.
  uint64_t run(uint64_t quantum, std::minstd_rand* random);
  bool is_done() const { return live_threads_ == 0; }

  const Grid& grid() const { return grid_; }
  Cluster& cluster() const { return cluster_; }
  const Dim3& index() const { return index_; }
  uint32_t rank() const { return rank_; }  // in the cluster
  uint32_t thread_count() const { return thread_count_; }
  uint32_t live_threads() const { return live_threads_; }
  const std::vector<std::unique_ptr<Warp>>& warps() const { return warps_; }
  Dim3 thread_index(uint32_t linear) const;
  uint32_t special_smid() const;
  uint32_t trace_process() const { return trace_process_; }

  std::byte* shared() { return shared_.data(); }
  uint8_t* shared_written() { return shared_written_.empty() ? nullptr : shared_written_.data(); }
  Mbarriers& mbarriers() { return mbarriers_; }
  TensorMemory& tensor_memory() { return tensor_memory_; }
  uint32_t shared_size() const { return static_cast<uint32_t>(shared_.size()); }
  // Of a memory instruction; empty where its allocation may have been freed since.
  MemorySite& site(const Inst& inst) {
    MemorySite& site = sites_[inst.extra];
    if (site.frees != grid_.memory.frees()) [[unlikely]]
      site = {0, 0, nullptr, false, grid_.memory.frees()};
    return site;
  }

  // Barriers. `threads` 0: all of the block that have not exited.
  struct Vote {
    bool is_reduction = false;
    uint32_t trues = 0;  // lanes
  };
  void arrive(Warp& warp, uint32_t barrier, uint32_t threads, bool waits, Vote vote);
  void on_exit(uint32_t threads);

  // Every warp's state, a line each, for deadlock reports.
  std::string state() const;

 private:
  struct Barrier {
    uint32_t arrived = 0;   // threads
    uint32_t expected = 0;  // 0: all
    uint32_t voters = 0, trues = 0;
    bool is_open = false;  // somebody has arrived
    Knowledge knowledge;   // of those who have
  };
  void complete(uint32_t barrier);

  const Grid& grid_;
  Cluster& cluster_;
  std::vector<MemorySite>& sites_;
  Dim3 index_ = {0, 0, 0};
  uint32_t rank_ = 0;
  uint32_t thread_count_ = 0;
  uint32_t live_threads_ = 0;
  uint32_t trace_process_ = 0;
  std::array<Barrier, kBarriers> barriers_;
  std::vector<std::byte> shared_;
  std::vector<uint8_t> shared_written_;
  Mbarriers mbarriers_;
  TensorMemory tensor_memory_;
  std::vector<std::unique_ptr<Warp>> warps_;
};

// The blocks that one worker runs together.
class Cluster {
 public:
  // `counters`: the worker's; null: nothing is counted.
  Cluster(const Grid& grid, std::vector<MemorySite>& sites, Counters* counters);

  void start(const Dim3& index);
  // Runs for about `limit` instructions; returns how many. Throws FaultError, a deadlock too.
  uint64_t run(uint64_t limit);
  bool is_done() const;
  // Every warp's state and the asynchronous work under way, for reports.
  std::string state() const;

  const Dim3& index() const { return index_; }
  Block* block(uint32_t rank) { return rank < blocks_.size() ? blocks_[rank].get() : nullptr; }
  uint32_t size() const { return static_cast<uint32_t>(blocks_.size()); }
  Counters* counters() const { return counters_; }
  Dim3 position(uint32_t rank) const;  // %cluster_ctaid

  void arrive(Warp& warp, bool releases);
  void on_exit();

  // Takes a cluster that has not begun, which then never will (clusterlaunchcontrol). None: there
  // is none, or the seed has this one stop here; from then on always none.
  std::optional<Dim3> take_over();

  Order& order() { return order_; }
  AsyncEngine& async() { return async_; }
  // Fragments that wait for this event (or for any) go on.
  void wake(const void* event);

 private:
  void complete_when_all_arrived();
  uint64_t run_blocks(uint64_t quantum);
  bool expire_waits();
  [[noreturn]] void report_deadlock() const;

  const Grid& grid_;
  Counters* const counters_;
  Dim3 index_ = {0, 0, 0};
  uint32_t arrived_ = 0;
  std::minstd_rand random_;
  uint32_t may_take_ = 0;   // clusters, by the seed
  uint32_t fruitless_ = 0;  // times that waits expired since anything happened
  Knowledge barrier_;       // of those who arrived at barrier.cluster
  std::vector<std::unique_ptr<Block>> blocks_;
  Order order_;
  AsyncEngine async_;
};

}  // namespace nibble::emulator
