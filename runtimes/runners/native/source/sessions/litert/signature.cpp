#include "signature.h"

#include <algorithm>
#include <cstring>
#include <string>

#include "../../core/failure.h"

namespace edgevit::litert {
namespace {

constexpr const char* kDefaultKey = "serving_default";  // of converters; where there are several, it is meant

struct ElementType {
  int code;  // TFLite's, kept by LiteRT
  DType dtype;
};

constexpr ElementType kElementTypes[] = {
    {1, DType::kFloat32},  {2, DType::kInt32},   {3, DType::kUint8},   {4, DType::kInt64},
    {6, DType::kBool},     {7, DType::kInt16},   {9, DType::kInt8},    {10, DType::kFloat16},
    {11, DType::kFloat64}, {13, DType::kUint64}, {16, DType::kUint32}, {17, DType::kUint16},
};

std::vector<std::int64_t> shape_of(const Layout& layout) {
  std::vector<std::int64_t> shape(layout.dimensions, layout.dimensions + layout.rank);
  for (std::int64_t& size : shape) size = std::max<std::int64_t>(size, -1);
  return shape;
}

// Names by the signature, types by its subgraph: LiteRT keeps the signature's names in the subgraph's order.
class Reader {
 public:
  Reader(const Api& api, const Calls& calls, Model model) : api_(api), calls_(calls), model_(model) {}

  ModelSignature read() {
    ModelSignature result;
    const Signature signature = find(result.index);
    Subgraph subgraph = nullptr;
    std::size_t inputs = 0;
    std::size_t outputs = 0;
    calls_.require(api_.get_signature_subgraph(signature, &subgraph), "read a signature's subgraph of");
    calls_.require(api_.get_num_inputs(signature, &inputs), "count the inputs of");
    calls_.require(api_.get_num_outputs(signature, &outputs), "count the outputs of");
    for (std::size_t index = 0; index < inputs; ++index) {
      const char* name = "";
      TensorOfModel tensor = nullptr;
      calls_.require(api_.get_input_name(signature, index, &name), "read an input's name of");
      calls_.require(api_.get_input(subgraph, index, &tensor), "read an input of");
      result.inputs.push_back(describe("input", name, tensor));
    }
    for (std::size_t index = 0; index < outputs; ++index) {
      const char* name = "";
      TensorOfModel tensor = nullptr;
      calls_.require(api_.get_output_name(signature, index, &name), "read an output's name of");
      calls_.require(api_.get_output(subgraph, index, &tensor), "read an output of");
      result.outputs.push_back(describe("output", name, tensor));
    }
    return result;
  }

 private:
  Signature find(std::size_t& found) const {
    std::size_t count = 0;
    calls_.require(api_.get_num_signatures(model_, &count), "count the signatures of");
    std::string keys;
    for (found = 0; found < count; ++found) {
      Signature signature = nullptr;
      const char* key = "";
      calls_.require(api_.get_signature(model_, found, &signature), "read a signature of");
      calls_.require(api_.get_signature_key(signature, &key), "read a signature's key of");
      if (count == 1 || std::strcmp(key, kDefaultKey) == 0) return signature;
      keys += (keys.empty() ? "" : ", ") + std::string(key);
    }
    throw Failure(calls_.model() + " needs the signature '" + kDefaultKey +
                  "' or only one; it has: " + (keys.empty() ? "none" : keys));
  }

  Port describe(const char* role, const char* name, TensorOfModel tensor) {
    const std::string what = calls_.model() + ": the " + role + " '" + name + "' ";
    if (std::find(seen_.begin(), seen_.end(), tensor) != seen_.end()) {  // else one of its buffers would stay unfilled
      throw Failure(what + "is an input or output of another name too, expected a tensor of its own");
    }
    seen_.push_back(tensor);
    TensorType type{};
    calls_.require(api_.get_tensor_type(tensor, &type), "read the type and shape of a tensor of");
    const auto* const known = std::find_if(std::begin(kElementTypes), std::end(kElementTypes),
                                           [&](const ElementType& row) { return row.code == type.element_type; });
    if (known == std::end(kElementTypes) || type.layout.rank > kMaxRank) {
      throw Failure(what + "has TFLite's type " + std::to_string(type.element_type) + " and the rank " +
                    std::to_string(type.layout.rank) + ", expected a type that numpy has and a rank of at most " +
                    std::to_string(kMaxRank));
    }
    return {{name, known->dtype, shape_of(type.layout)}, type};
  }

  const Api& api_;
  const Calls& calls_;
  Model model_;
  std::vector<TensorOfModel> seen_;
};

}  // namespace

bool has_free_axis(const Port& port) {
  const Layout& layout = port.type.layout;
  return std::any_of(layout.dimensions, layout.dimensions + layout.rank, [](int size) { return size < 0; });
}

ModelSignature read_signature(const Api& api, const Calls& calls, Model model) {
  return Reader(api, calls, model).read();
}

}  // namespace edgevit::litert
