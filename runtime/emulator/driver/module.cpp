// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/driver/module.h"

#include "runtime/emulator/driver/driver.h"
#include "runtime/emulator/isa/isa.h"

namespace nibble::emulator::driver {

LoadError load_module(Driver& driver, Context& context, const Module& parsed,
                      std::shared_ptr<LoadedModule>& loaded) {
  const DeviceModel& model = *context.device.model;
  std::string error;
  std::unique_ptr<Program> program = Program::load(parsed, model, driver.memory.global(), error);
  if (program == nullptr) {
    const bool other_target = !runs_on(parse_target(parsed.target), model.target);
    return {other_target ? CUDA_ERROR_NO_BINARY_FOR_GPU : CUDA_ERROR_INVALID_PTX, error};
  }
  auto module = std::make_shared<LoadedModule>();
  module->handle = new_handle<CUmodule>();
  module->context = &context;
  module->program = std::move(program);
  for (const Kernel* kernel : module->program->kernels()) {
    auto function = std::make_shared<LoadedFunction>();
    function->handle = new_handle<CUfunction>();
    function->module = module->handle;
    function->context = &context;
    function->program = module->program;
    function->kernel = kernel;
    function->ptx_target = static_cast<int>(parse_target(parsed.target).number);
    for (size_t axis = 0; axis < 3; ++axis) {
      function->settings.cluster[axis] = static_cast<int>(kernel->required_cluster[axis]);
    }
    driver.functions.add(function->handle, function);
    module->functions.emplace(kernel->name, std::move(function));
  }
  driver.modules.add(module->handle, module);
  loaded = std::move(module);
  return {};
}

void unload_module(Driver& driver, LoadedModule& module) {
  for (const auto& [name, function] : module.functions) driver.functions.remove(function->handle);
  driver.modules.remove(module.handle);
}

LoadError Library::module_in(Driver& driver, Context& context,
                             std::shared_ptr<LoadedModule>& module) {
  const std::lock_guard lock(mutex_);
  const auto found = modules_.find(&context);
  if (found != modules_.end()) module = driver.modules.find(found->second);
  if (module != nullptr) return {};  // a context that was reset has lost its module
  LoadError error = load_module(driver, context, parsed, module);
  if (error.code == CUDA_SUCCESS) modules_[&context] = module->handle;
  return error;
}

void Library::unload(Driver& driver) {
  const std::lock_guard lock(mutex_);
  for (const auto& [context, handle] : modules_) {
    if (const std::shared_ptr<LoadedModule> module = driver.modules.find(handle)) {
      unload_module(driver, *module);
    }
  }
  for (const auto& kernel : kernels) driver.kernels.remove(kernel->handle);
}

std::shared_ptr<LoadedFunction> find_function(Driver& driver, Context& context, CUfunction handle) {
  if (auto function = driver.functions.find(handle)) return function;
  const auto kernel = driver.kernels.find(reinterpret_cast<CUkernel>(handle));
  const std::shared_ptr<Library> library = kernel ? kernel->library.lock() : nullptr;
  if (library == nullptr) return nullptr;
  std::shared_ptr<LoadedModule> module;
  if (library->module_in(driver, context, module).code != CUDA_SUCCESS) return nullptr;
  const auto found = module->functions.find(kernel->name);
  return found == module->functions.end() ? nullptr : found->second;
}

uint32_t max_dynamic_shared(const LoadedFunction& function) {
  const int set = function.settings.max_dynamic_shared;
  if (set != kNotSet) return static_cast<uint32_t>(set);
  const uint32_t limit = function.context->device.model->shared_per_block;
  const uint32_t used = function.kernel->static_shared;
  return used < limit ? limit - used : 0;
}

CUresult get_attribute(const LoadedFunction& function, CUfunction_attribute attribute, int& value) {
  const Kernel& kernel = *function.kernel;
  const FunctionSettings& settings = function.settings;
  const auto number = [&](auto figure) {
    value = static_cast<int>(figure);
    return CUDA_SUCCESS;
  };
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_THREADS_PER_BLOCK:
      return number(kernel.max_threads_per_block);
    case CU_FUNC_ATTRIBUTE_SHARED_SIZE_BYTES:
      return number(kernel.static_shared);
    case CU_FUNC_ATTRIBUTE_CONST_SIZE_BYTES:
      return number(kernel.const_bytes);
    case CU_FUNC_ATTRIBUTE_LOCAL_SIZE_BYTES:
      return number(kernel.local_bytes);
    // Virtual registers are executed as they are: none is allocated.
    case CU_FUNC_ATTRIBUTE_NUM_REGS:
      return number(0);
    case CU_FUNC_ATTRIBUTE_PTX_VERSION:
      return number(function.ptx_target);
    case CU_FUNC_ATTRIBUTE_BINARY_VERSION:
      return number(function.context->device.model->target.number);
    case CU_FUNC_ATTRIBUTE_CACHE_MODE_CA:
      return number(0);
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES:
      return number(max_dynamic_shared(function));
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      return number(settings.carveout.load());
    case CU_FUNC_ATTRIBUTE_CLUSTER_SIZE_MUST_BE_SET:
      return number(0);
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
      return number(settings.cluster[0].load());
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
      return number(settings.cluster[1].load());
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
      return number(settings.cluster[2].load());
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
      return number(settings.non_portable_cluster.load());
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
      return number(settings.scheduling_policy.load());
  }
  return CUDA_ERROR_INVALID_VALUE;
}

CUresult set_attribute(LoadedFunction& function, CUfunction_attribute attribute, int value) {
  const DeviceModel& model = *function.context->device.model;
  FunctionSettings& settings = function.settings;
  const auto set = [&](std::atomic<int>& which, bool valid) {
    if (!valid) return CUDA_ERROR_INVALID_VALUE;
    which = value;
    return CUDA_SUCCESS;
  };
  switch (attribute) {
    case CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES: {
      const int64_t total = int64_t{value} + function.kernel->static_shared;
      return set(settings.max_dynamic_shared, value >= 0 && total <= model.shared_per_block_optin);
    }
    case CU_FUNC_ATTRIBUTE_PREFERRED_SHARED_MEMORY_CARVEOUT:
      return set(settings.carveout, value >= -1 && value <= 100);
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_HEIGHT:
    case CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_DEPTH:
      // What .reqnctapercluster says holds.
      return set(settings.cluster[attribute - CU_FUNC_ATTRIBUTE_REQUIRED_CLUSTER_WIDTH],
                 value >= 0 && function.kernel->required_cluster[0] == 0);
    case CU_FUNC_ATTRIBUTE_NON_PORTABLE_CLUSTER_SIZE_ALLOWED:
      return set(settings.non_portable_cluster, value == 0 || value == 1);
    case CU_FUNC_ATTRIBUTE_CLUSTER_SCHEDULING_POLICY_PREFERENCE:
      return set(settings.scheduling_policy, value >= 0 && value <= 2);
    default:
      return CUDA_ERROR_INVALID_VALUE;
  }
}

}  // namespace nibble::emulator::driver
