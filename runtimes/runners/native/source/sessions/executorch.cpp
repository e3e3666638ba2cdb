// ExecuTorch programs (.pte), in the library that the program is linked with.
//
// The same source compiles against the headers of ExecuTorch 1.3 and 1.4. They must be those of the library's own
// version: classes that lie on both sides (`HierarchicalAllocator`, `MemoryAllocator`) differ between the two.

#include <executorch/runtime/core/data_loader.h>
#include <executorch/runtime/core/hierarchical_allocator.h>
#include <executorch/runtime/core/memory_allocator.h>
#include <executorch/runtime/executor/memory_manager.h>
#include <executorch/runtime/executor/method.h>
#include <executorch/runtime/executor/program.h>
#include <executorch/runtime/platform/platform.h>
#include <executorch/runtime/platform/runtime.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <new>
#include <optional>
#include <string>

#include "../core/failure.h"
#include "../core/session.h"

// Its header needs that of pthreadpool, which does not come with it.
namespace executorch::extension::threadpool {
class ThreadPool {
 public:
  bool _unsafe_reset_threadpool(std::uint32_t thread_count);
};
ThreadPool* get_threadpool();
}  // namespace executorch::extension::threadpool

namespace {

// What the runtime has said of errors since it was last asked: the reason first, then what came of it. It says so in
// the thread that has called it.
thread_local char said[1024] = "";

void say(const char* words, int length = 256) {
  const std::size_t used = std::strlen(said);
  std::snprintf(said + used, sizeof said - used, "%s%.*s", used == 0 ? "" : "; ", length, words);
}

}  // namespace

// The runtime's own one writes to stderr and is weak: this one takes its place. A library that does not export it (as
// Android's, which writes to logcat) keeps its own, and the words of errors are then those of their codes alone.
extern "C" __attribute__((visibility("default"))) void et_pal_emit_log_message(et_timestamp_t, et_pal_log_level_t level,
                                                                               const char*, const char*, std::size_t,
                                                                               const char* message,
                                                                               std::size_t length) {
  const int shown = static_cast<int>(std::min(length, sizeof said));
  if (level == kError) say(message, shown);
  if (level == kFatal) std::fprintf(stderr, "ExecuTorch: %.*s\n", shown, message);  // it ends the process after that
}

namespace edgevit {

namespace {

namespace et = executorch::runtime;
using executorch::aten::ScalarType;
using executorch::aten::TensorShapeDynamism;

constexpr char kMethod[] = "forward";

std::string words_of(et::Error error) {
  const std::string name = et::to_string(error);
  std::string words = name.substr(name.rfind(':') + 1);
  if (said[0] != '\0') words += std::string(", ") + said;
  return words;
}

// Throws Failure unless `error` is none; `what` says what was tried.
void require(et::Error error, const std::string& what) {
  if (error != et::Error::Ok) throw Failure(what + ": " + words_of(error));
}

// A file as it lies on the disk. The delegates copy what they need of it while the method is being loaded.
class MappedFile final : public et::DataLoader {
 public:
  explicit MappedFile(const std::string& path) {
    const int file = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (file < 0) throw Failure("cannot open " + path + ": " + std::strerror(errno));
    struct stat facts{};
    void* place = MAP_FAILED;
    if (::fstat(file, &facts) == 0 && facts.st_size > 0) {
      size_ = static_cast<std::size_t>(facts.st_size);
      place = ::mmap(nullptr, size_, PROT_READ, MAP_PRIVATE, file, 0);
    }
    const int reason = errno;
    ::close(file);
    if (place == MAP_FAILED) {
      throw Failure("cannot read " + path + ": " + (size_ == 0 ? "it is empty" : std::strerror(reason)));
    }
    data_ = static_cast<const char*>(place);
  }
  MappedFile(const MappedFile&) = delete;
  MappedFile& operator=(const MappedFile&) = delete;
  ~MappedFile() override { ::munmap(const_cast<char*>(data_), size_); }

  et::Result<et::FreeableBuffer> load(std::size_t offset, std::size_t size, const SegmentInfo&) const override {
    if (!holds(offset, size)) return et::Error::InvalidProgram;
    return et::FreeableBuffer(data_ + offset, size, nullptr);
  }

  et::Error load_into(std::size_t offset, std::size_t size, const SegmentInfo&, void* buffer) const override {
    if (!holds(offset, size)) return et::Error::InvalidProgram;
    std::memcpy(buffer, data_ + offset, size);
    return et::Error::Ok;
  }

  et::Result<std::size_t> size() const override { return size_; }

 private:
  bool holds(std::size_t offset, std::size_t size) const {
    const bool is_within = offset <= size_ && size <= size_ - offset;
    if (!is_within) say("the file ends before what it says it holds");
    return is_within;
  }

  const char* data_ = nullptr;
  std::size_t size_ = 0;
};

// Memory as the runtime asks for it, given back at once. The runtime's own classes for this are not in its headers.
class GrowingAllocator final : public et::MemoryAllocator {
 public:
  GrowingAllocator() : et::MemoryAllocator(0, nullptr) {}
  ~GrowingAllocator() override { give_back(); }

