// TorchScript-lite files (.ptl), in the lite interpreter of the libtorch that the program is linked with.

#include <ATen/Context.h>
#include <ATen/Parallel.h>
#include <ATen/Version.h>
#include <ATen/core/grad_mode.h>
#include <ATen/cpu/Utils.h>
#include <ATen/ops/from_blob.h>
#include <c10/util/Exception.h>
#include <torch/csrc/jit/mobile/compatibility/model_compatibility.h>
#include <torch/csrc/jit/mobile/import.h>
#include <torch/csrc/jit/mobile/module.h>
#include <torch/version.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <string>
#include <string_view>

#include "../core/failure.h"
#include "../core/session.h"

namespace edgevit {

namespace {

constexpr char kEngineVariable[] = "EDGEVIT_PTL_ENGINE";  // as in runtimes/sessions/run_ptl.py

struct Kind {
  at::ScalarType theirs;
  DType ours;
};

constexpr Kind kKinds[] = {
    {at::kBool, DType::kBool},     {at::kChar, DType::kInt8},     {at::kByte, DType::kUint8},
    {at::kShort, DType::kInt16},   {at::kUInt16, DType::kUint16}, {at::kInt, DType::kInt32},
    {at::kUInt32, DType::kUint32}, {at::kLong, DType::kInt64},    {at::kUInt64, DType::kUint64},
    {at::kHalf, DType::kFloat16},  {at::kFloat, DType::kFloat32}, {at::kDouble, DType::kFloat64},
};

DType dtype_of(at::ScalarType type, const std::string& what) {
  for (const Kind& kind : kKinds) {
    if (kind.theirs == type) return kind.ours;
  }
  throw Failure(what + " is of torch's type " + c10::toString(type) + ", which no array has");
}

at::ScalarType scalar_type_of(DType dtype) {
  const auto is_it = [dtype](const Kind& kind) { return kind.ours == dtype; };
  return std::find_if(std::begin(kKinds), std::end(kKinds), is_it)->theirs;
}

// What torch says of an exception, without the stack behind it.
std::string words_of(const std::exception& error) {
  const auto* torchs = dynamic_cast<const c10::Error*>(&error);
  const std::string words = torchs != nullptr ? torchs->what_without_backtrace() : error.what();
  return words.substr(0, words.find('\n'));
}

// "2.13.0", as the library itself says it. Throws Failure where it is another than that of the headers: libtorch
// promises nothing between releases.
std::string checked_version() {
  constexpr std::string_view key = "TORCH_VERSION=";
  const std::string config = at::show_config();
  const std::size_t start = config.find(key);
  if (start == std::string::npos) return TORCH_VERSION;
  const std::size_t from = start + key.size();
  const std::string version = config.substr(from, config.find_first_of(", \n", from) - from);
  if (version == TORCH_VERSION) return version;
  throw Failure("the libtorch here is " + version + ", but this program was built for " TORCH_VERSION);
}

struct Engine {
  at::QEngine engine;
  const char* name;
};

constexpr Engine kEngines[] = {{at::QEngine::FBGEMM, "fbgemm"},
                               {at::QEngine::QNNPACK, "qnnpack"},
                               {at::QEngine::ONEDNN, "onednn"},
                               {at::QEngine::X86, "x86"}};

bool is_here(at::QEngine engine) {
  const std::vector<at::QEngine>& known = at::globalContext().supportedQEngines();
  return std::find(known.begin(), known.end(), engine) != known.end();
}

// Let torch compute int8 by the engine that `engine_for` of runtimes/sessions/run_ptl.py takes, and for its reasons;
// the engine's name, empty for files without int8 products. It holds for loading too, which packs the weights.
std::string set_engine(const std::string& model) {
  std::string called;
  for (const auto& [name, facts] : torch::jit::_get_model_ops_and_info(model)) {
    if (name.rfind("quantized::", 0) == 0) called = name;
  }
  if (called.empty()) return "";
  const char* asked = std::getenv(kEngineVariable);
  const bool is_exact = is_here(at::QEngine::ONEDNN) && at::cpu::is_avx512_vnni_supported();
  const std::string wanted = asked != nullptr && *asked != '\0' ? asked : is_exact ? "onednn" : "qnnpack";
  for (const Engine& row : kEngines) {
    if (wanted != row.name || !is_here(row.engine)) continue;
    at::globalContext().setQEngine(row.engine);
    return wanted;
  }
  throw Failure(called + " needs int8: the libtorch here has no engine '" + wanted + "'");
}

struct Deaf final : c10::WarningHandler {
  void process(const c10::Warning&) override {}
};

class TorchSession final : public Session {
 public:
  explicit TorchSession(const Request& request)
      : where_(request.model), version_("torch " + checked_version() + " lite interpreter"), inputs_(request.takes) {
    if (request.takes.empty() || request.gives.empty()) {
      throw Failure("the request does not say what " + where_ + " takes and gives, and the file itself does not");
    }
    for (const TensorInfo& info : request.gives) {
      outputs_.push_back({info.name, where_ + ": output '" + info.name + "'"});
    }
    at::set_num_threads(static_cast<int>(request.workload.threads));
    // torch says once that uint8 tensors are deprecated: here to nobody, else to stderr in the midst of a run.
    Deaf deaf;
    const c10::WarningUtils::WarningHandlerGuard guard(&deaf);
    try {
      const std::string engine = set_engine(request.model);
      if (!engine.empty()) by_ = ", int8 by " + engine;
      module_ = torch::jit::_load_for_mobile(request.model, at::kCPU);
    } catch (const Failure&) {
      throw;
    } catch (const std::exception& error) {
      throw Failure(version_ + " cannot load " + where_ + ": " + words_of(error));
    }
  }

