// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Why a matrix multiplication is configured as it is, and what bounds its time on its GPU: an
// analytic model of published and assumed figures. Nothing in it was measured.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "nibble/context.hpp"
#include "nibble/gemm.hpp"
#include "nibble/status.hpp"

namespace [[gnu::visibility("default")]] nibble {

// Times in microseconds. Each bound is what its resource alone would need under this configuration,
// partly filled waves and tiles included.
struct GemmExplanation {
  GemmConfig config;  // complete
  int64_t tiles = 0;  // of a thread block, or of a pair of them
  int64_t waves = 0;  // how often the GPU is filled with them

  double tensor = 0;
  double shared_memory = 0;
  double l2 = 0;
  double hbm = 0;
  double epilogue = 0;  // overlaps with the others where there are two accumulators
  double launch = 0;
  double total = 0;  // predicted, without the launch
  std::string_view
      bound;  // the largest: "tensor", "shared memory", "L2", "HBM", "epilogue", "launch"

  std::string text;  // all of this with its formulas and the figures they use, for people; ends
                     // with a newline
};

// For requests that gemm() would give to a kernel for sm_100a or sm_103a; kUnsupported for others.
// Pointers may be null. Needs no GPU.
Result<GemmExplanation> explain(Context& context, const GemmRequest& request);

}  // namespace nibble
