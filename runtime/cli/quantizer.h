// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Quantises matrices that lie in files, a bounded number of rows at a time, through the library.
#pragma once

#include <cstdint>
#include <functional>
#include <vector>

#include "nibble/context.hpp"
#include "nibble/quantize.hpp"
#include "nibble/status.hpp"
#include "nibble/types.hpp"
#include "runtime/cli/fidelity.h"
#include "runtime/cli/file.h"

namespace nibble::cli {

// A dense row-major matrix in a file.
struct MatrixInFile {
  const InputFile* file = nullptr;
  uint64_t position = 0;  // of the first byte
  DataType type = DataType::kF32;
  int64_t rows = 0;
  int64_t columns = 0;

  int64_t row_bytes() const { return columns * size_of(type); }
};

// Some rows in NVFP4, codes and scales row-major and dense.
struct QuantizedRows {
  int64_t first_row = 0;
  int64_t rows = 0;
  const uint8_t* codes = nullptr;   // [rows, code_row_bytes(columns)]
  const uint8_t* scales = nullptr;  // [rows, ceil(columns / 16)]
};

class Quantizer {
 public:
  // `chunk_bytes`: of a matrix that are on the device at a time; one row at least.
  explicit Quantizer(Context context, BlockScaling scaling = BlockScaling::kLargest,
                     int64_t chunk_bytes = int64_t{64} << 20)
      : context_(std::move(context)), scaling_(scaling), chunk_bytes_(chunk_bytes) {}

  using Advance = std::function<void(int64_t bytes)>;  // of the matrix, since the last call
  using Sink = std::function<Status(const QuantizedRows&)>;

  // The largest magnitude, on the device.
  Result<float> amax(const MatrixInFile& matrix);
  // Gives every row to `sink`, in order, scaled by `amax`. `tensor_scale` (amax / 2688, four over
  // six amax / 1536) is what the fidelity decodes with.
  Result<Fidelity> quantize(const MatrixInFile& matrix, float amax, double tensor_scale,
                            const Sink& sink, const Advance& advance);

  const Context& context() const { return context_; }
  BlockScaling scaling() const { return scaling_; }

 private:
  int64_t rows_in_chunk(const MatrixInFile& matrix) const;
  Status reserve(const MatrixInFile& matrix);
  Status load(const MatrixInFile& matrix, int64_t first_row, int64_t rows);

  Context context_;
  BlockScaling scaling_;
  int64_t chunk_bytes_;
  std::vector<uint8_t> host_input_, host_codes_, host_scales_;
  Buffer input_, codes_, scales_, amax_;
};

}  // namespace nibble::cli
