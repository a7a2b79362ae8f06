// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/safetensors.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <nlohmann/json.hpp>
#include <numeric>
#include <unordered_set>
#include <utility>

#include "runtime/result.h"

namespace nibble::cli {
namespace {

using Json = nlohmann::json;

constexpr uint64_t kLengthBytes = 8;
constexpr uint64_t kLargestHeader = 100'000'000;  // the format's own limit
constexpr int kDeepest = 4;  // object, tensor, shape: anything deeper is no safetensors header
constexpr const char* kMetadata = "__metadata__";

static_assert(std::endian::native == std::endian::little, "the file's bytes are used as they are");

Status bad(const std::string& message) { return {Code::kInvalidArgument, message}; }
Status bad_tensor(const std::string& name, const std::string& message) {
  return bad("tensor \"" + name + "\": " + message);
}

// A strict reading of the header: no key twice (parsers disagree about which one counts).
Result<Json> parse_json(std::string_view text) {
  std::array<std::unordered_set<std::string>, kDeepest> keys;
  std::string problem;
  const auto check = [&](int depth, Json::parse_event_t event, Json& value) {
    if (depth >= kDeepest) {
      problem = "nested deeper than any tensor needs";
      return false;
    }
    if (event == Json::parse_event_t::object_start) keys[depth].clear();
    if (event == Json::parse_event_t::key && problem.empty() &&
        !keys[depth - 1].insert(value.get_ref<const std::string&>()).second) {
      problem = "key \"" + value.get_ref<const std::string&>() + "\" occurs twice";
    }
    return true;
  };
  try {
    Json json = Json::parse(text.begin(), text.end(), check);
    if (!problem.empty()) return bad("header: " + problem);
    return json;
  } catch (const Json::parse_error& error) {
    return bad("header: no JSON at byte " + std::to_string(error.byte));
  } catch (const Json::out_of_range& error) {  // a number above the largest double
    return bad(std::string("header: ") + error.what());
  }
}

Result<std::vector<int64_t>> parse_shape(const std::string& name, const Json& json) {
  if (!json.is_array()) return bad_tensor(name, "shape must be a list");
  std::vector<int64_t> shape;
  for (const Json& extent : json) {
    if (!extent.is_number_unsigned() || extent.get<uint64_t>() > INT64_MAX) {
      return bad_tensor(name, "shape has " + extent.dump() + ": must be an integer from 0");
    }
    shape.push_back(extent.get<int64_t>());
  }
  return shape;
}

Result<TensorInfo> parse_tensor(const std::string& name, const Json& json) {
  if (!json.is_object()) return bad_tensor(name, "must be an object");
  for (const auto& [key, value] : json.items()) {
    if (key != "dtype" && key != "shape" && key != "data_offsets") {
      return bad_tensor(name, "unknown key \"" + key + "\"");
    }
  }
  if (json.size() != 3) return bad_tensor(name, "must have dtype, shape and data_offsets");
  if (!json["dtype"].is_string()) return bad_tensor(name, "dtype must be a string");
  const Json& offsets = json["data_offsets"];
  if (!offsets.is_array() || offsets.size() != 2 || !offsets[0].is_number_unsigned() ||
      !offsets[1].is_number_unsigned()) {
    return bad_tensor(name, "data_offsets must be two integers from 0");
  }
  const uint64_t begin = offsets[0].get<uint64_t>();
  const uint64_t end = offsets[1].get<uint64_t>();
  if (end < begin) return bad_tensor(name, "data_offsets end before they begin");

  NIBBLE_TRY_ASSIGN(std::vector<int64_t> shape, parse_shape(name, json["shape"]));
  const std::string type = json["dtype"].get<std::string>();
  const Result<uint64_t> bytes = tensor_bytes(type, shape);
  if (!bytes.ok()) return bad_tensor(name, std::string(bytes.status().message()));
  if (bytes.value() != end - begin) {
    return bad_tensor(name, "data_offsets span " + std::to_string(end - begin) + " bytes: " + type +
                                " of shape " + shape_text(shape) + " has " +
                                std::to_string(bytes.value()));
  }
  return TensorInfo{name, type, std::move(shape), begin, bytes.value()};
}

Status parse_metadata(const Json& json, std::map<std::string, std::string>* metadata) {
  if (!json.is_object()) return bad("header: __metadata__ must be an object");
  for (const auto& [key, value] : json.items()) {
    if (!value.is_string()) return bad("header: __metadata__ \"" + key + "\" must be a string");
    (*metadata)[key] = value.get<std::string>();
  }
  return {};
}

// The tensors must tile [0, data_bytes): no gap that hides bytes, no overlap that aliases them.
Status check_coverage(const std::vector<TensorInfo>& tensors, uint64_t data_bytes) {
  uint64_t end = 0;
  for (const TensorInfo& tensor : tensors) {
    if (tensor.offset != end) {
      return bad_tensor(tensor.name, "starts at byte " + std::to_string(tensor.offset) +
                                         ": the tensor before it ends at byte " +
                                         std::to_string(end));
    }
    end = tensor.offset + tensor.bytes;
  }
  if (end != data_bytes) {
    return bad("tensors have " + std::to_string(end) + " bytes: the file has " +
               std::to_string(data_bytes) + " after the header");
  }
  return {};
}

std::string header_text(const std::vector<TensorInfo>& tensors, const std::vector<size_t>& order,
                        const std::map<std::string, std::string>& metadata) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  if (!metadata.empty()) json[kMetadata] = metadata;
  for (const size_t index : order) {
    const TensorInfo& tensor = tensors[index];
    // push_back, not []: the latter searches the list each time, and names are known to differ.
    json.push_back({tensor.name,
                    {{"dtype", tensor.type},
                     {"shape", tensor.shape},
                     {"data_offsets", {tensor.offset, tensor.offset + tensor.bytes}}}});
  }
  std::string text = json.dump(-1, ' ', false, Json::error_handler_t::replace);
  // Padded so that the tensors' bytes start at a multiple of 8.
  text.resize((text.size() + 7) / 8 * 8, ' ');
  return text;
}

}  // namespace

