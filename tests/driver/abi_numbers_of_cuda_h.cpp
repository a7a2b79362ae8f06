// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#if __has_include(<cuda.h>)
#include <cuda.h>
#if CUDA_VERSION >= 13000
#define NIBBLE_HAS_CUDA_H 1
#endif
#endif

#include "tests/driver/abi_numbers.h"

namespace nibble::test {

std::vector<AbiNumber> numbers_of_cuda_h() {
#ifdef NIBBLE_HAS_CUDA_H
  return {
#include "tests/driver/abi_numbers.inc"
  };
#else
  return {};
#endif
}

}  // namespace nibble::test
