// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// PTX that is wrong in many ways: parsed, decoded where it parses, and at times run, with few
// instructions. All must end with a result or an error; README.md says what counts as a finding.
#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>

#include "runtime/emulator/machine/counter_table.h"
#include "runtime/emulator/machine/device.h"
#include "runtime/emulator/machine/tensor_map.h"
#include "runtime/emulator/machine/trace.h"
#include "runtime/emulator/ptx/parser.h"
#include "tests/emulator/fuzz/composer.h"
#include "tests/emulator/fuzz/harness.h"
#include "tests/emulator/fuzz/mutator.h"

namespace nibble::fuzz {
namespace {

using namespace emulator;

constexpr uint64_t kBufferBytes = 4096;

// Devices' memory, with and without tracking of writes, and two buffers in each.
struct Memory {
  explicit Memory(bool tracks) : global(1ull << 30, tracks) {
    for (uint64_t& buffer : buffers) buffer = global.allocate(kBufferBytes, 1024, "buffer");
  }
  void fill() {
    for (const uint64_t buffer : buffers) {
      auto* const bytes = reinterpret_cast<uint8_t*>(buffer);
      for (size_t i = 0; i < kBufferBytes; ++i) bytes[i] = static_cast<uint8_t>(i * 37);
      global.mark_written(buffer, kBufferBytes);
    }
  }
  GlobalMemory global;
  std::array<uint64_t, 2> buffers{};
};

// A tensor of 64 rows of 32 16-bit elements in the buffer.
TensorMap map_of(uint64_t buffer) {
  TensorMap map;
  map.type = static_cast<TensorMap::Type>(1);
  map.rank = 2;
  map.address = buffer;
  map.sizes = {32, 64};
  map.strides = {64};
  map.box = {32, 16};
  map.element_strides = {1, 1};
  return map;
}

class PtxTarget {
 public:
  PtxTarget(std::vector<std::string> seeds, bool prints)
      : seeds_(std::move(seeds)), mutator_(seeds_), prints_(prints) {}

  void one_input(Random& random, Tally& tally) {
    const std::string text = make(random);
    if (prints_) std::fprintf(stderr, "%s\n", text.c_str());
    ParseError parse_error;
    const std::optional<Module> module = parse_ptx(text, parse_error);
    if (!module) return;
    ++tally["parsed"];
    if (random.one_in(2)) return;  // most of the count is for the parser
    Memory& memory = memories_[random.below(2)];
    const DeviceModel* model = find_model(module->target);
    if (model == nullptr) model = find_model("sm_100a");
    std::string error;
    const std::unique_ptr<Program> program = Program::load(*module, *model, memory.global, error);
    if (program == nullptr) return;
    ++tally["decoded"];
    if (!random.one_in(6)) return;
    for (const Kernel* kernel : program->kernels()) {
      if (random.one_in(3) || program->kernels().size() == 1)
        launch(*program, *kernel, *model, memory, random, tally);
    }
  }

 private:
  std::string make(Random& random) const {
    if (!seeds_.empty() && !random.one_in(4)) return mutator_.mutate(mutator_.seed(random), random);
    const std::string text = composer_.compose(random);
    return random.one_in(4) ? mutator_.mutate(text, random) : text;
  }

  static void launch(const Program& program, const Kernel& kernel, const DeviceModel& model,
                     Memory& memory, Random& random, Tally& tally) {
    memory.fill();
    std::vector<std::byte> parameters(kernel.param_bytes);
    const uint64_t addresses[2] = {memory.buffers[0], memory.buffers[1]};
    for (size_t i = 0; i < kernel.parameters.size(); ++i) {
      const Kernel::Parameter& parameter = kernel.parameters[i];
      std::byte* const to = parameters.data() + parameter.offset;
      if (parameter.size == 8) std::memcpy(to, &addresses[i % 2], 8);
      if (parameter.size != 128) continue;
      alignas(64) uint64_t words[16] = {};
      encode(map_of(memory.buffers[0]), words);
      std::memcpy(to, words, sizeof words);
    }
    Launch launch;
    launch.program = &program;
    launch.kernel = &kernel;
    for (size_t axis = 0; axis < 3; ++axis) {
      if (kernel.required_cluster[axis] > 1 && kernel.required_cluster[axis] <= 2) {
        launch.grid[axis] = launch.cluster[axis] = kernel.required_cluster[axis];
      }
    }
    launch.block = {random.one_in(2) ? 32u : 64u, 1, 1};
    if (kernel.required_threads[0] != 0) launch.block = kernel.required_threads;
    launch.dynamic_shared = random.one_in(3) ? 2048 : 0;
    launch.parameters = parameters;
    Settings settings;
    settings.threads = 1;
    settings.max_instructions = 600;
    settings.check_uninitialized = random.one_in(8);
    settings.check_order = !random.one_in(4);
    settings.check_tensor_fences = random.one_in(4);
    settings.exact_tensor = random.one_in(4);
    settings.seed = random.one_in(3) ? random.below(100) : 0;
    settings.check_tensor_waits = random.one_in(4);
    settings.counters = random.one_in(6);
    settings.trace = settings.counters && random.one_in(2);
    if (random.one_in(2)) settings.report = [](const std::string&) {};
    settings.check_init_fences = random.one_in(4);
    ++tally["launched"];
    if (run(launch, model, memory.global, settings)) ++tally["launches with a fault"];
    if (!settings.counters) return;
    tally["bytes of counters"] +=
        CounterTable::all().json().size() + CounterTable::all().text().size();
    CounterTable::all().clear();
    tally["bytes of timelines"] += Trace::all().json().size();
    Trace::all().clear();
  }

  const std::vector<std::string> seeds_;
  const Mutator mutator_;
  const Composer composer_;
  const bool prints_;
  std::array<Memory, 2> memories_{Memory(false), Memory(true)};
};

}  // namespace
}  // namespace nibble::fuzz

int main(int argc, char** argv) {
  return nibble::fuzz::run_target<nibble::fuzz::PtxTarget>(argc, argv, "fuzz_ptx");
}
