// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Listing is for maintenance only; looking up an entry never lists a directory.
#include "cache/stored_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <memory>
#include <optional>

namespace nibble::cache {
namespace {

constexpr std::size_t kNameLength = 32;

bool hexadecimal(std::string_view text) {
  return text.find_first_not_of("0123456789abcdef") == std::string_view::npos;
}

std::vector<std::string> names_in(int directory, const char* folder) {
  std::vector<std::string> names;
  const int opened = ::openat(directory, folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
  if (opened < 0) return names;
  const std::unique_ptr<DIR, int (*)(DIR*)> stream(::fdopendir(opened), &::closedir);
  if (!stream) {
    ::close(opened);
    return names;
  }
  while (const dirent* item = ::readdir(stream.get())) names.emplace_back(item->d_name);
  std::sort(names.begin(), names.end());
  return names;
}

std::optional<StoredFile> look_at(int directory, std::string path) {
  struct stat status {};
  if (::fstatat(directory, path.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) return std::nullopt;
  constexpr std::uint64_t kBlockBytes = 512;  // the unit of st_blocks everywhere
  return StoredFile{std::move(path), static_cast<std::uint64_t>(status.st_size),
                    static_cast<std::uint64_t>(status.st_blocks) * kBlockBytes,
                    status.st_mtim.tv_sec, status.st_ino};
}

}  // namespace

std::string entry_file(std::string_view name) {
  return std::string(name.substr(0, 2)) + '/' + std::string(name);
}

std::string lock_file(std::string_view name) {
  return std::string(kLockFolder) + '/' + std::string(name.substr(0, 2));
}

std::vector<StoredFile> entry_files(int directory) {
  std::vector<StoredFile> files;
  for (const std::string& folder : names_in(directory, ".")) {
    if (folder.size() != 2 || !hexadecimal(folder)) continue;
    for (const std::string& name : names_in(directory, folder.c_str())) {
      if (name.size() != kNameLength || !hexadecimal(name) || !name.starts_with(folder)) continue;
      if (auto file = look_at(directory, entry_file(name))) files.push_back(*std::move(file));
    }
  }
  return files;
}

std::vector<StoredFile> temporary_files(int directory) {
  std::vector<StoredFile> files;
  for (const std::string& name : names_in(directory, kTemporaryFolder)) {
    if (name == "." || name == "..") continue;
    if (auto file = look_at(directory, std::string(kTemporaryFolder) + '/' + name)) {
      files.push_back(*std::move(file));
    }
  }
  return files;
}

bool remove_unchanged(int directory, const StoredFile& seen) {
  const auto now = look_at(directory, seen.path);
  if (!now) return true;
  if (now->inode != seen.inode || now->modified_at != seen.modified_at) return false;
  return ::unlinkat(directory, seen.path.c_str(), 0) == 0 || errno == ENOENT;
}

}  // namespace nibble::cache
