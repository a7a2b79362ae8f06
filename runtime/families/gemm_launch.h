// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// From a checked request to the launch of a kernel of the gemm family.
#pragma once

#include <array>
#include <atomic>

#include "nibble/gemm.hpp"
#include "runtime/context_state.h"
#include "runtime/jit/family.h"
#include "templates/params/gemm.h"

namespace nibble {

// The tensor maps of the last launch of one kernel, for launches with the same addresses, strides
// and sizes. Thread-safe, and waits for nobody: what another thread is using is not found, and not
// kept.
class GemmMaps {
 public:
  // Into params. False: encode them.
  bool find(const GemmRequest& problem, GemmParams& params);
  void keep(const GemmRequest& problem, const GemmParams& params);

 private:
  // All that maps depend on, but for the kernel's constants.
  using Key = std::array<int64_t, 17>;
  static Key key_of(const GemmRequest& problem);

  std::atomic_flag busy_;
  Key key_{};  // of k = 0, which has no maps: none yet
  TensorMap a_{}, b_{}, a_scales_{}, b_scales_{}, d_{};
};

// Whether D is stored element by element instead of by TMA: FP4, or rows that are not 16-byte
// aligned.
bool stores_directly(const GemmRequest& problem);

// The kernel for a problem in a complete configuration.
KernelSpec gemm_spec(const GemmRequest& problem, const GemmConfig& config, const Arch& arch);

// Enqueues it. Strides filled in and checked; m, n, k, batch >= 1. Allocates nothing, takes no
// lock. maps: of this kernel; null: are encoded.
Status launch_gemm(const ContextState& state, const Kernel& kernel, const GemmRequest& problem,
                   GemmMaps* maps);

}  // namespace nibble
