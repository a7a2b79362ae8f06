// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The memory tier: KernelSpec -> loaded kernel. Lookups take no lock and allocate nothing.
#pragma once

#include <atomic>
#include <cstddef>
#include <memory>
#include <vector>

#include "nibble/inspect.hpp"
#include "runtime/driver/cuda_abi.h"
#include "runtime/jit/family.h"

namespace nibble {

// A kernel loaded on a device. Lives as long as its pool.
struct Kernel {
  KernelSpec spec;
  std::string label;
  CUfunction function = nullptr;
  int dynamic_shared = 0;  // bytes that a launch asks for
  KernelResources resources;
  std::string log;
};

// Open addressing over atomic pointers; grows by publishing a larger copy. Entries are never
// removed, old tables are kept until destruction, so a reader needs no protection.
class KernelTable {
 public:
  KernelTable();

  const Kernel* find(const KernelSpec& spec) const noexcept;  // null: not there
  // Returns the kernel that is in the table afterwards: an earlier one for the same spec wins.
  // One writer at a time.
  const Kernel* insert(std::unique_ptr<Kernel> kernel);
  size_t size() const { return kernels_.size(); }  // for the writer

 private:
  struct Slots {
    explicit Slots(size_t count) : slot(count) {}
    std::vector<std::atomic<const Kernel*>> slot;  // a power of two, at most half full
  };
  static void place(Slots& slots, const Kernel* kernel);

  std::atomic<const Slots*> current_;
  std::vector<std::unique_ptr<Slots>> tables_;
  std::vector<std::unique_ptr<Kernel>> kernels_;
};

}  // namespace nibble
