// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Which tensors of a checkpoint are quantised, which share a tensor scale, and what the results are
// called: the conventions of the loaders that read such checkpoints. README.md lists the rules.
#pragma once

#include <cstdint>
#include <regex>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/quantize.hpp"
#include "nibble/status.hpp"
#include "nibble/types.hpp"
#include "runtime/cli/safetensors.h"

namespace nibble::cli {

enum class CheckpointFormat {
  kModelOpt,           // X.weight, X.weight_scale, X.weight_scale_2 = amax / 2688
  kCompressedTensors,  // X.weight_packed, X.weight_scale, X.weight_global_scale = 2688 / amax
};

struct Decision {
  bool quantize = false;
  std::string reason;  // why not: "an embedding"
};

// "F32", "F16" or "BF16" as the library's type; an error for the others.
Result<DataType> data_type(std::string_view safetensors_type);

class Selector {
 public:
  // Regular expressions (ECMAScript), searched for anywhere in a tensor's name. `include` overrides
  // the rules that go by name, `exclude` overrides everything.
  static Result<Selector> create(const std::vector<std::string>& include,
                                 const std::vector<std::string>& exclude);
  Decision decide(const TensorInfo& tensor) const;

 private:
  std::vector<std::regex> include_;
  std::vector<std::regex> exclude_;
};

// "model.layers.0.mlp" of "model.layers.0.mlp.weight".
std::string module_of(std::string_view tensor_name);

// The same text for tensors that loaders fuse into one matrix (q, k and v; gate and up) and that
// must therefore share a tensor scale; the name itself for all others.
std::string fusion_group(std::string_view tensor_name);

// The three tensors that replace one of shape [rows, columns]: codes, block scales, tensor scale.
std::vector<TensorInfo> quantized_tensors(CheckpointFormat format, const TensorInfo& original);

// The value of the third: such that the loaders' arithmetic gives code x scale x amax / 2688, four
// over six / 1536. An amax of 0 gives 1: every code is zero, and no loader divides by zero.
float tensor_scale(CheckpointFormat format, BlockScaling scaling, float amax);

// What loaders read to find out how a model is quantised, as JSON. `ignored`: modules whose weight
// is a matrix that was not quantised. `algorithm`: kModelOpt's, "W4A16_NVFP4" or "NVFP4".
std::string hf_quant_config(const std::string& algorithm, const std::vector<std::string>& ignored);
// The same as the "quantization_config" of config.json.
std::string quantization_config(CheckpointFormat format, const std::string& algorithm,
                                const std::vector<std::string>& ignored);

}  // namespace nibble::cli
