// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Every template with a sample Config, for editors and a smoke build with nvcc. No part of the
// library: kernels are rendered and compiled at run time.
#include "quantize/amax.cuh"
#include "quantize/dequantize.cuh"
#include "quantize/quantize.cuh"

struct Config {
  static constexpr int kThreads = 256;
  static constexpr int kRowsPerTile = 1;
  static constexpr int kBlocksPerThread = 2;
  static constexpr int kElementType = 2;
  static constexpr int kVectorBytes = 16;
  static constexpr int kScaleLayout = 1;
  static constexpr int kHasE2m1Conversion = 0;
};

extern "C" __global__ __launch_bounds__(Config::kThreads) void amax(
    const __grid_constant__ nibble::AmaxParams params) {
  nibble::amax<Config>(params);
}

extern "C" __global__ __launch_bounds__(Config::kThreads) void quantize(
    const __grid_constant__ nibble::QuantizeParams params) {
  nibble::quantize<Config>(params);
}

extern "C" __global__ __launch_bounds__(Config::kThreads) void dequantize(
    const __grid_constant__ nibble::DequantizeParams params) {
  nibble::dequantize<Config>(params);
}
