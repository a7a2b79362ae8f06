// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/amax.h"

#include <algorithm>

#include "runtime/families/trusted.h"
#include "runtime/result.h"
#include "templates/params/quantize.h"

namespace nibble {

namespace {

constexpr Variant kVariants[] = {{"quantize/amax.cuh", 0}};
constexpr Variant kRowsVariants[] = {{"quantize/amax_rows.cuh", 0}};

// Of either request.
template <class Request>
Request with_stride(Request request) {
  request.x = with_strides(request.x);
  return request;
}

template <class Request>
Status check(const Request& request, Pointers pointers) {
  NIBBLE_TRY(check_matrix(request.x, "x", pointers));
  NIBBLE_TRY(check_kernel(request.kernel));
  return check_pointer(request.amax, 4, "amax", {}, pointers);
}

KernelSpec rows_spec(const ContextState& context, const AmaxRowsRequest& request) {
  const Matrix& x = request.x;
  return choose_spec(context, tile_spec(kAmaxRowsFamily, *context.device.arch, x),
                     {x.rows, x.columns}, request.kernel);
}

constexpr int64_t kOneBlockElements = 32768;

Grid amax_grid(const ContextState& context, const KernelSpec& spec, const Matrix& x) {
  const int64_t blocks = (x.columns + kBlockSize - 1) / kBlockSize;
  const Grid whole = tile_grid(spec, x.rows, blocks);
  // One thread block needs no cleared maximum: faster where launches are what takes the time.
  if (x.rows * x.columns <= kOneBlockElements) return {};
  const unsigned limit = atomic_blocks(context, spec);
  const unsigned grid_x = std::min(whole.x, limit);
  return {grid_x, std::clamp(limit / grid_x, 1u, whole.y)};
}

}  // namespace

Matrix flattened(Matrix x) {
  const int64_t count = x.rows * x.columns;
  if (x.row_stride != x.columns || count > (int64_t{1} << 31) * kBlockSize) return x;
  return {x.data, x.type, 1, count, count};
}

const Family kAmaxFamily{"amax",    "AmaxParams", matrix_constants(ElementType::kInput),
                         kVariants, nullptr,      tile_legal};

const Family kAmaxRowsFamily{"amax_rows",   "AmaxParams", matrix_constants(ElementType::kInput),
                             kRowsVariants, nullptr,      tile_legal};

KernelSpec amax_spec(const ContextState& context, const Matrix& x, KernelKind kernel) {
  const Matrix flat = flattened(x);
  KernelSpec spec = tile_spec(kAmaxFamily, *context.device.arch, flat);
  spec.values[kBlocksPerThread] = flat.type == DataType::kF32 ? 1 : 4;  // by an H200
  return choose_spec(context, spec, {flat.rows, flat.columns}, kernel);
}

Status launch_amax(const ContextState& context, const Kernel& kernel, const Matrix& matrix,
                   DevicePointer amax, Stream stream) {
  const Matrix x = flattened(matrix);
  const Grid grid = amax_grid(context, kernel.spec, x);
  if (grid.x > 1 || grid.y > 1) NIBBLE_TRY(clear_amax(context, amax, 1, stream));
  const AmaxParams params{reinterpret_cast<const void*>(x.data), reinterpret_cast<float*>(amax),
                          x.rows, x.columns, x.row_stride};
  return launch_tiles(context, kernel, grid, &params, stream);
}

Status amax(Context& context, const AmaxRequest& request) {
  return guarded([&]() -> Status {
    ContextState& state = context.state();
    const AmaxRequest problem = with_stride(request);
    NIBBLE_TRY(check(problem, Pointers::kRequired));
    const KernelSpec spec = amax_spec(state, problem.x, problem.kernel);
    NIBBLE_TRY_ASSIGN(const Kernel* kernel, state.pool.get(spec, request.stream));
    return launch_amax(state, *kernel, problem.x, problem.amax, problem.stream);
  });
}

Result<Inspection> inspect(Context& context, const AmaxRequest& request) {
  return guarded([&]() -> Result<Inspection> {
    const AmaxRequest problem = with_stride(request);
    NIBBLE_TRY(check(problem, Pointers::kOptional));
    ContextState& state = context.state();
    return state.pool.inspect(amax_spec(state, problem.x, problem.kernel));
  });
}

Status amax_rows(Context& context, const AmaxRowsRequest& request) {
  return guarded([&]() -> Status {
    ContextState& state = context.state();
    const AmaxRowsRequest problem = with_stride(request);
    const Matrix& x = problem.x;
    NIBBLE_TRY(check(problem, Pointers::kRequired));
    NIBBLE_TRY_ASSIGN(const Kernel* kernel,
                      state.pool.get(rows_spec(state, problem), problem.stream));
    NIBBLE_TRY(clear_amax(state, problem.amax, x.rows, problem.stream));
    const AmaxParams params{reinterpret_cast<const void*>(x.data),
                            reinterpret_cast<float*>(problem.amax), x.rows, x.columns,
                            x.row_stride};
    // Across, a row is split only where there are too few of them.
    Grid grid = tile_grid(kernel->spec, x.rows, (x.columns + kBlockSize - 1) / kBlockSize);
    grid.x = std::min(grid.x, std::max(1u, atomic_blocks(state, kernel->spec) / grid.y));
    return launch_tiles(state, *kernel, grid, &params, problem.stream);
  });
}

Result<Inspection> inspect(Context& context, const AmaxRowsRequest& request) {
  return guarded([&]() -> Result<Inspection> {
    const AmaxRowsRequest problem = with_stride(request);
    NIBBLE_TRY(check(problem, Pointers::kOptional));
    ContextState& state = context.state();
    return state.pool.inspect(rows_spec(state, problem));
  });
}

}  // namespace nibble
