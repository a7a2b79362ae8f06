// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// NVRTC, loaded at run time: CUDA source to PTX or cubin for any target, with no GPU or driver.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/status.hpp"
#include "runtime/driver/shared_library.h"
#include "runtime/jit/arch.h"
#include "runtime/jit/template_library.h"

namespace nibble {

enum class ImageKind { kPtx, kCubin };

struct CompileJob {
  std::string name;  // for messages: "quantize.cu"
  std::string source;
  std::vector<TemplateText> includes;  // all that the source may include; no file is read
  std::vector<std::string> options;
};

struct CompileOutput {
  std::string ptx;
  std::string cubin;  // empty for a compute_XX target
  std::string log;
};

// Safe from any thread.
class Nvrtc {
 public:
  // `path` empty: NIBBLE's own folder, the loader's search path, the toolkit's usual places.
  static Result<std::shared_ptr<const Nvrtc>> load(const std::string& path);

  int major() const { return major_; }
  int minor() const { return minor_; }
  const std::string& path() const { return library_.path(); }
  // Version and builds of NVRTC and of its built-in functions: part of every cache key.
  const std::string& identity() const { return identity_; }

  // kLibraryTooOld when this NVRTC does not know the target.
  Status check_target(const Arch& arch) const;
  // kCompileFailed: detail() is the log after the source with line numbers.
  Result<CompileOutput> compile(const CompileJob& job) const;

 private:
  struct Api;
  Nvrtc(SharedLibrary library, std::shared_ptr<const Api> api);
  SharedLibrary library_;
  std::shared_ptr<const Api> api_;
  int major_ = 0, minor_ = 0;
  std::vector<int> targets_;  // 90, 100, ...
  std::string identity_;
};

// The options that kernels of nibble are compiled with.
std::vector<std::string> compile_options(const Arch& arch, ImageKind kind);

}  // namespace nibble
