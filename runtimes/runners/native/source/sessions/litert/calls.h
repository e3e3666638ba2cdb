// What the functions of LiteRT's interface return, in words.
#pragma once

#include <string>

#include "api.h"
#include "stderr_words.h"

namespace edgevit::litert {

// The lines of `words` that are marked as errors, without their marks and places, in one.
std::string errors_in(const std::string& words);

class Calls {
 public:
  Calls(std::string runtime, std::string model) : runtime_(std::move(runtime)), model_(std::move(model)) {}

  const std::string& runtime() const { return runtime_; }
  const std::string& model() const { return model_; }

  // Throws Failure where `status` is an error: LiteRT could not `what` this model, as in "compile".
  void require(Status status, const char* what) const;

 private:
  friend class Reasons;
  std::string runtime_;
  std::string model_;
  StderrWords* words_ = nullptr;
};

// While one lives, stderr is held back, and what it says of errors becomes part of what `calls` throws.
class Reasons {
 public:
  explicit Reasons(Calls& calls) : calls_(calls) { calls_.words_ = &words_; }
  ~Reasons() { calls_.words_ = nullptr; }
  Reasons(const Reasons&) = delete;
  Reasons& operator=(const Reasons&) = delete;

  // Errors of which no function told.
  std::string take() { return errors_in(words_.take()); }

 private:
  Calls& calls_;
  StderrWords words_;
};

}  // namespace edgevit::litert
