// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Quantises one matrix of raw bytes with the library, so that compare.py can lay its bytes beside
// those of other quantisers.
//
//   quantize_matrix DEVICE TYPE ROWS COLUMNS OPTIONS INPUT OUTPUT
//
// OPTIONS: words joined by commas. nvfp4 (default), mxfp4, mxfp8; transposed: that copy in place of
// the row-wise one; square; four_over_six; transform: the default one, of the copy; amax=NUMBER:
// given. OUTPUT: the codes, the scales (row-major), the amax (4 bytes), one after the other.
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iterator>
#include <nibble/nibble.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace {

using namespace nibble;

[[noreturn]] void fail(const std::string& what) {
  std::fprintf(stderr, "quantize_matrix: %s\n", what.c_str());
  std::exit(1);
}

void require(const Status& status) {
  if (!status.ok()) fail(status.to_string() + "\n" + std::string(status.detail()));
}

DataType parse_type(const std::string& text) {
  for (const DataType type : {DataType::kF32, DataType::kF16, DataType::kBf16}) {
    if (type_name(type) == text) return type;
  }
  fail("type '" + text + "': must be f32, f16 or bf16");
}

struct Settings {
  QuantizeRequest request;
  float amax = 0;
};

Settings parse_options(const std::string& text) {
  Settings settings;
  QuantizeRequest& request = settings.request;
  bool transform = false;
  std::istringstream words(text);
  for (std::string word; std::getline(words, word, ',');) {
    if (word == "mxfp4") {
      request.format = QuantizedFormat::kMxfp4;
    } else if (word == "mxfp8") {
      request.format = QuantizedFormat::kMxfp8;
    } else if (word == "transposed") {
      request.copies = Copies::kTransposed;
    } else if (word == "square") {
      request.blocks = BlockShape::kSquare;
    } else if (word == "four_over_six") {
      request.scaling = BlockScaling::kFourOverSix;
    } else if (word == "transform") {
      transform = true;
    } else if (word.rfind("amax=", 0) == 0) {
      request.amax_given = true;
      settings.amax = std::strtof(word.c_str() + 5, nullptr);
    } else if (word != "nvfp4") {
      fail("option '" + word + "': not known");
    }
  }
  const bool transposed = request.copies == Copies::kTransposed;
  (transposed ? request.transposed_transform : request.transform).enabled = transform;
  return settings;
}

std::vector<char> read_file(const std::string& name) {
  std::ifstream file(name, std::ios::binary);
  if (!file) fail(name + ": cannot be read");
  return {std::istreambuf_iterator<char>(file), std::istreambuf_iterator<char>()};
}

Context open_context(const std::string& device) {
  Options options = Options::from_environment();
  options.device = device;
  Result<Context> context = Context::create(options);
  require(context.status());
  return std::move(context).value();
}

void run(const std::vector<std::string>& arguments) {
  Context context = open_context(arguments[0]);
  auto [request, amax] = parse_options(arguments[4]);
  request.x.type = parse_type(arguments[1]);
  request.x.rows = std::atoll(arguments[2].c_str());
  request.x.columns = std::atoll(arguments[3].c_str());
  const std::vector<char> input = read_file(arguments[5]);
  const auto expected = request.x.rows * request.x.columns * size_of(request.x.type);
  if (static_cast<int64_t>(input.size()) != expected) {
    fail(arguments[5] + ": " + std::to_string(input.size()) + " bytes, must be " +
         std::to_string(expected));
  }

  const bool transposed = request.copies == Copies::kTransposed;
  const int64_t rows = transposed ? request.x.columns : request.x.rows;
  const int64_t columns = transposed ? request.x.rows : request.x.columns;
  const int64_t codes = rows * quantized_row_bytes(request.format, columns);
  const int64_t scales =
      quantized_scale_bytes(request.format, rows, columns, ScaleLayout::kRowMajor);
  const int64_t amax_at = (codes + scales + 3) / 4 * 4;
  Result<Buffer> x = context.allocate(expected), y = context.allocate(amax_at + 4);
  require(x.status());
  require(y.status());
  request.x.data = x->address();
  const Nvfp4Matrix copy{y->address(), y->address() + static_cast<uint64_t>(codes),
                         y->address() + static_cast<uint64_t>(amax_at)};
  (transposed ? request.y_transposed : request.y) = copy;
  require(context.copy_to_device(x->address(), input.data(), expected));
  require(context.fill(y->address(), 0, y->size()));
  require(context.copy_to_device(copy.amax, &amax, 4));
  require(quantize(context, request));
  std::vector<char> output(static_cast<size_t>(y->size()));
  require(context.copy_to_host(output.data(), y->address(), y->size()));

  std::ofstream file(arguments[6], std::ios::binary);
  file.write(output.data(), codes + scales);
  file.write(output.data() + amax_at, 4);
  if (!file.flush()) fail(arguments[6] + ": cannot be written");
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 8) fail("usage: DEVICE TYPE ROWS COLUMNS OPTIONS INPUT OUTPUT");
  run({argv + 1, argv + argc});
  return 0;
}
