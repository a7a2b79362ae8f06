// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// nibble quantize: a checkpoint, a model folder or an array to NVFP4.
#include <CLI/CLI.hpp>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "runtime/cli/application.h"
#include "runtime/cli/checkpoint.h"
#include "runtime/cli/model_folder.h"
#include "runtime/cli/progress.h"
#include "runtime/cli/quantize_array.h"
#include "runtime/cli/quantize_checkpoint.h"
#include "runtime/cli/quantize_report.h"
#include "runtime/cli/quantizer.h"

namespace nibble::cli {
namespace {

namespace fs = std::filesystem;

struct QuantizeOptions {
  std::string input;
  std::string output;
  CheckpointFormat format = CheckpointFormat::kModelOpt;
  std::string algorithm = "W4A16_NVFP4";
  BlockScaling scaling = BlockScaling::kLargest;
  std::vector<std::string> include;
  std::vector<std::string> exclude;
  std::string config;
};

Outcome usage(const std::string& message) {
  return {Exit::kUsage, Status(Code::kInvalidArgument, message)};
}

// Cannot be read, or is not what it should be.
Outcome bad_input(const Status& status) { return {Exit::kBadInput, status}; }

// The shards of a file or a folder with where each goes. `folder`: filled for a folder.
Outcome open_shards(const QuantizeOptions& options, std::vector<Shard>* shards,
                    std::unique_ptr<ModelFolder>* folder) {
  std::vector<std::pair<std::string, std::string>> paths;
  if (fs::is_directory(options.input)) {
    Result<ModelFolder> read = read_model_folder(options.input);
    if (!read.ok()) return bad_input(read.status());
    *folder = std::make_unique<ModelFolder>(std::move(read).value());
    for (const std::string& name : (*folder)->shards) {
      paths.emplace_back(options.input + "/" + name, options.output + "/" + name);
    }
  } else {
    paths.emplace_back(options.input, options.output);
  }
  for (const auto& [input, output] : paths) {
    Result<SafetensorsFile> file = SafetensorsFile::open(input);
    if (!file.ok()) return bad_input(file.status());
    if (file->file().is(output)) return usage(output + ": is the input; give another output");
    shards->push_back({std::move(file).value(), output});
  }
  return {};
}

void warn_of_split_groups(const std::vector<PlannedTensor>& tensors, const Session& session) {
  if (session.quiet) return;
  for (const std::string& group : split_groups(tensors)) {
    session.err << "nibble: warning: only a part of " << group
                << " is quantised; loaders that fuse it want all or none\n";
  }
}

std::map<std::string, std::string> added_metadata(const QuantizeOptions& options,
                                                  const std::vector<std::string>& ignored) {
  return {{"quantized_by", "nibble " NIBBLE_VERSION},
          {"quantization_config", quantization_config(options.format, options.algorithm, ignored)}};
}

Status write_configuration(const QuantizeOptions& options, const ModelFolder* folder,
                           const std::vector<std::string>& ignored,
                           const std::vector<PlannedTensor>& tensors,
                           const CheckpointQuantizer& checkpoint) {
  if (!options.config.empty()) {
    const std::string text =
        options.format == CheckpointFormat::kModelOpt
            ? hf_quant_config(options.algorithm, ignored)
            : quantization_config(options.format, options.algorithm, ignored) + "\n";
    if (Status status = write_text(options.config, text); !status.ok()) return status;
  }
  if (folder == nullptr) return {};
  uint64_t bytes = 0;
  for (const PlannedTensor& tensor : tensors) bytes += tensor.bytes_after;
  return write_model_folder(*folder, options.output, {options.format, options.algorithm, ignored},
                            checkpoint.weight_map(), bytes);
}

Outcome quantize_checkpoint(const QuantizeOptions& options, Session& session) {
  const auto start = std::chrono::steady_clock::now();
  const Result<Selector> selector = Selector::create(options.include, options.exclude);
  if (!selector.ok()) return failure(selector.status());
  std::vector<Shard> shards;
  std::unique_ptr<ModelFolder> folder;
  if (Outcome opened = open_shards(options, &shards, &folder); !opened.status.ok()) return opened;
  std::vector<PlannedTensor> tensors = plan(shards, *selector);
  if (std::none_of(tensors.begin(), tensors.end(),
                   [](const PlannedTensor& t) { return t.decision.quantize; })) {
    return bad_input(Status(Code::kInvalidArgument,
                            options.input + ": no tensor is the weight of a linear layer by the "
                                            "rules (name some with --include)"));
  }
  warn_of_split_groups(tensors, session);

  Result<Context> context = Context::create(session.library_options());
  if (!context.ok()) return failure(context.status());
  if (folder != nullptr) {
    if (Status status = make_folder(options.output); !status.ok()) return failure(status);
  }
  int64_t total_bytes = 0;
  for (const PlannedTensor& tensor : tensors)
    total_bytes += static_cast<int64_t>(tensor.info->bytes);
  Quantizer quantizer(*context, options.scaling);
  const std::vector<std::string> ignored = ignored_modules(tensors);
  QuantizeReport report;
  {
    Progress progress(session.err, session.shows_progress(), static_cast<int64_t>(tensors.size()),
                      total_bytes);
    CheckpointQuantizer checkpoint(shards, options.format, added_metadata(options, ignored),
                                   quantizer, progress);
    if (Status status = checkpoint.run(&tensors); !status.ok()) {
      return failure(status, Exit::kBadInput);
    }
    if (Status status = write_configuration(options, folder.get(), ignored, tensors, checkpoint);
        !status.ok()) {
      return failure(status, Exit::kBadInput);
    }
    report.file_bytes_after = checkpoint.bytes_written();
  }
  for (const Shard& shard : shards) report.file_bytes_before += shard.input.file().size();
  report.input = options.input;
  report.output = options.output;
  report.device = context->device();
  report.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  print_report(report, tensors, session);
  return {};
}

Outcome quantize(const QuantizeOptions& options, Session& session) {
  std::error_code error;
  if (!fs::exists(options.input, error)) {
    return bad_input(Status(Code::kIoError, options.input + ": no such file or folder"));
  }
  if (fs::is_directory(options.input, error) &&
      fs::equivalent(options.input, options.output, error)) {
    return usage(options.output + ": is the input; give another output");
  }
  if (options.input.ends_with(".npy")) {
    return quantize_array(options.input, options.output, options.scaling, session);
  }
  // A folder is what loaders open: an index stands for the one that it lies in.
  constexpr std::string_view kIndexSuffix = ".safetensors.index.json";
  if (options.input.ends_with(kIndexSuffix)) {
    QuantizeOptions whole = options;
    whole.input = fs::path(options.input).parent_path();
    if (whole.input.empty()) whole.input = ".";
    return quantize(whole, session);
  }
  return quantize_checkpoint(options, session);
}

}  // namespace

void add_quantize(CLI::App& app, Action* action) {
  CLI::App* command = app.add_subcommand(
      "quantize", "Weights of linear layers to NVFP4, as vLLM and TensorRT-LLM load them");
  command->footer(
      "INPUT is a .safetensors file, a folder or a model.safetensors.index.json (then OUTPUT is a\n"
      "folder), or a .npy file (then OUTPUT is a .safetensors file, or the prefix of three .npy\n"
      "files). OUTPUT is replaced where it exists.\n"
      "\n"
      "Examples:\n"
      "  nibble quantize model.safetensors -o model-nvfp4.safetensors\n"
      "  nibble quantize model.safetensors -o out.safetensors --exclude 'layer\\.0\\.' --json\n"
      "  nibble quantize Llama -o Llama-NVFP4 --format compressed-tensors\n"
      "  nibble quantize matrix.npy -o matrix");
  const auto options = std::make_shared<QuantizeOptions>();
  command->add_option("input", options->input)->required();
  command->add_option("-o,--output", options->output)->required();
  command->add_option("--format", options->format, "modelopt or compressed-tensors: the naming")
      ->transform(CLI::CheckedTransformer(std::map<std::string, CheckpointFormat>{
          {"modelopt", CheckpointFormat::kModelOpt},
          {"compressed-tensors", CheckpointFormat::kCompressedTensors}}))
      ->default_str("modelopt");
  command
      ->add_option("--algorithm", options->algorithm,
                   "modelopt's quant_algo. W4A16_NVFP4: activations stay f16 or bf16; NVFP4: "
                   "they are quantised too, by scales that the loader finds itself")
      ->check(CLI::IsMember({"W4A16_NVFP4", "NVFP4"}))
      ->capture_default_str();
  command->add_flag_callback(
      "--four-over-six", [options] { options->scaling = BlockScaling::kFourOverSix; },
      "Scale each block so that its largest element becomes 6 or 4, whichever loses less");
  command
      ->add_option("--include", options->include,
                   "Quantise matrices whose name matches this regular expression, whatever "
                   "the rules say (repeatable)")
      ->allow_extra_args(false);
  command
      ->add_option("--exclude", options->exclude,
                   "Copy tensors whose name matches this regular expression (repeatable)")
      ->allow_extra_args(false);
  command->add_option("--config", options->config,
                      "Also write the quantisation configuration (hf_quant_config.json) here");
  command->callback([action, options] {
    *action = [options](Session& session) { return quantize(*options, session); };
  });
}

}  // namespace nibble::cli
