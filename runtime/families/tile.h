// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// What the amax, quantize and dequantize families share: the checks of their operands, and the
// constants and grids of templates/quantize/tile.cuh.
#pragma once

#include <span>
#include <string>
#include <string_view>

#include "nibble/status.hpp"
#include "nibble/types.hpp"
#include "runtime/context_state.h"
#include "runtime/jit/family.h"

namespace nibble {

// The places of the constants in KernelSpec::values. amax has those up to kVectorBytes, the
// families that read or write codes and scales have all.
enum TileConstant : size_t {
  kThreads,
  kRowsPerTile,
  kBlocksPerThread,
  kElementType,
  kVectorBytes,
  kScaleLayout,
  kHasE2m1Conversion,
  kTileConstants
};
// What the label calls the element type: that of the matrix which is not NVFP4.
enum class ElementType { kInput, kOutput };
std::span<const Constant> matrix_constants(ElementType element);
std::span<const Constant> nvfp4_constants(ElementType element);

// Family::legal: 32-byte accesses need a target that has them.
bool tile_legal(const KernelSpec& spec);

// Strides filled in where they are 0.
Matrix with_strides(Matrix matrix);

// Whether pointers may be null: in a plan they may, and count as fully aligned.
enum class Pointers { kRequired, kOptional };

// Strides must be filled in. `name` is the member of the request: "x".
Status check_matrix(const Matrix& matrix, std::string_view name, Pointers pointers);
// What the codes and scales of a matrix take.
struct CodedShape {
  int64_t rows, code_bytes, blocks;  // bytes of codes and blocks: of a row
  bool has_amax;
};
Status check_coded(const Nvfp4Matrix& matrix, const CodedShape& shape, std::string_view name,
                   Pointers pointers);
// `member` may be empty: the pointer is then `name` itself.
Status check_pointer(DevicePointer pointer, int64_t alignment, std::string_view name,
                     std::string_view member, Pointers pointers);

// The bytes of one load or store of a matrix's rows: 32, 16 or, where rows are not aligned to
// that, 0: element by element.
int vector_bytes(const Matrix& matrix, const Arch& arch);

// A spec of the family for this matrix: the tile fits its rows.
KernelSpec tile_spec(const Family& family, const Arch& arch, const Matrix& matrix);

struct Grid {
  unsigned x = 1, y = 1, z = 1;
};
// A thread block a tile of rows x scale blocks; fewer rows of them than there are tiles where a
// grid has no more.
Grid tile_grid(const KernelSpec& spec, int64_t rows, int64_t blocks);

// "x.rows = 0: must be >= 1".
Status invalid_value(std::string_view name, std::string_view member, int64_t value,
                     const std::string& rule);

// Of a kernel whose thread blocks each end in one atomic: no more of them than fill the GPU four
// times over.
unsigned atomic_blocks(const ContextState& context, const KernelSpec& spec);

// How many of a kernel's thread blocks the GPU holds at a time.
int64_t resident_blocks(const ContextState& context, const Kernel& kernel);

// Zeroes `count` floats in stream order.
Status clear_amax(const ContextState& context, DevicePointer amax, int64_t count, Stream stream);

// Enqueues one kernel of a family on the stream; its first constant is kThreads. Allocates nothing,
// takes no lock.
Status launch_tiles(const ContextState& context, const Kernel& kernel, Grid grid,
                    const void* params, Stream stream);

}  // namespace nibble
