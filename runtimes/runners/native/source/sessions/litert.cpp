#include "litert.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <type_traits>
#include <utility>

#include "../core/failure.h"
#include "litert_api.h"
#include "stderr_words.h"

namespace edgevit {
namespace {

constexpr const char* kDefaultSignature = "serving_default";  // of converters; where there are several, it is meant
constexpr std::size_t kIdentifierAt = 4;

template <typename Handle>
using Owned = std::unique_ptr<std::remove_pointer_t<Handle>, void (*)(Handle)>;

struct ElementType {
  int code;  // TFLite's, kept by LiteRT
  DType dtype;
};

constexpr ElementType kElementTypes[] = {
    {1, DType::kFloat32}, {2, DType::kInt32},   {3, DType::kUint8},   {4, DType::kInt64},
    {6, DType::kBool},    {7, DType::kInt16},   {9, DType::kInt8},    {10, DType::kFloat16},
    {11, DType::kFloat64}, {13, DType::kUint64}, {16, DType::kUint32}, {17, DType::kUint16},
};

// Inputs or outputs: what is known of each, and where its values lie once their size is known.
struct Side {
  std::vector<TensorInfo> infos;
  std::vector<litert::TensorType> types;
  std::vector<Owned<litert::Buffer>> buffers;
  std::vector<litert::Buffer> handles;  // of `buffers`, as LiteRT takes them
};

bool has_free_axis(const litert::Layout& layout) {
  return std::any_of(layout.dimensions, layout.dimensions + layout.rank, [](int size) { return size < 0; });
}

std::vector<std::int64_t> shape_of(const litert::Layout& layout) {
  std::vector<std::int64_t> shape(layout.dimensions, layout.dimensions + layout.rank);
  for (std::int64_t& size : shape) size = std::max<std::int64_t>(size, -1);
  return shape;
}

bool fits(const std::vector<std::int64_t>& shape, const std::vector<std::int64_t>& declared) {
  return std::equal(shape.begin(), shape.end(), declared.begin(), declared.end(),
                    [](std::int64_t size, std::int64_t expected) {
                      return expected < 0 ? size > 0 && size <= INT32_MAX : size == expected;
                    });
}

bool same_shape(const std::vector<std::int64_t>& shape, const litert::Layout& layout) {
  return std::equal(shape.begin(), shape.end(), layout.dimensions, layout.dimensions + layout.rank);
}

// LiteRT reads a file of another kind as far as its first offset leads.
void require_tflite(const std::string& path) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file(std::fopen(path.c_str(), "rbe"), std::fclose);
  if (!file) throw Failure("cannot open " + path + ": " + std::strerror(errno));
  char head[8] = {};
  const std::size_t size = std::fread(head, 1, sizeof head, file.get());
  if (size < sizeof head || std::memcmp(head + kIdentifierAt, "TFL3", 4) != 0) {
    throw Failure(path + " is no TFLite model: bytes 4 to 8 are not 'TFL3'");
  }
}

// The lines of `words` that are marked as errors, in one: "ERROR: [file:line] text", before 2.1.0 also "E0000 ...] text".
std::string errors_in(const std::string& words) {
  std::string errors;
  for (std::size_t start = 0; start < words.size();) {
    const std::size_t end = std::min(words.find('\n', start), words.size());
    const std::string line = words.substr(start, end - start);
    const std::size_t place = line.find("] ");
    const bool marked = line.compare(0, 7, "ERROR: ") == 0;
    if (marked || line.compare(0, 5, "E0000") == 0) {
      const std::size_t text = place != std::string::npos ? place + 2 : marked ? 7 : 0;
      errors += (errors.empty() ? "" : "; ") + line.substr(text);
    }
    start = end + 1;
  }
  return errors;
}

class LitertSession final : public Session {
 public:
  explicit LitertSession(const Request& request)
      : runtime_(request.runtime), path_(request.model), api_(litert::load(request.library, request.runtime)) {
    StderrWords words;
    words_ = &words;
    open_model();
    find_signature();
    compile(request.workload.threads);
    if (std::none_of(inputs_.types.begin(), inputs_.types.end(),
                     [](const litert::TensorType& type) { return has_free_axis(type.layout); })) {
      make_buffers();
    } else if (api_.get_output_layouts == nullptr) {
      throw Failure(path_ + " has free axes, which " + runtime_ + " cannot set: export it with fixed shapes, or run it in 2.1.0 or newer");
    }
    words_ = nullptr;
  }