  void* allocate(std::size_t size, std::size_t alignment) override {
    void* place = nullptr;
    const std::size_t boundary = std::max(alignment, sizeof(void*));
    if (::posix_memalign(&place, boundary, std::max<std::size_t>(size, 1)) != 0) return nullptr;
    try {
      blocks_.push_back(place);
    } catch (const std::bad_alloc&) {
      std::free(place);
      return nullptr;
    }
    return place;
  }

  void reset() override { give_back(); }

 private:
  void give_back() {
    for (void* block : blocks_) std::free(block);
    blocks_.clear();
  }

  std::vector<void*> blocks_;
};

std::vector<std::vector<std::uint8_t>> planned_buffers(const et::MethodMeta& meta, const std::string& where) {
  std::vector<std::vector<std::uint8_t>> buffers(meta.num_memory_planned_buffers());
  for (std::size_t index = 0; index < buffers.size(); ++index) {
    const et::Result<std::int64_t> size = meta.memory_planned_buffer_size(index);
    require(size.error(), where);
    try {
      buffers[index].resize(static_cast<std::size_t>(*size));
    } catch (const std::exception&) {
      throw Failure(where + ": no memory for the " + std::to_string(*size) + " bytes that it plans with");
    }
  }
  return buffers;
}

// All memory of a method; it must outlive the method.
class Memory {
 public:
  Memory(const et::MethodMeta& meta, const std::string& where) : buffers_(planned_buffers(meta, where)) {
    for (std::vector<std::uint8_t>& buffer : buffers_) spans_.emplace_back(buffer.data(), buffer.size());
    planned_.emplace(et::Span<et::Span<std::uint8_t>>(spans_.data(), spans_.size()));
    manager_.emplace(&method_, &*planned_, &temporary_);
  }
  et::MemoryManager* manager() { return &*manager_; }

 private:
  std::vector<std::vector<std::uint8_t>> buffers_;
  std::vector<et::Span<std::uint8_t>> spans_;
  GrowingAllocator method_, temporary_;
  std::optional<et::HierarchicalAllocator> planned_;
  std::optional<et::MemoryManager> manager_;
};

struct Kind {
  ScalarType theirs;
  DType ours;
};

constexpr Kind kKinds[] = {
    {ScalarType::Bool, DType::kBool},     {ScalarType::Char, DType::kInt8},     {ScalarType::Byte, DType::kUint8},
    {ScalarType::Short, DType::kInt16},   {ScalarType::UInt16, DType::kUint16}, {ScalarType::Int, DType::kInt32},
    {ScalarType::UInt32, DType::kUint32}, {ScalarType::Long, DType::kInt64},    {ScalarType::UInt64, DType::kUint64},
    {ScalarType::Half, DType::kFloat16},  {ScalarType::Float, DType::kFloat32}, {ScalarType::Double, DType::kFloat64},
};

DType dtype_of(ScalarType type, const std::string& what) {
  for (const Kind& kind : kKinds) {
    if (kind.theirs == type) return kind.ours;
  }
  throw Failure(what + " is of ExecuTorch's type " + std::to_string(static_cast<int>(type)) + ", which no array has");
}

ScalarType scalar_type_of(DType dtype) {
  const auto is_it = [dtype](const Kind& kind) { return kind.ours == dtype; };
  return std::find_if(std::begin(kKinds), std::end(kKinds), is_it)->theirs;
}

// Throws Failure where the values do not lie in C order.
void require_plain(et::Span<const std::uint8_t> dim_order, const std::string& what) {
  for (std::size_t axis = 0; axis < dim_order.size(); ++axis) {
    if (dim_order[axis] == axis) continue;
    throw Failure(what + " has its axes in another order in memory than in its shape; only plain ones can be measured");
  }
}

// What the program says of one input or output.
TensorInfo described(const et::Result<et::TensorInfo>& meta, const std::string& name, const std::string& what) {
  require(meta.error(), what + " is no tensor");
  require_plain(meta->dim_order(), what);
  TensorInfo info{name, dtype_of(meta->scalar_type(), what), {}};
  for (const std::int32_t size : meta->sizes()) info.shape.push_back(size);
  return info;
}

void require_count(std::size_t said, std::size_t count, const char* kind, const std::string& model) {
  if (said == count) return;
  throw Failure(model + " has " + std::to_string(count) + " " + kind + "s, but the request names " +
                std::to_string(said));
}

class ExecutorchSession final : public Session {
 public:
  explicit ExecutorchSession(const Request& request)
      : runtime_(request.runtime.empty() ? "executorch" : request.runtime),
        where_(runtime_ + " cannot load " + request.model),
        file_(request.model),
        program_(loaded(file_, where_)),
        memory_(meta(), where_),
        method_(method(request.workload.threads)) {
    where_ = runtime_ + " cannot run " + request.model;
    require_count(request.takes.size(), meta().num_inputs(), "input", request.model);
    require_count(request.gives.size(), meta().num_outputs(), "output", request.model);
    for (std::size_t index = 0; index < request.takes.size(); ++index) {
      const std::string& name = request.takes[index].name;
      inputs_.push_back(described(meta().input_tensor_meta(index), name, request.model + ": input '" + name + "'"));
      free_axes(index);
    }
    for (std::size_t index = 0; index < request.gives.size(); ++index) {
      const std::string& name = request.gives[index].name;
      outputs_.push_back(described(meta().output_tensor_meta(index), name, request.model + ": output '" + name + "'"));
    }
    sizes_.resize(inputs_.size());
  }

