// A shared library, loaded while the program runs.
#pragma once

#include <string>

namespace edgevit {

// Stays loaded to the end of the process: runtimes keep threads that outlive their sessions.
class Library {
 public:
  // Throws Failure with the loader's words: not there, of another ABI, or too new for the device's libc.
  explicit Library(const std::string& path);

  // The function of that name; null where there is none.
  void* find(const char* name) const;

  // The function of that name, as a pointer of type `Function`. Throws Failure where there is none.
  template <typename Function>
  Function require(const char* name) const {
    return reinterpret_cast<Function>(required(name));
  }

 private:
  void* required(const char* name) const;

  std::string path_;
  void* handle_ = nullptr;
};

}  // namespace edgevit
