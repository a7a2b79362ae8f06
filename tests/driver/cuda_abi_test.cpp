// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Our declarations of the driver's ABI against those of the installed cuda.h.
#include "runtime/driver/cuda_abi.h"

#include <gtest/gtest.h>

#include "tests/driver/abi_numbers.h"

namespace nibble::test {

std::vector<AbiNumber> numbers_of_ours() {
  return {
#include "tests/driver/abi_numbers.inc"
  };
}

namespace {

TEST(CudaAbi, IsThatOfCudaH) {
  const std::vector<AbiNumber> theirs = numbers_of_cuda_h();
  if (theirs.empty()) GTEST_SKIP() << "no cuda.h of CUDA 13.0 or newer on the include path";
  const std::vector<AbiNumber> ours = numbers_of_ours();
  ASSERT_EQ(ours.size(), theirs.size());
  for (size_t i = 0; i < ours.size(); ++i) {
    EXPECT_EQ(ours[i].name, theirs[i].name);
    EXPECT_EQ(ours[i].value, theirs[i].value) << ours[i].name;
  }
}

}  // namespace
}  // namespace nibble::test