std::optional<int> element_bits(std::string_view type) {
  struct Row {
    std::string_view type;
    int bits;
  };
  static constexpr Row kRows[] = {
      {"BOOL", 8},    {"U8", 8},          {"I8", 8},          {"F8_E5M2", 8}, {"F8_E4M3", 8},
      {"F8_E8M0", 8}, {"F8_E4M3FNUZ", 8}, {"F8_E5M2FNUZ", 8}, {"F4", 4},      {"F6_E2M3", 6},
      {"F6_E3M2", 6}, {"I16", 16},        {"U16", 16},        {"F16", 16},    {"BF16", 16},
      {"I32", 32},    {"U32", 32},        {"F32", 32},        {"C64", 64},    {"F64", 64},
      {"I64", 64},    {"U64", 64},
  };
  for (const Row& row : kRows) {
    if (row.type == type) return row.bits;
  }
  return std::nullopt;
}

std::string shape_text(const std::vector<int64_t>& shape) {
  if (shape.empty()) return "scalar";
  std::string text;
  for (const int64_t extent : shape) text += (text.empty() ? "" : "x") + std::to_string(extent);
  return text;
}

Result<uint64_t> tensor_bytes(std::string_view type, const std::vector<int64_t>& shape) {
  const std::optional<int> bits = element_bits(type);
  if (!bits) return bad("dtype \"" + std::string(type) + "\" is no safetensors type");
  uint64_t total = static_cast<uint64_t>(*bits);
  for (const int64_t extent : shape) {
    if (__builtin_mul_overflow(total, static_cast<uint64_t>(extent), &total)) {
      return bad("shape " + shape_text(shape) + " has more than 2^64 bits");
    }
  }
  if (total % 8 != 0) return bad("shape " + shape_text(shape) + " has no whole number of bytes");
  return total / 8;
}

Result<uint64_t> parse_header_length(std::string_view first_bytes, uint64_t file_bytes) {
  if (first_bytes.size() < kLengthBytes || file_bytes < kLengthBytes) {
    return bad("the file has " + std::to_string(file_bytes) + " bytes: must have at least 8");
  }
  uint64_t length = 0;
  std::memcpy(&length, first_bytes.data(), kLengthBytes);
  if (length > kLargestHeader) {
    return bad("header length " + std::to_string(length) + ": must be at most " +
               std::to_string(kLargestHeader) + " (is this a safetensors file?)");
  }
  if (length > file_bytes - kLengthBytes) {
    return bad("header length " + std::to_string(length) + ": the file has only " +
               std::to_string(file_bytes - kLengthBytes) + " bytes after it");
  }
  return length;
}

