#include "feed.h"

#include <algorithm>
#include <utility>

#include "failure.h"
#include "files.h"

namespace edgevit {

namespace {

bool shape_fits(const std::vector<std::int64_t>& expected, const std::vector<std::int64_t>& seen) {
  return std::equal(
      expected.begin(), expected.end(), seen.begin(), seen.end(),
      [](std::int64_t wanted, std::int64_t size) { return size == wanted || (wanted == -1 && size > 0); });
}

std::string names_of(const std::vector<TensorInfo>& tensors) {
  std::string names;
  for (const TensorInfo& tensor : tensors) names += (names.empty() ? "'" : ", '") + tensor.name + "'";
  return names.empty() ? "none" : names;
}

std::string told(DType dtype, const std::vector<std::int64_t>& shape) {
  return std::string(name_of(dtype)) + " " + shape_text(shape);
}

}  // namespace

TensorSets read_feeds(const std::vector<TensorInfo>& expected, const std::string& path) {
  TensorSets sets = parse_npz(read_file(path), path);
  fit_feeds(expected, sets, path);
  return sets;
}

void fit_feeds(const std::vector<TensorInfo>& expected, TensorSets& sets, const std::string& where) {
  for (std::size_t index = 0; index < sets.size(); ++index) {
    const std::string place = "input " + std::to_string(index) + " of '" + where + "'";
    std::vector<Tensor> ordered;
    for (const TensorInfo& info : expected) {
      const auto found = std::find_if(sets[index].begin(), sets[index].end(),
                                      [&](const Tensor& tensor) { return tensor.name == info.name; });
      if (found == sets[index].end())
        throw Failure(place + " lacks '" + info.name + "'; the model takes " + names_of(expected));
      if (found->dtype != info.dtype || !shape_fits(info.shape, found->shape)) {
        throw Failure(place + ": '" + info.name + "' is " + told(found->dtype, found->shape) + ", the model takes " +
                      told(info.dtype, info.shape));
      }
      ordered.push_back(std::move(*found));
    }
    if (ordered.size() != sets[index].size()) throw Failure(place + " has arrays beside " + names_of(expected));
    sets[index] = std::move(ordered);
  }
}

}  // namespace edgevit
