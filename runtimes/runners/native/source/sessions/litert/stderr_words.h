// What a library writes to stderr, since that is where LiteRT gives its reasons.
#pragma once

#include <string>

namespace edgevit {

// Holds back the process's stderr from its making to its end.
class StderrWords {
 public:
  StderrWords();
  ~StderrWords();
  StderrWords(const StderrWords&) = delete;
  StderrWords& operator=(const StderrWords&) = delete;

  // What was written so far and not yet asked for; at most what a pipe holds, 64 KiB.
  std::string take();

 private:
  int saved_ = -1;
  int read_end_ = -1;
};

}  // namespace edgevit
