// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
#include "runtime/cli/quantize_array.h"

#include <chrono>
#include <filesystem>
#include <memory>
#include <utility>

#include "runtime/cli/checkpoint.h"
#include "runtime/cli/npy.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/quantize_report.h"
#include "runtime/cli/quantizer.h"
#include "runtime/cli/safetensors.h"
#include "runtime/result.h"

namespace nibble::cli {
namespace {

// Where rows go, and how it ends.
struct Destination {
  std::function<Status(const QuantizedRows&)> write;
  std::function<Status(float tensor_scale)> finish;
  uint64_t bytes = 0;
};

struct Rows {
  uint64_t code_bytes;  // of a row
  uint64_t blocks;
};

Rows rows_of(const NpyFile& array) {
  return {static_cast<uint64_t>(code_row_bytes(array.columns())),
          static_cast<uint64_t>((array.columns() + kBlockSize - 1) / kBlockSize)};
}

Result<Destination> to_safetensors(const NpyFile& array, const TensorInfo& tensor,
                                   const std::string& output) {
  if (array.columns() % kBlockSize != 0) {
    return Status(Code::kInvalidArgument,
                  array.file().path() + ": " + std::to_string(array.columns()) +
                      " columns: must be a multiple of 16 for .safetensors (a prefix takes any)");
  }
  NIBBLE_TRY_ASSIGN(
      SafetensorsWriter created,
      SafetensorsWriter::create(output, quantized_tensors(CheckpointFormat::kModelOpt, tensor),
                                {{"quantized_by", "nibble " NIBBLE_VERSION}}));
  const auto writer = std::make_shared<SafetensorsWriter>(std::move(created));
  const Rows row = rows_of(array);
  Destination destination;
  destination.bytes = writer->file_bytes();
  destination.write = [writer, row](const QuantizedRows& rows) -> Status {
    const auto first = static_cast<uint64_t>(rows.first_row);
    const auto count = static_cast<uint64_t>(rows.rows);
    NIBBLE_TRY(writer->write(0, first * row.code_bytes, rows.codes, count * row.code_bytes));
    return writer->write(1, first * row.blocks, rows.scales, count * row.blocks);
  };
  destination.finish = [writer](float scale) -> Status {
    NIBBLE_TRY(writer->write(2, 0, &scale, sizeof(scale)));
    return writer->commit();
  };
  return destination;
}

Result<Destination> to_arrays(const NpyFile& array, std::string prefix) {
  if (prefix.ends_with(".npy")) prefix.resize(prefix.size() - 4);
  const Rows row = rows_of(array);
  const auto codes_shape = std::vector<int64_t>{array.rows(), static_cast<int64_t>(row.code_bytes)};
  const auto scales_shape = std::vector<int64_t>{array.rows(), static_cast<int64_t>(row.blocks)};
  NIBBLE_TRY_ASSIGN(NpyWriter codes, NpyWriter::create(prefix + ".codes.npy", "|u1", codes_shape));
  NIBBLE_TRY_ASSIGN(NpyWriter scales,
                    NpyWriter::create(prefix + ".scales.npy", "|u1", scales_shape));
  NIBBLE_TRY_ASSIGN(NpyWriter scalar, NpyWriter::create(prefix + ".tensor_scale.npy", "<f4", {}));
  struct Writers {
    NpyWriter codes, scales, scalar;
  };
  const auto writers =
      std::make_shared<Writers>(Writers{std::move(codes), std::move(scales), std::move(scalar)});
  Destination destination;
  destination.bytes = static_cast<uint64_t>(array.rows()) * (row.code_bytes + row.blocks) + 4;
  destination.write = [writers, row](const QuantizedRows& rows) -> Status {
    const auto first = static_cast<uint64_t>(rows.first_row);
    const auto count = static_cast<uint64_t>(rows.rows);
    NIBBLE_TRY(writers->codes.write(first * row.code_bytes, rows.codes, count * row.code_bytes));
    return writers->scales.write(first * row.blocks, rows.scales, count * row.blocks);
  };
  destination.finish = [writers](float scale) -> Status {
    NIBBLE_TRY(writers->scalar.write(0, &scale, sizeof(scale)));
    NIBBLE_TRY(writers->codes.commit());
    NIBBLE_TRY(writers->scales.commit());
    return writers->scalar.commit();
  };
  return destination;
}

Status quantize(const NpyFile& array, const Destination& destination, Quantizer* quantizer,
                Progress* progress, PlannedTensor* result) {
  const MatrixInFile matrix{&array.file(), array.data_start(), array.type(), array.rows(),
                            array.columns()};
  NIBBLE_TRY_ASSIGN(result->amax, quantizer->amax(matrix));
  const float scale = tensor_scale(CheckpointFormat::kModelOpt, quantizer->scaling(), result->amax);
  NIBBLE_TRY_ASSIGN(result->fidelity,
                    quantizer->quantize(matrix, result->amax, scale, destination.write,
                                        [&](int64_t bytes) { progress->advance(bytes); }));
  if (result->fidelity.not_finite > 0) {
    return {Code::kInvalidArgument, array.file().path() + ": " +
                                        std::to_string(result->fidelity.not_finite) +
                                        " elements are NaN or infinite"};
  }
  return destination.finish(scale);
}

}  // namespace

Outcome quantize_array(const std::string& input, const std::string& output, BlockScaling scaling,
                       Session& session) {
  const auto start = std::chrono::steady_clock::now();
  const Result<NpyFile> array = NpyFile::open(input);
  if (!array.ok()) return {Exit::kBadInput, array.status()};
  TensorInfo tensor;
  tensor.name = std::filesystem::path(input).stem().string() + ".weight";
  tensor.type = array->type() == DataType::kF32 ? "F32" : "F16";
  tensor.shape = {array->rows(), array->columns()};
  tensor.bytes = array->file().size() - array->data_start();
  if (array->file().is(output)) {
    return {Exit::kUsage, Status(Code::kInvalidArgument, output + ": is the input")};
  }
  Result<Context> context = Context::create(session.library_options());
  if (!context.ok()) return failure(context.status());
  const Result<Destination> destination = output.ends_with(".safetensors")
                                              ? to_safetensors(*array, tensor, output)
                                              : to_arrays(*array, output);
  if (!destination.ok()) return failure(destination.status(), Exit::kBadInput);

  std::vector<PlannedTensor> tensors(1);
  tensors[0].info = &tensor;
  tensors[0].decision.quantize = true;
  const Rows row = rows_of(*array);
  tensors[0].bytes_after =
      static_cast<uint64_t>(array->rows()) * (row.code_bytes + row.blocks) + sizeof(float);
  Quantizer quantizer(*context, scaling);
  {
    Progress progress(session.err, session.shows_progress(), 1, static_cast<int64_t>(tensor.bytes));
    progress.start_item(tensor.name);
    const Status status = quantize(*array, *destination, &quantizer, &progress, tensors.data());
    if (!status.ok()) return failure(status, Exit::kBadInput);
  }
  QuantizeReport report;
  report.input = input;
  report.output = output;
  report.device = context->device();
  report.file_bytes_before = array->file().size();
  report.file_bytes_after = destination->bytes;
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  print_report(report, tensors, session);
  return {};
}

}  // namespace nibble::cli
