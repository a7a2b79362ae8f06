// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the driver entry points (driver/) see of the machine: a device with its memory, a program
// loaded on it, and a launch that runs to its end or to its first fault.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "runtime/emulator/isa/isa.h"
#include "runtime/emulator/ptx/module.h"

namespace nibble::emulator {

using Dim3 = std::array<uint32_t, 3>;

// A GPU that the emulator offers: the figures of a real one of that architecture.
struct DeviceModel {
  Target target;          // {100, 'a'}
  std::string_view name;  // "nibble emulator (sm_100a)"
  uint32_t multiprocessors = 0;
  uint32_t shared_per_block = 0;        // bytes, static limit without opt-in: 48 KiB
  uint32_t shared_per_block_optin = 0;  // bytes
  uint32_t shared_per_multiprocessor = 0;
  uint32_t shared_reserved = 1024;  // bytes at the bottom of shared memory
  uint32_t max_threads_per_multiprocessor = 2048;
  uint32_t l2_bytes = 0;
  uint64_t memory_bytes = 0;
};
// The model for "sm_100a" and its kin; null for a target that the emulator does not know.
const DeviceModel* find_model(std::string_view target);

struct Fault {
  enum class Kind {
    kIllegalAddress,
    kMisaligned,
    kUninitialized,
    kIllegalInstruction,
    kAssert,
    kTrap,
    kDeadlock,
    kRace,  // accesses that nothing orders; a missing fence or wait
    kLaunchConfig,
    kLimit  // more instructions than Settings::max_instructions
  };
  Kind kind = Kind::kIllegalAddress;
  std::string report;  // several lines: what, PTX line, source line, kernel, block, thread, address
};

// Device memory. Device addresses lie in a range that no host pointer of the process has.
// Thread-safe. Contents are host memory; bytes are tracked as written or not when asked for.
class GlobalMemory {
 public:
  explicit GlobalMemory(uint64_t capacity, bool track_writes);
  ~GlobalMemory();
  GlobalMemory(const GlobalMemory&) = delete;
  GlobalMemory& operator=(const GlobalMemory&) = delete;

  struct Allocation {
    uint64_t address = 0;
    uint64_t size = 0;
    std::byte* data = nullptr;   // host view of [address, address + size)
    uint8_t* written = nullptr;  // a byte a byte, nonzero once written; null when not tracked
    std::string label;           // "cuMemAlloc" or the variable's name, for reports
    bool read_only = false;      // to kernels: .const variables
  };

  // A new allocation of `size` bytes (>= 1) aligned to 256 bytes or more, contents undefined
  // (poisoned); 0 when the capacity is used up.
  // Thereof only the first 64 MiB are poisoned.
  uint64_t allocate(uint64_t size, uint64_t align, std::string_view label, bool read_only = false);
  // False when `address` is not the start of a live allocation. Its addresses are used again when
  // many more have been freed.
  bool free(uint64_t address);
  // The allocation that contains [address, address + size), if one does. The Allocation lives
  // until it is freed, and its record for a while beyond.
  const Allocation* find(uint64_t address, uint64_t size) const;
  // Whether an address is in the range that all allocations are from.
  bool is_inside(uint64_t address) const;
  // The live allocation nearest to an address that missed, for reports; null when there is none.
  const Allocation* nearest(uint64_t address) const;
  // The allocation that an address was in until it was freed, if that is not long ago.
  const Allocation* find_freed(uint64_t address) const;
  // Zeros in all of the allocation that starts at `address`; untouched pages stay so.
  void clear(uint64_t address);
  // Marks bytes as written by the host.
  void mark_written(uint64_t address, uint64_t size);
  uint64_t used() const;
  uint64_t capacity() const;
  // The bytes of every allocation that kernels may write; put back, compared. For runs with several
  // seeds; nothing may be allocated or freed between.
  struct Contents {
    std::vector<std::pair<uint64_t, std::vector<std::byte>>> allocations;  // by address
  };
  Contents save() const;
  void restore(const Contents& contents);
  // The address of the first byte that differs; 0 where none does.
  uint64_t first_difference(const Contents& contents) const;
  // Allocations freed so far: what was found before the last may be gone.
  uint64_t frees() const { return frees_.load(std::memory_order_relaxed); }

