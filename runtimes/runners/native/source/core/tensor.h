// Arrays between files and runtimes: a name, a type of elements, a shape, and the values as they lie in memory.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

namespace edgevit {

enum class DType {
  kBool,
  kInt8,
  kUint8,
  kInt16,
  kUint16,
  kInt32,
  kUint32,
  kInt64,
  kUint64,
  kFloat16,
  kFloat32,
  kFloat64
};

// Bytes of one element.
std::size_t size_of(DType dtype);
// numpy's name, as "float32".
const char* name_of(DType dtype);
// The type of that name; throws Failure where there is none.
DType dtype_of(const std::string& name);

// What a model takes or gives. An axis of -1 is free.
struct TensorInfo {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> shape;
};

// Values in C order. `shape` has no free axis, and `data` has exactly the bytes that it and `dtype` ask for.
struct Tensor {
  std::string name;
  DType dtype = DType::kFloat32;
  std::vector<std::int64_t> shape;
  std::vector<std::byte> data;

  // Make room for what `dtype` and `shape` ask for; memory that is there already is kept. Throws Failure.
  void allocate();
};

// The product of the sizes; throws Failure where one is negative or the product is no size of memory.
std::size_t elements_of(const std::vector<std::int64_t>& shape);
// "(1, 3, 224, 224)", free axes as "?".
std::string shape_text(const std::vector<std::int64_t>& shape);

}  // namespace edgevit
