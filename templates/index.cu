// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Every template with a sample Config, for editors and a smoke build with nvcc. No part of the
// library: kernels are rendered and compiled at run time.
#include "batch/amax.cuh"
#include "batch/dequantize.cuh"
#include "batch/quantize.cuh"
#include "batch/scale_layout.cuh"
#include "gemm/gemm.cuh"
#include "gemm/trusted.cuh"
#include "hadamard/columns.cuh"
#include "hadamard/hadamard.cuh"
#include "quantize/amax.cuh"
#include "quantize/amax_rows.cuh"
#include "quantize/dequantize.cuh"
#include "quantize/quantize.cuh"
#include "quantize/scale_layout.cuh"
#include "trusted/amax.cuh"
#include "trusted/dequantize.cuh"
#include "trusted/hadamard.cuh"
#include "trusted/quantize.cuh"
#include "trusted/scale_layout.cuh"

struct Config {
  static constexpr int kThreads = 256;
  static constexpr int kRowsPerTile = 1;
  static constexpr int kBlocksPerThread = 2;
  static constexpr int kElementType = 2;
  static constexpr int kVectorBytes = 16;
  static constexpr int kScaleLayout = 1;
  static constexpr int kHasE2m1Conversion = 0;
  static constexpr int kSize = 128;
  static constexpr int kSigns = 1;
  static constexpr int kInverse = 0;
  static constexpr int kWrite = 1;
  static constexpr int kAmax = 1;
  static constexpr int kThreadsPerGroup = 4;
  static constexpr int kGroupsPerThread = 1;
  static constexpr int kPasses = 0;
  static constexpr int kNarrow = 0;
  static constexpr int kAhead = 0;
  static constexpr int kRowsPerThread = 16;
  static constexpr int kToTiles = 1;
  static constexpr int kHasStochasticConversion = 0;
  static constexpr int kFormat = 0;
  static constexpr int kCopies = 0;
  static constexpr int kSquareBlocks = 0;
  static constexpr int kStochastic = 0;
  static constexpr int kRowTransform = 0;
  static constexpr int kColumnTransform = 0;
  static constexpr int kRowTransformSize = 16;
  static constexpr int kColumnTransformSize = 16;
  static constexpr int kRecordsAmax = 0;
  static constexpr int kMakesCodes = 1;
  static constexpr int kOtherLayout = 0;
  static constexpr int kWiden = 0;
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

struct GemmConfig {
  enum : int {
    kThreads = 224,
    kFormat = 0,
    kE5m2OfA = 0,
    kE5m2OfB = 0,
    kOutput = 2,
    kAlpha = 1,
    kC = 3,
    kBias = 1,
    kBiasType = 2,
    kActivation = 5,
    kGated = 1,
    kResidual = 3,
    kAmax = 1,
    kVectorBytes = 16,
    kHasE2m1Conversion = 0,
    kSwapped = 0,
    kDirectStore = 0,
    kCtaGroup = 2,
    kTileN = 128,
    kTileK = 128,
    kClusterM = 2,
    kClusterN = 1,
    kStages = 4,
    kAccumulators = 2,
    kRaster = 8,
    kSplit = 1,
    kEpilogueColumns = 32,
    kScheduler = 0,
    kUser = 0,
  };
};

struct GemmTrustedConfig : GemmConfig {
  enum : int { kThreads = 128 };
};

extern "C" __global__ __launch_bounds__(GemmConfig::kThreads, 1) void gemm(
    const __grid_constant__ nibble::GemmParams params) {
  nibble::gemm<GemmConfig>(params);
}

extern "C" __global__ __launch_bounds__(GemmTrustedConfig::kThreads, 1) void gemm_trusted(
    const __grid_constant__ nibble::GemmTrustedParams params) {
  nibble::gemm_trusted<GemmTrustedConfig>(params);
}

extern "C" __global__ __launch_bounds__(Config::kThreads) void hadamard(
    const __grid_constant__ nibble::HadamardParams params) {
  nibble::hadamard<Config>(params);
}

extern "C" __global__ __launch_bounds__(Config::kThreads) void hadamard_columns(
    const __grid_constant__ nibble::HadamardParams params) {
  nibble::hadamard_columns<Config>(params);
}

extern "C" __global__ __launch_bounds__(Config::kThreads) void amax_rows(
    const __grid_constant__ nibble::AmaxParams params) {
  nibble::amax_rows<Config>(params);
}

extern "C" __global__ __launch_bounds__(Config::kThreads) void scale_layout(
    const __grid_constant__ nibble::ScaleLayoutParams params) {
  nibble::scale_layout<Config>(params);
}

extern "C" __global__ __launch_bounds__(Config::kThreads) void amax_batch(
    const __grid_constant__ nibble::BatchParams params) {
  nibble::amax_batch<Config>(params);
}

extern "C" __global__ __launch_bounds__(Config::kThreads) void dequantize_batch(
    const __grid_constant__ nibble::BatchParams params) {
  nibble::dequantize_batch<Config>(params);
}

extern "C" __global__ __launch_bounds__(Config::kThreads) void quantize_batch(
    const __grid_constant__ nibble::BatchParams params) {
  nibble::quantize_batch<Config>(params);
}

extern "C" __global__ __launch_bounds__(Config::kThreads) void scale_layout_batch(
    const __grid_constant__ nibble::BatchParams params) {
  nibble::scale_layout_batch<Config>(params);
}
