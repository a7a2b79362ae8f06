// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points: functions, occupancy, launches.
#include <algorithm>

#include "runtime/emulator/driver/entry.h"
#include "runtime/emulator/driver/launch.h"

using namespace nibble::emulator;
using namespace nibble::emulator::driver;

namespace {

// body(Driver&, const std::shared_ptr<LoadedFunction>&)
template <class Body>
CUresult with_function(CUfunction handle, Body&& body) {
  return with_context([&](Driver& driver, Context& context) {
    const std::shared_ptr<LoadedFunction> function = find_function(driver, context, handle);
    return function == nullptr ? CUDA_ERROR_INVALID_HANDLE : body(driver, function);
  });
}

// The largest block that fills a multiprocessor best; `shared_of` gives its dynamic shared memory.
template <class SharedOf>
void best_block(const LoadedFunction& function, int limit, SharedOf&& shared_of, int& grid,
                int& block) {
  const int most = static_cast<int>(function.kernel->max_threads_per_block);
  int best_threads = 0;
  for (int threads = std::min(limit > 0 ? limit : most, most) / 32 * 32; threads > 0;
       threads -= 32) {
    const int blocks =
        blocks_per_multiprocessor(function, static_cast<uint32_t>(threads), shared_of(threads));
    if (blocks * threads <= best_threads) continue;
    best_threads = blocks * threads;
    block = threads;
    grid = blocks * static_cast<int>(function.context->device.model->multiprocessors);
  }
}

}  // namespace

NIBBLE_ENTRY CUresult cuFuncGetAttribute(int* value, CUfunction_attribute attribute,
                                         CUfunction handle) {
  return with_function(handle, [&](Driver&, const auto& function) {
    return value == nullptr ? CUDA_ERROR_INVALID_VALUE
                            : get_attribute(*function, attribute, *value);
  });
}

NIBBLE_ENTRY CUresult cuFuncSetAttribute(CUfunction handle, CUfunction_attribute attribute,
                                         int value) {
  return with_function(handle, [&](Driver&, const auto& function) {
    return set_attribute(*function, attribute, value);
  });
}

