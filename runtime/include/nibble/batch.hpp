// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Many tensors at once: the weights of a whole model in one kernel.
#pragma once

#include <memory>
#include <span>

#include "nibble/context.hpp"
#include "nibble/dequantize.hpp"
#include "nibble/quantize.hpp"
#include "nibble/scale_layout.hpp"
#include "nibble/status.hpp"
#include "nibble/types.hpp"

namespace [[gnu::visibility("default")]] nibble {

// The kernels and the table of many requests of one kind, made ahead of their launches: one kernel
// for those of the same types, layouts and alignment. The table is in device memory of the batch's
// own. launch() allocates nothing, takes no lock and compiles nothing. Copies are cheap.
// Thread-safe.
class Batch {
 public:
  // max |x| of tensors[i], NaN ignored, goes to amaxes[i]: so many floats, 4-byte aligned.
  static Result<Batch> amax(Context& context, std::span<const Matrix> tensors,
                            DevicePointer amaxes);
  // The streams of the requests are not used, here and below.
  // Before the quantisations come the kernels that find what amaxes are not given. Each memory set
  // clears one run of them: keep them side by side.
  static Result<Batch> quantize(Context& context, std::span<const QuantizeRequest> requests);
  static Result<Batch> dequantize(Context& context, std::span<const DequantizeRequest> requests);
  static Result<Batch> convert_scales(Context& context,
                                      std::span<const ScaleLayoutRequest> requests);

  Status launch(Stream stream = nullptr) const;
  int kernels() const;  // launches that it takes

 private:
  struct State;
  friend struct BatchBuilder;
  std::shared_ptr<const State> state_;
};

}  // namespace nibble
