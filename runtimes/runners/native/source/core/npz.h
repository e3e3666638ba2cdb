// numpy's archives of arrays with keys INDEX/NAME, as the host writes its golden inputs and reads the outputs.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "tensor.h"

namespace edgevit {

// The arrays of each index, in the order of the archive.
using TensorSets = std::vector<std::vector<Tensor>>;

// Throws Failure: cut, changed (each member has its CRC-32), packed, of another type or order of elements than the host
// writes, or an index that is missing. No count or size of the file is believed before it is checked against its
// length.
TensorSets parse_npz(const std::vector<std::byte>& file, const std::string& name);

// An archive that numpy reads. Throws Failure where it would pass 4 GiB.
std::string format_npz(const TensorSets& sets);

}  // namespace edgevit
