// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Copies and fills of memory, checked when they are asked for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>

#include "runtime/emulator/driver/driver.h"

namespace nibble::emulator::driver {

enum class Where : uint8_t { kHost, kDevice, kAny };

// Rows of bytes, `pitch` apart, in slices of `height` rows.
struct Place {
  uint64_t address = 0;
  Where where = Where::kAny;
  size_t pitch = 0;
  size_t height = 0;
};

struct Extent {
  size_t width = 0;  // bytes
  size_t height = 1;
  size_t depth = 1;
};

// CUDA_ERROR_INVALID_VALUE where a device side is not in one allocation, or a host side runs out of
// one that it starts in.
CUresult check_place(Driver& driver, const Place& place, const Extent& extent);

// Submits the copy to `stream`.
CUresult copy(Driver& driver, Stream& stream, const Place& to, const Place& from,
              const Extent& extent);

// Submits the fill of rows with `width` elements of 1, 2 or 4 bytes. CUDA_ERROR_INVALID_VALUE for
// an address or a pitch that the element size does not divide.
CUresult fill(Driver& driver, Stream& stream, const Place& to, size_t width, size_t height,
              uint32_t value, size_t element_size);

}  // namespace nibble::emulator::driver
