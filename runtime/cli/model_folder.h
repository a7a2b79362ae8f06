// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// A model as a folder: shards, the index that names them, configuration and tokenizer files.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "nibble/status.hpp"
#include "runtime/cli/checkpoint.h"
#include "runtime/cli/quantize_checkpoint.h"

namespace nibble::cli {

struct ModelFolder {
  std::string path;
  std::vector<std::string> shards;  // file names, sorted
  std::vector<std::string> others;  // regular files to be copied: neither of the above nor below
  bool has_index = false;           // model.safetensors.index.json
  bool has_config = false;          // config.json
};

// The shards are those that the index names, else all *.safetensors files.
Result<ModelFolder> read_model_folder(const std::string& path);

// Makes the folder `path` unless it is there; its parent must exist.
Status make_folder(const std::string& path);

struct ModelConfiguration {
  CheckpointFormat format = CheckpointFormat::kModelOpt;
  std::string algorithm;
  std::vector<std::string> ignored;
};

// Everything of the folder `output` but the shards: the other files copied, config.json with its
// quantization_config, hf_quant_config.json for ModelOpt, the index with the new names.
Status write_model_folder(const ModelFolder& input, const std::string& output,
                          const ModelConfiguration& configuration,
                          const std::map<std::string, size_t>& weight_map, uint64_t tensor_bytes);

}  // namespace nibble::cli
