// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/scale_layout.h"

#include <algorithm>
#include <array>
#include <string>

#include "nibble/inspect.hpp"
#include "runtime/families/trusted.h"
#include "runtime/result.h"

namespace nibble {

namespace {

using Origin = Constant::Origin;

constexpr Variant kVariants[] = {{"quantize/scale_layout.cuh", 0}};

constexpr int kThreadChoices[] = {64, 32, 128, 256};
constexpr int kVectors[] = {16, 4, 0};
constexpr int kDirections[] = {1, 0};
constexpr std::string_view kDirectionNames[] = {"row_major", "128x4"};

// The places in KernelSpec::values, after kThreads.
enum ScaleLayoutConstant : size_t { kRowVectorBytes = 1, kToTiles, kScaleLayoutConstants };

constexpr std::array<Constant, kScaleLayoutConstants> kConstants = {{
    {"kThreads", "threads", "threads of a thread block", Origin::kTuned, kThreadChoices, {}},
    {"kVectorBytes",
     "vector",
     "bytes of one access to the row-major side; 0: a byte",
     Origin::kProblem,
     kVectors,
     {}},
    {"kToTiles", "to", "the layout that is written", Origin::kProblem, kDirections,
     kDirectionNames},
}};

Status invalid(std::string_view what, int64_t value, const std::string& rule) {
  return {Code::kInvalidArgument,
          std::string(what) + " = " + std::to_string(value) + ": must be " + rule};
}

bool to_tiles(const ScaleLayoutRequest& request) {
  return request.to_layout == ScaleLayout::k128x4;
}

}  // namespace

std::span<const Constant> scale_layout_constants() { return kConstants; }

const Family kScaleLayoutFamily{"scale_layout", "ScaleLayoutParams", kConstants, kVariants};

ScaleLayoutRequest with_strides(ScaleLayoutRequest request) {
  if (request.row_stride == 0) request.row_stride = request.blocks;
  return request;
}

Status check_scale_layout(const ScaleLayoutRequest& request, Pointers pointers) {
  constexpr int64_t kMost = int64_t{1} << 31;
  const auto from = static_cast<int>(request.from_layout);
  const auto to = static_cast<int>(request.to_layout);
  NIBBLE_TRY(check_kernel(request.kernel));
  if (from < 0 || from > 1) return invalid("from_layout", from, "row_major or 128x4");
  if (to != 1 - from) {
    return invalid("to_layout", to,
                   "the other than from_layout, " +
                       std::string(layout_name(static_cast<ScaleLayout>(1 - from))));
  }
  if (request.rows < 1 || request.rows > kMost * 64) {
    return invalid("rows", request.rows, "1 to " + std::to_string(kMost * 64));
  }
  if (request.blocks < 1 || request.blocks > kMost) {
    return invalid("blocks", request.blocks, "1 to " + std::to_string(kMost));
  }
  int64_t bytes = 0;
  if (request.row_stride < request.blocks ||
      __builtin_mul_overflow(request.rows, request.row_stride, &bytes) ||
      bytes > int64_t{1} << 56) {
    return invalid("row_stride", request.row_stride,
                   "0 or >= blocks = " + std::to_string(request.blocks) +
                       ", and rows x row_stride at most 2^56");
  }
  NIBBLE_TRY(check_pointer(request.from, to_tiles(request) ? 1 : 16, "from", {}, pointers));
  return check_pointer(request.to, to_tiles(request) ? 16 : 1, "to", {}, pointers);
}

KernelSpec scale_layout_spec(const Family& family, const ScaleLayoutRequest& request,
                             const Arch& arch) {
  KernelSpec spec = default_spec(family, arch);
  const DevicePointer rows = to_tiles(request) ? request.from : request.to;
  const auto stride = static_cast<uint64_t>(request.rows > 1 ? request.row_stride : 0);
  spec.values[kRowVectorBytes] = (rows | stride) % 16 == 0 ? 16 : (rows | stride) % 4 == 0 ? 4 : 0;
  spec.values[kToTiles] = to_tiles(request);
  return spec;
}

ScaleLayoutParams scale_layout_params(const ScaleLayoutRequest& request) {
  return {reinterpret_cast<const unsigned char*>(request.from),
          reinterpret_cast<unsigned char*>(request.to), request.rows, request.blocks,
          request.row_stride};
}

int64_t scale_tiles_across(const KernelSpec& spec, const ScaleLayoutRequest& request) {
  const int64_t blocks = int64_t{spec.values[kThreads]} / 32 * 16;
  return (request.blocks + blocks - 1) / blocks;
}

int64_t scale_tiles_down(const ScaleLayoutRequest& request) { return (request.rows + 127) / 128; }

namespace {

KernelSpec tuned_spec(const ContextState& state, const ScaleLayoutRequest& request) {
  return choose_spec(state, scale_layout_spec(kScaleLayoutFamily, request, *state.device.arch),
                     {request.rows, request.blocks}, request.kernel);
}

}  // namespace

Status convert_scales(Context& context, const ScaleLayoutRequest& request) {
  return guarded([&]() -> Status {
    ContextState& state = context.state();
    const ScaleLayoutRequest problem = with_strides(request);
    NIBBLE_TRY(check_scale_layout(problem, Pointers::kRequired));
    NIBBLE_TRY_ASSIGN(const Kernel* kernel,
                      state.pool.get(tuned_spec(state, problem), problem.stream));
    const ScaleLayoutParams params = scale_layout_params(problem);
    const Grid grid{static_cast<unsigned>(scale_tiles_across(kernel->spec, problem)),
                    static_cast<unsigned>(std::min<int64_t>(scale_tiles_down(problem), 65535))};
    return launch_tiles(state, *kernel, grid, &params, problem.stream);
  });
}

Result<Inspection> inspect(Context& context, const ScaleLayoutRequest& request) {
  return guarded([&]() -> Result<Inspection> {
    const ScaleLayoutRequest problem = with_strides(request);
    NIBBLE_TRY(check_scale_layout(problem, Pointers::kOptional));
    ContextState& state = context.state();
    return state.pool.inspect(tuned_spec(state, problem));
  });
}

}  // namespace nibble
