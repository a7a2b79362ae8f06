// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Images: PTX text, or a fat binary with PTX inside. Machine code is refused.
#include <cstring>
#include <fstream>
#include <iterator>

#include "runtime/emulator/driver/messages.h"
#include "runtime/emulator/driver/module.h"
#include "runtime/emulator/ptx/parser.h"

namespace nibble::emulator::driver {

namespace {

constexpr uint32_t kElfMagic = 0x464C457F;
constexpr uint32_t kFatWrapperMagic = 0x466243B1;  // what nvcc puts into a host object
constexpr uint32_t kFatMagic = 0xBA55ED50;
constexpr uint16_t kFatKindPtx = 1;
constexpr uint64_t kFatCompressed = 0x2000 | 0x8000;  // LZ4, zstd

struct FatWrapper {
  uint32_t magic, version;
  const void* data;
  void* unused;
};

struct FatHeader {
  uint32_t magic;
  uint16_t version, header_size;
  uint64_t size;  // of the entries behind the header
};

struct FatEntry {
  uint16_t kind, version;
  uint32_t header_size;
  uint64_t size;  // of the payload behind the header
  uint32_t compressed_size, unknown;
  uint16_t minor, major;
  uint32_t architecture;  // 100
  uint32_t name_offset, name_size;
  uint64_t flags;
};

template <class T>
T read_at(const std::byte* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return value;
}

LoadError refuse_cubin() {
  return {CUDA_ERROR_NO_BINARY_FOR_GPU,
          "this is a cubin: the emulator executes PTX; compile to PTX (a virtual architecture) "
          "instead"};
}

// The PTX of the highest architecture; all of them run on later devices, the loader checks that.
// `limit`: bytes that are there, where that is known.
LoadError read_fat_binary(const std::byte* at, uint64_t limit, std::string& ptx) {
  const auto header = read_at<FatHeader>(at);
  if (header.magic != kFatMagic) {
    return {CUDA_ERROR_INVALID_IMAGE, "the wrapper of a fat binary points to none"};
  }
  if (header.header_size > limit || header.size > limit - header.header_size) {
    return {CUDA_ERROR_INVALID_IMAGE, "the fat binary is longer than its file"};
  }
  const std::byte* entry_at = at + header.header_size;
  uint64_t left = header.size;
  bool any = false, compressed = false;
  uint32_t best = 0;
  while (left >= sizeof(FatEntry)) {
    const auto entry = read_at<FatEntry>(entry_at);
    if (entry.header_size < sizeof(FatEntry) || entry.header_size > left ||
        entry.size > left - entry.header_size) {
      return {CUDA_ERROR_INVALID_IMAGE, "an entry of the fat binary is longer than the binary"};
    }
    any = true;
    if (entry.kind == kFatKindPtx && entry.architecture >= best) {
      compressed = (entry.flags & kFatCompressed) != 0;
      best = entry.architecture;
      const auto* text = reinterpret_cast<const char*>(entry_at) + entry.header_size;
      ptx.assign(text, strnlen(text, entry.size));
    }
    entry_at += entry.header_size + entry.size;
    left -= entry.header_size + entry.size;
  }
  if (!any) return {CUDA_ERROR_INVALID_IMAGE, "the fat binary is empty"};
  if (best == 0) {
    return {CUDA_ERROR_NO_BINARY_FOR_GPU,
            "the fat binary holds machine code only: the emulator executes PTX"};
  }
  if (compressed) {
    return {
        CUDA_ERROR_NO_BINARY_FOR_GPU,
        "the PTX of the fat binary is compressed: build it with --no-compress for the emulator"};
  }
  return {};
}

}  // namespace

LoadError read_image(const void* image, std::string& ptx) {
  constexpr uint64_t kUnknown = ~uint64_t{0};
  if (image == nullptr) return {CUDA_ERROR_INVALID_VALUE, "the image is a null pointer"};
  const auto* const at = static_cast<const std::byte*>(image);
  // A text shorter than four bytes is no PTX either.
  const size_t length = strnlen(static_cast<const char*>(image), sizeof(uint32_t));
  const uint32_t magic = length < sizeof(uint32_t) ? 0 : read_at<uint32_t>(at);
  if (magic == kElfMagic) return refuse_cubin();
  if (magic == kFatWrapperMagic) {
    const auto wrapper = read_at<FatWrapper>(at);
    if (wrapper.data == nullptr) {
      return {CUDA_ERROR_INVALID_IMAGE, "the wrapper of a fat binary points to none"};
    }
    return read_fat_binary(static_cast<const std::byte*>(wrapper.data), kUnknown, ptx);
  }
  if (magic == kFatMagic) return read_fat_binary(at, kUnknown, ptx);
  ptx = static_cast<const char*>(image);
  return {};
}

LoadError read_image_file(const char* path, std::string& ptx) {
  if (path == nullptr) return {CUDA_ERROR_INVALID_VALUE, "the path is a null pointer"};
  std::ifstream file(path, std::ios::binary);
  if (!file) {
    return {CUDA_ERROR_FILE_NOT_FOUND, std::string(path) + ": the file cannot be read"};
  }
  std::string bytes((std::istreambuf_iterator<char>(file)), std::istreambuf_iterator<char>());
  const uint64_t size = bytes.size();
  bytes.append(sizeof(FatEntry), '\0');  // headers that are cut off are read whole
  const auto* const at = reinterpret_cast<const std::byte*>(bytes.data());
  const auto magic = read_at<uint32_t>(at);
  if (magic == kFatMagic) return read_fat_binary(at, size, ptx);
  if (magic == kFatWrapperMagic) {
    return {CUDA_ERROR_INVALID_IMAGE, "a file cannot hold the wrapper of a fat binary: a pointer"};
  }
  return read_image(at, ptx);
}

LoadError parse_image(const std::string& ptx, Module& module) {
  ParseError error;
  std::optional<Module> parsed = parse_ptx(ptx, error);
  if (!parsed) {
    return {CUDA_ERROR_INVALID_PTX, "line " + std::to_string(error.line) + ":" +
                                        std::to_string(error.column) + ": " + error.message};
  }
  module = std::move(*parsed);
  return {};
}

}  // namespace nibble::emulator::driver
