// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Which configurations of the gemm family are legal for a problem and a GPU, and which of them the
// cost model (gemm_model.h) takes.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "nibble/context.hpp"
#include "nibble/gemm.hpp"
#include "runtime/jit/family.h"
#include "templates/params/gemm_layout.h"

namespace nibble {

// What of a request the configuration depends on. m and n are the caller's: of the product.
struct GemmShape {
  OperandFormat format = OperandFormat::kNvfp4;
  OutputType output = OutputType::kBf16;
  int64_t m = 0, n = 0, k = 0;
  int64_t batch = 1;
  bool gated = false;
  bool direct_store = false;  // kGemmDirectStore
  Activation activation = Activation::kNone;
  int c_bytes = 0;         // of an element of C; 0: not read
  int residual_bytes = 0;  // of an element of the residual; 0: none
  int64_t workspace_bytes = 0;

  bool operator==(const GemmShape&) const = default;
};
// Strides must be filled in; null pointers count as aligned.
GemmShape gemm_shape(const GemmRequest& request);

struct GemmDevice {
  int multiprocessors = 0;
  int shared_per_block = 0;  // bytes
  int64_t l2_bytes = 0;

  bool operator==(const GemmDevice&) const = default;
};
// What a context that only compiles does not know is taken from the fact that a B200 has it.
GemmDevice gemm_device(const DeviceInfo& info, const Arch& arch);

// The legal values of each member of GemmConfig.
inline constexpr int kGemmCtaGroupValues[] = {1, 2};
inline constexpr int kGemmTileNValues[] = {128, 8, 16, 32, 64, 192, 256};
inline constexpr int kGemmTileKValues[] = {128, 256};
inline constexpr int kGemmClusterMValues[] = {1, 2, 4};
inline constexpr int kGemmClusterNValues[] = {1, 2, 4};
inline constexpr int kGemmStagesValues[] = {4, 2, 3, 5, 6, 7, 8, 9, 10, 11, 12};
inline constexpr int kGemmAccumulatorsValues[] = {1, 2};
inline constexpr int kGemmRasterValues[] = {8, 1, 2, 4, 16};
inline constexpr int kGemmSplitValues[] = {1, 2, 3, 4, 6, 8, 12, 16, 24, 32};
inline constexpr int kGemmEpilogueColumnsValues[] = {32, 8, 16, 64};
inline constexpr int kGemmSchedulerValues[] = {0, 1};
inline constexpr int kGemmSwappedValues[] = {0, 1};
inline constexpr int kGemmMaxStages = 12;
inline constexpr int kGemmMaxClusterSize = 8;  // what every GPU with clusters allows

// The product as the MMA sees it, in tiles of a thread block (cta_group 2: of a pair), padded to
// whole clusters.
struct GemmTiles {
  int64_t rows = 0, columns = 0;  // of the product: n and m where swapped
  int64_t tile_rows = 0;          // 128 x cta_group
  int64_t tiles_m = 0, tiles_n = 0;
  int64_t count = 0;    // tiles_m x tiles_n x batch
  int64_t k_steps = 0;  // of tile_k bytes, >= 1
};
GemmTiles gemm_tiles(const GemmShape& shape, const GemmConfig& config);

GemmTiling gemm_tiling(const GemmShape& shape, const GemmConfig& config);
GemmLayout layout_of(const GemmShape& shape, const GemmConfig& config);
// Of the gemm family.
GemmLayout layout_of(const KernelSpec& spec);
GemmConfig config_of(const KernelSpec& spec);
bool asks_nothing(const GemmConfig& config);  // no member is set

// A split k: kGemmSplitCounterBytes of counters, one for each epilogue warp of a tile, then
// [tiles of a thread block][split][128][tile_n] floats. The counters lie first and are as many for
// every problem, so that partial sums of one never stand where another expects zeros. 0 where k is
// not split.
inline constexpr int64_t kGemmSplitTiles = 4096;
inline constexpr int64_t kGemmSplitCounterBytes = kGemmSplitTiles * kGemmEpilogueWarps * 4;
int64_t workspace_bytes(const GemmShape& shape, const GemmConfig& config);

// Empty, or the rule that a complete configuration breaks: "tile_n = 48: must be 8, 16, ...".
std::string illegal(const GemmShape& shape, const GemmConfig& config, const GemmDevice& device);
bool legal(const GemmShape& shape, const GemmConfig& config, const GemmDevice& device);

// The fastest legal configuration by the model that has the members which are set in `asked`;
// kInvalidArgument with the rule where there is none. Remembers its last answers: a repeated
// question costs no more than comparing it.
Result<GemmConfig> choose_config(const GemmShape& shape, const GemmConfig& asked,
                                 const GemmDevice& device);

// "cta_group 2, tile_n 256, ...".
std::string describe(const GemmConfig& config);

}  // namespace nibble
