// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The CUDA-core kernel: what the tensor cores' kernel is compared with, and what answers where
// there is none.
#pragma once

#include "runtime/families/gemm_problem.h"
#include "runtime/families/gemm_spec.h"

namespace nibble {

// `request` has its strides filled in.
KernelSpec gemm_trusted_spec(const GemmRequest& request, const Arch& arch);

// `request` has its strides filled in, is checked and is not empty. Zeroes d.amax where it is
// wanted. Allocates nothing, takes no lock.
Status launch_gemm_trusted(const ContextState& context, const Kernel& kernel,
                           const GemmRequest& request);

}  // namespace nibble