NIBBLE_ENTRY CUresult cuFuncSetCacheConfig(CUfunction handle, CUfunc_cache config) {
  return with_function(handle, [&](Driver&, const auto&) {
    const bool valid = config >= 0 && config <= CU_FUNC_CACHE_PREFER_EQUAL;
    return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

NIBBLE_ENTRY CUresult cuFuncSetSharedMemConfig(CUfunction handle, CUsharedconfig config) {
  return with_function(handle, [&](Driver&, const auto&) {
    const bool valid = config >= 0 && config <= CU_SHARED_MEM_CONFIG_EIGHT_BYTE_BANK_SIZE;
    return valid ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
  });
}

NIBBLE_ENTRY CUresult cuFuncGetModule(CUmodule* module, CUfunction handle) {
  return with_function(handle, [&](Driver&, const auto& function) {
    if (module == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *module = function->module;
    return CUDA_SUCCESS;
  });
}

// The name lives as long as the module.
NIBBLE_ENTRY CUresult cuFuncGetName(const char** name, CUfunction handle) {
  return with_function(handle, [&](Driver&, const auto& function) {
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *name = function->kernel->name.c_str();
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuFuncGetParamInfo(CUfunction handle, size_t index, size_t* offset,
                                         size_t* size) {
  return with_function(handle, [&](Driver&, const auto& function) {
    const auto& parameters = function->kernel->parameters;
    if (offset == nullptr || index >= parameters.size()) return CUDA_ERROR_INVALID_VALUE;
    *offset = parameters[index].offset;
    if (size != nullptr) *size = parameters[index].size;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuFuncIsLoaded(CUfunctionLoadingState* state, CUfunction handle) {
  return with_function(handle, [&](Driver&, const auto&) {
    if (state == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *state = CU_FUNCTION_LOADING_STATE_LOADED;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuFuncLoad(CUfunction handle) {
  return with_function(handle, [](Driver&, const auto&) { return CUDA_SUCCESS; });
}

NIBBLE_ENTRY CUresult cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(
    int* blocks, CUfunction handle, int threads, size_t dynamic_shared, unsigned flags) {
  return with_function(handle, [&](Driver&, const auto& function) {
    if (blocks == nullptr || threads <= 0 || flags > 1) return CUDA_ERROR_INVALID_VALUE;
    *blocks = blocks_per_multiprocessor(*function, static_cast<uint32_t>(threads), dynamic_shared);
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, CUfunction handle,
                                                                  int threads,
                                                                  size_t dynamic_shared) {
  return cuOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(blocks, handle, threads,
                                                              dynamic_shared, 0);
}

NIBBLE_ENTRY CUresult cuOccupancyMaxPotentialBlockSizeWithFlags(int* grid, int* block,
                                                                CUfunction handle,
                                                                CUoccupancyB2DSize shared_of,
                                                                size_t dynamic_shared, int limit,
                                                                unsigned flags) {
  return with_function(handle, [&](Driver&, const auto& function) {
    if (grid == nullptr || block == nullptr || flags > 1) return CUDA_ERROR_INVALID_VALUE;
    *grid = *block = 0;
    best_block(
        *function, limit,
        [&](int threads) { return shared_of == nullptr ? dynamic_shared : shared_of(threads); },
        *grid, *block);
    return *block == 0 ? CUDA_ERROR_INVALID_VALUE : CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuOccupancyMaxPotentialBlockSize(int* grid, int* block, CUfunction handle,
                                                       CUoccupancyB2DSize shared_of,
                                                       size_t dynamic_shared, int limit) {
  return cuOccupancyMaxPotentialBlockSizeWithFlags(grid, block, handle, shared_of, dynamic_shared,
                                                   limit, 0);
}

NIBBLE_ENTRY CUresult cuOccupancyAvailableDynamicSMemPerBlock(size_t* bytes, CUfunction handle,
                                                              int blocks, int threads) {
  return with_function(handle, [&](Driver&, const auto& function) {
    if (bytes == nullptr || blocks <= 0 || threads <= 0) return CUDA_ERROR_INVALID_VALUE;
    const DeviceModel& model = *function->context->device.model;
    const uint32_t taken = function->kernel->static_shared + model.shared_reserved;
    const uint32_t share = model.shared_per_multiprocessor / static_cast<uint32_t>(blocks);
    *bytes = share <= taken ? 0 : std::min(share - taken, max_dynamic_shared(*function));
    return CUDA_SUCCESS;
  });
}

// Clusters that fit on the device, taken to be one pool of multiprocessors.
NIBBLE_ENTRY CUresult cuOccupancyMaxActiveClusters(int* clusters, CUfunction handle,
                                                   const CUlaunchConfig* config) {
  return with_function(handle, [&](Driver& driver, const auto& function) {
    if (clusters == nullptr || config == nullptr) return CUDA_ERROR_INVALID_VALUE;
    LaunchRequest request{{config->gridDimX, config->gridDimY, config->gridDimZ},
                          {config->blockDimX, config->blockDimY, config->blockDimZ},
                          {0, 0, 0},
                          config->sharedMemBytes,
                          false,
                          {}};
    CUresult result = read_attributes(driver, *config, request);
    if (result == CUDA_SUCCESS) result = check_launch(*function, request);
    if (result != CUDA_SUCCESS) return result;
    const uint32_t threads = request.block[0] * request.block[1] * request.block[2];
    const int size = static_cast<int>(request.cluster[0] * request.cluster[1] * request.cluster[2]);
    *clusters = blocks_per_multiprocessor(*function, threads, request.dynamic_shared) *
                static_cast<int>(function->context->device.model->multiprocessors) / size;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuOccupancyMaxPotentialClusterSize(int* size, CUfunction handle,
                                                         const CUlaunchConfig* config) {
  return with_function(handle, [&](Driver&, const auto& function) {
    if (size == nullptr || config == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *size = function->settings.non_portable_cluster != 0 ? 16 : 8;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuLaunchKernelEx(const CUlaunchConfig* config, CUfunction handle,
                                       void** parameters, void** extra) {
  if (config == nullptr) return CUDA_ERROR_INVALID_VALUE;
  return with_stream(config->hStream, [&](Driver& driver, Context& context, Stream& stream) {
    const auto function = find_function(driver, context, handle);
    if (function == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    LaunchRequest request{{config->gridDimX, config->gridDimY, config->gridDimZ},
                          {config->blockDimX, config->blockDimY, config->blockDimZ},
                          {0, 0, 0},
                          config->sharedMemBytes,
                          false,
                          {}};
    const CUresult result = read_attributes(driver, *config, request);
    return result != CUDA_SUCCESS ? result
                                  : launch(function, std::move(request), stream, parameters, extra);
  });
}

NIBBLE_ENTRY CUresult cuLaunchKernel(CUfunction handle, unsigned grid_x, unsigned grid_y,
                                     unsigned grid_z, unsigned block_x, unsigned block_y,
                                     unsigned block_z, unsigned dynamic_shared, CUstream stream,
                                     void** parameters, void** extra) {
  const CUlaunchConfig config{grid_x,  grid_y,         grid_z, block_x, block_y,
                              block_z, dynamic_shared, stream, nullptr, 0};
  return cuLaunchKernelEx(&config, handle, parameters, extra);
}

NIBBLE_ENTRY CUresult cuLaunchCooperativeKernel(CUfunction handle, unsigned grid_x, unsigned grid_y,
                                                unsigned grid_z, unsigned block_x, unsigned block_y,
                                                unsigned block_z, unsigned dynamic_shared,
                                                CUstream stream, void** parameters) {
  CUlaunchAttribute attribute{};
  attribute.id = CU_LAUNCH_ATTRIBUTE_COOPERATIVE;
  attribute.value.cooperative = 1;
  const CUlaunchConfig config{grid_x,  grid_y,         grid_z, block_x,    block_y,
                              block_z, dynamic_shared, stream, &attribute, 1};
  return cuLaunchKernelEx(&config, handle, parameters, nullptr);
}

NIBBLE_ENTRY CUresult cuLaunchHostFunc(CUstream handle, CUhostFn function, void* data) {
  return with_stream(handle, [&](Driver&, Context&, Stream& stream) {
    if (function == nullptr) return CUDA_ERROR_INVALID_VALUE;
    return stream.submit(CU_GRAPH_NODE_TYPE_HOST,
                         [function, data] { call_host_function([&] { function(data); }); });
  });
}
