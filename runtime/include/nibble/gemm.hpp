// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Matrix multiplication of quantised operands: D = epilogue(alpha * A x B^T + beta * C).
//
// A is [batch, m, k], B is [batch, n, k], both with k contiguous; C and D are [batch, m, n],
// row-major. On GPUs with fifth-generation tensor cores (sm_100a, sm_103a) a kernel is generated
// for the request; on others a plain CUDA-core kernel answers (GemmKernel::kTrusted), correct and
// slow. The order of operations and roundings is the numerics contract of templates/README.md.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "nibble/context.hpp"
#include "nibble/status.hpp"
#include "nibble/types.hpp"

namespace [[gnu::visibility("default")]] nibble {

// What A and B are made of; both are of one format.
enum class OperandFormat : int {
  kNvfp4 = 0,  // E2M1, two a byte; an E4M3 scale for each 16; one fp32 amax a tensor
  kMxfp4 = 1,  // E2M1, two a byte; a UE8M0 scale for each 32
  kMxfp8 = 2,  // E4M3; a UE8M0 scale for each 32
  kFp8 = 3,    // E4M3 or E5M2 (GemmOperand::fp8); one fp32 scale a tensor
  kBf16 = 4,   // no scale
};
std::string_view format_name(OperandFormat format);  // "nvfp4"
// Bytes of one row of k elements: k rounded up to a whole byte.
int64_t operand_row_bytes(OperandFormat format, int64_t k);
// Bytes of the block scales of [rows, k] in the 128x4 layout, padding included; 0 where there are
// none.
int64_t operand_scale_bytes(OperandFormat format, int64_t rows, int64_t k);

// Elements of kFp8; A and B may differ (gradients in E5M2, weights in E4M3).
enum class Fp8Type : int { kE4m3 = 0, kE5m2 = 1 };
std::string_view fp8_name(Fp8Type type);  // "e4m3"

// [batch, rows, k] in device memory; not owned. Strides in bytes.
struct GemmOperand {
  DevicePointer data = 0;    // 16-byte aligned; of an odd k, the last half byte of a row is 0
  DevicePointer scales = 0;  // kNvfp4, kMxfp4, kMxfp8: the 128x4 layout (ScaleLayout::k128x4),
                             // 16-byte aligned, its padding 0
  DevicePointer amax = 0;    // kNvfp4: see GemmRequest::alpha
  DevicePointer scale = 0;   // kFp8: the same
  int64_t row_stride = 0;    // a multiple of 16; 0: operand_row_bytes()
  int64_t batch_stride = 0;  // a multiple of 16; 0: rows x row_stride
  int64_t scale_batch_stride = 0;  // a multiple of 16; 0: operand_scale_bytes()
  Fp8Type fp8 = Fp8Type::kE4m3;    // kFp8 only
};

// [batch, m, n] in device memory; not owned; aligned to its elements. Strides in elements.
struct GemmMatrix {
  DevicePointer data = 0;
  DataType type = DataType::kF32;
  int64_t row_stride = 0;    // 0: columns
  int64_t batch_stride = 0;  // 0: rows x row_stride
};

enum class OutputType : int { kF32 = 0, kF16 = 1, kBf16 = 2, kNvfp4 = 3, kMxfp4 = 4 };
std::string_view output_name(OutputType type);  // "bf16"

struct GemmOutput {
  DevicePointer data = 0;  // aligned to its elements; FP4: 8-byte aligned rows of codes
  OutputType type = OutputType::kBf16;
  int64_t row_stride = 0;    // elements; FP4: a multiple of 16. 0: columns (FP4: rounded up to 16)
  int64_t batch_stride = 0;  // elements; 0: rows x row_stride
  // FP4: block scales in the 128x4 layout, 4-byte aligned; all of it is written, padding too.
  DevicePointer scales = 0;
  int64_t scale_batch_stride = 0;  // bytes; 0: all scales of one matrix
  DevicePointer tensor_amax = 0;   // kNvfp4, read: the amax to quantise by
  // Null, or one float: receives max |D|, of what is stored (FP4: of what is quantised).
  DevicePointer amax = 0;
};

enum class Activation : int {
  kNone = 0,
  kRelu = 1,
  kSquaredRelu = 2,
  kGeluTanh = 3,
  kGeluErf = 4,
  kSilu = 5,
};
std::string_view activation_name(Activation activation);  // "gelu_tanh"

enum class BiasAxis : int { kNone = 0, kColumn = 1, kRow = 2 };

// A user's own epilogue: CUDA source that defines
//
//   struct Epilogue {
//     float limit;  // members are the extra arguments: at most 128 bytes, trivially copyable
//     __device__ float operator()(float value, long long row, long long column) const {
//       return fminf(value, limit);
//     }
//   };
//
// It may include nothing, and becomes part of the kernel. Compiled once here, alone, so that a
// mistake is reported in the user's own lines. Copies are cheap; must not outlive its context.
// Thread-safe.
class UserEpilogue {
 public:
  // kCompileFailed: the message has the first error with its line in `source`, detail() the log.
  static Result<UserEpilogue> create(Context& context, std::string_view source);
  UserEpilogue() = default;
  explicit operator bool() const { return source_ != nullptr; }