  // LiteRT reports each object that it takes down, and from the last to the first it must be.
  ~LitertSession() override {
    const StderrWords held_back;
    inputs_.buffers.clear();
    outputs_.buffers.clear();
    compiled_.reset();
    model_.reset();
    environment_.reset();
  }
  LitertSession(const LitertSession&) = delete;
  LitertSession& operator=(const LitertSession&) = delete;

  std::string runtime() const override { return runtime_; }
  const std::vector<TensorInfo>& inputs() const override { return inputs_.infos; }

  void run(const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs) override {
    require_feed(inputs);
    if (!ready_for(inputs)) resize(inputs);
    for (std::size_t index = 0; index < inputs.size(); ++index) copy_in(inputs[index], inputs_.handles[index]);
    require(api_.run(compiled_.get(), signature_index_, inputs_.handles.size(), inputs_.handles.data(),
                     outputs_.handles.size(), outputs_.handles.data()),
            "run");
    outputs.resize(outputs_.infos.size());
    for (std::size_t index = 0; index < outputs.size(); ++index) copy_out(index, outputs[index]);
  }

 private:
  void require(litert::Status status, const char* what) const {
    if (status == litert::kOk) return;
    const std::string reasons = words_ == nullptr ? "" : errors_in(words_->take());
    throw Failure(runtime_ + " could not " + what + " " + path_ + ": " + litert::status_text(status) +
                  (reasons.empty() ? "" : ": " + reasons));
  }

  void open_model() {
    litert::Environment environment = nullptr;
    require(api_.create_environment(0, nullptr, &environment), "make an environment for");
    environment_ = {environment, api_.destroy_environment};
    require_tflite(path_);
    litert::Model model = nullptr;
    require(api_.create_model_in_environment == nullptr
                ? api_.create_model_from_file(path_.c_str(), &model)
                : api_.create_model_in_environment(environment, path_.c_str(), &model),
            "load");
    model_ = {model, api_.destroy_model};
  }

  void find_signature() {
    std::size_t count = 0;
    require(api_.get_num_signatures(model_.get(), &count), "count the signatures of");
    std::string keys;
    bool found = false;
    litert::Signature signature = nullptr;
    for (std::size_t index = 0; index < count && !found; ++index) {
      const char* key = "";
      require(api_.get_signature(model_.get(), index, &signature), "read a signature of");
      require(api_.get_signature_key(signature, &key), "read a signature's key of");
      found = count == 1 || std::strcmp(key, kDefaultSignature) == 0;
      signature_index_ = index;
      keys += (keys.empty() ? "" : ", ") + std::string(key);
    }
    if (!found) {
      throw Failure(path_ + " needs the signature '" + kDefaultSignature + "' or only one; it has: " +
                    (keys.empty() ? "none" : keys));
    }
    describe(signature);
  }

  // Names by the signature, types by its subgraph: LiteRT keeps the signature's names in the subgraph's order.
  void describe(litert::Signature signature) {
    litert::Subgraph subgraph = nullptr;
    std::size_t inputs = 0;
    std::size_t outputs = 0;
    require(api_.get_signature_subgraph(signature, &subgraph), "read a signature's subgraph of");
    require(api_.get_num_inputs(signature, &inputs), "count the inputs of");
    require(api_.get_num_outputs(signature, &outputs), "count the outputs of");
    for (std::size_t index = 0; index < inputs; ++index) {
      const char* name = "";
      litert::TensorOfModel tensor = nullptr;
      require(api_.get_input_name(signature, index, &name), "read an input's name of");
      require(api_.get_input(subgraph, index, &tensor), "read an input of");
      add(inputs_, "input", name, tensor);
    }
    for (std::size_t index = 0; index < outputs; ++index) {
      const char* name = "";
      litert::TensorOfModel tensor = nullptr;
      require(api_.get_output_name(signature, index, &name), "read an output's name of");
      require(api_.get_output(subgraph, index, &tensor), "read an output of");
      add(outputs_, "output", name, tensor);
    }
  }

