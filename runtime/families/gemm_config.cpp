// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/gemm_config.h"

#include <algorithm>
#include <cstring>
#include <type_traits>

#include "runtime/families/gemm_spec.h"
#include "runtime/families/tile_model.h"

namespace nibble {

namespace {

int64_t divide_up(int64_t value, int64_t divisor) { return (value + divisor - 1) / divisor; }
int64_t round_up(int64_t value, int64_t multiple) { return divide_up(value, multiple) * multiple; }

int output_bytes(OutputType type) { return gemm_output_bytes(static_cast<int>(type)); }
bool is_fp4(OutputType type) { return output_bytes(type) == 0; }

// TMA wants addresses and strides that are multiples of 16 bytes.
bool fits_tma(const GemmOutput& d) {
  const int bytes = output_bytes(d.type);
  return bytes != 0 && d.data % 16 == 0 && d.row_stride * bytes % 16 == 0 &&
         d.batch_stride * bytes % 16 == 0;
}

}  // namespace

GemmShape gemm_shape(const GemmRequest& request) {
  GemmShape shape;
  shape.format = request.format;
  shape.output = request.d.type;
  shape.m = request.m;
  shape.n = request.n;
  shape.k = request.k;
  shape.batch = request.batch;
  shape.gated = request.epilogue.gated;
  shape.direct_store = !fits_tma(request.d);
  shape.activation = request.epilogue.activation;
  if (request.beta != 0) shape.c_bytes = static_cast<int>(size_of(request.c.type));
  if (request.epilogue.residual.data != 0) {
    shape.residual_bytes = static_cast<int>(size_of(request.epilogue.residual.type));
  }
  shape.workspace_bytes = request.workspace_bytes;
  return shape;
}

GemmDevice gemm_device(const DeviceInfo& info, const Arch& arch) {
  constexpr int64_t kB200L2Bytes = int64_t{126} << 20;
  GemmDevice device;
  device.multiprocessors = multiprocessors_of(info);
  device.shared_per_block =
      info.shared_per_block > 0 ? static_cast<int>(info.shared_per_block) : arch.shared_per_block;
  device.l2_bytes = info.l2_bytes > 0 ? info.l2_bytes : kB200L2Bytes;
  return device;
}

GemmTiles gemm_tiles(const GemmShape& shape, const GemmConfig& config) {
  GemmTiles tiles;
  tiles.rows = config.swapped == 1 ? shape.n : shape.m;
  tiles.columns = config.swapped == 1 ? shape.m : shape.n;
  tiles.tile_rows = int64_t{kGemmTileRows} * config.cta_group;
  tiles.tiles_m =
      round_up(divide_up(tiles.rows, tiles.tile_rows), config.cluster_m / config.cta_group);
  tiles.tiles_n = round_up(divide_up(tiles.columns, config.tile_n), config.cluster_n);
  tiles.count = tiles.tiles_m * tiles.tiles_n * shape.batch;
  const int64_t row_bytes =
      divide_up(shape.k * gemm_element_bits(static_cast<int>(shape.format)), 8);
  tiles.k_steps = std::max<int64_t>(1, divide_up(row_bytes, config.tile_k));
  return tiles;
}

GemmTiling gemm_tiling(const GemmShape& shape, const GemmConfig& config) {
  return {.format = static_cast<int>(shape.format),
          .output = static_cast<int>(shape.output),
          .cta_group = config.cta_group,
          .tile_n = config.tile_n,
          .tile_k = config.tile_k,
          .stages = config.stages,
          .accumulators = config.accumulators,
          .epilogue_columns = config.epilogue_columns,
          .direct_store = shape.direct_store || is_fp4(shape.output) ? 1 : 0};
}

GemmLayout layout_of(const GemmShape& shape, const GemmConfig& config) {
  return gemm_layout(gemm_tiling(shape, config));
}

GemmLayout layout_of(const KernelSpec& spec) {
  const std::span<const int32_t> values = spec.values;
  return gemm_layout({.format = values[kGemmFormat],
                      .output = values[kGemmOutput],
                      .cta_group = values[kGemmCtaGroup],
                      .tile_n = values[kGemmTileN],
                      .tile_k = values[kGemmTileK],
                      .stages = values[kGemmStages],
                      .accumulators = values[kGemmAccumulators],
                      .epilogue_columns = values[kGemmEpilogueColumns],
                      .direct_store = values[kGemmDirectStore]});
}

GemmConfig config_of(const KernelSpec& spec) {
  const auto& value = spec.values;
  return {value[kGemmCtaGroup],        value[kGemmTileN],     value[kGemmTileK],
          value[kGemmClusterM],        value[kGemmClusterN],  value[kGemmStages],
          value[kGemmAccumulators],    value[kGemmRaster],    value[kGemmSplit],
          value[kGemmEpilogueColumns], value[kGemmScheduler], value[kGemmSwapped]};
}

bool asks_nothing(const GemmConfig& config) {
  static_assert(std::has_unique_object_representations_v<GemmConfig>);
  constexpr GemmConfig kNothing;
  return std::memcmp(&config, &kNothing, sizeof config) == 0;
}

int64_t workspace_bytes(const GemmShape& shape, const GemmConfig& config) {
  if (config.split <= 1) return 0;
  const int64_t tiles = gemm_tiles(shape, config).count * config.cta_group;
  return kGemmSplitCounterBytes +
         tiles * config.split * kGemmTileRows * config.tile_n * int64_t{sizeof(float)};
}

std::string describe(const GemmConfig& config) {
  const auto member = [](const char* name, int value) {
    return std::string(name) + " " + std::to_string(value);
  };
  return member("cta_group", config.cta_group) + member(", tile_n", config.tile_n) +
         member(", tile_k", config.tile_k) + member(", cluster_m", config.cluster_m) +
         member(", cluster_n", config.cluster_n) + member(", stages", config.stages) +
         member(", accumulators", config.accumulators) + member(", raster", config.raster) +
         member(", split", config.split) + member(", epilogue_columns", config.epilogue_columns) +
         member(", scheduler", config.scheduler) + member(", swapped", config.swapped);
}

}  // namespace nibble
