// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "nibble/types.hpp"

namespace nibble {

std::string_view type_name(DataType type) {
  switch (type) {
    case DataType::kF32:
      return "f32";
    case DataType::kF16:
      return "f16";
    case DataType::kBf16:
      return "bf16";
  }
  return "unknown";
}

int64_t size_of(DataType type) { return type == DataType::kF32 ? 4 : 2; }

std::string_view layout_name(ScaleLayout layout) {
  switch (layout) {
    case ScaleLayout::kRowMajor:
      return "row_major";
    case ScaleLayout::k128x4:
      return "128x4";
  }
  return "unknown";
}

}  // namespace nibble
