// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/gemm_launch.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <limits>
#include <string>
#include <utility>

#include "runtime/families/gemm_config.h"
#include "runtime/families/gemm_problem.h"
#include "runtime/families/gemm_spec.h"
#include "runtime/result.h"
#include "templates/params/gemm.h"

namespace nibble {

namespace {

constexpr Variant kVariants[] = {{"gemm/gemm.cuh", kTcgen05}};

constexpr int64_t kAlignment = 16;  // of TMA: addresses and strides

int64_t divide_up(int64_t a, int64_t b) { return (a + b - 1) / b; }

int64_t output_bytes(OutputType type) { return type == OutputType::kF32 ? 4 : 2; }

template <class T>
T* pointer(DevicePointer address) {
  return reinterpret_cast<T*>(address);
}

// A tensor map in the making. Dimensions go from the contiguous one outwards.
struct MapShape {
  CUtensorMapDataType type;
  DevicePointer address;
  unsigned rank;
  std::array<cuuint64_t, 4> sizes;
  std::array<cuuint64_t, 3> strides;  // bytes, of all dimensions but the first
  std::array<cuuint32_t, 4> box;
  CUtensorMapSwizzle swizzle;
};

Status encode(const DriverApi& driver, const MapShape& shape, const char* name, TensorMap& map) {
  constexpr std::array<cuuint32_t, 4> kSteps{1, 1, 1, 1};
  CUtensorMap encoded;
  const CUresult result = driver.cuTensorMapEncodeTiled(
      &encoded, shape.type, shape.rank, reinterpret_cast<void*>(shape.address), shape.sizes.data(),
      shape.strides.data(), shape.box.data(), kSteps.data(), CU_TENSOR_MAP_INTERLEAVE_NONE,
      shape.swizzle, CU_TENSOR_MAP_L2_PROMOTION_L2_256B, CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE);
  if (result != CUDA_SUCCESS) {
    return driver.check(result, std::string("cuTensorMapEncodeTiled of ") + name);
  }
  static_assert(sizeof encoded == sizeof map);
  std::memcpy(&map, &encoded, sizeof map);
  return {};
}

// Bytes of k, rows, batch.
MapShape operand_map(const GemmOperand& operand, OperandFormat format, int64_t rows,
                     const GemmRequest& problem, int slice_rows) {
  return {CU_TENSOR_MAP_DATA_TYPE_UINT8,
          operand.data,
          3,
          {static_cast<cuuint64_t>(operand_row_bytes(format, problem.k)),
           static_cast<cuuint64_t>(rows), static_cast<cuuint64_t>(problem.batch)},
          {static_cast<cuuint64_t>(operand.row_stride),
           static_cast<cuuint64_t>(problem.batch == 1 ? operand.row_stride : operand.batch_stride)},
          {kGemmAtomBytes, static_cast<cuuint32_t>(slice_rows), 1},
          CU_TENSOR_MAP_SWIZZLE_128B};
}

// A scale tile as 256 words of 16 bits, tiles along k, row blocks, batch.
MapShape scale_map(const GemmOperand& operand, OperandFormat format, int64_t rows,
                   const GemmRequest& problem, const GemmLayout& layout, int row_blocks) {
  const int64_t tiles = divide_up(problem.k, format == OperandFormat::kNvfp4 ? 64 : 128);
  return {CU_TENSOR_MAP_DATA_TYPE_UINT16,
          operand.scales,
          4,
          {kGemmScaleTileBytes / 2, static_cast<cuuint64_t>(tiles),
           static_cast<cuuint64_t>(divide_up(rows, kGemmTileRows)),
           static_cast<cuuint64_t>(problem.batch)},
          {kGemmScaleTileBytes, static_cast<cuuint64_t>(kGemmScaleTileBytes * tiles),
           static_cast<cuuint64_t>(problem.batch == 1 ? int64_t{kGemmScaleTileBytes}
                                                      : operand.scale_batch_stride)},
          {kGemmScaleTileBytes / 2, static_cast<cuuint32_t>(layout.scale_tiles),
           static_cast<cuuint32_t>(row_blocks), 1},
          CU_TENSOR_MAP_SWIZZLE_NONE};
}

// The box is what one epilogue warp stores at a time: 32 lanes by the columns of a chunk.
MapShape d_map(const GemmRequest& problem, const KernelSpec& spec) {
  const GemmOutput& d = problem.d;
  const auto size = static_cast<cuuint64_t>(output_bytes(d.type));
  const bool gated = problem.epilogue.gated;
  const auto columns = static_cast<cuuint32_t>(spec.values[kGemmEpilogueColumns] / (gated ? 2 : 1));
  const bool swapped = spec.values[kGemmSwapped] != 0;
  const auto row_stride = static_cast<cuuint64_t>(d.row_stride) * size;
  CUtensorMapSwizzle swizzle = CU_TENSOR_MAP_SWIZZLE_NONE;
  if (!swapped) {
    switch (columns * size) {  // of the rows that write_row() of templates/gemm/store.cuh makes
      case 128:
        swizzle = CU_TENSOR_MAP_SWIZZLE_128B;
        break;
      case 64:
        swizzle = CU_TENSOR_MAP_SWIZZLE_64B;
        break;
      case 32:
        swizzle = CU_TENSOR_MAP_SWIZZLE_32B;
        break;
      default:
        break;
    }
  }
  constexpr CUtensorMapDataType kTypes[] = {CU_TENSOR_MAP_DATA_TYPE_FLOAT32,
                                            CU_TENSOR_MAP_DATA_TYPE_FLOAT16,
                                            CU_TENSOR_MAP_DATA_TYPE_BFLOAT16};
  return {kTypes[static_cast<int>(d.type)],
          d.data,
          3,
          {static_cast<cuuint64_t>(gated ? problem.n / 2 : problem.n),
           static_cast<cuuint64_t>(problem.m), static_cast<cuuint64_t>(problem.batch)},
          {row_stride,
           problem.batch == 1 ? row_stride : static_cast<cuuint64_t>(d.batch_stride) * size},
          swapped ? std::array<cuuint32_t, 4>{32, columns, 1}
                  : std::array<cuuint32_t, 4>{columns, 32, 1},
          swizzle};
}

Status encode_maps(const DriverApi& driver, const GemmRequest& problem, const KernelSpec& spec,
                   const GemmLayout& layout, GemmParams& params) {
  const bool swapped = spec.values[kGemmSwapped] != 0;
  GemmOperand rows = problem.a;
  GemmOperand columns = problem.b;
  int64_t row_count = problem.m;
  int64_t column_count = problem.n;
  if (swapped) {
    std::swap(rows, columns);
    std::swap(row_count, column_count);
  }
  const OperandFormat format = problem.format;
  NIBBLE_TRY(encode(
      driver,
      operand_map(rows, format, row_count, problem, kGemmTileRows / spec.values[kGemmClusterN]),
      swapped ? "b" : "a", params.a));
  NIBBLE_TRY(encode(driver,
                    operand_map(columns, format, column_count, problem,
                                spec.values[kGemmTileN] / spec.values[kGemmClusterM]),
                    swapped ? "a" : "b", params.b));
  if (layout.scale_tiles > 0) {
    NIBBLE_TRY(encode(driver, scale_map(rows, format, row_count, problem, layout, 1),
                      swapped ? "b.scales" : "a.scales", params.a_scales));
    NIBBLE_TRY(encode(
        driver, scale_map(columns, format, column_count, problem, layout, layout.b_row_blocks),
        swapped ? "a.scales" : "b.scales", params.b_scales));
  }
  if (spec.values[kGemmDirectStore] != 0) return {};
  return encode(driver, d_map(problem, spec), "d", params.d);
}

// The inverse of gemm_spec(): some problem of m = tile rows .. has this spec.
bool legal(const KernelSpec& spec) {
  const auto& value = spec.values;
  GemmShape shape;
  shape.format = static_cast<OperandFormat>(value[kGemmFormat]);
  shape.output = static_cast<OutputType>(value[kGemmOutput]);
  // Narrow tiles want no more columns than they have, split ones a long k.
  shape.m = shape.n = 8;
  shape.k = 1 << 20;
  shape.gated = value[kGemmGated] != 0;
  shape.direct_store = value[kGemmDirectStore] != 0;
  shape.workspace_bytes = int64_t{1} << 40;
  const bool fp4 = is_fp4(shape.output);
  if (value[kGemmAlpha] == 1 && shape.format != OperandFormat::kNvfp4) return false;
  if (value[kGemmAlpha] == 2 && shape.format != OperandFormat::kFp8) return false;
  const bool e5m2 = value[kGemmE5m2OfA] != 0 || value[kGemmE5m2OfB] != 0;
  if (e5m2 && shape.format != OperandFormat::kFp8) return false;
  if (value[kGemmBias] == 0 && value[kGemmBiasType] != 0) return false;
  if (fp4 && !shape.direct_store) return false;
  // D's own rows are among those that vectors need aligned.
  if (!fp4 && shape.direct_store && value[kGemmVectorBytes] != 0) return false;
  const GemmDevice device{148, spec.arch->shared_per_block, int64_t{1} << 26};
  return nibble::legal(shape, config_of(spec), device);
}

}  // namespace

bool stores_directly(const GemmRequest& problem) {
  const GemmOutput& d = problem.d;
  if (is_fp4(d.type)) return true;
  const int64_t size = output_bytes(d.type);
  const auto all = d.data | static_cast<uint64_t>(d.row_stride * size) |
                   static_cast<uint64_t>(d.batch_stride * size);
  return all % kAlignment != 0;
}

const Family kGemmFamily{"gemm",
                         "GemmParams",
                         gemm_constants(),
                         kVariants,
                         [](const KernelSpec& spec) { return layout_of(spec).shared_bytes; },
                         legal,
                         true};

KernelSpec gemm_spec(const GemmRequest& problem, const GemmConfig& config, const Arch& arch) {
  KernelSpec spec = default_spec(kGemmFamily, arch);
  set_problem(spec, problem);
  spec.values[kGemmSwapped] = config.swapped;
  spec.values[kGemmDirectStore] = stores_directly(problem) ? 1 : 0;
  spec.values[kGemmCtaGroup] = config.cta_group;
  spec.values[kGemmTileN] = config.tile_n;
  spec.values[kGemmTileK] = config.tile_k;
  spec.values[kGemmClusterM] = config.cluster_m;
  spec.values[kGemmClusterN] = config.cluster_n;
  spec.values[kGemmStages] = config.stages;
  spec.values[kGemmAccumulators] = config.accumulators;
  spec.values[kGemmRaster] = config.raster;
  spec.values[kGemmSplit] = config.split;
  spec.values[kGemmEpilogueColumns] = config.epilogue_columns;
  spec.values[kGemmScheduler] = config.scheduler;
  return spec;
}

GemmMaps::Key GemmMaps::key_of(const GemmRequest& problem) {
  const auto address = [](DevicePointer pointer) { return static_cast<int64_t>(pointer); };
  const GemmOperand& a = problem.a;
  const GemmOperand& b = problem.b;
  const GemmOutput& d = problem.d;
  return {problem.k,    problem.m,      problem.n,         problem.batch,        address(a.data),
          a.row_stride, a.batch_stride, address(a.scales), a.scale_batch_stride, address(b.data),
          b.row_stride, b.batch_stride, address(b.scales), b.scale_batch_stride, address(d.data),
          d.row_stride, d.batch_stride};
}

bool GemmMaps::find(const GemmRequest& problem, GemmParams& params) {
  if (busy_.test_and_set(std::memory_order_acquire)) return false;
  const bool found = key_ == key_of(problem);
  if (found) {
    params.a = a_;
    params.b = b_;
    params.a_scales = a_scales_;
    params.b_scales = b_scales_;
    params.d = d_;
  }
  busy_.clear(std::memory_order_release);
  return found;
}

void GemmMaps::keep(const GemmRequest& problem, const GemmParams& params) {
  if (busy_.test_and_set(std::memory_order_acquire)) return;
  key_ = key_of(problem);
  a_ = params.a;
  b_ = params.b;
  a_scales_ = params.a_scales;
  b_scales_ = params.b_scales;
  d_ = params.d;
  busy_.clear(std::memory_order_release);
}

Status launch_gemm(const ContextState& state, const Kernel& kernel, const GemmRequest& problem,
                   GemmMaps* maps) {
  const DriverApi& driver = state.driver();
  const KernelSpec& spec = kernel.spec;
  const GemmLayout layout = layout_of(spec);
  const bool swapped = spec.values[kGemmSwapped] != 0;
  const int cluster_m = spec.values[kGemmClusterM];
  const int cluster_n = spec.values[kGemmClusterN];
  const int64_t cluster_rows = int64_t{kGemmTileRows} * cluster_m;
  const int64_t cluster_columns = int64_t{spec.values[kGemmTileN]} * cluster_n;
  GemmParams params{};
  const CurrentContext current(driver, state.device.context);
  if (maps == nullptr || !maps->find(problem, params)) {
    NIBBLE_TRY(encode_maps(driver, problem, spec, layout, params));
    if (maps != nullptr) maps->keep(problem, params);
  }
  params.epilogue = epilogue_params(problem);
  params.k_steps = static_cast<int>(
      divide_up(operand_row_bytes(problem.format, problem.k), spec.values[kGemmTileK]));
  params.tiles_m = static_cast<int>(divide_up(swapped ? problem.n : problem.m, cluster_rows));
  params.tiles_n = static_cast<int>(divide_up(swapped ? problem.m : problem.n, cluster_columns));
  params.batch = static_cast<int>(problem.batch);
  params.arrived_parts = pointer<unsigned>(problem.workspace);
  params.partial_sums = pointer<float>(problem.workspace + kGemmSplitCounterBytes);

  if (problem.d.amax != 0) {
    const CUresult cleared = driver.cuMemsetD32Async(problem.d.amax, 0, 1, problem.stream);
    if (cleared != CUDA_SUCCESS) return driver.check(cleared, "cuMemsetD32Async of d.amax");
  }
  const int64_t cluster = int64_t{cluster_m} * cluster_n;
  const int64_t units =
      int64_t{params.tiles_m} * params.tiles_n * params.batch * spec.values[kGemmSplit];
  if (units * cluster > std::numeric_limits<int>::max()) {
    return {Code::kInvalidArgument, "the product has " + std::to_string(units * cluster) +
                                        " tiles of a thread block: must be at most 2^31 - 1"};
  }
  const int64_t resident = std::max<int64_t>(1, state.device.info.multiprocessors / cluster);
  const int64_t clusters = spec.values[kGemmScheduler] == 1 ? units : std::min(units, resident);
  std::array<CUlaunchAttribute, 2> attributes{};
  CUlaunchConfig launch{};
  launch.gridDimX = static_cast<unsigned>(clusters * cluster);
  launch.gridDimY = launch.gridDimZ = 1;
  launch.blockDimX = static_cast<unsigned>(spec.values[kGemmThreads]);
  launch.blockDimY = launch.blockDimZ = 1;
  launch.sharedMemBytes = static_cast<unsigned>(layout.shared_bytes);
  launch.hStream = problem.stream;
  launch.attrs = attributes.data();
  if (cluster > 1) {
    CUlaunchAttribute& attribute = attributes[launch.numAttrs++];
    attribute.id = CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION;
    attribute.value.clusterDim = {static_cast<unsigned>(cluster), 1, 1};
  }
  if (problem.dependent_launch) {
    CUlaunchAttribute& attribute = attributes[launch.numAttrs++];
    attribute.id = CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION;
    attribute.value.programmaticStreamSerializationAllowed = 1;
  }
  void* parameters[] = {&params};
  const CUresult result = driver.cuLaunchKernelEx(&launch, kernel.function, parameters, nullptr);
  if (result == CUDA_SUCCESS) return {};
  return driver.check(result, "cuLaunchKernelEx of " + kernel.label);
}

}  // namespace nibble
