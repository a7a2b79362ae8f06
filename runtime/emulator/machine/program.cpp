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
    if (is_constant) const_bytes_ += static_cast<uint32_t>(variable.size);
  }

  void initialise(const Variable& variable, uint64_t address) {
    auto* const to = reinterpret_cast<std::byte*>(address);
    std::memset(to, 0, std::max<uint64_t>(variable.size, 1));
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
    uint32_t local_bytes = 0;
  };

  void visit(const DecodedFunction& function, uint32_t local_bytes,
             std::vector<const DecodedFunction*>& path, Reach& reach) {
    if (std::find(path.begin(), path.end(), &function) != path.end()) {
      reach.is_deep = true;
      return;
    }
    local_bytes += function.local_bytes;
    const bool is_new = reach.functions.insert(&function).second;
    const bool is_deeper = local_bytes > reach.local_bytes;
    reach.local_bytes = std::max(reach.local_bytes, local_bytes);
    if (!is_new && !is_deeper) return;
    if (function.calls_indirectly) {
      reach.is_deep = true;
      for (const DecodedFunction& other : code_.functions) {
        if (!other.is_entry) reach.functions.insert(&other);
      }
    }
    path.push_back(&function);
    for (const DecodedFunction* callee : function.calls) visit(*callee, local_bytes, path, reach);
    path.pop_back();
  }

  void make_kernel(const Function& source, const DecodedFunction& decoded) {
    Reach reach;
    std::vector<const DecodedFunction*> path;
    visit(decoded, 0, path, reach);
    KernelLayout layout = lay_out_shared(reach);
    constexpr uint32_t kDeepStack = 64 * 1024;
    layout.stack_bytes = reach.local_bytes + (reach.is_deep ? kDeepStack : 0);

    Kernel kernel;
    kernel.name = source.name;
    kernel.static_shared = layout.static_shared;
    kernel.local_bytes = reach.local_bytes;
    kernel.const_bytes = const_bytes_;
    for (const Variable& parameter : source.parameters) {
      const auto offset =
          static_cast<uint32_t>(align_up(kernel.param_bytes, std::max(parameter.align, 1u)));
      kernel.parameters.push_back({offset, static_cast<uint32_t>(parameter.size)});
      kernel.param_bytes = offset + static_cast<uint32_t>(parameter.size);
    }
    auto volume = [](const uint32_t size[3]) {
      return std::max(size[0], 1u) * std::max(size[1], 1u) * std::max(size[2], 1u);
    };
    if (source.max_threads[0] != 0) kernel.max_threads_per_block = volume(source.max_threads);
    for (int axis = 0; axis < 3; ++axis) {
      kernel.required_threads[axis] = source.required_threads[axis];
      kernel.required_cluster[axis] = source.required_cluster[axis];
    }
    kernel.function = static_cast<uint32_t>(names_.functions.at(source.name));
    code_.kernels.push_back(std::move(kernel));
    code_.layouts.push_back(std::move(layout));
  }

  KernelLayout lay_out_shared(const Reach& reach) {
    constexpr uint32_t kNowhere = ~0u;
    constexpr uint32_t kDynamicAlign = 1024;  // what kernels rely on without declaring it
    KernelLayout layout;
    layout.shared_offset.assign(code_.shared.size(), kNowhere);
    uint64_t size = 0;
    for (const DecodedFunction* function : reach.functions) {
      for (const uint32_t index : function->shared) {
        if (code_.shared[index].is_dynamic) layout.shared_offset[index] = 0;
      }
    }
    for (uint32_t index = 0; index < code_.shared.size(); ++index) {
      const SharedVariable& variable = code_.shared[index];
      const bool is_used = std::any_of(
          reach.functions.begin(), reach.functions.end(), [&](const DecodedFunction* function) {
            return std::binary_search(function->shared.begin(), function->shared.end(), index);
          });
      if (!is_used || variable.is_dynamic) continue;
      size = align_up(size, variable.align);
      layout.shared_offset[index] = static_cast<uint32_t>(size);
      size += variable.size;
    }
    layout.static_shared = static_cast<uint32_t>(size);
    layout.dynamic_offset = static_cast<uint32_t>(align_up(size, kDynamicAlign));
    for (uint32_t index = 0; index < code_.shared.size(); ++index) {
      if (code_.shared[index].is_dynamic && layout.shared_offset[index] != kNowhere) {
        layout.shared_offset[index] = layout.dynamic_offset;
      }
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
