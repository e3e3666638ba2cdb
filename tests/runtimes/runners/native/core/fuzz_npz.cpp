// Any bytes as an archive: refused in words, or read; and what was read comes back when it is written.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "core/failure.h"
#include "core/npz.h"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  std::vector<std::byte> file(size);
  if (size > 0) std::memcpy(file.data(), data, size);
  try {
    const edgevit::TensorSets sets = edgevit::parse_npz(file, "fuzzed");
    const std::string written = edgevit::format_npz(sets);
    std::vector<std::byte> again(written.size());
    std::memcpy(again.data(), written.data(), written.size());
    const edgevit::TensorSets back = edgevit::parse_npz(again, "written");
    if (back.size() != sets.size()) __builtin_trap();
    for (std::size_t index = 0; index < sets.size(); ++index) {
      for (std::size_t place = 0; place < sets[index].size(); ++place) {
        const edgevit::Tensor &one = sets[index][place], &other = back[index][place];
        if (one.name != other.name || one.shape != other.shape || one.dtype != other.dtype || one.data != other.data)
          __builtin_trap();
      }
    }
  } catch (const edgevit::Failure&) {
  }
  return 0;
}
