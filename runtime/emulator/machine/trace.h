// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A timeline for Chrome's and Perfetto's viewers. Blocks are processes, warps threads; asynchronous
// operations last from their issue to when they were performed. Time is the number of warp
// instructions executed so far by all workers: an order, no duration on any hardware.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/emulator/isa/isa.h"

namespace nibble::emulator {

// Of the process. Thread-safe.
class Trace {
 public:
  static constexpr size_t kMostEvents = 1'000'000;  // later ones are left out
  // Threads of a process beside its warps.
  static constexpr uint32_t kCopies = 1000, kTensorCore = 1001;

  static Trace& all();

  uint64_t now() const { return clock_.load(std::memory_order_relaxed); }
  // A warp instruction: the time at its begin.
  uint64_t tick() { return clock_.fetch_add(1, std::memory_order_relaxed); }

  uint32_t add_process(std::string name);
  const std::string* intern(std::string_view text);

  struct Event {
    uint64_t begin = 0, end = 0;
    uint32_t process = 0, thread = 0;
    const std::string* name = nullptr;  // interned
    bool is_operation = false;          // may overlap others of its thread
  };
  void add(const Event& event);

  std::string json() const;
  bool is_cut() const;
  void clear();

 private:
  std::atomic<uint64_t> clock_{0};
  mutable std::mutex mutex_;
  std::vector<Event> events_;
  std::vector<std::string> processes_;
  std::set<std::string, std::less<>> names_;
  bool is_cut_ = false;
};

// One worker's memory of which instructions are shown, and their names.
class TraceNames {
 public:
  explicit TraceNames(size_t instructions) : sites_(instructions) {}
  // Null where it is none of those that synchronise, copy or multiply.
  const std::string* shown(const Inst& inst, std::string_view text) {
    Site& site = sites_[inst.id];
    if (!site.is_known) find(site, text);
    return site.name;
  }

 private:
  struct Site {
    const std::string* name = nullptr;
    bool is_known = false;
  };
  static void find(Site& site, std::string_view text);
  std::vector<Site> sites_;
};

}  // namespace nibble::emulator
