// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The log buffers among the options of a load.
#pragma once

#include <string_view>

#include "runtime/driver/cuda_abi.h"
#include "runtime/emulator/driver/module.h"

namespace nibble::emulator::driver {

class JitLog {
 public:
  // The options of cuModuleLoadDataEx; what compilers do with the others means nothing here.
  JitLog(unsigned count, const CUjit_option* options, void** values);

  // Writes the error's log and the sizes back; says the error where no buffer takes it.
  CUresult finish(const LoadError& error);

 private:
  struct Buffer {
    char* text = nullptr;
    size_t size = 0;
    void** written = nullptr;  // the option's value, bytes used
    void write(std::string_view log);
  };
  Buffer info_, error_;
};

}  // namespace nibble::emulator::driver
