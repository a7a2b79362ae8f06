// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// One shape and type on a device: random input and room for outputs, several sets of each so that
// rotating launches do not find their data in the L2 cache.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "bench/report.h"
#include "nibble/amax.hpp"
#include "nibble/dequantize.hpp"
#include "nibble/quantize.hpp"

namespace nibble::bench {

// Ends the program with the status's message unless it is ok.
void require(const Status& status);
template <class T>
T require(Result<T> result) {
  require(result.status());
  return std::move(result).value();
}

// The device, which the report names. None where it is not here: then it is said that nothing was
// measured.
std::optional<Context> open_device(const std::string& device, Report& report);

struct Shape {
  int64_t rows = 0, columns = 0;
  std::string text() const { return std::to_string(rows) + "x" + std::to_string(columns); }
};

class DeviceProblem {
 public:
  DeviceProblem(Context& context, Shape shape, DataType type);

  int sets() const { return sets_; }
  // Operands of a set; sets repeat after sets().
  AmaxRequest amax(int set) const;
  QuantizeRequest quantize(int set, ScaleLayout layout) const;  // amax given
  DequantizeRequest dequantize(int set, ScaleLayout layout) const;
  // Copies half of `bytes` (read and written: `bytes` in all) within the buffers.
  Status copy(int set, int64_t bytes) const;

  int64_t matrix_bytes() const { return matrix_bytes_; }
  int64_t nvfp4_bytes() const { return codes_bytes_ + scales_bytes_; }  // without padding

  float largest() const { return largest_; }  // |x| in every set
  // Fill with a pattern that no kernel writes everywhere: outputs of quantisation; of
  // dequantisation; the amax of set 0.
  void poison();
  void poison_matrix();
  void poison_amax();
  // The start of the matrix, codes and scales that launches of set 0 write, and its amax.
  std::vector<uint8_t> outputs();
  // |y - x| / |x| of set 0 over its start, in the 2-norm.
  double error_of_start();
  float computed_amax();

 private:
  void fill_input();
  DevicePointer at(const Buffer& buffer, int set, int64_t pitch) const {
    return buffer.address() + static_cast<uint64_t>(set % sets_ * pitch);
  }

  Context& context_;
  Shape shape_;
  DataType type_;
  int64_t matrix_bytes_, codes_bytes_, scales_bytes_;
  int64_t matrix_pitch_, codes_pitch_, scales_pitch_;  // from set to set, padding included
  int sets_ = 2;
  float largest_ = 0;
  std::vector<uint8_t> start_;  // of each set's input
  Buffer x_, y_, codes_, scales_, amax_;
};

// Seconds of one launch, for each sample: device events around a batch that takes a millisecond or
// more. `launch` gets the set to use.
std::vector<double> time_on_device(Context& context, int samples,
                                   const std::function<Status(int)>& launch);

}  // namespace nibble::bench
