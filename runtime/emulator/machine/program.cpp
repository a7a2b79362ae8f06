// SPDX-FileCopyrightText: The nibble authors
// SPDX-License-Identifier: Apache-2.0
// Program::load: variables placed, functions decoded, kernels laid out.
#include <algorithm>
#include <atomic>
#include <cstring>
#include <set>

#include "runtime/emulator/isa/decode.h"
#include "runtime/emulator/machine/code.h"

namespace nibble::emulator {

uint64_t Program::Code::next_serial() {
  static std::atomic<uint64_t> programs{0};
  return programs.fetch_add(1, std::memory_order_relaxed) + 1;
}

const DecodedFunction* Program::Code::function_at(uint64_t address) const {
  const uint64_t offset = address - kCodeWindow;
  if (offset % kCodeStride != 0 || offset / kCodeStride >= functions.size()) return nullptr;
  const DecodedFunction& function = functions[offset / kCodeStride];
  return function.is_entry ? nullptr : &function;
}

namespace {

uint64_t align_up(uint64_t value, uint64_t align) { return (value + align - 1) / align * align; }

class Loader {
 public:
  Loader(const Module& module, const DeviceModel& model, GlobalMemory& memory, Program::Code& code)
      : module_(module), model_(model), memory_(memory), code_(code) {}

  // Throws LoadError.
  void run() {
    check_target();
    code_.files = module_.files;
    for (const Variable& variable : module_.variables) place(variable);
    for (const Function& function : module_.functions) {
      for (const Variable& variable : function.variables) place(variable);
    }
    name_functions();
    for (const auto& [variable, address] : initialised_) initialise(*variable, address);
    for (const auto& [source, decoded] : bodies_) {
      Decoder(*source, *decoded, code_, names_).run();
    }
    for (const auto& [source, decoded] : bodies_) {
      if (decoded->is_entry) make_kernel(*source, *decoded);
    }
  }

 private:
  void check_target() {
    code_.target = parse_target(module_.target);
    if (code_.target.number == 0) throw LoadError(".target " + module_.target + " is unknown");
    if (!runs_on(code_.target, model_.target)) {
      throw LoadError(".target " + module_.target + " does not run on " + std::string(model_.name));
    }
    if (module_.address_size != 64) throw LoadError(".address_size 32 is not supported");
  }

  void place(const Variable& variable) {
    if (variable.space == Space::kShared) {
      names_.shared[variable.name] = static_cast<uint32_t>(code_.shared.size());
      const bool is_dynamic = variable.is_extern && variable.size == 0;
      code_.shared.push_back(
          {variable.name, variable.size, std::max(variable.align, 1u), is_dynamic});
      return;
    }
    if (variable.space != Space::kGlobal && variable.space != Space::kConst) return;
    if (variable.is_extern) {
      throw LoadError("line " + std::to_string(variable.location.line) + ": " + variable.name +
                      " is extern and defined nowhere");
    }
    const bool is_constant = variable.space == Space::kConst;
    const uint64_t size = std::max<uint64_t>(variable.size, 1);
    const uint64_t address = memory_.allocate(size, variable.align, variable.name, is_constant);
    if (address == 0) throw LoadError("no memory for the variable " + variable.name);
    names_.addresses[variable.name] = address;
    code_.variables[variable.name] = {address, variable.size};
    initialised_.emplace_back(&variable, address);
    if (!is_constant) return;
    constexpr uint64_t kMostConstantBytes = 64 * 1024;
    if (variable.size > kMostConstantBytes - const_bytes_) {
      throw LoadError("line " + std::to_string(variable.location.line) + ": with " + variable.name +
                      " the constants are more than 64 KiB");
    }
    const_bytes_ += static_cast<uint32_t>(variable.size);
  }

