// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/tile.h"

#include <algorithm>
#include <array>
#include <string>

#include "runtime/result.h"

namespace nibble {

namespace {

using Origin = Constant::Origin;

constexpr int kThreadChoices[] = {256, 128};
constexpr int kRowChoices[] = {1, 2, 4, 8, 16, 32, 64, 128};
// More reads in flight pay; a thread that writes its elements pays for each.
constexpr int kInputBlockChoices[] = {2, 1, 4};
constexpr int kOutputBlockChoices[] = {1, 2, 4};
constexpr int kTypes[] = {0, 1, 2};
constexpr std::string_view kTypeNames[] = {"f32", "f16", "bf16"};
constexpr int kVectors[] = {16, 0, 32};
constexpr int kLayouts[] = {0, 1};
constexpr std::string_view kLayoutNames[] = {"row_major", "128x4"};
constexpr int kFlags[] = {0, 1};

// clang-format off: a constant a row
constexpr std::array<Constant, kTileConstants> constants_of(std::string_view element_label,
                                                            std::span<const int> block_choices) {
  return {{
      {"kThreads", "threads", "threads of a thread block", Origin::kTuned, kThreadChoices, {}},
      {"kRowsPerTile", "rows", "rows of a tile", Origin::kTuned, kRowChoices, {}},
      {"kBlocksPerThread",
       "blocks",
       "blocks of 16 elements of a thread",
       Origin::kTuned,
       block_choices,
       {}},
      {"kElementType", element_label, "type of the matrix that is not NVFP4", Origin::kProblem,
       kTypes, kTypeNames},
      {"kVectorBytes",
       "vector",
       "bytes of one access of that matrix; 0: an element",
       Origin::kProblem,
       kVectors,
       {}},
      {"kScaleLayout", "layout", "layout of the scales", Origin::kProblem, kLayouts, kLayoutNames},
      {"kHasE2m1Conversion",
       "e2m1",
       "1: the target converts E2M1 in hardware",
       Origin::kTarget,
       kFlags,
       {},
       kE2m1Conversion},
  }};
}
// clang-format on

constexpr auto kInputConstants = constants_of("input", kInputBlockChoices);
constexpr auto kOutputConstants = constants_of("output", kOutputBlockChoices);

// A grid has 2^31 - 1 columns of thread blocks; the narrowest tile is one 16-element block.
constexpr int64_t kMaxColumns = ((int64_t{1} << 31) - 1) * kBlockSize;

// True when rows x stride x unit bytes do not fit the address space.
bool too_large(int64_t rows, int64_t stride, int64_t unit) {
  int64_t bytes = 0;
  return __builtin_mul_overflow(rows, stride, &bytes) ||
         __builtin_mul_overflow(bytes, unit, &bytes) || bytes > (int64_t{1} << 56);
}

}  // namespace

std::span<const Constant> matrix_constants(ElementType element) {
  return nvfp4_constants(element).first(kScaleLayout);
}

std::span<const Constant> nvfp4_constants(ElementType element) {
  return element == ElementType::kInput ? kInputConstants : kOutputConstants;
}

bool tile_legal(const KernelSpec& spec) {
  return spec.values[kVectorBytes] != 32 || (spec.arch->features & kWideLoad) != 0;
}

Matrix with_strides(Matrix matrix) {
  if (matrix.row_stride == 0) matrix.row_stride = matrix.columns;
  return matrix;
}

Status invalid_value(std::string_view name, std::string_view member, int64_t value,
                     const std::string& rule) {
  std::string message(name);
  if (!member.empty()) message += "." + std::string(member);
  message += " = " + std::to_string(value) + ": must be " + rule;
  return {Code::kInvalidArgument, std::move(message)};
}

Status check_pointer(DevicePointer pointer, int64_t alignment, std::string_view name,
                     std::string_view member, Pointers pointers) {
  const bool null = pointer == 0 && pointers == Pointers::kRequired;
  if (!null && pointer % static_cast<uint64_t>(alignment) == 0) return {};
  std::string message(name);
  if (!member.empty()) message += "." + std::string(member);
  message += null ? " is null"
                  : " = " + std::to_string(pointer) + ": must be a multiple of " +
                        std::to_string(alignment);
  return {Code::kInvalidArgument, std::move(message)};
}

Status check_matrix(const Matrix& matrix, std::string_view name, Pointers pointers) {
  const int type = static_cast<int>(matrix.type);
  if (type < 0 || type > 2) return invalid_value(name, "type", type, "f32, f16 or bf16");
  if (matrix.rows < 1) return invalid_value(name, "rows", matrix.rows, ">= 1");
  if (matrix.columns < 1) return invalid_value(name, "columns", matrix.columns, ">= 1");
  if (matrix.columns > kMaxColumns) {
    return invalid_value(name, "columns", matrix.columns, "<= " + std::to_string(kMaxColumns));
  }
  if (matrix.row_stride < matrix.columns) {
    return invalid_value(name, "row_stride", matrix.row_stride,
                         "0 or >= columns = " + std::to_string(matrix.columns));
  }
  if (too_large(matrix.rows, matrix.row_stride, size_of(matrix.type))) {
    return invalid_value(name, "rows", matrix.rows,
                         "small enough for rows x row_stride (" +
                             std::to_string(matrix.row_stride) + ") elements to fit 2^56 bytes");
  }
  return check_pointer(matrix.data, size_of(matrix.type), name, "data", pointers);
}

Status check_coded(const Nvfp4Matrix& matrix, const CodedShape& shape, std::string_view name,
                   Pointers pointers) {
  const int layout = static_cast<int>(matrix.scale_layout);
  if (layout < 0 || layout > 1) {
    return invalid_value(name, "scale_layout", layout, "row_major or 128x4");
  }
  if (matrix.code_row_stride < shape.code_bytes || matrix.code_row_stride % 8 != 0) {
    return invalid_value(name, "code_row_stride", matrix.code_row_stride,
                         "0 or a multiple of 8 that is >= " + std::to_string(shape.code_bytes));
  }
  if (too_large(shape.rows, matrix.code_row_stride, 1)) {
    return invalid_value(name, "code_row_stride", matrix.code_row_stride,
                         "small enough for the codes to fit 2^56 bytes");
  }
  if (matrix.scale_layout == ScaleLayout::kRowMajor &&
      (matrix.scale_row_stride < shape.blocks ||
       too_large(shape.rows, matrix.scale_row_stride, 1))) {
    return invalid_value(name, "scale_row_stride", matrix.scale_row_stride,
                         "0 or >= " + std::to_string(shape.blocks));
  }
  NIBBLE_TRY(check_pointer(matrix.codes, 8, name, "codes", pointers));
  NIBBLE_TRY(check_pointer(matrix.scales, 1, name, "scales", pointers));
  if (!shape.has_amax) return {};
  return check_pointer(matrix.amax, 4, name, "amax", pointers);
}

int vector_bytes(const Matrix& matrix, const Arch& arch) {
  const int64_t pitch = matrix.row_stride * size_of(matrix.type);
  auto aligned = [&](int64_t bytes) {
    return matrix.data % static_cast<uint64_t>(bytes) == 0 &&
           (matrix.rows == 1 || pitch % bytes == 0);
  };
  if ((arch.features & kWideLoad) != 0 && aligned(32)) return 32;
  return aligned(16) ? 16 : 0;
}

KernelSpec tile_spec(const Family& family, const Arch& arch, const Matrix& matrix) {
  KernelSpec spec = default_spec(family, arch);
  spec.values[kElementType] = static_cast<int>(matrix.type);
  spec.values[kVectorBytes] = vector_bytes(matrix, arch);
  // As many rows to a tile as leave no more than half of its threads without work.
  const int64_t blocks = (matrix.columns + kBlockSize - 1) / kBlockSize;
  const int threads = spec.values[kThreads];
  int rows = 1;
  while (rows < kRowChoices[std::size(kRowChoices) - 1] && rows < matrix.rows &&
         int64_t{threads / rows} * spec.values[kBlocksPerThread] >= 2 * blocks) {
    rows *= 2;
  }
  spec.values[kRowsPerTile] = rows;
  return spec;
}

Grid tile_grid(const KernelSpec& spec, int64_t rows, int64_t blocks) {
  constexpr int64_t kMaxY = 65535;  // kernels step down the rows by what the grid covers
  const int64_t tile_rows = spec.values[kRowsPerTile];
  const int64_t tile_blocks =
      int64_t{spec.values[kThreads]} / tile_rows * spec.values[kBlocksPerThread];
  return {static_cast<unsigned>((blocks + tile_blocks - 1) / tile_blocks),
          static_cast<unsigned>(std::min(kMaxY, (rows + tile_rows - 1) / tile_rows))};
}

unsigned atomic_blocks(const ContextState& context, const KernelSpec& spec) {
  const int per_multiprocessor = 2048 / spec.values[kThreads];
  return static_cast<unsigned>(
      std::max(1, context.device.info.multiprocessors * per_multiprocessor * 4));
}

int64_t resident_blocks(const ContextState& context, const Kernel& kernel) {
  constexpr int kRegisters = 65536;
  constexpr int kReservedShared = 1024;  // of each thread block
  const Arch& arch = *kernel.spec.arch;
  const int threads = kernel.spec.values[kThreads];
  const int registers = (std::max(kernel.resources.registers, 16) + 7) / 8 * 8;
  const int shared = kernel.dynamic_shared + kernel.resources.shared_bytes + kReservedShared;
  const int most_threads = arch.major >= 12 ? 1536 : 2048;
  const int blocks = std::min({kRegisters / (registers * threads), most_threads / threads,
                               (arch.shared_per_block + kReservedShared) / shared});
  return int64_t{std::max(1, blocks)} * std::max(1, context.device.info.multiprocessors);
}

Status clear_amax(const ContextState& context, DevicePointer amax, int64_t count, Stream stream) {
  const CurrentContext current(context.driver(), context.device.context);
  const CUresult cleared =
      context.driver().cuMemsetD32Async(amax, 0, static_cast<size_t>(count), stream);
  if (cleared == CUDA_SUCCESS) return {};
  return context.driver().check(cleared, "cuMemsetD32Async of amax");
}

Status launch_tiles(const ContextState& context, const Kernel& kernel, Grid grid,
                    const void* params, Stream stream) {
  const DriverApi& driver = context.driver();
  const CurrentContext current(driver, context.device.context);
  void* parameters[] = {const_cast<void*>(params)};
  const auto threads = static_cast<unsigned>(kernel.spec.values[kThreads]);
  const auto shared = static_cast<unsigned>(kernel.dynamic_shared);
  const CUresult result = driver.cuLaunchKernel(kernel.function, grid.x, grid.y, grid.z, threads, 1,
                                                1, shared, stream, parameters, nullptr);
  if (result == CUDA_SUCCESS) return {};
  return driver.check(result, "cuLaunchKernel of " + kernel.label);
}

}  // namespace nibble