 private:
  std::atomic<uint64_t> frees_{0};
  struct State;
  std::unique_ptr<State> state_;
};

// A kernel of a loaded program, with what cuFuncGetAttribute tells.
struct Kernel {
  std::string name;
  uint32_t static_shared = 0;  // bytes
  uint32_t local_bytes = 0;    // a thread
  uint32_t const_bytes = 0;
  uint32_t param_bytes = 0;  // size of the parameter block
  struct Parameter {
    uint32_t offset = 0, size = 0;
  };
  std::vector<Parameter> parameters;
  uint32_t max_threads_per_block = 1024;
  Dim3 required_threads = {0, 0, 0};
  Dim3 required_cluster = {0, 0, 0};
  uint32_t function = 0;  // index in the program
};

// A module decoded for a device model, its variables placed in device memory, which outlives it.
class Program {
 public:
  struct Variable {
    uint64_t address = 0;
    uint64_t size = 0;
  };
  // Decodes `module`; unknown forms and targets are refused with "line N: ..." in `error`.
  static std::unique_ptr<Program> load(const Module& module, const DeviceModel& model,
                                       GlobalMemory& memory, std::string& error);
  ~Program();

  const Kernel* find_kernel(std::string_view name) const;
  std::vector<const Kernel*> kernels() const;
  const Variable* find_variable(std::string_view name) const;

  struct Code;  // decoded functions; machine/ only
  const Code& code() const { return *code_; }

 private:
  Program() = default;
  std::unique_ptr<Code> code_;
  GlobalMemory* memory_ = nullptr;
};

struct Launch {
  const Program* program = nullptr;
  const Kernel* kernel = nullptr;
  Dim3 grid = {1, 1, 1};
  Dim3 block = {1, 1, 1};
  Dim3 cluster = {1, 1, 1};
  uint32_t dynamic_shared = 0;            // bytes
  std::span<const std::byte> parameters;  // param_bytes
  bool cooperative = false;               // all blocks make progress together
};

struct Settings {
  bool exact_tensor = false;         // tensor cores sum exactly and round once, unlike any hardware
  bool check_uninitialized = false;  // report reads of bytes never written
  bool check_order = true;           // races and missing fences on shared and tensor memory
  void (*report)(const std::string&) = nullptr;  // takes what check_order finds, from any thread;
                                                 // null: the launch ends with it
  bool check_tensor_fences = false;  // missing tcgen05.fence, which hardware mostly forgives
  bool check_init_fences = false;    // mbarrier.init known to other blocks without any release,
                                     // which hardware mostly forgives
  bool check_tensor_waits = false;   // registers read before tcgen05.wait::ld, which is legal: the
                                     // dependency is kept (PTX ISA 9.7.16.6.4.5)
  uint64_t seed = 0;                 // of the order of warps and asynchronous work; 0: plain turns
  uint32_t seeds = 1;                // run each launch anew with so many, from `seed` on
  uint32_t threads = 0;              // host threads that run blocks; 0: one a core
  bool counters = false;             // count what kernels do: counter_table.h
  bool trace = false;                // keep a timeline: trace.h
  uint64_t max_instructions = 0;     // of all warps of a launch, about; 0: no limit
};

// Runs every block; blocks are spread over host threads. Returns the first fault, after which no
// further block starts. Thread-safe for launches that touch different data. With several seeds each
// run begins with the memory that the launch found, the fault says its seed, and runs whose memory
// differs at the end are a kRace (or a report): the order decided the result.
std::optional<Fault> run(const Launch& launch, const DeviceModel& model, GlobalMemory& memory,
                         const Settings& settings);

// Instructions executed by warps since the process started, all launches.
uint64_t executed_warp_instructions();

}  // namespace nibble::emulator
