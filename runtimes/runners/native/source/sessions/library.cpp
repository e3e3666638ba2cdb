#include "library.h"

#include <dlfcn.h>

#include "../core/failure.h"

namespace edgevit {

Library::Library(const std::string& path) : path_(path) {
  if (path.empty()) throw Failure("the request names no library of a runtime");
  // With a slash in it the loader takes the very file and searches nowhere.
  const std::string exact = path.find('/') == std::string::npos ? "./" + path : path;
  handle_ = dlopen(exact.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (handle_ == nullptr) {
    const char* reason = dlerror();
    throw Failure("cannot load the library: " + std::string(reason != nullptr ? reason : path.c_str()));
  }
}

void* Library::find(const char* name) const { return dlsym(handle_, name); }

void* Library::required(const char* name) const {
  void* found = find(name);
  if (found == nullptr)
    throw Failure("'" + path_ + "' has no " + name +
                  ": it is another library, or of a version that this runner does not know");
  return found;
}

}  // namespace edgevit
