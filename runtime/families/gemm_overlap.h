// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Whether what a matrix multiplication writes overlaps what it reads.
#pragma once

#include "nibble/gemm.hpp"
#include "nibble/status.hpp"

namespace nibble {

// Strides must be filled in and legal; null pointers overlap nothing. D may be C (if not gated) or
// the residual themselves: same address, type and strides. Columns of one larger matrix are apart.
Status check_overlap(const GemmRequest& request);

}  // namespace nibble