  void initialise(const Variable& variable, uint64_t address) {
    auto* const to = reinterpret_cast<std::byte*>(address);
    memory_.clear(address);
    const size_t given = std::min<uint64_t>(variable.initial.size(), variable.size);
    if (given != 0) std::memcpy(to, variable.initial.data(), given);
    for (const Symbol& symbol : variable.symbols) {
      uint64_t value = 0;
      if (const auto found = names_.addresses.find(symbol.name); found != names_.addresses.end()) {
        value = found->second;
      } else if (const auto function = names_.functions.find(symbol.name);
                 function != names_.functions.end()) {
        value = kCodeWindow + function->second * kCodeStride;
      } else {
        throw LoadError("line " + std::to_string(variable.location.line) + ": " + variable.name +
                        " is initialised with the address of " + symbol.name +
                        ", which is no global or constant variable and no function");
      }
      value = (value + static_cast<uint64_t>(symbol.addend)) >> symbol.shift;
      std::memcpy(to + symbol.offset, &value, std::min<uint32_t>(symbol.size, 8));
    }
    memory_.mark_written(address, std::max<uint64_t>(variable.size, 1));
  }

  void name_functions() {
    for (const Function& function : module_.functions) {
      if (function.is_extern) continue;
      names_.functions[function.name] = static_cast<uint32_t>(code_.functions.size());
      DecodedFunction& decoded = code_.functions.emplace_back();
      decoded.name = function.name;
      decoded.is_entry = function.is_entry;
      bodies_.emplace_back(&function, &decoded);
    }
    for (const Function& function : module_.functions) {
      if (!function.is_extern || names_.functions.count(function.name) != 0) continue;
      if (const Builtin builtin = find_builtin(function.name)) {
        names_.builtins[function.name] = builtin;
      }
    }
  }

  struct Reach {
    std::set<const DecodedFunction*> functions;
    bool is_deep = false;  // recursion or indirect calls: the stack's depth is not known
    uint64_t local_bytes = 0;
  };

  // All that a kernel may call, and the locals of the path that has most. A search in depth without
  // recursion: programs call deeper than the host's stack.
  Reach reach_of(const DecodedFunction& kernel) const {
    struct Step {
      const DecodedFunction* function;
      size_t next = 0;           // of its calls
      uint64_t below_bytes = 0;  // locals of the deepest callee so far
    };
    constexpr uint64_t kUnderWay = ~uint64_t{0};
    Reach reach;
    std::map<const DecodedFunction*, uint64_t> bytes;
    std::vector<Step> path{{&kernel}};
    bytes[&kernel] = kUnderWay;
    while (!path.empty()) {
      Step& step = path.back();
      if (step.next < step.function->calls.size()) {
        const DecodedFunction* const callee = step.function->calls[step.next++];
        const auto [known, is_new] = bytes.try_emplace(callee, kUnderWay);
        if (is_new) {
          path.push_back({callee});
        } else if (known->second == kUnderWay) {
          reach.is_deep = true;
        } else {
          step.below_bytes = std::max(step.below_bytes, known->second);
        }
        continue;
      }
      reach.functions.insert(step.function);
      reach.is_deep |= step.function->calls_indirectly;
      const uint64_t total = step.function->local_bytes + step.below_bytes;
      bytes[step.function] = total;
      path.pop_back();
      uint64_t& above = path.empty() ? reach.local_bytes : path.back().below_bytes;
      above = std::max(above, total);
    }
    const bool indirect = std::any_of(reach.functions.begin(), reach.functions.end(),
                                      [](const auto* it) { return it->calls_indirectly; });
    for (const DecodedFunction& other : code_.functions) {
      if (indirect && !other.is_entry) reach.functions.insert(&other);
    }
    return reach;
  }

