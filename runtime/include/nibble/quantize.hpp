// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Quantisation of f32, f16 or bf16 to NVFP4, MXFP4 or MXFP8, row by row, transposed, or both from
// one read of the input; with blocks along rows or 16 x 16, to nearest even or stochastically,
// after a random Hadamard transform or not. Each kernel is generated for what the request asks. The
// bits are those of the numerics contract in templates/README.md, on every target.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

#include "nibble/context.hpp"
#include "nibble/status.hpp"
#include "nibble/types.hpp"

namespace [[gnu::visibility("default")]] nibble {

enum class QuantizedFormat : int {
  kNvfp4 = 0,  // E2M1, an E4M3 scale for each 16 elements, one fp32 amax a tensor
  kMxfp4 = 1,  // E2M1, a UE8M0 scale for each 32
  kMxfp8 = 2,  // E4M3, a UE8M0 scale for each 32
};
std::string_view format_name(QuantizedFormat format);  // "mxfp4"
// Bytes of the codes of one row: whole blocks.
int64_t quantized_row_bytes(QuantizedFormat format, int64_t columns);
// Bytes of the scales of a [rows, columns] matrix, padding included (dense rows if row-major).
int64_t quantized_scale_bytes(QuantizedFormat format, int64_t rows, int64_t columns,
                              ScaleLayout layout);

enum class Copies : int {
  kRowWise = 0,  // y: x
  kTransposed =
      1,      // y_transposed: the transpose of x, [columns, rows], its blocks along x's columns
  kBoth = 2,  // both, from one read of x
};

enum class BlockShape : int {
  kRow = 0,     // consecutive elements of a row of the copy: 16 of NVFP4, 32 of the MX formats
  kSquare = 1,  // 16 x 16, for weights: both copies have the same codes. NVFP4 only; a transform
                // needs the other copy left out
};

enum class BlockScaling : int {
  kLargest = 0,  // the largest element of a block becomes 6, that of MXFP8 448
  // Four over six: 6 or 4, by the smaller sum of squared errors. NVFP4 only. Values are then
  // code x scale x amax / 1536, not / 2688: dequantize() is told by the same option, a
  // multiplication by alpha = 1.75 for each such operand.
  kFourOverSix = 1,
};

enum class Rounding : int {
  kNearestEven = 0,
  kStochastic = 1,  // by random bits that follow from seed and place alone
};

// x diag(s) H / sqrt(size) of each `size` consecutive elements of a copy's rows, H of Sylvester's
// order, in fp32, rounded to the type of x.
struct HadamardTransform {
  bool enabled = false;
  // Bit i % 32 of word i / 32: element i of a group changes its sign. By default as Transformer
  // Engine has it of 16, and again.
  std::array<uint32_t, 4> signs = {0xD7E8D7E8, 0xD7E8D7E8, 0xD7E8D7E8, 0xD7E8D7E8};
  // 16, 32, 64 or 128; beyond 16 a divisor of the rows' length.
  int size = 16;
};

struct QuantizeRequest {
  Matrix x;       // rows, columns >= 1
  Nvfp4Matrix y;  // written: codes, scales with their padding; amax too unless given. The MX
                  // formats have no amax
  bool amax_given = false;  // y.amax holds the amax to scale by, perhaps of the step before; else
                            // it is computed first, of x as transformed
  Stream stream = nullptr;

  Copies copies = Copies::kRowWise;
  QuantizedFormat format = QuantizedFormat::kNvfp4;
  BlockShape blocks = BlockShape::kRow;
  BlockScaling scaling = BlockScaling::kLargest;
  Rounding rounding = Rounding::kNearestEven;
  uint64_t seed = 0;                         // of stochastic rounding
  HadamardTransform transform{};             // of y
  HadamardTransform transposed_transform{};  // of y_transposed

  // As y, of [columns, rows]; its scale layout may be another. Its amax is y's unless there is a
  // transform or no y.
  Nvfp4Matrix y_transposed{};

  // Each null, or one float that becomes the larger of itself and the amax of what the copy is made
  // of: for the next step. Without a transform both are the same.
  DevicePointer recorded_amax = 0;
  DevicePointer transposed_recorded_amax = 0;

  KernelKind kernel = KernelKind::kFast;
};

// Enqueues the quantisation on the stream. Compiles what is not yet in memory or on disk, except
// while the stream is being captured (kWouldCompile).
Status quantize(Context& context, const QuantizeRequest& request);

// The kernels for requests of one kind (types, layout, options, alignment and shape class), made
// ahead of their launches. launch() allocates nothing, takes no lock and compiles nothing. Copies
// are cheap. Thread-safe.
class QuantizePlan {
 public:
  // The pointers of `request` may be null here; their alignment is taken as 16 bytes then.
  static Result<QuantizePlan> create(Context& context, const QuantizeRequest& request);
  // `request` must have the types, layout, shape and strides that the plan was made for.
  Status launch(const QuantizeRequest& request) const;

 private:
  struct State;
  std::shared_ptr<const State> state_;
};

}  // namespace nibble
