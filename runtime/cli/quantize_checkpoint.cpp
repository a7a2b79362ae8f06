// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/quantize_checkpoint.h"

#include <algorithm>
#include <set>
#include <utility>

#include "runtime/result.h"

namespace nibble::cli {
namespace {

constexpr uint64_t kCopyBytes = uint64_t{16} << 20;

}  // namespace

std::vector<PlannedTensor> plan(const std::vector<Shard>& shards, const Selector& selector) {
  std::vector<PlannedTensor> tensors;
  for (size_t shard = 0; shard < shards.size(); ++shard) {
    for (const TensorInfo& info : shards[shard].input.tensors()) {
      PlannedTensor& tensor = tensors.emplace_back();
      tensor.shard = shard;
      tensor.info = &info;
      tensor.decision = selector.decide(info);
      tensor.bytes_after = info.bytes;
    }
  }
  return tensors;
}

std::vector<std::string> ignored_modules(const std::vector<PlannedTensor>& tensors) {
  std::vector<std::string> modules;
  for (const PlannedTensor& tensor : tensors) {
    const bool matrix = tensor.info->shape.size() == 2 && tensor.info->name.ends_with(".weight") &&
                        data_type(tensor.info->type).ok();
    if (matrix && !tensor.decision.quantize) modules.push_back(module_of(tensor.info->name));
  }
  return modules;
}

std::vector<std::string> split_groups(const std::vector<PlannedTensor>& tensors) {
  std::map<std::string, std::set<bool>> choices;
  for (const PlannedTensor& tensor : tensors) {
    if (tensor.info->shape.size() != 2) continue;
    choices[fusion_group(tensor.info->name)].insert(tensor.decision.quantize);
  }
  std::vector<std::string> split;
  for (const auto& [group, choice] : choices) {
    if (choice.size() == 2) split.push_back(group);
  }
  return split;
}

Status CheckpointQuantizer::run(std::vector<PlannedTensor>* tensors) {
  for (const PlannedTensor& tensor : *tensors) {
    if (tensor.decision.quantize) groups_[fusion_group(tensor.info->name)].push_back(&tensor);
  }
  for (size_t shard = 0; shard < shards_.size(); ++shard) NIBBLE_TRY(write_shard(shard, tensors));
  return {};
}

Status CheckpointQuantizer::write_shard(size_t shard, std::vector<PlannedTensor>* tensors) {
  std::vector<TensorInfo> outputs;
  for (const PlannedTensor& tensor : *tensors) {
    if (tensor.shard != shard) continue;
    if (!tensor.decision.quantize) {
      outputs.push_back(*tensor.info);
      continue;
    }
    for (TensorInfo& output : quantized_tensors(format_, *tensor.info)) {
      outputs.push_back(std::move(output));
    }
  }
  for (const TensorInfo& output : outputs) weight_map_[output.name] = shard;

  std::map<std::string, std::string> metadata = shards_[shard].input.metadata();
  for (const auto& [key, value] : metadata_) metadata[key] = value;
  NIBBLE_TRY_ASSIGN(SafetensorsWriter writer,
                    SafetensorsWriter::create(shards_[shard].output, outputs, metadata));
  size_t output = 0;
  for (PlannedTensor& tensor : *tensors) {
    if (tensor.shard != shard) continue;
    progress_.start_item(tensor.info->name);
    if (tensor.decision.quantize) {
      NIBBLE_TRY(quantize(&tensor, output, &writer));
      output += 3;
    } else {
      NIBBLE_TRY(copy(tensor, output++, &writer));
    }
  }
  bytes_written_ += writer.file_bytes();
  return writer.commit();
}

Status CheckpointQuantizer::copy(const PlannedTensor& tensor, size_t output,
                                 SafetensorsWriter* writer) {
  const SafetensorsFile& input = shards_[tensor.shard].input;
  std::vector<char> piece(std::min(kCopyBytes, tensor.info->bytes));
  for (uint64_t done = 0; done < tensor.info->bytes; done += piece.size()) {
    const uint64_t bytes = std::min<uint64_t>(piece.size(), tensor.info->bytes - done);
    NIBBLE_TRY(input.file().read(input.position(*tensor.info) + done, piece.data(), bytes));
    NIBBLE_TRY(writer->write(output, done, piece.data(), bytes));
    progress_.advance(static_cast<int64_t>(bytes));
  }
  return {};
}

MatrixInFile CheckpointQuantizer::matrix(const PlannedTensor& tensor) const {
  const SafetensorsFile& input = shards_[tensor.shard].input;
  return {&input.file(), input.position(*tensor.info), data_type(tensor.info->type).value(),
          tensor.info->shape[0], tensor.info->shape[1]};
}

// Loaders that fuse matrices keep one tensor scale for all of them.
Result<float> CheckpointQuantizer::group_amax(const PlannedTensor& tensor) {
  const std::string group = fusion_group(tensor.info->name);
  if (const auto known = group_amax_.find(group); known != group_amax_.end()) return known->second;
  float largest = 0;
  for (const PlannedTensor* member : groups_[group]) {
    NIBBLE_TRY_ASSIGN(const float amax, quantizer_.amax(matrix(*member)));
    largest = std::max(largest, amax);
  }
  group_amax_[group] = largest;
  return largest;
}

Status CheckpointQuantizer::quantize(PlannedTensor* tensor, size_t first_output,
                                     SafetensorsWriter* writer) {
  NIBBLE_TRY_ASSIGN(const float amax, group_amax(*tensor));
  const MatrixInFile source = matrix(*tensor);
  const auto code_bytes = static_cast<uint64_t>(code_row_bytes(source.columns));
  const auto blocks = static_cast<uint64_t>(source.columns / kBlockSize);
  const auto sink = [&](const QuantizedRows& rows) -> Status {
    const auto first = static_cast<uint64_t>(rows.first_row);
    const auto count = static_cast<uint64_t>(rows.rows);
    NIBBLE_TRY(writer->write(first_output, first * code_bytes, rows.codes, count * code_bytes));
    return writer->write(first_output + 1, first * blocks, rows.scales, count * blocks);
  };
  // What decodes: compressed-tensors' loaders divide by the scale in the file.
  const float scale = tensor_scale(format_, quantizer_.scaling(), amax);
  const double decoding = format_ == CheckpointFormat::kModelOpt ? scale : 1.0 / scale;
  NIBBLE_TRY_ASSIGN(tensor->fidelity,
                    quantizer_.quantize(source, amax, decoding, sink,
                                        [&](int64_t bytes) { progress_.advance(bytes); }));
  if (tensor->fidelity.not_finite > 0) {
    return {Code::kInvalidArgument,
            "tensor \"" + tensor->info->name + "\" has " +
                std::to_string(tensor->fidelity.not_finite) +
                " elements that are NaN or infinite: repair it, or --exclude it"};
  }
  tensor->amax = amax;
  tensor->bytes_after = static_cast<uint64_t>(source.rows) * (code_bytes + blocks) + sizeof(scale);
  return writer->write(first_output + 2, 0, &scale, sizeof(scale));
}

}  // namespace nibble::cli
