#include "onnx.h"

#include <cstring>

#include "../core/failure.h"
#include "library.h"

namespace edgevit {

namespace {

// ONNX Runtime's C interface is one table of functions, to which releases append: a function's place never changes.
// Those that are used here, by their place in OrtApi (onnxruntime_c_api.h); all are there since release 1.5.
enum class Slot : std::size_t {
  kGetErrorMessage = 2,
  kCreateEnv = 3,
  kCreateSession = 7,
  kRun = 9,
  kCreateSessionOptions = 10,
  kSetSessionLogSeverityLevel = 22,
  kSetSessionGraphOptimizationLevel = 23,
  kSetIntraOpNumThreads = 24,
  kSetInterOpNumThreads = 25,
  kSessionGetInputCount = 30,
  kSessionGetOutputCount = 31,
  kSessionGetInputTypeInfo = 33,
  kSessionGetOutputTypeInfo = 34,
  kSessionGetInputName = 36,
  kSessionGetOutputName = 37,
  kCreateTensorWithDataAsOrtValue = 49,
  kGetTensorMutableData = 51,
  kCastTypeInfoToTensorInfo = 55,
  kGetTensorElementType = 60,
  kGetDimensionsCount = 61,
  kGetDimensions = 62,
  kGetTensorTypeAndShape = 65,
  kCreateCpuMemoryInfo = 69,
  kAllocatorFree = 76,
  kGetAllocatorWithDefaultOptions = 78,
  kReleaseEnv = 92,
  kReleaseStatus = 93,
  kReleaseMemoryInfo = 94,
  kReleaseSession = 95,
  kReleaseValue = 96,
  kReleaseTypeInfo = 98,
  kReleaseTensorTypeAndShapeInfo = 99,
  kReleaseSessionOptions = 100,
};

constexpr std::uint32_t kApiVersion = 11;  // chosen: older than any release that runs our files (1.14 and newer)
constexpr int kFatalOnly = 4, kAllOptimisations = 99, kArenaAllocator = 1, kDefaultMemory = 0;

struct ApiBase {
  const void* (*get_api)(std::uint32_t version);
  const char* (*get_version)();
};

// ONNXTensorElementDataType, by number.
struct ElementType {
  int number;
  DType dtype;
};
constexpr ElementType kElementTypes[] = {{1, DType::kFloat32},  {2, DType::kUint8},   {3, DType::kInt8},
                                         {4, DType::kUint16},   {5, DType::kInt16},   {6, DType::kInt32},
                                         {7, DType::kInt64},    {9, DType::kBool},    {10, DType::kFloat16},
                                         {11, DType::kFloat64}, {12, DType::kUint32}, {13, DType::kUint64}};

DType dtype_of(int number, const std::string& name) {
  for (const ElementType& each : kElementTypes) {
    if (each.number == number) return each.dtype;
  }
  throw Failure("'" + name + "' has elements of ONNX's type " + std::to_string(number) + ", expected numbers");
}

int number_of(DType dtype) {
  for (const ElementType& each : kElementTypes) {
    if (each.dtype == dtype) return each.number;
  }
  return 0;
}

using Status = void*;
using Handle = void*;

class Api {
 public:
  Api(const std::string& path, const std::string& named) : library_(path) {
    const auto* base = library_.require<const ApiBase* (*)()>("OrtGetApiBase")();
    version_ = base->get_version();
    if (!named.empty() && !is_release_of(named)) {
      throw Failure("'" + path + "' is " + runtime() + ", as " + named + " it was fetched: fetch the library again");
    }
    table_ = static_cast<void* const*>(base->get_api(kApiVersion));
    if (table_ == nullptr)
      throw Failure("ONNX Runtime " + version_ + " is too old: expected 1." + std::to_string(kApiVersion) +
                    " or newer");
  }

  std::string runtime() const { return "onnxruntime " + version_; }

