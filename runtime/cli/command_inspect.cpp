// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// nibble inspect: what a request turns into, on a machine with or without a GPU.
#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>
#include <string>

#include "nibble/inspect.hpp"
#include "runtime/cli/application.h"
#include "runtime/cli/gemm_options.h"
#include "runtime/result.h"

namespace nibble::cli {
namespace {

using Json = nlohmann::ordered_json;

struct InspectOptions {
  std::string family = "quantize";
  std::string type = "bf16";
  int64_t rows = 4096;
  int64_t columns = 4096;
  ScaleLayout layout = ScaleLayout::k128x4;
  bool amax_given = false;
  // gemm
  int64_t m = 4096, n = 4096, k = 4096;
  OperandOptions operands;
  OutputType output = OutputType::kBf16;
  Activation activation = Activation::kNone;
  bool gated = false;
  GemmConfig config;
  std::string target;
  bool source = false;
  bool ptx = false;
  bool log = false;
};

DataType parse_type(const std::string& name) {
  for (const DataType type : {DataType::kF32, DataType::kF16}) {
    if (type_name(type) == name) return type;
  }
  return DataType::kBf16;  // CLI::IsMember lets nothing else through
}

// Without pointers all are taken as aligned.
Result<Inspection> inspect_gemm(Context& context, const InspectOptions& options) {
  NIBBLE_TRY(check(options.operands));
  GemmRequest request;
  request.format = options.operands.format;
  request.a.fp8 = options.operands.a_fp8;
  request.b.fp8 = options.operands.b_fp8;
  request.m = options.m;
  request.n = options.n;
  request.k = options.k;
  request.d.type = options.output;
  request.epilogue.activation = options.activation;
  request.epilogue.gated = options.gated;
  request.config = options.config;
  return inspect(context, request);
}

Result<Inspection> inspect_family(Context& context, const InspectOptions& options) {
  const Matrix matrix{0, parse_type(options.type), options.rows, options.columns};
  Nvfp4Matrix packed;
  packed.scale_layout = options.layout;
  if (options.family == "amax") {
    AmaxRequest request;
    request.x = matrix;
    return inspect(context, request);
  }
  if (options.family == "dequantize") {
    DequantizeRequest request;
    request.x = packed;
    request.y = matrix;
    return inspect(context, request);
  }
  if (options.family == "gemm") return inspect_gemm(context, options);
  QuantizeRequest request;
  request.x = matrix;
  request.y = packed;
  request.amax_given = options.amax_given;
  return inspect(context, request);
}

Json to_json(const Inspection& result) {
  return {{"label", result.label},
          {"target", result.target},
          {"key", result.key},
          {"includes", result.includes},
          {"compiler_options", result.compiler_options},
          {"resources",
           {{"registers", result.resources.registers},
            {"spill_store_bytes", result.resources.spill_store_bytes},
            {"spill_load_bytes", result.resources.spill_load_bytes},
            {"stack_bytes", result.resources.stack_bytes},
            {"shared_bytes", result.resources.shared_bytes},
            {"dynamic_shared_bytes", result.dynamic_shared_bytes}}},
          {"cubin_bytes", result.cubin_bytes},
          {"compile_seconds", result.compile_seconds},
          {"source", result.source},
          {"ptx", result.ptx},
          {"log", result.log}};
}

void print_summary(const Inspection& result, std::ostream& out) {
  out << result.label << '\n'
      << "target     " << result.target << '\n'
      << "key        " << result.key << '\n'
      << "registers  " << result.resources.registers << " a thread, "
      << result.resources.spill_store_bytes + result.resources.spill_load_bytes
      << " bytes spilled, " << result.resources.stack_bytes << " bytes of stack\n"
      << "shared     " << result.resources.shared_bytes + result.dynamic_shared_bytes
      << " bytes a block\n"
      << "cubin      " << result.cubin_bytes << " bytes, compiled in " << result.compile_seconds
      << " s\n"
      << "options   ";
  for (const std::string& option : result.compiler_options) out << ' ' << option;
  out << "\nincludes  ";
  for (const std::string& include : result.includes) out << ' ' << include;
  out << "\n(--source, --ptx and --log print the texts)\n";
}

Outcome inspect_command(const InspectOptions& options, Session& session) {
  Options library = session.library_options();
  // Without a device asked for, none is needed: the target is enough.
  if (!options.target.empty()) {
    library.device = "none:" + options.target;
  } else if (session.device.empty()) {
    library.device = "none:sm_100a";
  }
  Result<Context> context = Context::create(library);
  if (!context.ok()) return failure(context.status());
  const Result<Inspection> result = inspect_family(*context, options);
  if (!result.ok()) return failure(result.status());
  if (session.json) {
    session.out << to_json(*result).dump(2, ' ', false, Json::error_handler_t::replace) << '\n';
    return {};
  }
  if (options.source) session.out << result->source << '\n';
  if (options.ptx) session.out << result->ptx << '\n';
  if (options.log) session.out << result->log << '\n';
  if (!options.source && !options.ptx && !options.log) print_summary(*result, session.out);
  return {};
}

void add_gemm_options(CLI::App& command, InspectOptions* options) {
  for (const auto& [name, size] :
       {std::pair{"--m", &options->m}, {"--n", &options->n}, {"--k", &options->k}}) {
    command.add_option(name, *size, "gemm: a size of the product")
        ->check(CLI::PositiveNumber)
        ->capture_default_str();
  }
  add_operand_options(command, &options->operands);
  command.add_option("--output", options->output, "gemm: f32, f16, bf16, nvfp4 or mxfp4")
      ->transform(CLI::CheckedTransformer(by_name<OutputType>(output_name, 5)))
      ->default_str("bf16");
  add_activation_options(command, &options->activation, &options->gated);
  add_config_option(command, &options->config);
}

}  // namespace

void add_inspect(CLI::App& app, Action* action) {
  CLI::App* command = app.add_subcommand(
      "inspect", "The source, PTX, resources and cache key of a kernel; no GPU is needed");
  command->footer(
      "Examples:\n"
      "  nibble inspect quantize --input f32 --layout row_major\n"
      "  nibble inspect dequantize --target sm_120a --ptx\n"
      "  nibble inspect gemm --m 8192 --format mxfp8 --config cta_group=2,tile_n=256 --source");
  const auto options = std::make_shared<InspectOptions>();
  command->add_option("family", options->family, "amax, quantize, dequantize or gemm")
      ->required()
      ->check(CLI::IsMember({"amax", "quantize", "dequantize", "gemm"}));
  command->add_option("--input,--type", options->type, "f32, f16 or bf16: the high-precision side")
      ->check(CLI::IsMember({"f32", "f16", "bf16"}))
      ->capture_default_str();
  command->add_option("--rows", options->rows)->check(CLI::PositiveNumber)->capture_default_str();
  command->add_option("--columns", options->columns)
      ->check(CLI::PositiveNumber)
      ->capture_default_str();
  command->add_option("--layout", options->layout, "row_major or 128x4: where the scales lie")
      ->transform(CLI::CheckedTransformer(std::map<std::string, ScaleLayout>{
          {"row_major", ScaleLayout::kRowMajor}, {"128x4", ScaleLayout::k128x4}}))
      ->default_str("128x4");
  command->add_flag("--amax-given", options->amax_given, "quantize: scale by a given amax");
  add_gemm_options(*command, options.get());
  command->add_option("--target", options->target,
                      "sm_90a, sm_100a, sm_103a, sm_120a (default: sm_100a, or --device's)");
  command->add_flag("--source", options->source, "Print the rendered source");
  command->add_flag("--ptx", options->ptx, "Print the PTX");
  command->add_flag("--log", options->log, "Print the compiler's log");
  command->callback([action, options] {
    *action = [options](Session& session) { return inspect_command(*options, session); };
  });
}

}  // namespace nibble::cli
