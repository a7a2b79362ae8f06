// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A request on memory of its own: random input, and as many sets of buffers as make launches that
// go through them find nothing of theirs in the L2 cache.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "autotune/requests.h"
#include "autotune/tune.h"
#include "nibble/context.hpp"

namespace nibble::autotune {

class Workload {
 public:
  // Uses at most half of `free_bytes`, unless two sets take more.
  static Result<Workload> create(const Context& context, const Problem& problem,
                                 int64_t free_bytes);

  int64_t sets() const { return sets_; }
  int64_t bytes() const { return bytes_; }  // that one launch reads and writes
  // Enqueues the request on the default stream; sets repeat after sets().
  Status launch(int64_t set, KernelKind kernel = KernelKind::kFast);
  // The outputs of one launch of set 0.
  Result<Outputs> outputs(uint8_t poison, KernelKind kernel = KernelKind::kFast);

 private:
  // In each set `bytes` of it, with a guard before and after them.
  struct Operand {
    Content content;
    int64_t bytes;
    Buffer memory;
    int64_t pitch() const;
    DevicePointer at(int64_t set) const;
  };

  Workload(const Context& context, DataType type, const RequestPlan& plan);
  Status allocate(int64_t free_bytes);
  Status fill(const Operand& operand);
  Status poison(uint8_t value);

  Context context_;
  DataType type_;  // of kElements
  std::vector<Operand> operands_;
  Launch launch_;
  int64_t bytes_ = 0;
  int64_t sets_ = 1;
};

}  // namespace nibble::autotune
