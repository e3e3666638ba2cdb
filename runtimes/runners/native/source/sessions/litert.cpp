#include "litert.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

#include "../core/failure.h"
#include "litert/api.h"
#include "litert/calls.h"
#include "litert/signature.h"
#include "litert/tflite_file.h"

namespace edgevit {
namespace {

using litert::Port;

template <typename Handle>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, void (*)(Handle)>;

bool any_is_free(const std::vector<Port>& ports) {
  return std::any_of(ports.begin(), ports.end(), litert::has_free_axis);
}

bool fits(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& declared) {
  const auto fits_axis = [](std::int64_t size, std::int64_t expected) {
    return expected < 0 ? size > 0 && size <= INT32_MAX : size == expected;
  };
  return std::equal(shape.begin(), shape.end(), declared.begin(), declared.end(), fits_axis);
}

bool has_shape(const Port& port, const std::vector<std::int64_t>& shape) {
  const litert::Layout& layout = port.type.layout;
  return std::equal(shape.begin(), shape.end(), layout.dimensions, layout.dimensions + layout.rank);
}

class LitertSession final : public Session {
 public:
  explicit LitertSession(const Request& request)
      : calls_(request.runtime, request.model), api_(litert::load(request.library, request.runtime)) {}

  // LiteRT reports each object that it takes down, and from the last to the first it must be.
  ~LitertSession() override {
    const StderrWords held_back;
    input_buffers_.clear();
    output_buffers_.clear();
    compiled_.reset();
    model_.reset();
    environment_.reset();
  }
  LitertSession(const LitertSession&) = delete;
  LitertSession& operator=(const LitertSession&) = delete;

  void open(std::int64_t threads) {
    litert::Reasons reasons(calls_);
    require_whole_tflite(calls_.model());
    open_model();
    signature_ = litert::read_signature(api_, calls_, model_.get());
    for (const Port& port : signature_.inputs) infos_.push_back(port.info);
    compile(threads);
    if (any_is_free(signature_.inputs)) {
      require_resizable();
    } else {
      require_fixed_outputs();
      allocate();
      make_buffers();
    }
    untold_ = reasons.take();
  }

  // Errors that LiteRT wrote to stderr at the opening and that no function returned.
  const std::string& untold() const { return untold_; }

  std::string runtime() const override { return calls_.runtime(); }
  const std::vector<TensorInfo>& inputs() const override { return infos_; }

  void run(const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs) override {
    require_feed(inputs);
    if (!is_ready_for(inputs)) resize(inputs);
    for (std::size_t index = 0; index < inputs.size(); ++index) copy_in(inputs[index], input_handles_[index]);
    if (ran_) {
      run_compiled();
    } else {
      run_first();
    }
    outputs.resize(signature_.outputs.size());
    for (std::size_t index = 0; index < outputs.size(); ++index) copy_out(index, outputs[index]);
  }

 private:
  void open_model() {
    const char* const file = calls_.model().c_str();
    litert::Environment environment = nullptr;
    calls_.require(api_.create_environment(0, nullptr, &environment), "make an environment for");
    environment_ = {environment, api_.destroy_environment};
    litert::Model model = nullptr;
    calls_.require(api_.create_model_in_environment == nullptr
                       ? api_.create_model_from_file(file, &model)
                       : api_.create_model_in_environment(environment, file, &model),
                   "load");
    model_ = {model, api_.destroy_model};
  }

  void compile(std::int64_t threads) {
    litert::Options made = nullptr;
    calls_.require(api_.create_options(&made), "make options for");
    const Owned<litert::Options> options(made, api_.destroy_options);
    calls_.require(api_.set_accelerators(made, litert::kCpu), "choose the CPU for");
    calls_.require(api_.add_opaque_options(made, cpu_options(threads)), "set the threads for");
    litert::CompiledModel compiled = nullptr;
    calls_.require(api_.create_compiled_model(environment_.get(), model_.get(), made, &compiled), "compile");
    compiled_ = {compiled, api_.destroy_compiled_model};
  }

