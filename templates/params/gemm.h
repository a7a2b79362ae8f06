// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Kernel parameters of the gemm and gemm_trusted families. Compiled by the host compiler and by
// NVRTC: plain structs of fixed-width members, no include.
#pragma once

namespace nibble {

// A CUtensorMap.
struct alignas(64) TensorMap {
  unsigned long long words[16];
};

// [batch, rows, columns]; strides in elements. FP4 codes: strides in bytes.
struct GemmMatrixParams {
  void* data;
  long long row_stride;
  long long batch_stride;
};

// What happens to a sum on its way to D. m, n: of the product, before pairs of columns are gated.
struct GemmEpilogueParams {
  long long m, n;
  float alpha, beta;
  const float* a_factor;  // kAlpha 1: amax, 2: scale of the tensor
  const float* b_factor;
  GemmMatrixParams c;              // [batch, m, n]
  GemmMatrixParams residual;       // [batch, m, columns of D]
  GemmMatrixParams d;              // [batch, m, columns of D]
  const void* bias;                // [n] or [m]
  unsigned char* d_scales;         // FP4: 128x4 layout
  long long d_scale_batch_stride;  // bytes
  const float* d_tensor_amax;      // NVFP4: what to quantise by
  float* d_amax;                   // kAmax: holds 0 or an earlier maximum
  // The user's Epilogue.
  alignas(16) unsigned long long user[16];
};

// The tensor-core kernel. "Rows" are those of the MMA: with kSwapped they are the rows of B.
struct GemmParams {
  TensorMap a;  // rows: bytes of k, rows, batch
  TensorMap b;  // columns of the product
  TensorMap
      a_scales;  // 16-bit words of a 512-byte scale tile, tiles along k, tiles along rows, batch
  TensorMap b_scales;
  TensorMap d;  // unless kDirectStore
  GemmEpilogueParams epilogue;
  int k_steps;  // stages of k of a whole sum, >= 1
  int tiles_m;  // tiles of a cluster along the rows of the MMA: kClusterM x 128 rows each
  int tiles_n;  // and along its columns: kClusterN x kTileN each
  int batch;
  float* partial_sums;      // kSplit > 1: [thread block tiles, kSplit, kTileN / 4, 128 rows, 4]
  unsigned* arrived_parts;  // [thread block tiles, 4 warps], 0
};

// The CUDA-core kernel. Strides in bytes.
struct GemmTrustedParams {
  const unsigned char* a;
  const unsigned char* b;
  const unsigned char* a_scales;
  const unsigned char* b_scales;
  long long a_row_stride, a_batch_stride, a_scale_batch_stride;
  long long b_row_stride, b_batch_stride, b_scale_batch_stride;
  long long k, batch;
  GemmEpilogueParams epilogue;
};

}  // namespace nibble