  // Whether a package's version is of this library's release: 1.31.1, 1.31.1.dev20260101 and 1.31.1+cpu are, 1.31.10 is
  // not.
  bool is_release_of(const std::string& named) const {
    const std::string own = runtime();
    const char next = named.size() > own.size() ? named[own.size()] : '\0';
    return named.compare(0, own.size(), own) == 0 && !(next >= '0' && next <= '9');
  }

  // Call a function that returns a status; throws Failure with `what` and the runtime's words.
  template <typename... Arguments>
  void call(Slot slot, const char* what, Arguments... arguments) const {
    const auto function = reinterpret_cast<Status (*)(Arguments...)>(at(slot));
    const Status status = function(arguments...);
    if (status == nullptr) return;
    const std::string words = reinterpret_cast<const char* (*)(Status)>(at(Slot::kGetErrorMessage))(status);
    release(Slot::kReleaseStatus, status);
    throw Failure(std::string("ONNX Runtime cannot ") + what + ": " + words);
  }

  void release(Slot slot, Handle handle) const {
    if (handle != nullptr) reinterpret_cast<void (*)(Handle)>(at(slot))(handle);
  }

 private:
  void* at(Slot slot) const { return table_[static_cast<std::size_t>(slot)]; }

  Library library_;
  std::string version_;
  void* const* table_ = nullptr;
};

class Owned {
 public:
  Owned(const Api& api, Slot releases) : api_(&api), releases_(releases) {}
  Owned(const Owned&) = delete;
  Owned& operator=(const Owned&) = delete;
  ~Owned() { reset(); }

  void reset() {
    api_->release(releases_, handle_);
    handle_ = nullptr;
  }
  Handle get() const { return handle_; }
  Handle* out() { return &handle_; }

 private:
  const Api* api_;
  Slot releases_;
  Handle handle_ = nullptr;
};

// The tensors of one run.
class Values {
 public:
  Values(const Api& api, std::size_t count) : api_(&api), handles_(count, nullptr) {}
  Values(const Values&) = delete;
  Values& operator=(const Values&) = delete;
  ~Values() {
    for (const Handle value : handles_) api_->release(Slot::kReleaseValue, value);
  }

  Handle* all() { return handles_.data(); }
  Handle* out(std::size_t index) { return &handles_[index]; }
  std::size_t size() const { return handles_.size(); }

 private:
  const Api* api_;
  std::vector<Handle> handles_;
};

class OnnxSession : public Session {
 public:
  explicit OnnxSession(const Request& request)
      : api_(request.library, request.runtime),
        env_(api_, Slot::kReleaseEnv),
        memory_(api_, Slot::kReleaseMemoryInfo),
        session_(api_, Slot::kReleaseSession) {
    api_.call(Slot::kCreateEnv, "start", kFatalOnly, "edgevit", env_.out());
    Owned options(api_, Slot::kReleaseSessionOptions);
    api_.call(Slot::kCreateSessionOptions, "take options", options.out());
    api_.call(Slot::kSetIntraOpNumThreads, "set its threads", options.get(),
              static_cast<int>(request.workload.threads));
    api_.call(Slot::kSetInterOpNumThreads, "set its threads", options.get(), 1);
    api_.call(Slot::kSetSessionLogSeverityLevel, "be quiet", options.get(), kFatalOnly);
    api_.call(Slot::kSetSessionGraphOptimizationLevel, "optimise", options.get(), kAllOptimisations);
    api_.call(Slot::kCreateSession, "load the model", env_.get(), request.model.c_str(), options.get(), session_.out());
    api_.call(Slot::kCreateCpuMemoryInfo, "describe memory", kArenaAllocator, kDefaultMemory, memory_.out());
    inputs_ = described(Slot::kSessionGetInputCount, Slot::kSessionGetInputName, Slot::kSessionGetInputTypeInfo);
    outputs_ = described(Slot::kSessionGetOutputCount, Slot::kSessionGetOutputName, Slot::kSessionGetOutputTypeInfo);
    for (const TensorInfo& info : inputs_) input_names_.push_back(info.name.c_str());
    for (const TensorInfo& info : outputs_) output_names_.push_back(info.name.c_str());
  }