  litert::OpaqueOptions cpu_options(std::int64_t threads) const {
    litert::OpaqueOptions options = nullptr;
    if (api_.create_cpu_options != nullptr) {
      litert::CpuOptions cpu = nullptr;
      calls_.require(api_.create_cpu_options(&options), "make options of the CPU for");
      calls_.require(api_.find_cpu_options(options, &cpu), "read options of the CPU for");
      calls_.require(api_.set_cpu_threads(cpu, static_cast<int>(threads)), "set the threads for");
      return options;
    }
    const std::string text = "num_threads = " + std::to_string(threads) + "\n";
    calls_.require(api_.create_opaque_options("xnnpack", strdup(text.c_str()), std::free, &options),
                   "set the threads for");
    return options;
  }

  void require_resizable() const {
    if (api_.get_output_layouts != nullptr) return;
    throw Failure(calls_.model() + " has free axes, whose sizes " + runtime() +
                  " cannot be given: export it with fixed shapes, or fetch LiteRT 2.1.0 or newer");
  }

  // LiteRT fills buffers that are there before the run.
  void require_fixed_outputs() const {
    for (const Port& port : signature_.outputs) {
      if (!litert::has_free_axis(port)) continue;
      throw Failure(calls_.model() + ": the output '" + port.info.name + "' is " + shape_text(port.info.shape) +
                    ", expected a shape that the inputs' shapes decide");
    }
  }

  // Plan the memory, which is when kernels look at shapes; before 2.1.0 the first run does.
  void allocate() {
    if (api_.get_output_layouts == nullptr) return;
    std::vector<litert::Layout> layouts(signature_.outputs.size());
    calls_.require(api_.get_output_layouts(compiled_.get(), signature_.index, layouts.size(), layouts.data(), true),
                   "plan the memory of");
    for (std::size_t index = 0; index < layouts.size(); ++index) signature_.outputs[index].type.layout = layouts[index];
    require_fixed_outputs();
  }

  void make_buffers() {
    input_buffers_.clear();
    output_buffers_.clear();
    for (std::size_t index = 0; index < signature_.inputs.size(); ++index) {
      litert::Requirements requirements = nullptr;
      calls_.require(api_.get_input_requirements(compiled_.get(), signature_.index, index, &requirements),
                     "say the memory of an input of");
      input_buffers_.push_back(make_buffer(signature_.inputs[index], requirements));
    }
    for (std::size_t index = 0; index < signature_.outputs.size(); ++index) {
      litert::Requirements requirements = nullptr;
      calls_.require(api_.get_output_requirements(compiled_.get(), signature_.index, index, &requirements),
                     "say the memory of an output of");
      output_buffers_.push_back(make_buffer(signature_.outputs[index], requirements));
    }
    collect(input_buffers_, input_handles_);
    collect(output_buffers_, output_handles_);
  }

  Owned<litert::Buffer> make_buffer(const Port& port, litert::Requirements requirements) const {
    litert::Buffer made = nullptr;
    calls_.require(api_.create_buffer(environment_.get(), &port.type, requirements, &made), "make a buffer for");
    Owned<litert::Buffer> buffer(made, api_.destroy_buffer);
    std::size_t size = 0;
    calls_.require(api_.get_buffer_size(made, &size), "say a buffer's size of");
    const litert::Layout& layout = port.type.layout;
    const std::size_t elements = elements_of({layout.dimensions, layout.dimensions + layout.rank});
    const std::size_t expected = elements * size_of(port.info.dtype);
    if (size < expected) {
      throw Failure(runtime() + " gives '" + port.info.name + "' of " + calls_.model() + " a buffer of " +
                    std::to_string(size) + " bytes, expected " + std::to_string(expected));
    }
    return buffer;
  }

  static void collect(const std::vector<Owned<litert::Buffer>>& buffers, std::vector<litert::Buffer>& handles) {
    handles.clear();
    for (const auto& buffer : buffers) handles.push_back(buffer.get());
  }