  void make_kernel(const Function& source, const DecodedFunction& decoded) {
    const Reach reach = reach_of(decoded);
    KernelLayout layout = lay_out_shared(source, reach);
    constexpr uint32_t kDeepStack = 64 * 1024;
    constexpr uint64_t kMostLocalBytes = 512 * 1024;  // of a thread
    if (reach.local_bytes > kMostLocalBytes) {
      throw LoadError("line " + std::to_string(source.location.line) + ": " + source.name +
                      " and what it calls take " + std::to_string(reach.local_bytes) +
                      " bytes of local memory, the limit is " + std::to_string(kMostLocalBytes));
    }
    const auto local_bytes = static_cast<uint32_t>(reach.local_bytes);
    layout.stack_bytes = local_bytes + (reach.is_deep ? kDeepStack : 0);

    Kernel kernel;
    kernel.name = source.name;
    kernel.static_shared = layout.static_shared;
    kernel.local_bytes = local_bytes;
    kernel.const_bytes = const_bytes_;
    for (const Variable& parameter : source.parameters) {
      const auto offset =
          static_cast<uint32_t>(align_up(kernel.param_bytes, std::max(parameter.align, 1u)));
      kernel.parameters.push_back({offset, static_cast<uint32_t>(parameter.size)});
      kernel.param_bytes = offset + static_cast<uint32_t>(parameter.size);
    }
    if (source.max_threads[0] != 0) {
      uint32_t threads = 1;
      for (const uint32_t size : source.max_threads) {
        threads = std::min(kernel.max_threads_per_block, threads * std::clamp(size, 1u, 1024u));
      }
      kernel.max_threads_per_block = threads;
    }
    for (int axis = 0; axis < 3; ++axis) {
      kernel.required_threads[axis] = source.required_threads[axis];
      kernel.required_cluster[axis] = source.required_cluster[axis];
    }
    kernel.function = static_cast<uint32_t>(names_.functions.at(source.name));
    code_.kernels.push_back(std::move(kernel));
    code_.layouts.push_back(std::move(layout));
  }

  KernelLayout lay_out_shared(const Function& source, const Reach& reach) const {
    constexpr uint32_t kDynamicAlign = 1024;  // what kernels rely on without declaring it
    KernelLayout layout;
    constexpr uint64_t kMostBytes = 1 << 24;  // beyond any device's; launches know the device's
    std::set<uint32_t> used;
    for (const DecodedFunction* function : reach.functions) {
      used.insert(function->shared.begin(), function->shared.end());
    }
    uint64_t size = 0;
    for (const uint32_t index : used) {
      const SharedVariable& variable = code_.shared[index];
      if (variable.is_dynamic) continue;
      size = align_up(size, variable.align);
      layout.shared_offset[index] = static_cast<uint32_t>(size);
      size += variable.size;
      if (size > kMostBytes) {
        throw LoadError("line " + std::to_string(source.location.line) + ": the shared memory of " +
                        source.name + " takes more than 16 MiB with " + variable.name);
      }
    }
    layout.static_shared = static_cast<uint32_t>(size);
    layout.dynamic_offset = static_cast<uint32_t>(align_up(size, kDynamicAlign));
    for (const uint32_t index : used) {
      if (code_.shared[index].is_dynamic) layout.shared_offset[index] = layout.dynamic_offset;
    }
    return layout;
  }

  const Module& module_;
  const DeviceModel& model_;
  GlobalMemory& memory_;
  Program::Code& code_;
  Names names_;
  uint32_t const_bytes_ = 0;
  std::vector<std::pair<const Variable*, uint64_t>> initialised_;
  std::vector<std::pair<const Function*, DecodedFunction*>> bodies_;
};

}  // namespace

std::unique_ptr<Program> Program::load(const Module& module, const DeviceModel& model,
                                       GlobalMemory& memory, std::string& error) {
  std::unique_ptr<Program> program(new Program);
  program->code_ = std::make_unique<Code>();
  program->memory_ = &memory;
  try {
    Loader(module, model, memory, *program->code_).run();
  } catch (const LoadError& refusal) {
    error = refusal.what();
    return nullptr;
  }
  return program;
}

Program::~Program() {
  if (!code_) return;
  for (const auto& [name, variable] : code_->variables) memory_->free(variable.address);
}

const Kernel* Program::find_kernel(std::string_view name) const {
  for (const Kernel& kernel : code_->kernels) {
    if (kernel.name == name) return &kernel;
  }
  return nullptr;
}

std::vector<const Kernel*> Program::kernels() const {
  std::vector<const Kernel*> all;
  for (const Kernel& kernel : code_->kernels) all.push_back(&kernel);
  return all;
}

const Program::Variable* Program::find_variable(std::string_view name) const {
  const auto found = code_->variables.find(name);
  return found == code_->variables.end() ? nullptr : &found->second;
}

}  // namespace nibble::emulator
