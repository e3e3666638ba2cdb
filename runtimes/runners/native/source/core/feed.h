// The golden inputs, checked against what the model takes before anything runs.
#pragma once

#include <string>
#include <vector>

#include "npz.h"
#include "tensor.h"

namespace edgevit {

// The sets of `path`, each in the order of `expected`. Throws Failure where a set has another name, type or shape than
// the model, a free axis apart: nothing is cast, reshaped or left out.
TensorSets read_feeds(const std::vector<TensorInfo>& expected, const std::string& path);

// The same on sets that are read already; `where` names them.
void fit_feeds(const std::vector<TensorInfo>& expected, TensorSets& sets, const std::string& where);

}  // namespace edgevit
