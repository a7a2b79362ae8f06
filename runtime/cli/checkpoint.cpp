// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/checkpoint.h"

#include <algorithm>
#include <cctype>
#include <limits>
#include <nlohmann/json.hpp>

#include "runtime/result.h"

namespace nibble::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr std::string_view kSuffix = ".weight";
// std::regex recurses over its subject: a name of megabytes would exhaust the stack.
constexpr size_t kLongestName = 1024;

std::vector<std::string_view> components(std::string_view name) {
  std::vector<std::string_view> parts;
  while (true) {
    const size_t dot = name.find('.');
    parts.push_back(name.substr(0, dot));
    if (dot == std::string_view::npos) return parts;
    name.remove_prefix(dot + 1);
  }
}

std::string lower(std::string_view text) {
  std::string result(text);
  for (char& c : result) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return result;
}

template <size_t N>
bool is_one_of(std::string_view text, const std::string_view (&list)[N]) {
  return std::find(std::begin(list), std::end(list), text) != std::end(list);
}

// Why the part of a name says that the weight is no linear layer, or one that loaders keep in high
// precision; empty if it does not.
std::string_view reason_by_part(std::string_view part) {
  static constexpr std::string_view kEmbeddings[] = {"wte", "wpe", "shared",
                                                     "relative_attention_bias"};
  static constexpr std::string_view kHeads[] = {
      "lm_head", "head",       "heads",        "classifier", "score",       "cls",
      "pooler",  "qa_outputs", "output_layer", "proj_out",   "predictions", "out_head"};
  static constexpr std::string_view kVision[] = {"vision_tower", "vision_model", "visual",
                                                 "vit_large_projector"};
  static constexpr std::string_view kInputMajor[] = {"c_attn", "c_fc", "c_proj"};
  if (part.find("embed") != std::string_view::npos || is_one_of(part, kEmbeddings)) {
    return "an embedding";
  }
  if (part.find("norm") != std::string_view::npos || part.substr(0, 3) == "ln_") return "a norm";
  if (is_one_of(part, kHeads)) return "an output head";
  if (part.find("router") != std::string_view::npos || part == "shared_expert_gate") {
    return "a router";
  }
  if (part.find("conv1d") != std::string_view::npos) return "a convolution";
  if (is_one_of(part, kVision)) return "of a vision tower";
  if (is_one_of(part, kInputMajor)) return "stored input-major in GPT-2 (--include overrides)";
  return {};
}

std::string_view reason_by_name(std::string_view name) {
  const std::vector<std::string_view> parts = components(name);
  if (parts.size() == 2 && parts[0] == "output") return "an output head";
  for (size_t i = 0; i + 1 < parts.size(); ++i) {
    const std::string_view reason = reason_by_part(lower(parts[i]));
    if (!reason.empty()) return reason;
  }
  // "mlp.gate.weight" scores experts; "mlp.gate_proj.weight" is a linear layer.
  if (parts.size() >= 2 && parts[parts.size() - 2] == "gate") return "a router";
  return {};
}

bool matches(const std::vector<std::regex>& expressions, const std::string& name) {
  return std::any_of(expressions.begin(), expressions.end(),
                     [&](const std::regex& e) { return std::regex_search(name, e); });
}

Status add(const std::vector<std::string>& texts, std::vector<std::regex>* expressions) {
  for (const std::string& text : texts) {
    try {
      expressions->emplace_back(text, std::regex::ECMAScript | std::regex::optimize);
    } catch (const std::regex_error& error) {
      return {Code::kInvalidArgument, "\"" + text + "\" is no regular expression: " + error.what()};
    }
  }
  return {};
}

}  // namespace

Result<DataType> data_type(std::string_view safetensors_type) {
  if (safetensors_type == "F32") return DataType::kF32;
  if (safetensors_type == "F16") return DataType::kF16;
  if (safetensors_type == "BF16") return DataType::kBf16;
  return Status(Code::kInvalidArgument,
                "type " + std::string(safetensors_type) + ": must be F32, F16 or BF16");
}

Result<Selector> Selector::create(const std::vector<std::string>& include,
                                  const std::vector<std::string>& exclude) {
  Selector selector;
  NIBBLE_TRY(add(include, &selector.include_));
  NIBBLE_TRY(add(exclude, &selector.exclude_));
  return selector;
}

Decision Selector::decide(const TensorInfo& tensor) const {
  if (tensor.name.size() > kLongestName) return {false, "its name is too long"};
  if (tensor.shape.size() != 2) return {false, "not a matrix"};
  if (tensor.name.size() <= kSuffix.size() || !tensor.name.ends_with(kSuffix)) {
    return {false, "not named *.weight"};
  }
  if (matches(exclude_, tensor.name)) return {false, "excluded"};
  if (!data_type(tensor.type).ok()) return {false, "type " + tensor.type};
  if (tensor.bytes == 0) return {false, "no elements"};
  if (!matches(include_, tensor.name)) {
    const std::string_view reason = reason_by_name(tensor.name);
    if (!reason.empty()) return {false, std::string(reason)};
  }
  if (tensor.shape[1] % kBlockSize != 0) return {false, "columns are no multiple of 16"};
  return {true, {}};
}

