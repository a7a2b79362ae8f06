// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/driver/launch.h"

#include <algorithm>
#include <cstring>

#include "runtime/emulator/driver/counters.h"
#include "runtime/emulator/driver/messages.h"
#include "runtime/emulator/driver/settings.h"

namespace nibble::emulator::driver {

namespace {

constexpr uint64_t kMaxThreads = 1024;
constexpr Dim3 kMaxBlock{1024, 1024, 64};
constexpr Dim3 kMaxGrid{0x7FFFFFFF, 65535, 65535};
constexpr uint64_t kPortableCluster = 8;
constexpr uint64_t kMaxCluster = 16;

uint64_t volume(const Dim3& size) { return uint64_t{size[0]} * size[1] * size[2]; }

CUresult code_of(Fault::Kind kind) {
  switch (kind) {
    case Fault::Kind::kIllegalAddress:
      return CUDA_ERROR_ILLEGAL_ADDRESS;
    case Fault::Kind::kMisaligned:
      return CUDA_ERROR_MISALIGNED_ADDRESS;
    case Fault::Kind::kIllegalInstruction:
      return CUDA_ERROR_ILLEGAL_INSTRUCTION;
    case Fault::Kind::kAssert:
      return CUDA_ERROR_ASSERT;
    case Fault::Kind::kDeadlock:
    case Fault::Kind::kLimit:
      return CUDA_ERROR_LAUNCH_TIMEOUT;
    case Fault::Kind::kLaunchConfig:
      return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
    case Fault::Kind::kUninitialized:  // what hardware does not see
    case Fault::Kind::kRace:
    case Fault::Kind::kTrap:
      break;
  }
  return CUDA_ERROR_LAUNCH_FAILED;
}

// The block that `parameters` point to, or the buffer that `extra` names.
CUresult read_parameters(const Kernel& kernel, void** parameters, void** extra,
                         std::vector<std::byte>& block) {
  block.assign(kernel.param_bytes, std::byte{0});
  if (parameters != nullptr && extra != nullptr) return CUDA_ERROR_INVALID_VALUE;
  if (parameters != nullptr) {
    for (size_t i = 0; i < kernel.parameters.size(); ++i) {
      if (parameters[i] == nullptr) return CUDA_ERROR_INVALID_VALUE;
      const Kernel::Parameter& parameter = kernel.parameters[i];
      std::memcpy(block.data() + parameter.offset, parameters[i], parameter.size);
    }
    return CUDA_SUCCESS;
  }
  const void* buffer = nullptr;
  size_t size = 0;
  for (void** item = extra; item != nullptr && *item != CU_LAUNCH_PARAM_END; item += 2) {
    if (*item == CU_LAUNCH_PARAM_BUFFER_POINTER) {
      buffer = item[1];
    } else if (*item == CU_LAUNCH_PARAM_BUFFER_SIZE && item[1] != nullptr) {
      size = *static_cast<const size_t*>(item[1]);
    } else {
      return CUDA_ERROR_INVALID_VALUE;
    }
  }
  const bool enough = kernel.parameters.empty() ||
                      size >= kernel.parameters.back().offset + kernel.parameters.back().size;
  if (!enough || (size > 0 && buffer == nullptr)) return CUDA_ERROR_INVALID_VALUE;
  size = std::min(size, block.size());
  if (size > 0) std::memcpy(block.data(), buffer, size);
  return CUDA_SUCCESS;
}

CUresult check_cluster(const LoadedFunction& function, LaunchRequest& request) {
  Dim3& cluster = request.cluster;
  const FunctionSettings& settings = function.settings;
  Dim3 required{};
  for (size_t axis = 0; axis < 3; ++axis) {
    required[axis] = static_cast<uint32_t>(settings.cluster[axis].load());
  }
  if (required[0] != 0) {
    for (uint32_t& size : required) size = std::max(size, 1u);
    if (cluster[0] != 0 && cluster != required) return CUDA_ERROR_INVALID_CLUSTER_SIZE;
    cluster = required;
  }
  if (cluster[0] == 0) cluster = {1, 1, 1};
  const uint64_t blocks = volume(cluster);
  const uint64_t limit = settings.non_portable_cluster != 0 ? kMaxCluster : kPortableCluster;
  if (blocks == 0 || blocks > limit) return CUDA_ERROR_INVALID_CLUSTER_SIZE;
  for (size_t axis = 0; axis < 3; ++axis) {
    if (request.grid[axis] % cluster[axis] != 0) return CUDA_ERROR_INVALID_CLUSTER_SIZE;
  }
  return CUDA_SUCCESS;
}

}  // namespace

int blocks_per_multiprocessor(const LoadedFunction& function, uint32_t threads,
                              uint64_t dynamic_shared) {
  const DeviceModel& model = *function.context->device.model;
  if (dynamic_shared > model.shared_per_block_optin) return 0;
  const uint64_t shared = function.kernel->static_shared + dynamic_shared + model.shared_reserved;
  if (threads == 0 || threads > function.kernel->max_threads_per_block) return 0;
  if (shared > model.shared_per_block_optin + uint64_t{model.shared_reserved}) return 0;
  const uint64_t by_threads = model.max_threads_per_multiprocessor / ((threads + 31) / 32 * 32);
  const uint64_t by_shared = model.shared_per_multiprocessor / shared;
  // Every 64 threads bring a block slot: 32 of 2048, 24 of 1536.
  const uint64_t by_slots = model.max_threads_per_multiprocessor / 64;
  return static_cast<int>(std::min({by_threads, by_shared, by_slots}));
}

CUresult read_attributes(Driver& driver, const CUlaunchConfig& config, LaunchRequest& request) {
  if (config.numAttrs > 0 && config.attrs == nullptr) return CUDA_ERROR_INVALID_VALUE;
  for (unsigned i = 0; i < config.numAttrs; ++i) {
    const CUlaunchAttribute& attribute = config.attrs[i];
    const CUlaunchAttributeValue& value = attribute.value;
    switch (attribute.id) {
      case CU_LAUNCH_ATTRIBUTE_COOPERATIVE:
        request.cooperative = value.cooperative != 0;
        break;
      case CU_LAUNCH_ATTRIBUTE_CLUSTER_DIMENSION:
        request.cluster = {value.clusterDim.x, value.clusterDim.y, value.clusterDim.z};
        if (volume(request.cluster) == 0) return CUDA_ERROR_INVALID_VALUE;
        break;
      case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT:
      case CU_LAUNCH_ATTRIBUTE_LAUNCH_COMPLETION_EVENT: {
        auto event = driver.events.find(attribute.id == CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_EVENT
                                            ? value.programmaticEvent.event
                                            : value.launchCompletionEvent.event);
        if (event == nullptr) return CUDA_ERROR_INVALID_HANDLE;
        request.events.push_back(std::move(event));
        break;
      }
      // Hints, and orders that work in sequence keeps anyway: a programmatic launch may start
      // early, it does not have to.
      case CU_LAUNCH_ATTRIBUTE_IGNORE:
      case CU_LAUNCH_ATTRIBUTE_ACCESS_POLICY_WINDOW:
      case CU_LAUNCH_ATTRIBUTE_SYNCHRONIZATION_POLICY:
      case CU_LAUNCH_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
      case CU_LAUNCH_ATTRIBUTE_PROGRAMMATIC_STREAM_SERIALIZATION:
      case CU_LAUNCH_ATTRIBUTE_PRIORITY:
      case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN_MAP:
      case CU_LAUNCH_ATTRIBUTE_MEM_SYNC_DOMAIN:
      case CU_LAUNCH_ATTRIBUTE_PREFERRED_CLUSTER_DIMENSION:
      case CU_LAUNCH_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      case CU_LAUNCH_ATTRIBUTE_NVLINK_UTIL_CENTRIC_SCHEDULING:
        break;
      case CU_LAUNCH_ATTRIBUTE_DEVICE_UPDATABLE_KERNEL_NODE:
        say("kernel nodes that a device updates are not supported by the emulator");
        return CUDA_ERROR_NOT_SUPPORTED;
      default:
        return CUDA_ERROR_INVALID_VALUE;
    }
  }
  return CUDA_SUCCESS;
}

CUresult check_launch(const LoadedFunction& function, LaunchRequest& request) {
  const Kernel& kernel = *function.kernel;
  for (size_t axis = 0; axis < 3; ++axis) {
    const uint32_t blocks = request.grid[axis], threads = request.block[axis];
    if (blocks == 0 || blocks > kMaxGrid[axis]) return CUDA_ERROR_INVALID_VALUE;
    if (threads == 0 || threads > kMaxBlock[axis]) return CUDA_ERROR_INVALID_VALUE;
  }
  const uint64_t threads = volume(request.block);
  if (threads > kMaxThreads || threads > kernel.max_threads_per_block) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (kernel.required_threads[0] != 0 && request.block != kernel.required_threads) {
    return CUDA_ERROR_INVALID_VALUE;
  }
  if (request.dynamic_shared > max_dynamic_shared(function)) return CUDA_ERROR_INVALID_VALUE;
  const CUresult cluster = check_cluster(function, request);
  if (cluster != CUDA_SUCCESS) return cluster;
  const int resident =
      blocks_per_multiprocessor(function, static_cast<uint32_t>(threads), request.dynamic_shared);
  if (resident == 0) return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
  const uint64_t together =
      static_cast<uint64_t>(resident) * function.context->device.model->multiprocessors;
  if (request.cooperative && volume(request.grid) > together) {
    return CUDA_ERROR_COOPERATIVE_LAUNCH_TOO_LARGE;
  }
  return CUDA_SUCCESS;
}

CUresult launch(const std::shared_ptr<LoadedFunction>& function, LaunchRequest request,
                Stream& stream, void** parameters, void** extra) {
  if (function->context != &stream.context) return CUDA_ERROR_INVALID_HANDLE;
  CUresult result = check_launch(*function, request);
  if (result != CUDA_SUCCESS) return result;
  std::vector<std::byte> block;
  result = read_parameters(*function->kernel, parameters, extra, block);
  if (result != CUDA_SUCCESS) return result;
  const std::vector<std::shared_ptr<Event>> events = std::move(request.events);
  result = stream.submit(CU_GRAPH_NODE_TYPE_KERNEL, [function, request, block] {
    Launch work;
    work.program = function->program.get();
    work.kernel = function->kernel;
    work.grid = request.grid;
    work.block = request.block;
    work.cluster = request.cluster;
    work.dynamic_shared = request.dynamic_shared;
    work.parameters = block;
    work.cooperative = request.cooperative;
    Context& context = *function->context;
    Settings machine = settings().machine;
    machine.counters = counts_launches();
    const std::optional<Fault> fault =
        run(work, *context.device.model, started()->memory.global(), machine);
    if (fault) context.fail(code_of(fault->kind), fault->report);
  });
  for (const auto& event : events) {
    if (result == CUDA_SUCCESS) result = record(*event, stream);
  }
  return result;
}

}  // namespace nibble::emulator::driver
