// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// NVFP4 quantisation: f32, f16 or bf16 to E2M1 codes in blocks of 16 along the row, an E4M3 scale a
// block and one fp32 amax a tensor, round to nearest even. The bits are those of the numerics
// contract in templates/README.md, on every target.
#pragma once

#include "nibble/context.hpp"
#include "nibble/status.hpp"
#include "nibble/types.hpp"

namespace [[gnu::visibility("default")]] nibble {

struct QuantizeRequest {
  Matrix x;                 // rows, columns >= 1
  Nvfp4Matrix y;            // written: codes, scales with their padding; amax too unless given
  bool amax_given = false;  // y.amax holds the amax to scale by; else it is computed from x first
  Stream stream = nullptr;
};

// Enqueues the quantisation on the stream. Compiles what is not yet in memory or on disk, except
// while the stream is being captured (kWouldCompile).
Status quantize(Context& context, const QuantizeRequest& request);

// The kernel for requests of one type, layout, alignment and shape class, made ahead of its
// launches. launch() allocates nothing, takes no lock and compiles nothing. Copies are cheap.
// Thread-safe.
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