std::string module_of(std::string_view tensor_name) {
  if (tensor_name.ends_with(kSuffix)) tensor_name.remove_suffix(kSuffix.size());
  return std::string(tensor_name);
}

std::string fusion_group(std::string_view tensor_name) {
  static constexpr std::string_view kAttention[] = {"q_proj", "k_proj", "v_proj"};
  static constexpr std::string_view kBertAttention[] = {"query", "key", "value"};
  static constexpr std::string_view kMistralAttention[] = {"wq", "wk", "wv"};
  static constexpr std::string_view kLatentAttention[] = {"q_a_proj", "kv_a_proj_with_mqa"};
  static constexpr std::string_view kLinearAttention[] = {"in_proj_qkv", "in_proj_z"};
  static constexpr std::string_view kGatedLayer[] = {"gate_proj", "up_proj"};
  static constexpr std::string_view kGatedExpert[] = {"w1", "w3"};
  const std::string module = module_of(tensor_name);
  const size_t dot = module.rfind('.');
  const std::string_view layer =
      std::string_view(module).substr(dot == std::string::npos ? 0 : dot + 1);
  const std::string parent = dot == std::string::npos ? "" : module.substr(0, dot);
  if (is_one_of(layer, kAttention)) return parent + ".qkv";
  if (is_one_of(layer, kBertAttention)) return parent + ".query+key+value";
  if (is_one_of(layer, kMistralAttention)) return parent + ".wq+wk+wv";
  if (is_one_of(layer, kLatentAttention)) return parent + ".q_a+kv_a";
  if (is_one_of(layer, kLinearAttention)) return parent + ".qkv+z";
  if (is_one_of(layer, kGatedLayer)) return parent + ".gate+up";
  if (is_one_of(layer, kGatedExpert)) return parent + ".w1+w3";
  return std::string(tensor_name);
}

std::vector<TensorInfo> quantized_tensors(CheckpointFormat format, const TensorInfo& original) {
  const std::string module = module_of(original.name);
  const int64_t rows = original.shape[0];
  const int64_t columns = original.shape[1];
  const bool modelopt = format == CheckpointFormat::kModelOpt;
  // ModelOpt writes the tensor scale as a scalar, compressed-tensors as a list of one.
  return {{module + (modelopt ? ".weight" : ".weight_packed"), "U8", {rows, columns / 2}},
          {module + ".weight_scale", "F8_E4M3", {rows, columns / kBlockSize}},
          {module + (modelopt ? ".weight_scale_2" : ".weight_global_scale"), "F32",
           modelopt ? std::vector<int64_t>{} : std::vector<int64_t>{1}}};
}

float tensor_scale(CheckpointFormat format, BlockScaling scaling, float amax) {
  // 6 x 448: the largest code times the largest block scale. Four over six: 6 x 256.
  const float largest = scaling == BlockScaling::kFourOverSix ? 1536 : 2688;
  if (amax == 0) return 1;
  if (format == CheckpointFormat::kModelOpt) return amax / largest;
  return std::min(largest / amax, std::numeric_limits<float>::max());
}

std::string hf_quant_config(const std::string& algorithm, const std::vector<std::string>& ignored) {
  // Loaders recognise the format by the name "modelopt".
  const Json json = {{"producer", {{"name", "modelopt"}, {"version", "nibble " NIBBLE_VERSION}}},
                     {"quantization",
                      {{"quant_algo", algorithm},
                       {"kv_cache_quant_algo", nullptr},
                       {"group_size", kBlockSize},
                       {"exclude_modules", ignored}}}};
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

std::string quantization_config(CheckpointFormat format, const std::string& algorithm,
                                const std::vector<std::string>& ignored) {
  const bool modelopt = format == CheckpointFormat::kModelOpt;
  Json weights = {
      {"num_bits", 4}, {"type", "float"}, {"group_size", kBlockSize}, {"dynamic", false}};
  if (!modelopt) weights.update({{"strategy", "tensor_group"}, {"symmetric", true}});
  Json activations = nullptr;
  if (modelopt && algorithm == "NVFP4") activations = weights;
  Json json = {{"config_groups",
                {{"group_0",
                  {{"targets", Json::array({"Linear"})},
                   {"weights", weights},
                   {"input_activations", activations},
                   {"output_activations", nullptr}}}}},
               {"ignore", ignored}};
  if (modelopt) {
    json["quant_algo"] = algorithm;
    json["group_size"] = kBlockSize;
    json["quant_method"] = "modelopt";
    json["producer"] = {{"name", "modelopt"}, {"version", "nibble " NIBBLE_VERSION}};
  } else {
    json["config_groups"]["group_0"]["format"] = "nvfp4-pack-quantized";
    json["format"] = "nvfp4-pack-quantized";
    json["quantization_status"] = "compressed";
    json["kv_cache_scheme"] = nullptr;
    json["quant_method"] = "compressed-tensors";
  }
  return json.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace nibble::cli
