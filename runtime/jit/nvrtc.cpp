// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/jit/nvrtc.h"

#include <algorithm>
#include <cstdlib>
#include <filesystem>

#include "cache/digest.h"
#include "runtime/jit/host_signals.h"
#include "runtime/result.h"

// NVRTC's ABI: https://docs.nvidia.com/cuda/nvrtc/
using nvrtcResult = int;  // 0: success, 6: compilation error
using nvrtcProgram = struct NvrtcProgramHandle*;

namespace nibble {

struct Nvrtc::Api {
  nvrtcResult (*nvrtcVersion)(int* major, int* minor);
  nvrtcResult (*nvrtcGetNumSupportedArchs)(int* count);
  nvrtcResult (*nvrtcGetSupportedArchs)(int* archs);
  const char* (*nvrtcGetErrorString)(nvrtcResult result);
  nvrtcResult (*nvrtcCreateProgram)(nvrtcProgram* program, const char* source, const char* name,
                                    int count, const char* const* headers,
                                    const char* const* names);
  nvrtcResult (*nvrtcDestroyProgram)(nvrtcProgram* program);
  nvrtcResult (*nvrtcCompileProgram)(nvrtcProgram program, int count, const char* const* options);
  nvrtcResult (*nvrtcGetPTXSize)(nvrtcProgram program, size_t* size);
  nvrtcResult (*nvrtcGetPTX)(nvrtcProgram program, char* ptx);
  nvrtcResult (*nvrtcGetCUBINSize)(nvrtcProgram program, size_t* size);
  nvrtcResult (*nvrtcGetCUBIN)(nvrtcProgram program, char* cubin);
  nvrtcResult (*nvrtcGetProgramLogSize)(nvrtcProgram program, size_t* size);
  nvrtcResult (*nvrtcGetProgramLog)(nvrtcProgram program, char* log);

