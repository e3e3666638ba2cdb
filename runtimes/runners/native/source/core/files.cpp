#include "files.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "failure.h"

namespace edgevit {

namespace {

[[noreturn]] void fail(const std::string& what, const std::string& path) {
  throw Failure("cannot " + what + " '" + path + "': " + std::strerror(errno));
}

class Descriptor {
 public:
  explicit Descriptor(int number) : number_(number) {}
  Descriptor(const Descriptor&) = delete;
  Descriptor& operator=(const Descriptor&) = delete;
  ~Descriptor() {
    if (number_ >= 0) ::close(number_);
  }
  int number() const { return number_; }

 private:
  int number_;
};

bool write_all(int descriptor, std::string_view data) {
  while (!data.empty()) {
    const ssize_t written = ::write(descriptor, data.data(), data.size());
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return false;
    data.remove_prefix(static_cast<std::size_t>(written));
  }
  return ::fsync(descriptor) == 0;
}

}  // namespace

std::vector<std::byte> read_file(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  struct stat facts{};
  if (file.number() < 0 || ::fstat(file.number(), &facts) != 0) fail("read", path);
  if (!S_ISREG(facts.st_mode)) throw Failure("cannot read '" + path + "': it is no file");
  std::vector<std::byte> data(static_cast<std::size_t>(facts.st_size));
  for (std::size_t done = 0; done < data.size();) {
    const ssize_t got = ::read(file.number(), data.data() + done, data.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail("read", path);
    if (got == 0) throw Failure("cannot read '" + path + "': it became shorter meanwhile");
    done += static_cast<std::size_t>(got);
  }
  return data;
}

void write_file(const std::string& path, std::string_view data) {
  const std::string partial = path + ".part";
  const Descriptor file(::open(partial.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644));
  if (file.number() < 0) fail("write", partial);
  if (!write_all(file.number(), data) || std::rename(partial.c_str(), path.c_str()) != 0) {
    const int reason = errno;
    ::unlink(partial.c_str());
    errno = reason;
    fail("write", path);
  }
}

}  // namespace edgevit
