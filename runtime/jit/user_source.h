// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Sources that users give: the Epilogue struct of a matrix multiplication.
#pragma once

#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>

#include "nibble/status.hpp"
#include "runtime/jit/arch.h"

namespace nibble {

class KernelPool;

// What a kernel includes a user's source as; NVRTC names its lines by it.
constexpr std::string_view kUserSourceName = "epilogue.cuh";
// What kernel parameters have room for.
constexpr int kMaxUserArgumentBytes = 128;
constexpr int kMaxUserArgumentAlignment = 16;

struct UserSource {
  std::string text;
  std::string digest;       // 32 hexadecimal digits
  int argument_bytes = 0;   // sizeof(Epilogue)
  bool has_members = true;  // without any there need be no arguments
};

// Whether a launch may give this many bytes as the Epilogue struct; the error names both numbers.
Status check_argument_bytes(const UserSource& source, int64_t bytes);

// The accepted sources of a context, each text once: its address stands for it in a KernelSpec.
// Thread-safe.
class UserSources {
 public:
  // Compiles the text with a small kernel that calls it, unless it is known. The result is on disk
  // like any kernel.
  Result<const UserSource*> intern(KernelPool& pool, const Arch& arch, std::string_view text);

 private:
  const UserSource* find(std::string_view text);

  std::mutex mutex_;
  std::map<std::string, std::unique_ptr<const UserSource>, std::less<>> sources_;
};

}  // namespace nibble
