// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Files as the command uses them: inputs read by position, outputs that appear whole or not at all.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cache/file_descriptor.h"
#include "nibble/status.hpp"

namespace nibble::cli {

// A regular file open for reading. Thread-safe.
class InputFile {
 public:
  static Result<InputFile> open(const std::string& path);

  const std::string& path() const { return path_; }
  uint64_t size() const { return size_; }  // bytes, when it was opened
  // All of [offset, offset + bytes), or an error: a file cut short meanwhile is one.
  Status read(uint64_t offset, void* to, uint64_t bytes) const;
  // True where `path` names this very file, by whatever name or link.
  bool is(const std::string& path) const;

 private:
  InputFile(std::string path, cache::FileDescriptor file)
      : path_(std::move(path)), file_(std::move(file)) {}

  std::string path_;
  cache::FileDescriptor file_;
  uint64_t size_ = 0;
  uint64_t device_ = 0;
  uint64_t inode_ = 0;
};

// A file under a temporary name beside `path`, which takes that name in commit(); destroyed before,
// it leaves nothing behind.
class OutputFile {
 public:
  static Result<OutputFile> create(const std::string& path);
  OutputFile(OutputFile&& other) noexcept;
  OutputFile& operator=(OutputFile&&) = delete;
  ~OutputFile();

  const std::string& path() const { return path_; }
  Status write(uint64_t offset, const void* from, uint64_t bytes);
  // Synced, renamed over `path`, and the folder synced.
  Status commit();

 private:
  OutputFile(std::string path, std::string temporary, cache::FileDescriptor file)
      : path_(std::move(path)), temporary_(std::move(temporary)), file_(std::move(file)) {}

  std::string path_;
  std::string temporary_;  // empty: committed or moved away
  cache::FileDescriptor file_;
};

// All of a small file (a configuration, an index).
Result<std::string> read_text(const std::string& path, uint64_t largest);
// The same promise as OutputFile, in one call.
Status write_text(const std::string& path, std::string_view text);

}  // namespace nibble::cli
