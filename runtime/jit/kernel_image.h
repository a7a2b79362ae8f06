// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A compiled kernel as bytes: what the disk cache holds.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "nibble/inspect.hpp"
#include "runtime/jit/nvrtc.h"

namespace nibble {

struct KernelImage {
  ImageKind kind = ImageKind::kCubin;
  KernelResources resources;  // zero for PTX: not yet assembled
  std::string log;
  std::string code;  // PTX text or cubin
};

// Text header of `name value` lines, an empty line, the log, the code.
std::string serialize(const KernelImage& image);
// Null when the bytes are not such an image. (The cache has verified their digest before.)
std::optional<KernelImage> deserialize(std::string_view bytes);

// The resource lines that ptxas -v writes into NVRTC's log.
KernelResources parse_resources(std::string_view log);

}  // namespace nibble
