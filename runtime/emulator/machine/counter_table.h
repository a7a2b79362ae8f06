// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Counters of all launches of the process, by program and kernel, and what is read off them.
#pragma once

#include <array>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "runtime/emulator/machine/counters.h"
#include "runtime/emulator/machine/inst_class.h"

namespace nibble::emulator {

struct Grid;

// What one kernel did in all its launches. Arrays are by InstClass.
struct KernelSummary {
  std::string kernel, target;
  uint64_t launches = 0, blocks = 0, threads = 0;
  uint64_t warp_instructions = 0;
  std::array<uint64_t, kInstClasses> executed{}, waits{}, other_bytes{}, tensor_bytes{};
  std::array<GlobalCounts, kInstClasses> global{};
  std::array<SharedCounts, kInstClasses> shared{};
  std::array<AsyncCounts, kInstClasses> async{};
  // Sectors of warps' accesses and bytes of copies: what L2 gives and takes if L1 held nothing.
  struct {
    uint64_t read = 0, written = 0, atomic = 0;
  } l2;
  // wgmma: by warpgroup, four warps' instructions are one. Sparse: k counts the zeros too.
  struct Mma {
    std::string opcode, types;
    uint32_t m = 0, n = 0, k = 0;
    uint64_t issues = 0;
    uint64_t flops() const { return uint64_t{2} * m * n * k * issues; }
  };
  std::vector<Mma> mma;
  struct Worst {
    uint32_t line = 0;  // of the PTX
    std::string text;
    uint64_t requests = 0, excess = 0;
  };
  // The instructions with the most wavefronts, and sectors, beyond what their bytes need.
  std::vector<Worst> conflicts, uncoalesced;
};

// Thread-safe.
class CounterTable {
 public:
  static CounterTable& all();

  void begin(const Grid& grid);                          // a launch
  void add(const Grid& grid, const Counters& counters);  // one worker's share of it
  void clear();

  std::vector<KernelSummary> summaries() const;  // in the order of the first launches
  std::string json() const;                      // README.md has its form
  std::string text() const;                      // for people, some lines a kernel

 private:
  struct Entry;
  Entry& entry(const Grid& grid);

  mutable std::mutex mutex_;
  std::vector<std::unique_ptr<Entry>> entries_;
};

std::string to_json(const std::vector<KernelSummary>& kernels);
std::string to_text(const KernelSummary& kernel);

}  // namespace nibble::emulator
