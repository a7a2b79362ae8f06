// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/families/batch.h"

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "runtime/families/amax.h"
#include "runtime/families/dequantize.h"
#include "runtime/families/quantize.h"
#include "runtime/families/quantize_check.h"
#include "runtime/families/quantize_spec.h"
#include "runtime/families/scale_layout.h"
#include "runtime/families/tile_model.h"
#include "runtime/result.h"
#include "templates/params/batch.h"

namespace nibble {

namespace {

constexpr Variant kAmaxVariants[] = {{"batch/amax.cuh", 0}};
constexpr Variant kDequantizeVariants[] = {{"batch/dequantize.cuh", kFp8Conversion}};
constexpr Variant kQuantizeVariants[] = {{"batch/quantize.cuh", kFp8Conversion}};
constexpr Variant kScaleLayoutVariants[] = {{"batch/scale_layout.cuh", 0}};

// One of the requests of a batch.
struct Item {
  KernelSpec spec;
  std::vector<uint8_t> params;  // the struct that the kernel reads
  int64_t tiles = 0;
};

// The requests that one kernel serves.
struct Run {
  const Kernel* kernel = nullptr;
  Buffer table;  // their parameters, then count + 1 numbers of tiles
  BatchParams params{};
  Grid grid;
};

template <class Params>
std::vector<uint8_t> bytes_of(const Params& params) {
  static_assert(sizeof(Params) % 8 == 0, "numbers of 8 bytes follow in the table");
  std::vector<uint8_t> bytes(sizeof(Params));
  std::memcpy(bytes.data(), &params, sizeof(Params));
  return bytes;
}

template <class Request>
Status check_fast(const Request& request) {
  if (request.kernel == KernelKind::kFast) return {};
  return invalid_value("kernel", {}, static_cast<int>(request.kernel),
                       "fast: batches have no other kernels");
}

Status named(const Status& status, std::string_view what, size_t index) {
  if (status.ok()) return status;
  return {status.code(),
          std::string(what) + "[" + std::to_string(index) + "]: " + std::string(status.message())};
}

Status empty(std::string_view what) {
  return {Code::kInvalidArgument, std::string(what) + " is empty"};
}

Result<Run> make_run(Context& context, const KernelSpec& spec, const std::vector<Item>& items) {
  const ContextState& state = context.state();
  Run run;
  NIBBLE_TRY_ASSIGN(run.kernel, context.state().pool.get(spec, nullptr));
  std::vector<uint8_t> table;
  std::vector<long long> first_tile{0};
  for (const Item& item : items) {
    if (item.spec != spec) continue;
    table.insert(table.end(), item.params.begin(), item.params.end());
    first_tile.push_back(first_tile.back() + item.tiles);
  }
  const size_t at = table.size();
  table.resize(at + first_tile.size() * sizeof(long long));
  std::memcpy(&table[at], first_tile.data(), first_tile.size() * sizeof(long long));
  const auto size = static_cast<int64_t>(table.size());
  NIBBLE_TRY_ASSIGN(run.table, context.allocate(size));
  NIBBLE_TRY(context.copy_to_device(run.table.address(), table.data(), size));
  run.params = {reinterpret_cast<const void*>(run.table.address()),
                reinterpret_cast<const long long*>(run.table.address() + at),
                static_cast<long long>(first_tile.size()) - 1};
  const int64_t blocks = std::min<int64_t>(first_tile.back(), resident_blocks(state, *run.kernel));
  run.grid = {static_cast<unsigned>(blocks), 1};
  return run;
}

int64_t tiles_of(const KernelSpec& spec, const Matrix& matrix) {
  const int64_t rows = spec.values[kRowsPerTile];
  const int64_t columns = kBlockSize * spec.values[kThreads] / rows * spec.values[kBlocksPerThread];
  return (matrix.rows + rows - 1) / rows * ((matrix.columns + columns - 1) / columns);
}

// Floats that are cleared before the kernels: `count` from `first` on.
struct Amaxes {
  DevicePointer first = 0;
  int64_t count = 0;
};

// Those that follow each other become one run.
std::vector<Amaxes> runs_of(std::vector<DevicePointer> amaxes) {
  std::ranges::sort(amaxes);
  std::vector<Amaxes> runs;
  for (const DevicePointer amax : amaxes) {
    const DevicePointer end =
        runs.empty() ? 0 : runs.back().first + 4 * static_cast<uint64_t>(runs.back().count);
    if (!runs.empty() && amax < end) continue;  // of two tensors
    if (runs.empty() || amax > end) runs.push_back({amax, 0});
    ++runs.back().count;
  }
  return runs;
}

Item amax_item(const Arch& arch, const Matrix& matrix, DevicePointer amax) {
  const Matrix x = flattened(matrix);
  KernelSpec spec = tile_spec(kAmaxBatchFamily, arch, x);
  spec.values[kRowsPerTile] = 1;  // one kernel for tensors of all shapes
  const AmaxParams params{reinterpret_cast<const void*>(x.data), reinterpret_cast<float*>(amax),
                          x.rows, x.columns, x.row_stride};
  return {spec, bytes_of(params), tiles_of(spec, x)};
}

Item quantize_item(KernelSpec spec, const QuantizeRequest& request, const QuantizeParams& params) {
  // One kernel for tensors of all shapes. The scales of four rows lie together in the 128x4 layout;
  // a transform of more than a block takes whole warps of a row.
  const bool shares = spec.values[kRowTransformSize] > block_size(request.format);
  if (!uses_patches(spec)) spec.values[kRowsPerTile] = shares ? 2 : 4;
  return {spec, bytes_of(params), quantize_tiles(spec, request.x.rows, request.x.columns)};
}

// The amaxes that are not given: their kernel's work, and where they go.
void add_amaxes(const Arch& arch, const QuantizeRequest& request, std::vector<Item>& items,
                std::vector<DevicePointer>& amaxes) {
  if (request.amax_given || request.format != QuantizedFormat::kNvfp4) return;
  if (!has_transform(request)) {
    amaxes.push_back(makes_rows(request) ? request.y.amax : request.y_transposed.amax);
    items.push_back(amax_item(arch, request.x, amaxes.back()));
    return;
  }
  if (makes_rows(request)) amaxes.push_back(request.y.amax);
  if (makes_transposed(request)) amaxes.push_back(request.y_transposed.amax);
  items.push_back(
      quantize_item(transformed_amax_spec(kQuantizeBatchFamily, request, arch, kFilledGpu), request,
                    transformed_amax_params(request)));
}

// Rows that follow each other are one: taller tiles would only be for rows with gaps.
bool amax_batch_legal(const KernelSpec& spec) {
  return spec.values[kRowsPerTile] == 1 && tile_legal(spec);
}

}  // namespace

const Family kAmaxBatchFamily{"amax_batch",  "BatchParams", matrix_constants(ElementType::kInput),
                              kAmaxVariants, nullptr,       amax_batch_legal};
const Family kDequantizeBatchFamily{"dequantize_batch",  "BatchParams", dequantize_constants(),
                                    kDequantizeVariants, nullptr,       tile_legal};
const Family kQuantizeBatchFamily{.name = "quantize_batch",
                                  .params_type = "BatchParams",
                                  .constants = quantize_constants(),
                                  .variants = kQuantizeVariants,
                                  .dynamic_shared = quantize_dynamic_shared,
                                  .legal = quantize_legal,
                                  .launch_bounds =
                                      "nibble::QuantizeBatchBounds<Config>::kThreads, "
                                      "nibble::QuantizeBatchBounds<Config>::kBlocks"};
const Family kScaleLayoutBatchFamily{"scale_layout_batch", "BatchParams", scale_layout_constants(),
                                     kScaleLayoutVariants};

struct Batch::State {
  Context context;
  std::vector<Run> runs;
  std::vector<Amaxes> amaxes;
};

struct BatchBuilder {
  static Result<Batch> build(Context& context, const std::vector<Item>& items,
                             std::vector<Amaxes> amaxes) {
    NIBBLE_TRY(context.state().require_device());
    std::vector<Run> runs;
    for (const Item& item : items) {
      const bool known = std::any_of(runs.begin(), runs.end(),
                                     [&](const Run& run) { return run.kernel->spec == item.spec; });
      if (known) continue;
      NIBBLE_TRY_ASSIGN(Run run, make_run(context, item.spec, items));
      runs.push_back(std::move(run));
    }
    Batch batch;
    batch.state_ =
        std::make_shared<const State>(State{context, std::move(runs), std::move(amaxes)});
    return batch;
  }
  using State = Batch::State;
};

Result<Batch> Batch::amax(Context& context, std::span<const Matrix> tensors, DevicePointer amaxes) {
  return guarded([&]() -> Result<Batch> {
    if (tensors.empty()) return empty("tensors");
    NIBBLE_TRY(check_pointer(amaxes, 4, "amaxes", {}, Pointers::kRequired));
    std::vector<Item> items;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const Matrix dense = with_strides(tensors[i]);
      NIBBLE_TRY(named(check_matrix(dense, "x", Pointers::kRequired), "tensors", i));
      items.push_back(amax_item(*context.state().device.arch, dense, amaxes + 4 * i));
    }
    return BatchBuilder::build(context, items, {{amaxes, std::ssize(tensors)}});
  });
}

