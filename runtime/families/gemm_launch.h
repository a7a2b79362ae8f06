// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// From a checked request to the launch of a kernel of the gemm family.
#pragma once

#include "nibble/gemm.hpp"
#include "runtime/context_state.h"
#include "runtime/jit/family.h"

namespace nibble {

// Whether D is stored element by element instead of by TMA: FP4, or rows that are not 16-byte
// aligned.
bool stores_directly(const GemmRequest& problem);

// The kernel for a problem in a complete configuration.
KernelSpec gemm_spec(const GemmRequest& problem, const GemmConfig& config, const Arch& arch);

// Enqueues it. Strides filled in and checked; m, n, k, batch >= 1. Allocates nothing, takes no
// lock.
Status launch_gemm(const ContextState& state, const Kernel& kernel, const GemmRequest& problem);

}  // namespace nibble