  // The name of a symbol that the library lacks; null when all are there.
  const char* bind(const SharedLibrary& library);
};

const char* Nvrtc::Api::bind(const SharedLibrary& library) {
  const char* missing = nullptr;
  auto bind_one = [&](auto& function, const char* symbol) {
    void* address = library.find(symbol);
    if (address == nullptr && missing == nullptr) missing = symbol;
    function = reinterpret_cast<std::remove_reference_t<decltype(function)>>(address);
  };
  bind_one(nvrtcVersion, "nvrtcVersion");
  bind_one(nvrtcGetNumSupportedArchs, "nvrtcGetNumSupportedArchs");
  bind_one(nvrtcGetSupportedArchs, "nvrtcGetSupportedArchs");
  bind_one(nvrtcGetErrorString, "nvrtcGetErrorString");
  bind_one(nvrtcCreateProgram, "nvrtcCreateProgram");
  bind_one(nvrtcDestroyProgram, "nvrtcDestroyProgram");
  bind_one(nvrtcCompileProgram, "nvrtcCompileProgram");
  bind_one(nvrtcGetPTXSize, "nvrtcGetPTXSize");
  bind_one(nvrtcGetPTX, "nvrtcGetPTX");
  bind_one(nvrtcGetCUBINSize, "nvrtcGetCUBINSize");
  bind_one(nvrtcGetCUBIN, "nvrtcGetCUBIN");
  bind_one(nvrtcGetProgramLogSize, "nvrtcGetProgramLogSize");
  bind_one(nvrtcGetProgramLog, "nvrtcGetProgramLog");
  return missing;
}

namespace {

constexpr int kCompilationError = 6;

std::vector<std::string> candidates(const std::string& path) {
  if (!path.empty()) return {path};
  std::vector<std::string> all;
  auto add_folder = [&](const std::string& folder) {
    if (folder.empty()) return;
    for (const char* name : {"libnvrtc.so.13", "libnvrtc.so.12"})
      all.push_back(folder + "/" + name);
  };
  add_folder(own_folder());
  add_folder(own_folder() + "/../lib");  // of a program that nibble is linked into
  for (const char* name : {"libnvrtc.so.13", "libnvrtc.so.12", "libnvrtc.so"})
    all.emplace_back(name);
  for (const char* variable : {"CUDA_HOME", "CUDA_PATH"}) {
    if (const char* root = std::getenv(variable)) add_folder(std::string(root) + "/lib64");
  }
  add_folder("/usr/local/cuda/lib64");
  return all;
}

// NVRTC opens its built-in functions by this bare name when it first compiles. Loaded here by their
// path, before any compile, they are found wherever NVRTC lies.
std::string builtins_digest(const std::string& nvrtc_path, int major, int minor) {
  const std::filesystem::path folder = std::filesystem::path(nvrtc_path).parent_path();
  const std::string name =
      "libnvrtc-builtins.so." + std::to_string(major) + "." + std::to_string(minor);
  const std::vector<std::string> paths{(folder / name).string()};
  const auto library = SharedLibrary::open(paths, "NVRTC's built-in functions", "");
  return library.ok() ? library->identity() : "none";
}

std::string numbered(std::string_view source) {
  std::string text;
  for (int line = 1; !source.empty(); ++line) {
    const size_t end = source.find('\n');
    text += std::to_string(line) + "  " + std::string(source.substr(0, end)) + "\n";
    source.remove_prefix(end == std::string_view::npos ? source.size() : end + 1);
  }
  return text;
}

}  // namespace

Nvrtc::Nvrtc(SharedLibrary library, std::shared_ptr<const Api> api)
    : library_(std::move(library)), api_(std::move(api)) {}

Result<std::shared_ptr<const Nvrtc>> Nvrtc::load(const std::string& path) {
  NIBBLE_TRY_ASSIGN(SharedLibrary library,
                    SharedLibrary::open(candidates(path), "NVRTC", "NIBBLE_NVRTC_LIBRARY"));
  auto api = std::make_shared<Api>();
  if (const char* missing = api->bind(library)) {
    return Status(Code::kLibraryTooOld,
                  library.path() + " lacks " + missing + ": NVRTC 12.0 or newer is needed");
  }
  std::shared_ptr<Nvrtc> nvrtc(new Nvrtc(std::move(library), api));
  int count = 0;
  if (api->nvrtcVersion(&nvrtc->major_, &nvrtc->minor_) != 0 ||
      api->nvrtcGetNumSupportedArchs(&count) != 0) {
    return Status(Code::kLibraryMissing, nvrtc->path() + " does not answer nvrtcVersion");
  }
  nvrtc->targets_.resize(static_cast<size_t>(count));
  if (count > 0) api->nvrtcGetSupportedArchs(nvrtc->targets_.data());
  nvrtc->identity_ = "nvrtc " + std::to_string(nvrtc->major_) + "." +
                     std::to_string(nvrtc->minor_) + " " + nvrtc->library_.identity() +
                     " builtins " + builtins_digest(nvrtc->path(), nvrtc->major_, nvrtc->minor_);
  return std::shared_ptr<const Nvrtc>(std::move(nvrtc));
}

Status Nvrtc::check_target(const Arch& arch) const {
  const int number = arch.major * 10 + arch.minor;
  const bool known = std::find(targets_.begin(), targets_.end(), number) != targets_.end();
  const bool new_enough =
      std::pair(major_, minor_) >= std::pair(arch.nvrtc_major, arch.nvrtc_minor);
  if (known && new_enough) return {};
  return Status(Code::kLibraryTooOld, "NVRTC " + std::to_string(major_) + "." +
                                          std::to_string(minor_) + " (" + path() +
                                          ") cannot compile for " + std::string(arch.name) +
                                          ": NVRTC " + std::to_string(arch.nvrtc_major) + "." +
                                          std::to_string(arch.nvrtc_minor) + " or newer is needed");
}

Result<CompileOutput> Nvrtc::compile(const CompileJob& job) const {
  std::vector<const char*> texts, names, options;
  for (const TemplateText& include : job.includes) {
    texts.push_back(include.text.c_str());
    names.push_back(include.name.c_str());
  }
  for (const std::string& option : job.options) options.push_back(option.c_str());

  nvrtcProgram created = nullptr;
  nvrtcResult result =
      api_->nvrtcCreateProgram(&created, job.source.c_str(), job.name.c_str(),
                               static_cast<int>(texts.size()), texts.data(), names.data());
  if (result != 0) {
    return Status(Code::kCompileFailed,
                  std::string("nvrtcCreateProgram: ") + api_->nvrtcGetErrorString(result));
  }
  auto destroy = [this](nvrtcProgram program) { api_->nvrtcDestroyProgram(&program); };
  const std::unique_ptr<NvrtcProgramHandle, decltype(destroy)> program(created, destroy);
  {
    const HostSignals signals(reinterpret_cast<const void*>(api_->nvrtcCompileProgram));
    result = api_->nvrtcCompileProgram(created, static_cast<int>(options.size()), options.data());
  }

  // The sizes of PTX and log count their terminating zero.
  auto read = [&](auto size_of, auto get, size_t terminator) {
    size_t size = 0;
    std::string text;
    if (size_of(created, &size) != 0 || size <= terminator) return text;
    text.resize(size);
    if (get(created, text.data()) != 0) return std::string();
    text.resize(size - terminator);
    return text;
  };
  CompileOutput output;
  output.log = read(api_->nvrtcGetProgramLogSize, api_->nvrtcGetProgramLog, 1);
  if (result != 0) {
    std::string what = api_->nvrtcGetErrorString(result);
    if (result == kCompilationError) {
      what = job.source.substr(0, job.source.find('\n')) + ": " +
             output.log.substr(0, output.log.find('\n'));
    }
    return Status(Code::kCompileFailed, what, numbered(job.source) + "\n" + output.log);
  }
  output.ptx = read(api_->nvrtcGetPTXSize, api_->nvrtcGetPTX, 1);
  output.cubin = read(api_->nvrtcGetCUBINSize, api_->nvrtcGetCUBIN, 0);
  return output;
}

std::vector<std::string> compile_options(const Arch& arch, ImageKind kind) {
  std::vector<std::string> options{"--std=c++20"};
  if (kind == ImageKind::kCubin) {
    options.push_back("--gpu-architecture=" + std::string(arch.name));
    options.emplace_back("--ptxas-options=-v");  // registers, spills and shared memory in the log
  } else {
    options.push_back("--gpu-architecture=" + std::string(arch.ptx_name));
    options.emplace_back("--generate-line-info");  // so that the emulator can name source lines
  }
  return options;
}

}  // namespace nibble