 private:
  friend struct UserEpilogueAccess;
  const struct UserSource* source_ = nullptr;
};

// value = alpha * sum + beta * C, then, each where asked for and in this order:
struct GemmEpilogue {
  // 1. value += bias[n] (kColumn) or bias[m] (kRow)
  BiasAxis bias_axis = BiasAxis::kNone;
  DevicePointer bias = 0;
  DataType bias_type = DataType::kF32;
  // 2. value = activation(value); gated: columns 2j and 2j + 1 of the product make column j of D,
  //    activation(value[2j]) * value[2j + 1]. n must be even, D has n / 2 columns (SwiGLU: kSilu,
  //    GeGLU: kGelu*)
  Activation activation = Activation::kNone;
  bool gated = false;
  // 3. value += residual, of D's shape
  GemmMatrix residual;
  // 4. value = user(value, row, column) of D
  UserEpilogue user;
  const void* user_arguments = nullptr;  // the Epilogue struct's bytes; copied by the call
  int64_t user_argument_bytes = 0;
};

// How a kernel works; any legal configuration gives the same bits, but for `split`, which changes
// the order of summation. 0 or empty members: chosen by the cost model.
struct GemmConfig {
  int cta_group = 0;         // thread blocks that share an MMA: 1 (tile of 128 rows) or 2 (256)
  int tile_n = 0;            // columns of a tile: 8, 16, 32, 64, 128, 192, 256
  int tile_k = 0;            // bytes of k of a stage: 128 or 256
  int cluster_m = 0;         // thread blocks of a cluster along m: a multiple of cta_group
  int cluster_n = 0;         // and along n; operands are multicast within a cluster
  int stages = 0;            // of the shared-memory ring
  int accumulators = 0;      // 1, or 2: the epilogue overlaps the next tile's products
  int raster = 0;            // rows of tiles that are walked together, for the L2 cache
  int split = 0;             // parts of k that are computed apart and added in order
  int epilogue_columns = 0;  // columns that the epilogue takes at a time
  int scheduler = -1;        // 0: static; 1: cluster launch control
  int swapped = -1;          // 1: computes D^T = B x A^T, for small m
};

enum class GemmKernel : int {
  kAuto = 0,
  kTensor = 1,   // kUnsupported where the GPU has no kernel for its tensor cores
  kTrusted = 2,  // CUDA cores, fp64 sums: what others are compared with
};

struct GemmRequest {
  OperandFormat format = OperandFormat::kNvfp4;
  int64_t m = 0, n = 0, k = 0;  // >= 0; nothing is done where m, n or batch is 0
  int64_t batch = 1;
  GemmOperand a, b;
  GemmOutput d;
  // alpha is multiplied by the tensors' own scales where they are given (both or neither):
  //   kNvfp4, a.amax and b.amax:   ((alpha * amax_A) * amax_B) * RN(1 / 2688^2), on the device
  //   kFp8, a.scale and b.scale:   (alpha * scale_A) * scale_B, on the device
  float alpha = 1;
  float beta = 0;
  GemmMatrix c;  // read where beta != 0, of n columns; may be D itself
  GemmEpilogue epilogue;

  GemmKernel kernel = GemmKernel::kAuto;
  GemmConfig config;
  // Device memory for partial sums of a split k, 256-byte aligned, zero before its first use and
  // left zero: gemm_workspace_bytes(). Without one k is not split.
  DevicePointer workspace = 0;
  int64_t workspace_bytes = 0;
  // Programmatic dependent launch: may begin before the kernel ahead of it in the stream has ended;
  // it waits for that kernel's results by itself.
  bool dependent_launch = false;
  Stream stream = nullptr;
};

// Enqueues the multiplication on the stream. Compiles what is not yet in memory or on disk, except
// while the stream is being captured (kWouldCompile).
Status gemm(Context& context, const GemmRequest& request);

// Bytes that GemmRequest::workspace must have for the configuration that would be chosen with one.
Result<int64_t> gemm_workspace_bytes(Context& context, const GemmRequest& request);

// The kernel for requests of one kind (format, types, epilogue, alignment, configuration), made
// ahead of its launches. launch() allocates nothing, takes no lock and compiles nothing; what it
// works out of addresses, strides and sizes stays for the next launch with the same ones. Copies
// are cheap, and share that. Thread-safe.
class GemmPlan {
 public:
  // The pointers of `request` may be null here; their alignment is taken as 16 bytes then.
  static Result<GemmPlan> create(Context& context, const GemmRequest& request);
  Status launch(const GemmRequest& request) const;
  std::string_view label() const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace nibble
