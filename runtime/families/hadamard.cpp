// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/hadamard.h"

#include <algorithm>
#include <cmath>
#include <string>

#include "nibble/inspect.hpp"
#include "runtime/families/trusted.h"
#include "runtime/result.h"

namespace nibble {

namespace {

Status invalid(std::string_view what, int64_t value, const std::string& rule) {
  return {Code::kInvalidArgument,
          std::string(what) + " = " + std::to_string(value) + ": must be " + rule};
}

int64_t axis_length(const HadamardRequest& request) {
  return request.axis == Axis::kRow ? request.x.columns : request.x.rows;
}

HadamardRequest with_defaults(HadamardRequest request) {
  request.x = with_strides(request.x);
  request.y = with_strides(request.y);
  if (request.size == 0) request.size = axis_length(request);
  return request;
}

Status check_size(const HadamardRequest& request) {
  const int axis = static_cast<int>(request.axis);
  if (axis < 0 || axis > 1) return invalid("axis", axis, "row (0) or column (1)");
  const bool along_row = request.axis == Axis::kRow;
  const int64_t size = request.size;
  if (along_row && (size > 32768 || !hadamard_size(static_cast<int>(size)))) {
    return invalid("size", size,
                   "2 to 32768: a power of two, or 12, 20 or 28 times one, along a row");
  }
  if (!along_row && (size < 2 || size > 128 || (size & (size - 1)) != 0)) {
    return invalid("size", size, "a power of two from 2 to 128 down a column");
  }
  if (axis_length(request) % size != 0) {
    return invalid(along_row ? "x.columns" : "x.rows", axis_length(request),
                   "a multiple of size = " + std::to_string(size));
  }
  return {};
}

Status check_signs(const HadamardRequest& request, Pointers pointers) {
  const int64_t size = request.size;
  switch (request.sign_vector) {
    case SignVector::kNone:
      return {};
    case SignVector::kDefault:
      if (size >= 16 && size <= 128 && (size & (size - 1)) == 0) return {};
      return invalid("size", size, "16, 32, 64 or 128 with the default sign vector");
    case SignVector::kMask:
      if (size <= 128) return {};
      return invalid("size", size, "<= 128 with a sign mask; longer sign vectors on the device");
    case SignVector::kDevice:
      return check_pointer(request.signs, 4, "signs", {}, pointers);
  }
  return invalid("sign_vector", static_cast<int>(request.sign_vector), "0 to 3");
}

Status check_output(const HadamardRequest& request, Pointers pointers) {
  const Matrix &x = request.x, &y = request.y;
  if (y.data == 0) {
    if (request.amax != 0 || pointers == Pointers::kOptional) return {};
    return {Code::kInvalidArgument, "y.data and amax are null: nothing to do"};
  }
  NIBBLE_TRY(check_matrix(y, "y", pointers));
  if (y.rows != x.rows) return invalid("y.rows", y.rows, "x.rows = " + std::to_string(x.rows));
  if (y.columns != x.columns) {
    return invalid("y.columns", y.columns, "x.columns = " + std::to_string(x.columns));
  }
  if (y.type != x.type) {
    return invalid("y.type", static_cast<int>(y.type),
                   "x.type = " + std::to_string(static_cast<int>(x.type)));
  }
  if (y.data == x.data && request.kernel == KernelKind::kTrusted) {
    return {Code::kInvalidArgument, "kernel = trusted: y must not be x"};
  }
  if (y.data == x.data && y.row_stride != x.row_stride) {
    return invalid("y.row_stride", y.row_stride,
                   "x.row_stride = " + std::to_string(x.row_stride) + ", in place");
  }
  return {};
}

Status check(const HadamardRequest& request, Pointers pointers) {
  NIBBLE_TRY(check_matrix(request.x, "x", pointers));
  NIBBLE_TRY(check_kernel(request.kernel));
  NIBBLE_TRY(check_size(request));
  NIBBLE_TRY(check_signs(request, pointers));
  NIBBLE_TRY(check_output(request, pointers));
  if (!std::isfinite(request.scale)) {
    return {Code::kInvalidArgument,
            "scale = " + std::to_string(request.scale) + ": must be finite"};
  }
  if (request.amax != 0) NIBBLE_TRY(check_pointer(request.amax, 4, "amax", {}, pointers));
  return {};
}

void set_signs(const HadamardRequest& request, HadamardParams& params) {
  if (request.sign_vector != SignVector::kMask) return;
  for (int i = 0; i < 128; ++i) {  // groups of a few elements repeat within a word
    const auto from = static_cast<size_t>(i % request.size);
    params.sign_mask[i / 32] |= (request.sign_mask[from / 32] >> from % 32 & 1) << i % 32;
  }
}

HadamardParams params_of(const HadamardRequest& request) {
  const Matrix& x = request.x;
  HadamardParams params{};
  params.x = reinterpret_cast<const void*>(x.data);
  params.y = reinterpret_cast<void*>(request.y.data);
  params.signs = reinterpret_cast<const unsigned*>(request.signs);
  params.amax = reinterpret_cast<float*>(request.amax);
  params.rows = x.rows;
  params.columns = x.columns;
  params.x_row_stride = x.row_stride;
  params.y_row_stride = request.y.row_stride;
  // Correctly rounded: the quotient of doubles is far closer than any tie of floats.
  params.scale = request.scale != 0
                     ? request.scale
                     : static_cast<float>(1.0 / std::sqrt(static_cast<double>(request.size)));
  set_signs(request, params);
  return params;
}

Grid row_grid(const ContextState& context, const Kernel& kernel, const HadamardParams& params) {
  const KernelSpec& spec = kernel.spec;
  const int64_t unit = hadamard_unit(spec);
  const int64_t units = (params.columns + unit - 1) / unit * params.rows;
  const int64_t tile = hadamard_tile_units(spec);
  int64_t most = (int64_t{1} << 31) - 1;
  if (spec.values[kHadamardAmax] != 0) most = atomic_blocks(context, spec);
  if (spec.values[kHadamardAhead] != 0) most = resident_blocks(context, kernel);
  return {static_cast<unsigned>(std::min(most, (units + tile - 1) / tile)), 1};
}

Grid column_grid(const ContextState& context, const KernelSpec& spec,
                 const HadamardParams& params) {
  const int64_t tile = hadamard_tile_columns(spec);
  const int64_t tiles =
      (params.columns + tile - 1) / tile * (params.rows / spec.values[kHadamardSize]);
  int64_t most = (int64_t{1} << 31) - 1;
  if (spec.values[kHadamardAmax] != 0) most = atomic_blocks(context, spec);
  return {static_cast<unsigned>(std::min(most, tiles)), 1};
}

KernelSpec chosen_spec(const ContextState& context, const HadamardRequest& request) {
  return choose_spec(context, hadamard_spec(request, *context.device.arch),
                     {request.x.rows, request.x.columns}, request.kernel);
}

}  // namespace

Status launch_hadamard(const ContextState& context, const Kernel& kernel,
                       const HadamardRequest& request) {
  HadamardParams params = params_of(request);
  const bool along_row = request.axis == Axis::kRow;
  if (along_row && params.x_row_stride == params.columns &&
      (params.y == nullptr || params.y_row_stride == params.columns)) {
    params.columns *= params.rows;  // rows without gaps are one row
    params.rows = 1;
  }
  const Grid grid =
      along_row ? row_grid(context, kernel, params) : column_grid(context, kernel.spec, params);
  // A single thread block overwrites the maximum.
  if (request.amax != 0 && (grid.x > 1 || grid.y > 1)) {
    NIBBLE_TRY(clear_amax(context, request.amax, 1, request.stream));
  }
  return launch_tiles(context, kernel, grid, &params, request.stream);
}

Status hadamard(Context& context, const HadamardRequest& request) {
  return guarded([&]() -> Status {
    ContextState& state = context.state();
    const HadamardRequest problem = with_defaults(request);
    NIBBLE_TRY(check(problem, Pointers::kRequired));
    NIBBLE_TRY_ASSIGN(const Kernel* kernel,
                      state.pool.get(chosen_spec(state, problem), problem.stream));
    return launch_hadamard(state, *kernel, problem);
  });
}

Result<Inspection> inspect(Context& context, const HadamardRequest& request) {
  return guarded([&]() -> Result<Inspection> {
    const HadamardRequest problem = with_defaults(request);
    NIBBLE_TRY(check(problem, Pointers::kOptional));
    ContextState& state = context.state();
    KernelSpec spec = chosen_spec(state, problem);
    if (problem.amax == 0) spec.values[kHadamardWrite] = 1;
    return state.pool.inspect(spec);
  });
}

}  // namespace nibble