  std::string runtime() const override { return runtime_; }
  const std::vector<TensorInfo>& inputs() const override { return inputs_; }

  void run(const std::vector<Tensor>& inputs, std::vector<Tensor>& outputs) override {
    said[0] = '\0';
    for (std::size_t index = 0; index < inputs_.size(); ++index) set_input(inputs[index], index);
    if (const et::Error error = method_.execute(); error != et::Error::Ok) require(error, where_);
    outputs.resize(outputs_.size());
    for (std::size_t index = 0; index < outputs_.size(); ++index) copy_output(index, outputs[index]);
  }

 private:
  static et::Program loaded(MappedFile& file, const std::string& where) {
    et::Result<et::Program> program = et::Program::load(&file, et::Program::Verification::InternalConsistency);
    require(program.error(), where);
    return std::move(*program);
  }

  et::MethodMeta meta() const {
    const et::Result<et::MethodMeta> meta = program_.method_meta(kMethod);
    require(meta.error(), where_ + ": it has no method '" + kMethod + "'");
    return *meta;
  }

  // A method keeps a pointer to the threads that there are when it is loaded.
  et::Method method(std::int64_t threads) {
    auto* pool = executorch::extension::threadpool::get_threadpool();
    if (pool == nullptr || !pool->_unsafe_reset_threadpool(static_cast<std::uint32_t>(threads))) {
      throw Failure(where_ + ": it cannot have " + std::to_string(threads) + " threads");
    }
    et::Result<et::Method> method = program_.load_method(kMethod, memory_.manager());
    require(method.error(), where_);
    return std::move(*method);
  }

  // The program states the largest sizes; a tensor that may be smaller does not say along which axes.
  void free_axes(std::size_t index) {
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wdeprecated-declarations"
    const et::EValue& value = method_.get_input(index);
#pragma GCC diagnostic pop
    if (!value.isTensor()) throw Failure(where_ + ": input '" + inputs_[index].name + "' is no tensor");
    if (value.toTensor().shape_dynamism() == TensorShapeDynamism::STATIC) return;
    std::fill(inputs_[index].shape.begin(), inputs_[index].shape.end(), -1);
  }

  void set_input(const Tensor& tensor, std::size_t index) {
    using executorch::aten::TensorImpl;
    std::vector<TensorImpl::SizesType>& sizes = sizes_[index];
    sizes.clear();
    for (const std::int64_t size : tensor.shape) sizes.push_back(static_cast<TensorImpl::SizesType>(size));
    // The runtime reads it, or copies it to where the method has planned it.
    void* data = const_cast<std::byte*>(tensor.data.data());
    TensorImpl value(scalar_type_of(tensor.dtype), static_cast<ssize_t>(sizes.size()), sizes.data(), data);
    const et::Error error = method_.set_input(et::EValue(executorch::aten::Tensor(&value)), index);
    if (error == et::Error::Ok) return;  // the words below are made for errors alone
    require(error, where_ + ": input '" + tensor.name + "' of shape " + shape_text(tensor.shape));
  }

  void copy_output(std::size_t index, Tensor& output) {
    const et::EValue& value = method_.get_output(index);
    if (!value.isTensor()) throw Failure(where_ + ": output '" + outputs_[index].name + "' is no tensor");
    const auto& tensor = value.toTensor();
    if (output.name != outputs_[index].name) output.name = outputs_[index].name;
    output.dtype = outputs_[index].dtype;
    output.shape.assign(tensor.sizes().begin(), tensor.sizes().end());
    output.allocate();
    std::memcpy(output.data.data(), tensor.const_data_ptr(), output.data.size());
  }

  std::string runtime_;
  std::string where_;
  MappedFile file_;
  et::Program program_;
  Memory memory_;
  et::Method method_;
  std::vector<TensorInfo> inputs_, outputs_;
  std::vector<std::vector<std::int32_t>> sizes_;  // of each input, kept so that a run takes no memory
};

}  // namespace

std::unique_ptr<Session> open_session(const Request& request) {
  et::runtime_init();
  said[0] = '\0';
  if (request.format != "pte") {
    throw Failure("this program runs pte files, but the request is for " + request.format);
  }
  return std::make_unique<ExecutorchSession>(request);
}

}  // namespace edgevit