  std::string runtime() const override { return version_ + by_; }
  const std::vector<TensorInfo>& inputs() const override { return inputs_; }

  void run(const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs) override {
    // As in the Python session: c10::InferenceMode is 2 to 3 % faster, and the two are to measure the same.
    const at::NoGradGuard guard;
    std::vector<c10::IValue> values;
    values.reserve(inputs.size());
    for (const Tensor& input : inputs) {
      // torch borrows the memory, as it does from the Python session.
      void* data = const_cast<std::byte*>(input.data.data());
      values.emplace_back(at::from_blob(data, input.shape, at::TensorOptions(scalar_type_of(input.dtype))));
    }
    c10::IValue found;
    try {
      found = module_.forward(std::move(values));
    } catch (const std::exception& error) {
      throw Failure(version_ + " cannot run " + where_ + ": " + words_of(error));
    }
    take(found, outputs);
  }

 private:
  void take(const c10::IValue& found, std::vector<Tensor>& outputs) {
    const auto each = found.isTuple()  ? found.toTupleRef().elements().vec()
                      : found.isList() ? found.toListRef().vec()
                                       : std::vector<c10::IValue>{found};
    if (each.size() != outputs_.size()) {
      throw Failure(where_ + " gave " + std::to_string(each.size()) + " outputs, but the request names " +
                    std::to_string(outputs_.size()));
    }
    outputs.resize(each.size());
    for (std::size_t index = 0; index < each.size(); ++index) copy_output(each[index], outputs_[index], outputs[index]);
  }

  struct Output {
    std::string name;
    std::string what;  // for errors
  };

  static void copy_output(const c10::IValue& value, const Output& said, Tensor& output) {
    if (!value.isTensor()) throw Failure(said.what + " must be a tensor, but is " + value.tagKind());
    const at::Tensor tensor = value.toTensor().contiguous();
    if (output.name != said.name) output.name = said.name;
    output.dtype = dtype_of(tensor.scalar_type(), said.what);
    output.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
    output.allocate();
    std::memcpy(output.data.data(), tensor.const_data_ptr(), output.data.size());
  }

  std::string where_;
  std::string version_;
  std::string by_;
  std::vector<TensorInfo> inputs_;
  std::vector<Output> outputs_;
  torch::jit::mobile::Module module_;
};

}  // namespace

std::unique_ptr<Session> open_session(const Request& request) {
  if (request.format != "ptl") {
    throw Failure("this program runs ptl files, but the request is for " + request.format);
  }
  return std::make_unique<TorchSession>(request);
}

}  // namespace edgevit