  void add(Side& side, const char* role, const char* name, litert::TensorOfModel tensor) const {
    litert::TensorType type{};
    require(api_.get_tensor_type(tensor, &type), "read the type and shape of a tensor of");
    const auto* const known = std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                                           [&](const ElementType& row) { return row.code == type.element_type; });
    if (known == std::end(kElementTypes) || type.layout.rank > litert::kMaxRank) {
      throw Failure(path_ + " has an " + role + " '" + name + "' of TFLite's type " + std::to_string(type.element_type) +
                    " and rank " + std::to_string(type.layout.rank) + ", which an .npz cannot hold");
    }
    side.infos.push_back({name, known->dtype, shape_of(type.layout)});
    side.types.push_back(type);
  }

  void compile(std::int64_t threads) {
    litert::Options made = nullptr;
    require(api_.create_options(&made), "make options for");
    const Owned<litert::Options> options(made, api_.destroy_options);
    require(api_.set_accelerators(made, litert::kCpu), "choose the CPU for");
    require(api_.add_opaque_options(made, cpu_options(static_cast<int>(threads))), "set the threads for");
    litert::CompiledModel compiled = nullptr;
    require(api_.create_compiled_model(environment_.get(), model_.get(), made, &compiled), "compile");
    compiled_ = {compiled, api_.destroy_compiled_model};
  }

  litert::OpaqueOptions cpu_options(int threads) const {
    litert::OpaqueOptions options = nullptr;
    if (api_.create_cpu_options != nullptr) {
      litert::CpuOptions cpu = nullptr;
      require(api_.create_cpu_options(&options), "make options of the CPU for");
      require(api_.find_cpu_options(options, &cpu), "read options of the CPU for");
      require(api_.set_cpu_threads(cpu, threads), "set the threads for");
      return options;
    }
    const std::string text = "num_threads = " + std::to_string(threads) + "\n";
    require(api_.create_opaque_options("xnnpack", strdup(text.c_str()), std::free, &options), "set the threads for");
    return options;
  }

  void make_buffers() {
    inputs_.buffers.clear();
    outputs_.buffers.clear();
    for (std::size_t index = 0; index < inputs_.types.size(); ++index) {
      litert::Requirements requirements = nullptr;
      require(api_.get_input_requirements(compiled_.get(), signature_index_, index, &requirements),
              "say the memory of an input of");
      add_buffer(inputs_, index, requirements);
    }
    for (std::size_t index = 0; index < outputs_.types.size(); ++index) {
      litert::Requirements requirements = nullptr;
      require(api_.get_output_requirements(compiled_.get(), signature_index_, index, &requirements),
              "say the memory of an output of");
      add_buffer(outputs_, index, requirements);
    }
    collect_handles(inputs_);
    collect_handles(outputs_);
  }

  void add_buffer(Side& side, std::size_t index, litert::Requirements requirements) const {
    const litert::TensorType& type = side.types[index];
    const TensorInfo& info = side.infos[index];
    if (has_free_axis(type.layout)) {
      throw Failure(path_ + ": '" + info.name + "' is " + shape_text(info.shape) +
                    ", a shape that only a run tells, expected one that the inputs' shapes decide");
    }
    litert::Buffer buffer = nullptr;
    require(api_.create_buffer(environment_.get(), &type, requirements, &buffer), "make a buffer for");
    side.buffers.emplace_back(buffer, api_.destroy_buffer);
    std::size_t size = 0;
    require(api_.get_buffer_size(buffer, &size), "say a buffer's size of");
    const std::size_t expected = elements_of(shape_of(type.layout)) * size_of(info.dtype);
    if (size < expected) {
      throw Failure(runtime_ + " gives '" + info.name + "' of " + path_ + " a buffer of " + std::to_string(size) +
                    " bytes, expected " + std::to_string(expected));
    }
  }

