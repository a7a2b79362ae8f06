// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/emulator/driver/jit_log.h"

#include <algorithm>
#include <cstring>

#include "runtime/emulator/driver/messages.h"

namespace nibble::emulator::driver {

JitLog::JitLog(unsigned count, const CUjit_option* options, void** values) {
  if (options == nullptr || values == nullptr) return;
  for (unsigned i = 0; i < count; ++i) {
    Buffer& buffer =
        options[i] == CU_JIT_INFO_LOG_BUFFER || options[i] == CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES
            ? info_
            : error_;
    switch (options[i]) {
      case CU_JIT_INFO_LOG_BUFFER:
      case CU_JIT_ERROR_LOG_BUFFER:
        buffer.text = static_cast<char*>(values[i]);
        break;
      case CU_JIT_INFO_LOG_BUFFER_SIZE_BYTES:
      case CU_JIT_ERROR_LOG_BUFFER_SIZE_BYTES:
        // The size is an unsigned int in the low half of the value.
        buffer.size = static_cast<uint32_t>(reinterpret_cast<uintptr_t>(values[i]));
        buffer.written = &values[i];
        break;
      default:
        break;
    }
  }
}

void JitLog::Buffer::write(std::string_view log) {
  size_t used = 0;
  if (text != nullptr && size > 0) {
    used = std::min(log.size(), size - 1);
    if (used != 0) std::memcpy(text, log.data(), used);
    text[used] = '\0';
  }
  if (written != nullptr) *written = reinterpret_cast<void*>(static_cast<uintptr_t>(used));
}

CUresult JitLog::finish(const LoadError& error) {
  info_.write({});
  error_.write(error.log);
  if (error.code != CUDA_SUCCESS && error_.text == nullptr) say(error.log);
  return error.code;
}

}  // namespace nibble::emulator::driver
