// What a TFLite model takes and gives, as LiteRT reads it from the file.
#pragma once

#include <cstddef>
#include <vector>

#include "../../core/tensor.h"
#include "api.h"
#include "calls.h"

namespace edgevit::litert {

// One input or output.
struct Port {
  TensorInfo info;
  TensorType type;  // as LiteRT has it; where axes are free, of the last run
};

struct ModelSignature {
  std::size_t index = 0;
  std::vector<Port> inputs;
  std::vector<Port> outputs;
};

bool has_free_axis(const Port& port);

// The signature "serving_default", else the only one; LiteRT makes one for a model that has none.
// Throws Failure: there are others, or a tensor has a type that is not known here, or serves twice.
ModelSignature read_signature(const Api& api, const Calls& calls, Model model);

}  // namespace edgevit::litert