Result<Batch> Batch::dequantize(Context& context, std::span<const DequantizeRequest> requests) {
  constexpr int kRows = 8;  // a warp has 1024 columns: most rows of weights are multiples
  return guarded([&]() -> Result<Batch> {
    if (requests.empty()) return empty("requests");
    std::vector<Item> items;
    for (size_t i = 0; i < requests.size(); ++i) {
      const DequantizeRequest request = with_strides(requests[i]);
      NIBBLE_TRY(named(check_fast(request), "requests", i));
      NIBBLE_TRY(named(check_dequantize(request, Pointers::kRequired), "requests", i));
      KernelSpec spec =
          dequantize_spec(kDequantizeBatchFamily, request, *context.state().device.arch);
      spec.values[kRowsPerTile] = kRows;
      items.push_back({spec, bytes_of(dequantize_params(request)), tiles_of(spec, request.y)});
    }
    return BatchBuilder::build(context, items, {});
  });
}

Result<Batch> Batch::quantize(Context& context, std::span<const QuantizeRequest> requests) {
  return guarded([&]() -> Result<Batch> {
    if (requests.empty()) return empty("requests");
    const Arch& arch = *context.state().device.arch;
    std::vector<Item> items;
    std::vector<Item> quantisations;  // after all amaxes
    std::vector<DevicePointer> amaxes;
    for (size_t i = 0; i < requests.size(); ++i) {
      const QuantizeRequest request = with_strides(requests[i]);
      NIBBLE_TRY(named(check_fast(request), "requests", i));
      NIBBLE_TRY(named(check_quantize(request, Pointers::kRequired), "requests", i));
      add_amaxes(arch, request, items, amaxes);
      quantisations.push_back(
          quantize_item(quantize_spec(kQuantizeBatchFamily, request, arch, kFilledGpu), request,
                        quantize_params(request)));
    }
    items.insert(items.end(), quantisations.begin(), quantisations.end());
    return BatchBuilder::build(context, items, runs_of(std::move(amaxes)));
  });
}