  std::string runtime() const override { return api_.runtime(); }

  const std::vector<TensorInfo>& inputs() const override { return inputs_; }

  void run(const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs) override {
    // ONNX Runtime reads the feeds where they lie, as it does behind the Python session.
    Values fed(api_, inputs_.size()), given(api_, outputs_.size());
    for (std::size_t index = 0; index < inputs.size(); ++index) bind(inputs[index], fed.out(index));
    api_.call(Slot::kRun, "run the model", session_.get(), Handle{nullptr}, input_names_.data(), fed.all(), fed.size(),
              output_names_.data(), given.size(), given.all());
    outputs.resize(given.size());
    for (std::size_t index = 0; index < given.size(); ++index)
      copy(*given.out(index), outputs_[index].name, outputs[index]);
  }

 private:
  void bind(const Tensor& tensor, Handle* value) const {
    void* values = const_cast<std::byte*>(tensor.data.data());  // the interface has no word for what is only read
    api_.call(Slot::kCreateTensorWithDataAsOrtValue, "take an input", memory_.get(), values, tensor.data.size(),
              tensor.shape.data(), tensor.shape.size(), number_of(tensor.dtype), value);
  }

  void copy(Handle value, const std::string& name, Tensor& tensor) const {
    Owned facts(api_, Slot::kReleaseTensorTypeAndShapeInfo);
    api_.call(Slot::kGetTensorTypeAndShape, "describe an output", value, facts.out());
    const TensorInfo info = tensor_info(facts.get(), name);
    void* values = nullptr;
    api_.call(Slot::kGetTensorMutableData, "hand out an output", value, &values);
    tensor.name = name;
    tensor.dtype = info.dtype;
    tensor.shape = info.shape;
    tensor.allocate();
    if (!tensor.data.empty()) std::memcpy(tensor.data.data(), values, tensor.data.size());
  }

  TensorInfo tensor_info(Handle facts, const std::string& name) const {
    int element = 0;
    std::size_t axes = 0;
    api_.call(Slot::kGetTensorElementType, "describe a tensor", facts, &element);
    api_.call(Slot::kGetDimensionsCount, "describe a tensor", facts, &axes);
    TensorInfo info{name, dtype_of(element, name), std::vector<std::int64_t>(axes)};
    api_.call(Slot::kGetDimensions, "describe a tensor", facts, info.shape.data(), axes);
    return info;
  }

  std::vector<TensorInfo> described(Slot count_slot, Slot name_slot, Slot type_slot) const {
    std::size_t count = 0;
    Handle allocator = nullptr;
    api_.call(count_slot, "count its tensors", session_.get(), &count);
    api_.call(Slot::kGetAllocatorWithDefaultOptions, "allocate", &allocator);
    std::vector<TensorInfo> found;
    for (std::size_t index = 0; index < count; ++index) {
      char* text = nullptr;
      api_.call(name_slot, "name a tensor", session_.get(), index, allocator, &text);
      const std::string name = text;
      api_.call(Slot::kAllocatorFree, "free a name", allocator, static_cast<void*>(text));
      Owned type(api_, Slot::kReleaseTypeInfo);
      api_.call(type_slot, "describe a tensor", session_.get(), index, type.out());
      Handle facts = nullptr;  // owned by `type`
      api_.call(Slot::kCastTypeInfoToTensorInfo, "describe a tensor", type.get(), &facts);
      if (facts == nullptr) throw Failure("'" + name + "' is no tensor");
      found.push_back(tensor_info(facts, name));
      for (std::int64_t& size : found.back().shape) size = size > 0 ? size : -1;  // free axes
    }
    return found;
  }

  Api api_;
  Owned env_, memory_, session_;
  std::vector<TensorInfo> inputs_, outputs_;
  std::vector<const char*> input_names_, output_names_;  // of the same
};

}  // namespace

std::unique_ptr<Session> open_onnx(const Request& request) { return std::make_unique<OnnxSession>(request); }

}  // namespace edgevit
