#include "tensor.h"

#include "failure.h"

namespace edgevit {

namespace {

struct Kind {
  const char* name;
  std::size_t bytes;
};

// In the order of DType.
constexpr Kind kKinds[] = {{"bool", 1},   {"int8", 1},  {"uint8", 1},  {"int16", 2},   {"uint16", 2},  {"int32", 4},
                           {"uint32", 4}, {"int64", 8}, {"uint64", 8}, {"float16", 2}, {"float32", 4}, {"float64", 8}};

constexpr std::size_t kMostElements = std::size_t{1}
                                      << (sizeof(std::size_t) == 8 ? 40 : 28);  // chosen: more than any device holds

}  // namespace

std::size_t size_of(DType dtype) { return kKinds[static_cast<std::size_t>(dtype)].bytes; }

const char* name_of(DType dtype) { return kKinds[static_cast<std::size_t>(dtype)].name; }

DType dtype_of(const std::string& name) {
  for (std::size_t index = 0; index < sizeof(kKinds) / sizeof(kKinds[0]); ++index) {
    if (name == kKinds[index].name) return static_cast<DType>(index);
  }
  throw Failure("'" + name.substr(0, 80) + "' is no type of elements that is known here");
}

std::size_t elements_of(const std::vector<std::int64_t>& shape) {
  std::size_t count = 1;
  for (const std::int64_t size : shape) {
    if (size < 0 || (size > 0 && count > kMostElements / static_cast<std::size_t>(size))) {
      throw Failure("no memory holds an array of shape " + shape_text(shape));
    }
    count *= static_cast<std::size_t>(size);
  }
  return count;
}

void Tensor::allocate() { data.resize(elements_of(shape) * size_of(dtype)); }

std::string shape_text(const std::vector<std::int64_t>& shape) {
  std::string text = "(";
  for (std::size_t axis = 0; axis < shape.size(); ++axis) {
    if (axis > 0) text += ", ";
    text += shape[axis] == -1 ? "?" : std::to_string(shape[axis]);
  }
  return text + ")";
}

}  // namespace edgevit
