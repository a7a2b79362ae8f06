// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/gemm_spec.h"

#include <array>

namespace nibble {

namespace {

using Origin = Constant::Origin;

constexpr int kFlags[] = {0, 1};
constexpr int kFormats[] = {0, 1, 2, 3, 4};
constexpr std::string_view kFormatNames[] = {"nvfp4", "mxfp4", "mxfp8", "fp8", "bf16"};
constexpr int kOutputs[] = {0, 1, 2, 3, 4};
constexpr std::string_view kOutputNames[] = {"f32", "f16", "bf16", "nvfp4", "mxfp4"};
constexpr int kAlphas[] = {0, 1, 2};
constexpr std::string_view kAlphaNames[] = {"host", "amaxes", "scales"};
constexpr int kTypes[] = {0, 1, 2};
constexpr std::string_view kTypeNames[] = {"f32", "f16", "bf16"};
constexpr int kOptionalTypes[] = {0, 1, 2, 3};
constexpr std::string_view kOptionalTypeNames[] = {"none", "f32", "f16", "bf16"};
constexpr int kBiases[] = {0, 1, 2};
constexpr std::string_view kBiasNames[] = {"none", "column", "row"};
constexpr int kActivations[] = {0, 1, 2, 3, 4, 5};
constexpr std::string_view kActivationNames[] = {"none",      "relu",     "squared_relu",
                                                 "gelu_tanh", "gelu_erf", "silu"};
constexpr int kVectors[] = {16, 0};

constexpr int kTrustedThreads[] = {128};
constexpr int kThreads[] = {256};
constexpr int kCtaGroups[] = {1, 2};
constexpr int kTileColumns[] = {128, 256, 192, 64, 32, 16, 8};
constexpr int kTileBytes[] = {128, 256};
constexpr int kClusters[] = {1, 2, 4};
constexpr int kStages[] = {2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
constexpr int kAccumulators[] = {2, 1};
constexpr int kRasters[] = {8, 1, 2, 4, 16};
constexpr int kSplits[] = {1, 2, 3, 4, 8, 16};
constexpr int kEpilogueColumns[] = {32, 64, 16, 8};
constexpr int kSchedulers[] = {0, 1};
constexpr std::string_view kSchedulerNames[] = {"static", "cluster"};

// clang-format off: a constant a row
constexpr std::array<Constant, kGemmConstants> constants_of(std::span<const int> threads) {
  return {{
      {"kThreads", "threads", "threads of a thread block", Origin::kTuned, threads, {}},
      {"kFormat", "format", "of the operands", Origin::kProblem, kFormats, kFormatNames},
      {"kOutput", "output", "type of D", Origin::kProblem, kOutputs, kOutputNames},
      {"kAlpha", "alpha", "what the host's alpha is multiplied by", Origin::kProblem, kAlphas,
       kAlphaNames},
      {"kC", "c", "type of C; none: beta = 0", Origin::kProblem, kOptionalTypes,
       kOptionalTypeNames},
      {"kBias", "bias", "a number for each column or row", Origin::kProblem, kBiases, kBiasNames},
      {"kBiasType", "bias_type", "type of the bias; f32 without one", Origin::kProblem, kTypes,
       kTypeNames},
      {"kActivation", "activation", "after the bias", Origin::kProblem, kActivations,
       kActivationNames},
      {"kGated", "gated", "1: pairs of columns make one", Origin::kProblem, kFlags, {}},
      {"kResidual", "residual", "type of what is added to D", Origin::kProblem, kOptionalTypes,
       kOptionalTypeNames},
      {"kAmax", "amax", "1: max |D| is wanted", Origin::kProblem, kFlags, {}},
      {"kVectorBytes",
       "vector",
       "bytes of one access to rows of C, bias, residual and D; 0: an element",
       Origin::kProblem,
       kVectors,
       {}},
      {"kHasE2m1Conversion",
       "e2m1",
       "1: the target converts E2M1 in hardware",
       Origin::kTarget,
       kFlags,
       {},
       kE2m1Conversion},
      {"kSwapped", "swapped", "1: computes D^T = B x A^T", Origin::kProblem, kFlags, {}},
      {"kDirectStore",
       "direct",
       "1: D is stored from registers, not by TMA",
       Origin::kProblem,
       kFlags,
       {}},
      {"kCtaGroup", "cta_group", "thread blocks that share an MMA", Origin::kTuned, kCtaGroups, {}},
      {"kTileN", "tile_n", "columns of a tile", Origin::kTuned, kTileColumns, {}},
      {"kTileK", "tile_k", "bytes of k of a stage", Origin::kTuned, kTileBytes, {}},
      {"kClusterM",
       "cluster_m",
       "thread blocks of a cluster along m",
       Origin::kTuned,
       kClusters,
       {}},
      {"kClusterN",
       "cluster_n",
       "thread blocks of a cluster along n",
       Origin::kTuned,
       kClusters,
       {}},
      {"kStages", "stages", "of the ring in shared memory", Origin::kTuned, kStages, {}},
      {"kAccumulators",
       "accumulators",
       "tiles in tensor memory",
       Origin::kTuned,
       kAccumulators,
       {}},
      {"kRaster", "raster", "rows of tiles that are walked together", Origin::kTuned, kRasters, {}},
      {"kSplit", "split", "parts of k that are computed apart", Origin::kTuned, kSplits, {}},
      {"kEpilogueColumns",
       "epilogue_columns",
       "columns that the epilogue takes at a time",
       Origin::kTuned,
       kEpilogueColumns,
       {}},
      {"kScheduler", "scheduler", "where a thread block's next tile is from", Origin::kTuned,
       kSchedulers, kSchedulerNames},
  }};
}
// clang-format on

constexpr auto kTensorConstants = constants_of(kThreads);
constexpr auto kTrustedConstants = constants_of(kTrustedThreads);

}  // namespace

std::span<const Constant> gemm_constants() { return kTensorConstants; }

std::span<const Constant> gemm_trusted_constants() {
  return std::span(kTrustedConstants).first(kGemmTrustedConstants);
}

}  // namespace nibble