  static void collect_handles(Side& side) {
    side.handles.clear();
    for (const auto& buffer : side.buffers) side.handles.push_back(buffer.get());
  }

  void require_feed(const std::vector<Tensor>& inputs) const {
    if (inputs.size() != inputs_.infos.size()) {
      throw Failure(path_ + " takes " + std::to_string(inputs_.infos.size()) + " inputs, got " +
                    std::to_string(inputs.size()));
    }
    for (std::size_t index = 0; index < inputs.size(); ++index) {
      const Tensor& input = inputs[index];
      const TensorInfo& info = inputs_.infos[index];
      if (input.dtype != info.dtype || !fits(input.shape, info.shape)) {
        throw Failure("input '" + info.name + "' is " + name_of(input.dtype) + " " + shape_text(input.shape) +
                      ", expected " + name_of(info.dtype) + " " + shape_text(info.shape));
      }
    }
  }

  bool ready_for(const std::vector<Tensor>& inputs) const {
    if (inputs_.handles.size() != inputs.size()) return false;
    for (std::size_t index = 0; index < inputs.size(); ++index) {
      if (!same_shape(inputs[index].shape, inputs_.types[index].layout)) return false;
    }
    return true;
  }

  // Give the free axes the sizes of this feed; happens before the first run, and again where a feed differs.
  void resize(const std::vector<Tensor>& inputs) {
    StderrWords words;
    words_ = &words;
    for (std::size_t index = 0; index < inputs.size(); ++index) {
      litert::Layout& layout = inputs_.types[index].layout;
      std::copy(inputs[index].shape.begin(), inputs[index].shape.end(), layout.dimensions);
      require(api_.resize_input(compiled_.get(), signature_index_, index, layout.dimensions, layout.rank),
              "set the shape of an input of");
    }
    std::vector<litert::Layout> layouts(outputs_.types.size());
    require(api_.get_output_layouts(compiled_.get(), signature_index_, layouts.size(), layouts.data(), true),
            "say the shapes of the outputs of");
    for (std::size_t index = 0; index < layouts.size(); ++index) outputs_.types[index].layout = layouts[index];
    make_buffers();
    words_ = nullptr;
  }

  void copy_in(const Tensor& tensor, litert::Buffer buffer) const {
    void* address = nullptr;
    require(api_.lock(buffer, &address, litert::kWriteLock), "lock an input of");
    std::memcpy(address, tensor.data.data(), tensor.data.size());
    require(api_.unlock(buffer), "unlock an input of");
  }

  void copy_out(std::size_t index, Tensor& tensor) const {
    const TensorInfo& info = outputs_.infos[index];
    const litert::Layout& layout = outputs_.types[index].layout;
    tensor.name = info.name;
    tensor.dtype = info.dtype;
    tensor.shape.assign(layout.dimensions, layout.dimensions + layout.rank);
    tensor.allocate();
    void* address = nullptr;
    require(api_.lock(outputs_.handles[index], &address, litert::kReadLock), "lock an output of");
    std::memcpy(tensor.data.data(), address, tensor.data.size());
    require(api_.unlock(outputs_.handles[index]), "unlock an output of");
  }

  std::string runtime_;
  std::string path_;
  litert::Api api_;
  StderrWords* words_ = nullptr;  // while stderr is held back
  Owned<litert::Environment> environment_{nullptr, nullptr};
  Owned<litert::Model> model_{nullptr, nullptr};
  Owned<litert::CompiledModel> compiled_{nullptr, nullptr};
  std::size_t signature_index_ = 0;
  Side inputs_;
  Side outputs_;
};

}  // namespace

std::unique_ptr<Session> open_litert(const Request& request) { return std::make_unique<LitertSession>(request); }

}  // namespace edgevit
