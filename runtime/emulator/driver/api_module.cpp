// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Entry points: modules, linking.
#include "runtime/emulator/driver/entry.h"
#include "runtime/emulator/driver/jit_log.h"

using namespace nibble::emulator;
using namespace nibble::emulator::driver;

namespace {

// `read(ptx)` fetches the image's text.
template <class Read>
CUresult load(CUmodule* handle, JitLog log, Read&& read) {
  return with_context_unsafe([&](Driver& driver, Context& context) {
    if (handle == nullptr) return CUDA_ERROR_INVALID_VALUE;
    std::string ptx;
    Module parsed;
    std::shared_ptr<LoadedModule> module;
    LoadError error = read(ptx);
    if (error.code == CUDA_SUCCESS) error = parse_image(ptx, parsed);
    if (error.code == CUDA_SUCCESS) error = load_module(driver, context, parsed, module);
    if (module != nullptr) *handle = module->handle;
    return log.finish(error);
  });
}

// body(Driver&, LoadedModule&)
template <class Body>
CUresult with_module(CUmodule handle, Body&& body) {
  return with_context([&](Driver& driver, Context&) {
    const auto module = driver.modules.find(handle);
    return module == nullptr ? CUDA_ERROR_INVALID_HANDLE : body(driver, *module);
  });
}

CUresult refuse_linking() {
  return with_context([](Driver&, Context&) {
    return not_supported("linking (cuLink*): load PTX as a module; it");
  });
}

}  // namespace

NIBBLE_ENTRY CUresult cuModuleLoadDataEx(CUmodule* module, const void* image, unsigned option_count,
                                         CUjit_option* options, void** values) {
  return load(module, JitLog(option_count, options, values),
              [&](std::string& ptx) { return read_image(image, ptx); });
}

NIBBLE_ENTRY CUresult cuModuleLoadData(CUmodule* module, const void* image) {
  return cuModuleLoadDataEx(module, image, 0, nullptr, nullptr);
}

NIBBLE_ENTRY CUresult cuModuleLoadFatBinary(CUmodule* module, const void* image) {
  return cuModuleLoadDataEx(module, image, 0, nullptr, nullptr);
}

NIBBLE_ENTRY CUresult cuModuleLoad(CUmodule* module, const char* path) {
  return load(module, JitLog(0, nullptr, nullptr),
              [&](std::string& ptx) { return read_image_file(path, ptx); });
}

NIBBLE_ENTRY CUresult cuModuleUnload(CUmodule handle) {
  return with_context_unsafe([&](Driver& driver, Context&) {
    const auto module = driver.modules.find(handle);
    if (module == nullptr) return CUDA_ERROR_INVALID_HANDLE;
    unload_module(driver, *module);
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuModuleGetFunction(CUfunction* function, CUmodule handle, const char* name) {
  return with_module(handle, [&](Driver&, LoadedModule& module) {
    if (function == nullptr || name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const auto found = module.functions.find(std::string_view(name));
    if (found == module.functions.end()) return CUDA_ERROR_NOT_FOUND;
    *function = found->second->handle;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuModuleGetFunctionCount(unsigned* count, CUmodule handle) {
  return with_module(handle, [&](Driver&, LoadedModule& module) {
    if (count == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *count = static_cast<unsigned>(module.functions.size());
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuModuleEnumerateFunctions(CUfunction* functions, unsigned count,
                                                 CUmodule handle) {
  return with_module(handle, [&](Driver&, LoadedModule& module) {
    if (functions == nullptr || count == 0) return CUDA_ERROR_INVALID_VALUE;
    unsigned i = 0;
    for (auto it = module.functions.begin(); it != module.functions.end() && i < count; ++it) {
      functions[i++] = it->second->handle;
    }
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuModuleGetGlobal_v2(CUdeviceptr* address, size_t* bytes, CUmodule handle,
                                           const char* name) {
  return with_module(handle, [&](Driver&, LoadedModule& module) {
    if (name == nullptr) return CUDA_ERROR_INVALID_VALUE;
    const Program::Variable* const variable = module.program->find_variable(name);
    if (variable == nullptr) return CUDA_ERROR_NOT_FOUND;
    if (address != nullptr) *address = variable->address;
    if (bytes != nullptr) *bytes = variable->size;
    return CUDA_SUCCESS;
  });
}
NIBBLE_ALIAS(cuModuleGetGlobal, cuModuleGetGlobal_v2);

// All is decoded when a module is loaded.
NIBBLE_ENTRY CUresult cuModuleGetLoadingMode(CUmoduleLoadingMode* mode) {
  return with_driver([&](Driver&) {
    if (mode == nullptr) return CUDA_ERROR_INVALID_VALUE;
    *mode = CU_MODULE_EAGER_LOADING;
    return CUDA_SUCCESS;
  });
}

NIBBLE_ENTRY CUresult cuLinkCreate_v2(unsigned, CUjit_option*, void**, CUlinkState*) {
  return refuse_linking();
}
NIBBLE_ENTRY CUresult cuLinkAddData_v2(CUlinkState, CUjitInputType, void*, size_t, const char*,
                                       unsigned, CUjit_option*, void**) {
  return refuse_linking();
}
NIBBLE_ENTRY CUresult cuLinkAddFile_v2(CUlinkState, CUjitInputType, const char*, unsigned,
                                       CUjit_option*, void**) {
  return refuse_linking();
}
NIBBLE_ENTRY CUresult cuLinkComplete(CUlinkState, void**, size_t*) { return refuse_linking(); }
NIBBLE_ENTRY CUresult cuLinkDestroy(CUlinkState) { return refuse_linking(); }
NIBBLE_ALIAS(cuLinkCreate, cuLinkCreate_v2);
NIBBLE_ALIAS(cuLinkAddData, cuLinkAddData_v2);
NIBBLE_ALIAS(cuLinkAddFile, cuLinkAddFile_v2);
