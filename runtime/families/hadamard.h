// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The two families of Hadamard transforms: groups along rows and down columns.
#pragma once

#include "nibble/hadamard.hpp"
#include "runtime/families/tile.h"
#include "templates/params/hadamard.h"

namespace nibble {

extern const Family kHadamardFamily;
extern const Family kHadamardColumnsFamily;

// The places of the constants in KernelSpec::values: of both families, then of either.
enum HadamardConstant : size_t {
  kHadamardThreads,
  kHadamardSize,
  kHadamardElementType,
  kHadamardVectorBytes,
  kHadamardAligned,
  kHadamardSigns,
  kHadamardInverse,
  kHadamardWrite,
  kHadamardAmax,
  kHadamardThreadsPerGroup,
  kHadamardGroupsPerThread,
  kHadamardPasses,
  kHadamardNarrow,
  kHadamardAhead,
  kHadamardConstants,
  kHadamardRowsPerThread = kHadamardThreadsPerGroup,
  kHadamardColumnsConstants,
};
static_assert(size_t{kHadamardThreads} == size_t{kThreads}, "launch_tiles reads it");

std::span<const Constant> hadamard_constants(Axis axis);
// Whether the constants that are not tuned can stand together.
bool hadamard_problem_legal(const KernelSpec& spec);

HadamardTiling hadamard_tiling(const KernelSpec& spec);
// Units (groups, or vectors of short ones) that a thread block of `hadamard` takes at a time.
int64_t hadamard_tile_units(const KernelSpec& spec);
int64_t hadamard_unit(const KernelSpec& spec);  // elements
// Columns that a thread block of `hadamard_columns` takes at a time.
int64_t hadamard_tile_columns(const KernelSpec& spec);

// Strides and size must be filled in. y.data and amax of 0: not wanted.
KernelSpec hadamard_spec(const HadamardRequest& request, const Arch& arch);

// The launch of a kernel of any legal spec for this request.
Status launch_hadamard(const ContextState& context, const Kernel& kernel,
                       const HadamardRequest& request);

}  // namespace nibble
