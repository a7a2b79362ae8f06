// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The CUDA-core kernel of the matrix multiplication, bit for bit against the reference, on every
// device.
#include "tests/families/gemm_case.h"

namespace nibble::test {
namespace {

class GemmTrusted : public DeviceTest {
 protected:
  void check(GemmCase gemm) {
    gemm.kernel = GemmKernel::kTrusted;
    check_gemm(context(), gemm);
  }
};

TEST_P(GemmTrusted, EveryFormatAndOutput) {
  GemmCase gemm;
  gemm.m = 37;
  gemm.n = 70;
  gemm.k = 100;
  for (int format = 0; format < 5; ++format) {
    for (int output = 0; output < 5; ++output) {
      gemm.format = static_cast<OperandFormat>(format);
      gemm.output = static_cast<OutputType>(output);
      ++gemm.seed;
      check(gemm);
    }
  }
}

TEST_P(GemmTrusted, EveryActivationAndGate) {
  GemmCase gemm;
  gemm.m = 19;
  gemm.n = 66;
  gemm.k = 48;
  for (int activation = 0; activation < 6; ++activation) {
    for (bool gated : {false, true}) {
      for (OutputType output : {OutputType::kF32, OutputType::kNvfp4}) {
        gemm.activation = static_cast<Activation>(activation);
        gemm.gated = gated;
        gemm.output = output;
        ++gemm.seed;
        check(gemm);
      }
    }
  }
}

TEST_P(GemmTrusted, UsersEpilogues) {
  GemmCase gemm;
  gemm.m = 21;
  gemm.n = 70;
  gemm.k = 32;
  for (GemmUser user : {GemmUser::kClamp, GemmUser::kByPlace, GemmUser::kTable}) {
    for (bool gated : {false, true}) {
      for (OutputType output : {OutputType::kF32, OutputType::kBf16, OutputType::kMxfp4}) {
        gemm.user = user;
        gemm.gated = gated;
        gemm.output = output;
        ++gemm.seed;
        check(gemm);
      }
    }
  }
}

TEST_P(GemmTrusted, RandomProblems) {
  std::mt19937_64 random(4);
  const int count = on_gpu() ? 400 : 60;
  for (int i = 0; i < count; ++i) check(random_case(random, on_gpu() ? 4 << 20 : 1 << 17));
}

INSTANTIATE_TEST_SUITE_P(Devices, GemmTrusted, testing::ValuesIn(kDevices), device_test_name);

}  // namespace
}  // namespace nibble::test
