// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/jit/kernel_image.h"

#include <array>
#include <charconv>

namespace nibble {

namespace {

// The number that ends right before `words`: 24 in "Used 24 registers" for " registers".
int number_before(std::string_view text, std::string_view words) {
  const size_t end = text.find(words);
  if (end == std::string_view::npos) return 0;
  size_t start = end;
  while (start > 0 && text[start - 1] >= '0' && text[start - 1] <= '9') --start;
  int value = 0;
  std::from_chars(text.data() + start, text.data() + end, value);
  return value;
}

constexpr std::array<std::pair<std::string_view, int KernelResources::*>, 5> kResourceFields{{
    {"registers", &KernelResources::registers},
    {"spill_store_bytes", &KernelResources::spill_store_bytes},
    {"spill_load_bytes", &KernelResources::spill_load_bytes},
    {"stack_bytes", &KernelResources::stack_bytes},
    {"shared_bytes", &KernelResources::shared_bytes},
}};

}  // namespace

KernelResources parse_resources(std::string_view log) {
  KernelResources resources;
  resources.registers = number_before(log, " registers");
  resources.spill_store_bytes = number_before(log, " bytes spill stores");
  resources.spill_load_bytes = number_before(log, " bytes spill loads");
  resources.stack_bytes = number_before(log, " bytes stack frame");
  resources.shared_bytes = number_before(log, " bytes smem");
  return resources;
}

std::string serialize(const KernelImage& image) {
  std::string bytes = "kind ";
  bytes += image.kind == ImageKind::kPtx ? "0" : "1";
  for (const auto& [name, member] : kResourceFields) {
    bytes += "\n" + std::string(name) + " " + std::to_string(image.resources.*member);
  }
  bytes += "\nlog_bytes " + std::to_string(image.log.size());
  bytes += "\ncode_bytes " + std::to_string(image.code.size()) + "\n\n";
  return bytes + image.log + image.code;
}

std::optional<KernelImage> deserialize(std::string_view bytes) {
  // One header line: its value when it is called `name`.
  auto take = [&bytes](std::string_view name) -> std::optional<size_t> {
    const size_t end = bytes.find('\n');
    if (end == std::string_view::npos || !bytes.starts_with(name) || name.size() >= end) return {};
    size_t value = 0;
    const char* last = bytes.data() + end;
    const auto [stop, failed] = std::from_chars(bytes.data() + name.size() + 1, last, value);
    if (failed != std::errc() || stop != last) return {};
    bytes.remove_prefix(end + 1);
    return value;
  };
  KernelImage image;
  const auto kind = take("kind");
  if (!kind || *kind > 1) return {};
  image.kind = *kind == 0 ? ImageKind::kPtx : ImageKind::kCubin;
  for (const auto& [name, member] : kResourceFields) {
    const auto value = take(name);
    if (!value) return {};
    image.resources.*member = static_cast<int>(*value);
  }
  const auto log_bytes = take("log_bytes");
  const auto code_bytes = take("code_bytes");
  if (!log_bytes || !code_bytes || !bytes.starts_with('\n')) return {};
  bytes.remove_prefix(1);
  if (*log_bytes > bytes.size() || *code_bytes != bytes.size() - *log_bytes) return {};
  image.log = bytes.substr(0, *log_bytes);
  image.code = bytes.substr(*log_bytes);
  return image;
}

}  // namespace nibble
