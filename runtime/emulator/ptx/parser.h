// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// PTX text to Module. Accepts all of the PTX grammar that NVRTC, nvcc, LLVM and Triton emit, nested
// scopes of inline assembly included. Knows no instruction: any opcode parses.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "runtime/emulator/ptx/module.h"

namespace nibble::emulator {

struct ParseError {
  uint32_t line = 0;    // from 1
  uint32_t column = 0;  // from 1
  std::string message;
};

// Null with `error` set when the text is not PTX.
std::optional<Module> parse_ptx(std::string_view text, ParseError& error);

}  // namespace nibble::emulator