Result<Batch> Batch::convert_scales(Context& context,
                                    std::span<const ScaleLayoutRequest> requests) {
  return guarded([&]() -> Result<Batch> {
    if (requests.empty()) return empty("requests");
    std::vector<Item> items;
    for (size_t i = 0; i < requests.size(); ++i) {
      const ScaleLayoutRequest request = with_strides(requests[i]);
      NIBBLE_TRY(named(check_fast(request), "requests", i));
      NIBBLE_TRY(named(check_scale_layout(request, Pointers::kRequired), "requests", i));
      const KernelSpec spec =
          scale_layout_spec(kScaleLayoutBatchFamily, request, *context.state().device.arch);
      items.push_back({spec, bytes_of(scale_layout_params(request)),
                       scale_tiles_across(spec, request) * scale_tiles_down(request)});
    }
    return BatchBuilder::build(context, items, {});
  });
}

Status Batch::launch(Stream stream) const {
  return guarded([&]() -> Status {
    const ContextState& state = state_->context.state();
    for (const Amaxes& some : state_->amaxes) {
      NIBBLE_TRY(clear_amax(state, some.first, some.count, stream));
    }
    for (const Run& run : state_->runs) {
      NIBBLE_TRY(launch_tiles(state, *run.kernel, run.grid, &run.params, stream));
    }
    return {};
  });
}

int Batch::kernels() const { return static_cast<int>(state_->runs.size()); }

}  // namespace nibble
