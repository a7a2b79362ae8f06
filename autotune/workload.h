// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A request of one family on memory of its own: random input, and as many sets of buffers as make
// launches that go through them find nothing of theirs in the L2 cache.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "autotune/tune.h"
#include "nibble/context.hpp"
#include "nibble/hadamard.hpp"
#include "nibble/types.hpp"

namespace nibble::autotune {

struct Problem {
  std::string family = "quantize";
  int64_t rows = 0;
  int64_t columns = 0;
  DataType type = DataType::kBf16;              // of the matrix that is not NVFP4
  ScaleLayout layout = ScaleLayout::kRowMajor;  // of scales
  int64_t size = 0;                             // Hadamard: elements of a group; 0: the whole axis
};

class Workload {
 public:
  // Uses at most half of `free_bytes`, unless two sets take more. kInvalidArgument names the
  // families that can be tuned.
  static Result<Workload> create(const Context& context, const Problem& problem,
                                 int64_t free_bytes);

  int sets() const { return sets_; }
  int64_t bytes() const { return bytes_; }  // that one launch reads and writes
  // Enqueues the request on the default stream; sets repeat after sets().
  Status launch(int64_t set) { return launch_(*this, static_cast<int>(set % sets_)); }
  // The outputs of one launch of set 0.
  Result<Outputs> outputs(uint8_t poison);

 private:
  enum class Content { kElements, kCodes, kScales, kAmax, kOutput };
  // In each set `bytes` of it, with a guard before and after them.
  struct Operand {
    Content content;
    int64_t bytes;
    Buffer memory;
    int64_t pitch() const;
    DevicePointer at(int set) const;
  };

  Workload(const Context& context, const Problem& problem) : context_(context), problem_(problem) {}
  Status describe();
  void describe_amax();
  void describe_quantize();
  void describe_dequantize();
  void describe_hadamard(Axis axis);
  void add(Content content, int64_t bytes);
  Matrix matrix(size_t operand, int set) const;
  int64_t matrix_bytes() const;
  int64_t codes_bytes() const;
  int64_t scales_bytes() const;
  Status allocate(int64_t free_bytes);
  Status fill(const Operand& operand);
  Status poison(uint8_t value);

  Context context_;
  Problem problem_;
  std::vector<Operand> operands_;
  std::function<Status(Workload&, int)> launch_;
  int64_t bytes_ = 0;
  int sets_ = 1;
};

}  // namespace nibble::autotune
