// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What kernels do, counted: executions of each instruction, and for those that touch memory bytes,
// sectors and wavefronts. A worker counts on its own; counter_table.h adds up and reports.
//
// Everything is kept by instruction (Inst::id), so that a report can name the ones that cost most;
// classes, paths and shapes are read off the instructions afterwards. Where nothing is counted a
// warp's and a cluster's pointer is null.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <tuple>
#include <vector>

#include "runtime/emulator/isa/isa.h"
#include "runtime/emulator/machine/trace.h"

namespace nibble::emulator {

struct Extent;
class Block;
class Operation;
class Warp;

constexpr uint32_t kSectorBytes = 32;  // what L2 delivers at least
constexpr uint32_t kLineBytes = 128;
constexpr uint32_t kBanks = 32;  // of shared memory, 4 bytes each

// A request is one execution by a warp with a lane that takes part. `sectors` and `lines` are the
// different ones of a request, added up: what it asks the L1 cache for.
struct GlobalCounts {
  uint64_t requests = 0, bytes = 0, sectors = 0, lines = 0;
  void add(const GlobalCounts& other);
};

// A wavefront gives each bank's word once. Lanes go 32 at a time with accesses of up to 4 bytes, 16
// with 8 bytes, 8 with 16; different words of one bank take a wavefront each, the same word none
// more. `least`: wavefronts had no two lanes met in a bank. `remote`: bytes of other blocks.
struct SharedCounts {
  uint64_t requests = 0, bytes = 0, wavefronts = 0, least = 0, remote = 0;
  void add(const SharedCounts& other);
};

// Of asynchronous operations, by what they read and write.
struct AsyncCounts {
  uint64_t operations = 0, global = 0, shared_read = 0, shared_written = 0, tensor_read = 0,
           tensor_written = 0;
  void add(const AsyncCounts& other);
};

struct InstCounts {
  uint64_t waits = 0;  // times that a warp could not go on here
  GlobalCounts global;
  SharedCounts shared;
  uint64_t other_bytes = 0;   // local memory, constants, parameters
  uint64_t tensor_bytes = 0;  // between tensor memory and registers
  AsyncCounts async;
};

// A shape that only the running kernel knows: tcgen05.mma's is in a register.
struct MmaIssue {
  uint32_t id = 0;  // of the instruction
  uint32_t m = 0, n = 0, k = 0;
  bool operator<(const MmaIssue& other) const {
    return std::tie(id, m, n, k) < std::tie(other.id, other.m, other.n, other.k);
  }
};

// The latest pattern of an instruction's addresses, and what it costs: loops repeat it elsewhere.
struct AccessPattern {
  uint32_t lanes = 0;     // 0: none yet
  uint32_t offset = 0;    // of the first lane's address in a line, which is all the banks too
  uint64_t distance[32];  // of each active lane from the first
  GlobalCounts global;
  SharedCounts shared;
};

struct Counters {
  explicit Counters(size_t instructions)
      : executed(instructions), detail(instructions), patterns(2 * instructions) {}

  std::vector<uint64_t> executed;  // an instruction that waits and is executed anew counts once
  std::vector<InstCounts> detail;
  // Two an instruction, as cp.async has two: of global and of shared memory. Null: none yet.
  std::vector<std::unique_ptr<AccessPattern>> patterns;
  std::map<MmaIssue, uint64_t> multiplications;
  std::unique_ptr<TraceNames> trace;  // null: no timeline is kept

  void add(const Counters& other);
  // The instruction will be executed anew: a wait, and no execution.
  void retract(uint32_t id) {
    --executed[id];
    ++detail[id].waits;
  }
};

// The active lanes access `bytes` each, lane l at first + l * step, in the space that the
// instruction or the generic address says. Places are allowed and aligned.
void count_strided(const Warp& warp, const Inst& inst, uint64_t first, int64_t step,
                   uint32_t bytes);
// The same at an address a lane.
void count_scattered(const Warp& warp, const Inst& inst, const uint64_t* addresses, uint32_t bytes);
// An issued operation, with what it touches in the cluster.
void count_operation(Counters& counters, const Operation& operation,
                     const std::vector<Extent>& extents);
// One multiplication of a tensor core, of a shape known at run time.
void count_mma(const Warp& warp, const Inst& inst, uint32_t m, uint32_t n, uint32_t k);

}  // namespace nibble::emulator
