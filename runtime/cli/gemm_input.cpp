// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/gemm_input.h"

#include <algorithm>
#include <cmath>
#include <cstring>

#include "nibble/types.hpp"
#include "runtime/cli/checkpoint.h"
#include "runtime/cli/fidelity.h"
#include "runtime/cli/npy.h"
#include "runtime/cli/safetensors.h"
#include "runtime/result.h"

namespace nibble::cli {
namespace {

Status bad(const std::string& message) { return {Code::kInvalidArgument, message}; }

Result<HostMatrix> read(const std::string& name, const InputFile& file, uint64_t position,
                        DataType type, int64_t rows, int64_t columns) {
  HostMatrix matrix{rows, columns, {}};
  const auto count = static_cast<size_t>(rows * columns);
  matrix.values.resize(count);
  if (type == DataType::kF32) {
    NIBBLE_TRY(file.read(position, matrix.values.data(), count * sizeof(float)));
  } else {
    std::vector<uint16_t> bits(count);
    NIBBLE_TRY(file.read(position, bits.data(), count * sizeof(uint16_t)));
    std::transform(bits.begin(), bits.end(), matrix.values.begin(), [type](uint16_t half) {
      return static_cast<float>(type == DataType::kF16 ? decode_f16(half) : decode_bf16(half));
    });
  }
  const auto not_finite = std::count_if(matrix.values.begin(), matrix.values.end(),
                                        [](float value) { return !std::isfinite(value); });
  if (not_finite == 0) return matrix;
  return bad(name + ": " + std::to_string(not_finite) + " elements are NaN or infinite");
}

Result<HostMatrix> read_tensor(const std::string& name, const SafetensorsFile& file,
                               const TensorInfo& tensor) {
  const Result<DataType> type = data_type(tensor.type);
  if (!type.ok()) return bad(name + ": " + std::string(type.status().message()));
  const int64_t columns = tensor.shape.empty() ? 0 : tensor.shape.back();
  if (columns == 0 || tensor.bytes == 0) {
    return bad(name + ": shape " + shape_text(tensor.shape) +
               ": must have a dimension or more, and elements");
  }
  const auto elements = static_cast<int64_t>(tensor.bytes) / size_of(*type);
  return read(name, file.file(), file.position(tensor), *type, elements / columns, columns);
}

Result<HostMatrix> read_safetensors(const std::string& name, const std::string& path,
                                    const std::string& wanted) {
  NIBBLE_TRY_ASSIGN(const SafetensorsFile file, SafetensorsFile::open(path));
  const auto& tensors = file.tensors();
  if (wanted.empty()) {
    if (tensors.size() == 1) return read_tensor(name, file, tensors.front());
    return bad(path + ": has " + std::to_string(tensors.size()) + " tensors: name one as in " +
               path + ":NAME");
  }
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const TensorInfo& tensor) { return tensor.name == wanted; });
  if (found == tensors.end()) return bad(path + ": has no tensor named " + wanted);
  return read_tensor(name, file, *found);
}

}  // namespace

Result<HostMatrix> read_matrix(const std::string& name) {
  constexpr std::string_view kSuffix = ".safetensors";
  if (name.ends_with(kSuffix)) return read_safetensors(name, name, "");
  const size_t colon = name.find(std::string(kSuffix) + ":");
  if (colon != std::string::npos) {
    const size_t end = colon + kSuffix.size();
    return read_safetensors(name, name.substr(0, end), name.substr(end + 1));
  }
  NIBBLE_TRY_ASSIGN(const NpyFile array, NpyFile::open(name));
  return read(name, array.file(), array.data_start(), array.type(), array.rows(), array.columns());
}

}  // namespace nibble::cli