Result<SafetensorsHeader> parse_safetensors_header(std::string_view json, uint64_t data_bytes) {
  if (json.empty() || json.front() != '{') return bad("header: must start with {");
  NIBBLE_TRY_ASSIGN(const Json parsed, parse_json(json));
  SafetensorsHeader header;
  for (const auto& [name, value] : parsed.items()) {
    if (name == kMetadata) {
      NIBBLE_TRY(parse_metadata(value, &header.metadata));
      continue;
    }
    NIBBLE_TRY_ASSIGN(TensorInfo tensor, parse_tensor(name, value));
    header.tensors.push_back(std::move(tensor));
  }
  std::stable_sort(header.tensors.begin(), header.tensors.end(),
                   [](const TensorInfo& a, const TensorInfo& b) {
                     return std::pair(a.offset, a.bytes) < std::pair(b.offset, b.bytes);
                   });
  NIBBLE_TRY(check_coverage(header.tensors, data_bytes));
  return header;
}

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  NIBBLE_TRY_ASSIGN(InputFile file, InputFile::open(path));
  const auto in_file = [&](const Status& status) {
    return Status(status.code(), path + ": " + std::string(status.message()));
  };
  std::string first(std::min(kLengthBytes, file.size()), '\0');
  NIBBLE_TRY(file.read(0, first.data(), first.size()));
  const Result<uint64_t> length = parse_header_length(first, file.size());
  if (!length.ok()) return in_file(length.status());
  std::string text(length.value(), '\0');
  NIBBLE_TRY(file.read(kLengthBytes, text.data(), text.size()));
  const uint64_t data_start = kLengthBytes + length.value();
  Result<SafetensorsHeader> header = parse_safetensors_header(text, file.size() - data_start);
  if (!header.ok()) return in_file(header.status());
  return SafetensorsFile(std::move(file), std::move(header).value(), data_start);
}

Result<SafetensorsWriter> SafetensorsWriter::create(
    const std::string& path, std::vector<TensorInfo> tensors,
    const std::map<std::string, std::string>& metadata) {
  std::unordered_set<std::string_view> names = {kMetadata};
  for (TensorInfo& tensor : tensors) {
    if (!names.insert(tensor.name).second) {
      return bad(path + ": would hold two tensors named \"" + tensor.name + "\"");
    }
    NIBBLE_TRY_ASSIGN(tensor.bytes, tensor_bytes(tensor.type, tensor.shape));
  }
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    return *element_bits(tensors[a].type) > *element_bits(tensors[b].type);
  });
  uint64_t offset = 0;
  for (const size_t index : order) {
    tensors[index].offset = offset;
    offset += tensors[index].bytes;
  }
  const std::string text = header_text(tensors, order, metadata);
  if (text.size() > kLargestHeader) {
    return bad(path + ": its header would have " + std::to_string(text.size()) +
               " bytes: must be at most " + std::to_string(kLargestHeader));
  }
  NIBBLE_TRY_ASSIGN(OutputFile file, OutputFile::create(path));
  SafetensorsWriter writer(std::move(file), std::move(tensors));
  writer.data_start_ = kLengthBytes + text.size();
  writer.data_bytes_ = offset;
  const uint64_t length = text.size();
  NIBBLE_TRY(writer.file_.write(0, &length, kLengthBytes));
  NIBBLE_TRY(writer.file_.write(kLengthBytes, text.data(), text.size()));
  return writer;
}

Status SafetensorsWriter::write(size_t tensor, uint64_t offset, const void* from, uint64_t bytes) {
  const TensorInfo& info = tensors_[tensor];
  if (offset > info.bytes || bytes > info.bytes - offset) {
    return {Code::kInternal, "write past the end of tensor \"" + info.name + "\""};
  }
  NIBBLE_TRY(file_.write(data_start_ + info.offset + offset, from, bytes));
  written_ += bytes;
  return {};
}

Status SafetensorsWriter::commit() {
  if (written_ != data_bytes_) {
    return {Code::kInternal, file_.path() + ": " + std::to_string(written_) + " of " +
                                 std::to_string(data_bytes_) + " bytes were written"};
  }
  return file_.commit();
}

}  // namespace nibble::cli
