#include "tflite_file.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "../../core/failure.h"

namespace edgevit {
namespace {

// Fields of the schema's tables, by their place in it.
constexpr std::uint64_t kModelSubgraphs = 2;
constexpr std::uint64_t kModelBuffers = 4;
constexpr std::uint64_t kBufferData = 0;
constexpr std::uint64_t kBufferOffset = 1;  // of weights behind the FlatBuffer, of models over 2 GB; 0 or 1 for none
constexpr std::uint64_t kBufferSize = 2;

class File {
 public:
  explicit File(const std::string& path) : path_(path) {
    const int file = open(path.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat facts{};
    if (file < 0 || fstat(file, &facts) != 0) fail(std::strerror(errno), file);
    if (!S_ISREG(facts.st_mode)) fail("no regular file", file);
    size_ = static_cast<std::uint64_t>(facts.st_size);
    if (size_ > SIZE_MAX) fail("larger than the address space", file);
    void* const address = size_ == 0 ? nullptr : mmap(nullptr, length(), PROT_READ, MAP_PRIVATE, file, 0);
    if (address == MAP_FAILED) fail(std::strerror(errno), file);
    data_ = static_cast<const unsigned char*>(address);
    close(file);
  }
  ~File() {
    if (data_ != nullptr) munmap(const_cast<unsigned char*>(data_), length());
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;

  std::uint64_t size() const { return size_; }

  bool says(std::uint64_t position, const char* text) const {
    const std::size_t length = std::strlen(text);
    return position + length <= size_ && std::memcmp(data_ + position, text, length) == 0;
  }

  template <typename Number>
  Number at(std::uint64_t position) const {
    require(position, sizeof(Number));
    Number number;
    std::memcpy(&number, data_ + position, sizeof(Number));
    return number;
  }

  void require(std::uint64_t position, std::uint64_t bytes) const {
    if (bytes > size_ || position > size_ - bytes) {
      throw Failure(path_ + " is cut or damaged: it points at " + std::to_string(bytes) + " bytes from byte " +
                    std::to_string(position) + " on, and has " + std::to_string(size_));
    }
  }

  // Where what an offset at `position` points at begins.
  std::uint64_t target(std::uint64_t position) const { return position + at<std::uint32_t>(position); }

  // Where field `index` of the table at `table` is; 0 where the table has none.
  std::uint64_t field(std::uint64_t table, std::uint64_t index) const {
    const auto places = static_cast<std::uint64_t>(static_cast<std::int64_t>(table) - at<std::int32_t>(table));
    const std::uint64_t place = 4 + 2 * index;
    if (place + 2 > at<std::uint16_t>(places)) return 0;
    const auto offset = at<std::uint16_t>(places + place);
    return offset == 0 ? 0 : table + offset;
  }

 private:
  std::size_t length() const { return static_cast<std::size_t>(size_); }

  [[noreturn]] void fail(const char* reason, int file) const {
    const std::string words = "cannot read " + path_ + ": " + reason;
    if (file >= 0) close(file);
    throw Failure(words);
  }

  const std::string& path_;
  const unsigned char* data_ = nullptr;
  std::uint64_t size_ = 0;
};

void require_buffer(const File& file, std::uint64_t buffer) {
  if (const std::uint64_t data = file.field(buffer, kBufferData)) {
    const std::uint64_t vector = file.target(data);
    file.require(vector + 4, file.at<std::uint32_t>(vector));
  }
  const std::uint64_t offset = file.field(buffer, kBufferOffset);
  const std::uint64_t size = file.field(buffer, kBufferSize);
  if (offset != 0 && size != 0 && file.at<std::uint64_t>(offset) > 1) {
    file.require(file.at<std::uint64_t>(offset), file.at<std::uint64_t>(size));
  }
}

}  // namespace

void require_whole_tflite(const std::string& path) {
  const File file(path);
  if (!file.says(4, "TFL3")) throw Failure(path + " is no TFLite model: bytes 4 to 8 are not 'TFL3'");
  const std::uint64_t model = file.target(0);
  const std::uint64_t subgraphs = file.field(model, kModelSubgraphs);
  const std::uint64_t buffers = file.field(model, kModelBuffers);
  if (subgraphs == 0 || buffers == 0 || file.at<std::uint32_t>(file.target(subgraphs)) == 0) {
    throw Failure(path + " is a TFLite model without a graph");
  }
  const std::uint64_t first = file.target(buffers);
  const std::uint64_t count = file.at<std::uint32_t>(first);
  for (std::uint64_t index = 0; index < count; ++index) {
    require_buffer(file, file.target(first + 4 + 4 * index));
  }
}

}  // namespace edgevit
