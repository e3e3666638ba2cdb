#include "stderr_words.h"

#include <fcntl.h>
#include <unistd.h>

#include <cstdio>

namespace edgevit {

// A pipe that does not block loses what no longer fits, where one that does would stop its writer for good.
StderrWords::StderrWords() {
  int ends[2];
  std::fflush(stderr);
  saved_ = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 0);
  if (saved_ < 0 || pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return;
  read_end_ = ends[0];
  dup2(ends[1], STDERR_FILENO);
  close(ends[1]);
}

StderrWords::~StderrWords() {
  std::fflush(stderr);
  if (read_end_ >= 0) {
    dup2(saved_, STDERR_FILENO);
    close(read_end_);
  }
  if (saved_ >= 0) close(saved_);
}

std::string StderrWords::take() {
  std::string words;
  char piece[4096];
  std::fflush(stderr);
  for (ssize_t size = 0; read_end_ >= 0 && (size = read(read_end_, piece, sizeof piece)) > 0;) {
    words.append(piece, static_cast<std::size_t>(size));
  }
  return words;
}

}  // namespace edgevit
