// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Turns the shards of a checkpoint into quantised ones.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nibble/status.hpp"
#include "runtime/cli/checkpoint.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/quantizer.h"
#include "runtime/cli/safetensors.h"

namespace nibble::cli {

struct Shard {
  SafetensorsFile input;
  std::string output;  // path
};

struct PlannedTensor {
  size_t shard = 0;
  const TensorInfo* info = nullptr;  // of the shard's input
  Decision decision;
  // Filled when it was quantised:
  Fidelity fidelity;
  float amax = 0;
  uint64_t bytes_after = 0;
};

// Every tensor of every shard, in the shards' order, and what becomes of it.
std::vector<PlannedTensor> plan(const std::vector<Shard>& shards, const Selector& selector);

// Modules whose weight is a matrix that is not quantised: what loaders must be told.
std::vector<std::string> ignored_modules(const std::vector<PlannedTensor>& tensors);

// Groups that loaders fuse of which only a part is quantised: "model.layers.0.self_attn.qkv".
std::vector<std::string> split_groups(const std::vector<PlannedTensor>& tensors);

class CheckpointQuantizer {
 public:
  // `metadata` is added to that of each shard. All references must outlive this.
  CheckpointQuantizer(const std::vector<Shard>& shards, CheckpointFormat format,
                      std::map<std::string, std::string> metadata, Quantizer& quantizer,
                      Progress& progress)
      : shards_(shards),
        format_(format),
        metadata_(std::move(metadata)),
        quantizer_(quantizer),
        progress_(progress) {}

  // Writes every shard. A failure leaves those before the failing one, and nothing of it.
  Status run(std::vector<PlannedTensor>* tensors);
  uint64_t bytes_written() const { return bytes_written_; }  // files, headers included
  // Tensor names of the outputs and the shard that holds each.
  const std::map<std::string, size_t>& weight_map() const { return weight_map_; }

 private:
  Status write_shard(size_t shard, std::vector<PlannedTensor>* tensors);
  Status copy(const PlannedTensor& tensor, size_t output, SafetensorsWriter* writer);
  Status quantize(PlannedTensor* tensor, size_t first_output, SafetensorsWriter* writer);
  Result<float> group_amax(const PlannedTensor& tensor);
  MatrixInFile matrix(const PlannedTensor& tensor) const;

  const std::vector<Shard>& shards_;
  CheckpointFormat format_;
  std::map<std::string, std::string> metadata_;
  Quantizer& quantizer_;
  Progress& progress_;
  std::map<std::string, std::vector<const PlannedTensor*>> groups_;
  std::map<std::string, float> group_amax_;
  std::map<std::string, size_t> weight_map_;
  uint64_t bytes_written_ = 0;
};

}  // namespace nibble::cli
