// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/npy.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include "runtime/result.h"

namespace nibble::cli {
namespace {

constexpr std::string_view kMagic("\x93NUMPY", 6);
constexpr size_t kPrefix = 8;                 // the magic number and two version bytes
constexpr uint64_t kLargestHeader = 1 << 20;  // NumPy itself warns beyond 10,000
constexpr size_t kAlignment = 64;             // of the elements, as NumPy writes them

Status bad(const std::string& message) { return {Code::kInvalidArgument, message}; }

// The dictionary is Python, but only this much of it: strings, True, False, tuples of integers.
class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  bool take(char expected) {
    skip_blanks();
    if (at_ >= text_.size() || text_[at_] != expected) return false;
    ++at_;
    return true;
  }

  bool take_string(std::string* value) {
    skip_blanks();
    if (at_ >= text_.size() || (text_[at_] != '\'' && text_[at_] != '"')) return false;
    const size_t end = text_.find(text_[at_], at_ + 1);
    if (end == std::string_view::npos) return false;
    *value = text_.substr(at_ + 1, end - at_ - 1);
    at_ = end + 1;
    return value->find('\\') == std::string::npos;  // an escape would need Python to read it
  }

  bool take_boolean(bool* value) {
    skip_blanks();
    for (const bool candidate : {false, true}) {
      const std::string_view word = candidate ? "True" : "False";
      if (text_.substr(at_, word.size()) != word) continue;
      at_ += word.size();
      *value = candidate;
      return true;
    }
    return false;
  }

  bool take_extents(std::vector<int64_t>* values) {
    if (!take('(')) return false;
    while (!take(')')) {
      skip_blanks();
      int64_t value = 0;
      const auto [end, error] =
          std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
      if (error != std::errc() || value < 0) return false;
      at_ = static_cast<size_t>(end - text_.data());
      values->push_back(value);
      if (take(',')) continue;
      return take(')');
    }
    return true;
  }

  bool at_end() {
    skip_blanks();
    return at_ == text_.size();
  }

 private:
  void skip_blanks() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }

  std::string_view text_;
  size_t at_ = 0;
};

Result<DataType> matrix_type(const NpyHeader& header) {
  if (header.column_major) {
    return bad("the array is in Fortran order: save numpy.ascontiguousarray of it");
  }
  if (header.type == "<f4") return DataType::kF32;
  if (header.type == "<f2") return DataType::kF16;
  if (header.type == "<V2" || header.type == "|V2") {
    return bad("elements are \"" + header.type +
               "\", which is how ml_dtypes' bfloat16 is stored, and not only it: save float32");
  }
  return bad("elements are \"" + header.type + "\": must be \"<f4\" or \"<f2\"");
}

// Where the header's text starts and how long it is.
Result<std::pair<uint64_t, uint64_t>> find_header(const InputFile& file) {
  char prefix[kPrefix + 4] = {};
  if (file.size() < sizeof(prefix)) {
    return bad("the file has " + std::to_string(file.size()) + " bytes: no .npy file is so short");
  }
  NIBBLE_TRY(file.read(0, prefix, sizeof(prefix)));
  if (std::string_view(prefix, kMagic.size()) != kMagic)
    return bad("no .npy file: its magic number is missing");
  const int version = static_cast<unsigned char>(prefix[6]);
  if (version < 1 || version > 3) {
    return bad(".npy version " + std::to_string(version) + ": must be 1, 2 or 3");
  }
  const size_t width = version == 1 ? 2 : 4;
  uint32_t length = 0;
  std::memcpy(&length, prefix + kPrefix, width);
  if (length > kLargestHeader || length > file.size() - kPrefix - width) {
    return bad("header length " + std::to_string(length) +
               ": the file ends before, or it is over " + std::to_string(kLargestHeader));
  }
  return std::pair<uint64_t, uint64_t>(kPrefix + width, length);
}

}  // namespace

Result<NpyHeader> parse_npy_header(std::string_view text) {
  const Status damaged = bad("the .npy header is no dictionary of descr, fortran_order and shape");
  Reader reader(text);
  NpyHeader header;
  std::vector<std::string> seen;
  if (!reader.take('{')) return damaged;
  while (!reader.take('}')) {
    std::string key;
    if (!reader.take_string(&key) || !reader.take(':')) return damaged;
    if (std::find(seen.begin(), seen.end(), key) != seen.end()) return damaged;
    const bool taken = key == "descr"           ? reader.take_string(&header.type)
                       : key == "fortran_order" ? reader.take_boolean(&header.column_major)
                       : key == "shape"         ? reader.take_extents(&header.shape)
                                                : false;
    if (!taken) return damaged;
    seen.push_back(key);
    if (reader.take(',')) continue;
    if (!reader.take('}')) return damaged;
    break;
  }
  if (seen.size() != 3 || !reader.at_end()) return damaged;
  return header;
}

Result<NpyFile> NpyFile::open(const std::string& path) {
  NIBBLE_TRY_ASSIGN(InputFile file, InputFile::open(path));
  const auto in_file = [&](const Status& status) {
    return Status(status.code(), path + ": " + std::string(status.message()));
  };
  const auto place = find_header(file);
  if (!place.ok()) return in_file(place.status());
  std::string text(place->second, '\0');
  NIBBLE_TRY(file.read(place->first, text.data(), text.size()));
  Result<NpyHeader> header = parse_npy_header(text);
  if (!header.ok()) return in_file(header.status());
  const Result<DataType> type = matrix_type(header.value());
  if (!type.ok()) return in_file(type.status());

  NpyFile result(std::move(file), std::move(header).value());
  result.type_ = type.value();
  result.data_start_ = place->first + place->second;
  const std::vector<int64_t>& shape = result.header_.shape;
  if (shape.empty()) return in_file(bad("the array is a scalar: must have a dimension or more"));
  int64_t total = size_of(result.type_);
  for (const int64_t extent : shape) {
    if (extent == 0 || __builtin_mul_overflow(total, extent, &total)) {
      return in_file(bad("an extent is " + std::to_string(extent) +
                         ": the array must have elements, and less than 2^63 bytes"));
    }
  }
  const uint64_t present = result.file_.size() - result.data_start_;
  if (static_cast<uint64_t>(total) != present) {
    return in_file(bad("the shape needs " + std::to_string(total) + " bytes: the file has " +
                       std::to_string(present) + " after the header"));
  }
  result.columns_ = shape.back();
  result.rows_ = total / size_of(result.type_) / result.columns_;
  return result;
}

Result<NpyWriter> NpyWriter::create(const std::string& path, const std::string& type,
                                    const std::vector<int64_t>& shape) {
  std::string tuple;
  for (const int64_t extent : shape) tuple += std::to_string(extent) + ",";
  std::string header =
      "{'descr': '" + type + "', 'fortran_order': False, 'shape': (" + tuple + "), }";
  const size_t before = kPrefix + 2;
  const size_t total = (before + header.size() + 1 + kAlignment - 1) / kAlignment * kAlignment;
  header.resize(total - before - 1, ' ');
  header += '\n';
  std::string start(kMagic);
  start +=
      {'\1', '\0', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  start += header;
  NIBBLE_TRY_ASSIGN(OutputFile file, OutputFile::create(path));
  NIBBLE_TRY(file.write(0, start.data(), start.size()));
  return NpyWriter(std::move(file), start.size());
}

}  // namespace nibble::cli
