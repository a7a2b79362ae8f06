// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Whole tensor-core kernels in PTX through the emulator's Driver API.
#pragma once

#include <string>

#include "bench/report.h"

namespace nibble::bench {

struct ProgramSettings {
  std::string emulator;  // libnibble-cuda-emulator.so
  std::string folder;    // of the programs' PTX
  int samples = 15;
};

// Adds milliseconds of nvfp4_gemm.ptx at 512 x 512 x 512, and of a multiplication of mma_loop.ptx,
// with the checks of order on and off.
void add_program_lines(const ProgramSettings& settings, int threads, Report& report);

}  // namespace nibble::bench
