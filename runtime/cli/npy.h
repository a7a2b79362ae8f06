// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// NumPy's .npy format, versions 1 to 3: a magic number, a header that is a Python dictionary, the
// elements.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "nibble/status.hpp"
#include "nibble/types.hpp"
#include "runtime/cli/file.h"

namespace nibble::cli {

struct NpyHeader {
  std::string type;  // descr as in the file: "<f4"
  bool column_major = false;
  std::vector<int64_t> shape;
};

// The text between the header length and the elements.
Result<NpyHeader> parse_npy_header(std::string_view text);

// A C-order array of "<f4" or "<f2" as a matrix: the last extent is the columns, the others
// together are the rows. Anything else is refused, with what to do about it.
class NpyFile {
 public:
  static Result<NpyFile> open(const std::string& path);

  const InputFile& file() const { return file_; }
  uint64_t data_start() const { return data_start_; }
  DataType type() const { return type_; }
  int64_t rows() const { return rows_; }
  int64_t columns() const { return columns_; }
  const std::vector<int64_t>& shape() const { return header_.shape; }

 private:
  NpyFile(InputFile file, NpyHeader header) : file_(std::move(file)), header_(std::move(header)) {}

  InputFile file_;
  NpyHeader header_;
  uint64_t data_start_ = 0;
  DataType type_ = DataType::kF32;
  int64_t rows_ = 1;
  int64_t columns_ = 1;
};

// A C-order array of `type` ("|u1", "<f4"), its elements written in any order of calls.
class NpyWriter {
 public:
  static Result<NpyWriter> create(const std::string& path, const std::string& type,
                                  const std::vector<int64_t>& shape);
  // `offset`: in bytes, from the first element.
  Status write(uint64_t offset, const void* from, uint64_t bytes) {
    return file_.write(data_start_ + offset, from, bytes);
  }
  Status commit() { return file_.commit(); }

 private:
  NpyWriter(OutputFile file, uint64_t data_start)
      : file_(std::move(file)), data_start_(data_start) {}

  OutputFile file_;
  uint64_t data_start_;
};

}  // namespace nibble::cli
