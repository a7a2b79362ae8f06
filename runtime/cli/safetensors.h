// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// The safetensors format: an 8-byte little-endian header length, a JSON header of at most 100 MB,
// then the tensors' bytes without gap or overlap. What the format's own library refuses is refused
// here too.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/status.hpp"
#include "runtime/cli/file.h"

namespace nibble::cli {

// Bits of one element of "F32", "BF16", "F8_E4M3", "F4", ...; nothing for a name that is no type.
std::optional<int> element_bits(std::string_view type);

struct TensorInfo {
  std::string name;
  std::string type;  // as in the file: "F32"
  std::vector<int64_t> shape;
  uint64_t offset = 0;  // of the first byte, from the start of the tensors' bytes
  uint64_t bytes = 0;
};

std::string shape_text(const std::vector<int64_t>& shape);  // "384x1536"; "scalar"

// Bytes of a tensor, or the rule that its type or shape breaks.
Result<uint64_t> tensor_bytes(std::string_view type, const std::vector<int64_t>& shape);

struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // by offset
  std::map<std::string, std::string> metadata;
};

// The length that a file's first 8 bytes give, checked against the size of the file.
Result<uint64_t> parse_header_length(std::string_view first_bytes, uint64_t file_bytes);

// `data_bytes`: what follows the header in the file; the tensors must fill it exactly.
Result<SafetensorsHeader> parse_safetensors_header(std::string_view json, uint64_t data_bytes);

class SafetensorsFile {
 public:
  static Result<SafetensorsFile> open(const std::string& path);

  const std::vector<TensorInfo>& tensors() const { return header_.tensors; }
  const std::map<std::string, std::string>& metadata() const { return header_.metadata; }
  const InputFile& file() const { return file_; }
  // Where a tensor's bytes start in file().
  uint64_t position(const TensorInfo& tensor) const { return data_start_ + tensor.offset; }

 private:
  SafetensorsFile(InputFile file, SafetensorsHeader header, uint64_t data_start)
      : file_(std::move(file)), header_(std::move(header)), data_start_(data_start) {}

  InputFile file_;
  SafetensorsHeader header_;
  uint64_t data_start_;
};

// Writes tensors in any order of calls. In the file they lie by falling element size, otherwise in
// the order given, so that each is aligned to its element: loaders that map the file rely on it.
class SafetensorsWriter {
 public:
  // `tensors`: names, types and shapes; offsets and bytes are computed.
  static Result<SafetensorsWriter> create(const std::string& path, std::vector<TensorInfo> tensors,
                                          const std::map<std::string, std::string>& metadata);

  // `tensor`: its index in the list given to create(). `offset`: from the tensor's first byte.
  Status write(size_t tensor, uint64_t offset, const void* from, uint64_t bytes);
  // Refused unless as many bytes were written as the tensors have.
  Status commit();
  uint64_t file_bytes() const { return data_start_ + data_bytes_; }

 private:
  SafetensorsWriter(OutputFile file, std::vector<TensorInfo> tensors)
      : file_(std::move(file)), tensors_(std::move(tensors)) {}

  OutputFile file_;
  std::vector<TensorInfo> tensors_;
  uint64_t data_start_ = 0;
  uint64_t data_bytes_ = 0;
  uint64_t written_ = 0;
};

}  // namespace nibble::cli
