// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/model_folder.h"

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <system_error>

#include "runtime/cli/file.h"
#include "runtime/result.h"

namespace nibble::cli {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

constexpr const char* kIndex = "model.safetensors.index.json";
constexpr const char* kConfig = "config.json";
constexpr const char* kQuantConfig = "hf_quant_config.json";
constexpr const char* kSuffix = ".safetensors";
constexpr uint64_t kLargestJson = uint64_t{256} << 20;
constexpr uint64_t kLargestOther = uint64_t{1} << 30;

Result<Json> read_json(const std::string& path) {
  NIBBLE_TRY_ASSIGN(const std::string text, read_text(path, kLargestJson));
  Json json = Json::parse(text, nullptr, false);
  if (!json.is_object()) return Status(Code::kInvalidArgument, path + ": must be a JSON object");
  return json;
}

Status write_json(const std::string& path, const Json& json) {
  return write_text(path, json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n");
}

// The index could name any path: only files of the folder itself are read.
Result<std::vector<std::string>> shards_of_index(const std::string& path) {
  NIBBLE_TRY_ASSIGN(const Json index, read_json(path));
  const auto map = index.find("weight_map");
  if (map == index.end() || !map->is_object() || map->empty()) {
    return Status(Code::kInvalidArgument, path + ": weight_map must be an object of file names");
  }
  std::set<std::string> names;
  for (const auto& [tensor, name] : map->items()) {
    if (!name.is_string() || name.get_ref<const std::string&>().find('/') != std::string::npos ||
        !name.get_ref<const std::string&>().ends_with(kSuffix)) {
      return Status(Code::kInvalidArgument, path + ": weight_map has " + name.dump() +
                                                ": must be the name of a .safetensors file");
    }
    names.insert(name.get<std::string>());
  }
  return std::vector<std::string>(names.begin(), names.end());
}

}  // namespace

Result<ModelFolder> read_model_folder(const std::string& path) {
  ModelFolder folder;
  folder.path = path;
  std::error_code error;
  for (auto entry = fs::directory_iterator(path, error);
       !error && entry != fs::directory_iterator(); entry.increment(error)) {
    std::error_code ignored;
    if (!entry->is_regular_file(ignored)) continue;
    const std::string name = entry->path().filename();
    if (name.ends_with(kSuffix)) {
      folder.shards.push_back(name);
    } else if (name == kIndex) {
      folder.has_index = true;
    } else if (name == kConfig) {
      folder.has_config = true;
    } else if (name != kQuantConfig) {
      folder.others.push_back(name);
    }
  }
  if (error) return Status(Code::kIoError, path + ": " + error.message());
  if (folder.has_index) {
    NIBBLE_TRY_ASSIGN(folder.shards, shards_of_index(path + "/" + kIndex));
  }
  if (folder.shards.empty()) {
    return Status(Code::kInvalidArgument, path + ": has no .safetensors file");
  }
  std::sort(folder.shards.begin(), folder.shards.end());
  std::sort(folder.others.begin(), folder.others.end());
  return folder;
}

Status make_folder(const std::string& path) {
  std::error_code error;
  fs::create_directory(path, error);
  if (error) return {Code::kIoError, path + ": " + error.message()};
  return {};
}

Status write_model_folder(const ModelFolder& input, const std::string& output,
                          const ModelConfiguration& configuration,
                          const std::map<std::string, size_t>& weight_map, uint64_t tensor_bytes) {
  for (const std::string& name : input.others) {
    NIBBLE_TRY_ASSIGN(const std::string text, read_text(input.path + "/" + name, kLargestOther));
    NIBBLE_TRY(write_text(output + "/" + name, text));
  }
  if (input.has_config) {
    NIBBLE_TRY_ASSIGN(Json config, read_json(input.path + "/" + kConfig));
    config["quantization_config"] = Json::parse(
        quantization_config(configuration.format, configuration.algorithm, configuration.ignored));
    NIBBLE_TRY(write_json(output + "/" + kConfig, config));
  }
  if (configuration.format == CheckpointFormat::kModelOpt) {
    NIBBLE_TRY(write_text(output + "/" + kQuantConfig,
                          hf_quant_config(configuration.algorithm, configuration.ignored)));
  }
  if (!input.has_index) return {};
  Json map = Json::object();
  for (const auto& [tensor, shard] : weight_map) map.push_back({tensor, input.shards[shard]});
  return write_json(output + "/" + kIndex,
                    {{"metadata", {{"total_size", tensor_bytes}}}, {"weight_map", map}});
}

}  // namespace nibble::cli
