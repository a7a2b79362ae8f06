// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/gemm_spec.h"

#include <array>

#include "runtime/families/gemm_config.h"

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
constexpr int kThreads[] = {224};
constexpr std::string_view kSchedulerNames[] = {"static", "cluster"};

// clang-format off: a constant a row
constexpr std::array<Constant, kGemmConstants> constants_of(std::span<const int> threads) {
  return {{
      {"kThreads", "threads", "threads of a thread block", Origin::kTuned, threads, {}},
      {"kFormat", "format", "of the operands", Origin::kProblem, kFormats, kFormatNames},
      {"kE5m2OfA", "a_e5m2", "1: of fp8, A is E5M2", Origin::kProblem, kFlags, {}},
      {"kE5m2OfB", "b_e5m2", "1: of fp8, B is E5M2", Origin::kProblem, kFlags, {}},
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
      {"kCtaGroup",
       "cta_group",
       "thread blocks that share an MMA",
       Origin::kTuned,
       kGemmCtaGroupValues,
       {}},
      {"kTileN", "tile_n", "columns of a tile", Origin::kTuned, kGemmTileNValues, {}},
      {"kTileK", "tile_k", "bytes of k of a stage", Origin::kTuned, kGemmTileKValues, {}},
      {"kClusterM",
       "cluster_m",
       "thread blocks of a cluster along m",
       Origin::kTuned,
       kGemmClusterMValues,
       {}},
      {"kClusterN",
       "cluster_n",
       "thread blocks of a cluster along n",
       Origin::kTuned,
       kGemmClusterNValues,
       {}},
      {"kStages", "stages", "of the ring in shared memory", Origin::kTuned, kGemmStagesValues, {}},
      {"kAccumulators",
       "accumulators",
       "tiles in tensor memory",
       Origin::kTuned,
       kGemmAccumulatorsValues,
       {}},
      {"kRaster",
       "raster",
       "rows of tiles that are walked together",
       Origin::kTuned,
       kGemmRasterValues,
       {}},
      {"kSplit",
       "split",
       "parts of k that are computed apart",
       Origin::kTuned,
       kGemmSplitValues,
       {}},
      {"kEpilogueColumns",
       "epilogue_columns",
       "columns that the epilogue takes at a time",
       Origin::kTuned,
       kGemmEpilogueColumnsValues,
       {}},
      {"kScheduler", "scheduler", "where a thread block's next tile is from", Origin::kTuned,
       kGemmSchedulerValues, kSchedulerNames},
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