  void require_feed(const std::vector<Tensor>& inputs) const {
    if (inputs.size() != infos_.size()) {
      throw Failure(calls_.model() + " takes " + std::to_string(infos_.size()) + " inputs, got " +
                    std::to_string(inputs.size()));
    }
    for (std::size_t index = 0; index < inputs.size(); ++index) {
      const Tensor& input = inputs[index];
      const TensorInfo& info = infos_[index];
      if (input.dtype == info.dtype && fits(input.shape, info.shape)) continue;
      throw Failure("the input '" + info.name + "' is " + name_of(input.dtype) + " " + shape_text(input.shape) +
                    ", expected " + name_of(info.dtype) + " " + shape_text(info.shape));
    }
  }

  bool is_ready_for(const std::vector<Tensor>& inputs) const {
    if (input_handles_.size() != inputs.size()) return false;
    for (std::size_t index = 0; index < inputs.size(); ++index) {
      if (!has_shape(signature_.inputs[index], inputs[index].shape)) return false;
    }
    return true;
  }

  // Give the free axes the sizes of this feed; happens before the first run, and again where a feed differs.
  void resize(const std::vector<Tensor>& inputs) {
    const litert::Reasons reasons(calls_);
    input_handles_.clear();
    for (std::size_t index = 0; index < inputs.size(); ++index) {
      litert::Layout& layout = signature_.inputs[index].type.layout;
      std::transform(inputs[index].shape.begin(), inputs[index].shape.end(), layout.dimensions,
                     [](std::int64_t size) { return static_cast<std::int32_t>(size); });
      calls_.require(api_.resize_input(compiled_.get(), signature_.index, index, layout.dimensions, layout.rank),
                     "set the shape of an input of");
    }
    allocate();
    make_buffers();
  }

  void run_compiled() {
    calls_.require(api_.run(compiled_.get(), signature_.index, input_handles_.size(), input_handles_.data(),
                            output_handles_.size(), output_handles_.data()),
                   "run");
  }

  // What no plan of the memory finds is found here; up to 2.1.6 an output without its own memory is no error by status.
  void run_first() {
    litert::Reasons reasons(calls_);
    run_compiled();
    const std::string errors = reasons.take();
    if (!errors.empty()) throw Failure(runtime() + " ran " + calls_.model() + " with errors: " + errors);
    ran_ = true;
  }

  void copy_in(const Tensor& tensor, litert::Buffer buffer) const {
    void* address = nullptr;
    calls_.require(api_.lock(buffer, &address, litert::kWriteLock), "lock an input of");
    std::memcpy(address, tensor.data.data(), tensor.data.size());
    calls_.require(api_.unlock(buffer), "unlock an input of");
  }

  void copy_out(std::size_t index, Tensor& tensor) const {
    const Port& port = signature_.outputs[index];
    const litert::Layout& layout = port.type.layout;
    tensor.name = port.info.name;
    tensor.dtype = port.info.dtype;
    tensor.shape.assign(layout.dimensions, layout.dimensions + layout.rank);
    tensor.allocate();
    void* address = nullptr;
    calls_.require(api_.lock(output_handles_[index], &address, litert::kReadLock), "lock an output of");
    std::memcpy(tensor.data.data(), address, tensor.data.size());
    calls_.require(api_.unlock(output_handles_[index]), "unlock an output of");
  }

  litert::Calls calls_;
  litert::Api api_;
  Owned<litert::Environment> environment_{nullptr, nullptr};
  Owned<litert::Model> model_{nullptr, nullptr};
  Owned<litert::CompiledModel> compiled_{nullptr, nullptr};
  litert::ModelSignature signature_;
  std::vector<TensorInfo> infos_;  // of the inputs
  std::vector<Owned<litert::Buffer>> input_buffers_;
  std::vector<Owned<litert::Buffer>> output_buffers_;
  std::vector<litert::Buffer> input_handles_;  // as LiteRT takes them; none while the shapes are open
  std::vector<litert::Buffer> output_handles_;
  std::string untold_;
  bool ran_ = false;
};

}  // namespace

std::unique_ptr<Session> open_litert(const Request& request) {
  auto session = std::make_unique<LitertSession>(request);
  session->open(request.workload.threads);
  if (!session->untold().empty()) {
    std::fprintf(stderr, "%s: %s\n", request.runtime.c_str(), session->untold().c_str());
  }
  return session;
}

}  // namespace edgevit
