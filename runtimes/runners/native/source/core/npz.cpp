#include "npz.h"

#include <algorithm>
#include <cstring>
#include <string_view>

#include "checksums.h"
#include "failure.h"

namespace edgevit {

namespace {

// PKWARE's APPNOTE.TXT, sections 4.3.7, 4.3.12 and 4.3.16.
constexpr std::uint32_t kLocalMagic = 0x04034b50, kEntryMagic = 0x02014b50, kEndMagic = 0x06054b50;
constexpr std::size_t kLocalBytes = 30, kEntryBytes = 46, kEndBytes = 22;
constexpr std::uint32_t kMost32 = 0xFFFFFFFF;
constexpr std::uint16_t kVersion = 20, kEarliestDate = 0x0021;  // 1980-01-01
constexpr std::size_t kMostSets = 4096;                         // as the host's own reader
constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kHeaderStep = 64;  // numpy aligns the values to it

struct Described {
  const char* numpy;
  DType dtype;
};
constexpr Described kDescribed[] = {{"|b1", DType::kBool},    {"|i1", DType::kInt8},    {"|u1", DType::kUint8},
                                    {"<i2", DType::kInt16},   {"<u2", DType::kUint16},  {"<i4", DType::kInt32},
                                    {"<u4", DType::kUint32},  {"<i8", DType::kInt64},   {"<u8", DType::kUint64},
                                    {"<f2", DType::kFloat16}, {"<f4", DType::kFloat32}, {"<f8", DType::kFloat64}};

class Bytes {
 public:
  Bytes(std::string_view data, const std::string& name) : data_(data), name_(name) {}

  [[noreturn]] void fail(const std::string& why) const {
    throw Failure("'" + name_ + "' is no archive of arrays: " + why);
  }

  std::string_view part(std::size_t place, std::size_t size) const {
    if (place > data_.size() || size > data_.size() - place) fail("it is cut");
    return data_.substr(place, size);
  }

  std::uint32_t number(std::size_t place, std::size_t size) const {
    const std::string_view bytes = part(place, size);
    std::uint32_t value = 0;
    for (std::size_t i = 0; i < size; ++i) value |= std::uint32_t{static_cast<unsigned char>(bytes[i])} << (8 * i);
    return value;
  }

  std::size_t size() const { return data_.size(); }

 private:
  std::string_view data_;
  const std::string& name_;
};

// Reads a member's header, {'descr': '<f4', 'fortran_order': False, 'shape': (1, 3), }, from its beginning on.
class HeaderText {
 public:
  HeaderText(std::string_view text, const Bytes& bytes) : text_(text), bytes_(bytes) {}

  void take(std::string_view wanted) {
    skip_space();
    if (text_.substr(0, wanted.size()) != wanted) bytes_.fail("a header that is not numpy's");
    text_.remove_prefix(wanted.size());
  }

  bool starts(std::string_view wanted) {
    skip_space();
    return text_.substr(0, wanted.size()) == wanted;
  }

  std::string_view quoted() {
    take("'");
    const std::string_view word = text_.substr(0, text_.find('\''));
    text_.remove_prefix(word.size());
    take("'");
    return word;
  }

  std::int64_t number() {
    skip_space();
    std::int64_t value = 0;
    std::size_t digits = 0;
    for (; digits < text_.size() && text_[digits] >= '0' && text_[digits] <= '9'; ++digits) {
      if (digits == 15) bytes_.fail("an axis that no memory holds");
      value = value * 10 + (text_[digits] - '0');
    }
    if (digits == 0) bytes_.fail("a shape that is none");
    text_.remove_prefix(digits);
    return value;
  }

 private:
  void skip_space() { text_.remove_prefix(std::min(text_.find_first_not_of(" \n"), text_.size())); }

  std::string_view text_;
  const Bytes& bytes_;
};

DType described(std::string_view numpy, const Bytes& bytes) {
  for (const Described& each : kDescribed) {
    if (numpy == each.numpy) return each.dtype;
  }
  bytes.fail("elements of type '" + std::string(numpy.substr(0, 80)) + "'");
}

Tensor parse_array(std::string_view member, const std::string& name, const Bytes& bytes) {
  if (member.substr(0, kMagic.size()) != kMagic || member.size() < 12) bytes.fail("'" + name + "' is no array");
  const bool is_long = member[6] != 1;  // versions 2 and 3 count the header in four bytes
  const Bytes inner(member, name);
  const std::size_t first = is_long ? 12 : 10;
  const std::size_t length = inner.number(8, is_long ? 4 : 2);
  HeaderText header(inner.part(first, length), bytes);
  Tensor tensor;
  header.take("{");
  header.take("'descr':");
  tensor.dtype = described(header.quoted(), bytes);
  header.take(",");
  header.take("'fortran_order':");
  header.take("False");
  header.take(",");
  header.take("'shape':");
  header.take("(");
  while (!header.starts(")")) {
    tensor.shape.push_back(header.number());
    if (!header.starts(")")) header.take(",");
  }
  const std::string_view values = member.substr(first + length);
  if (elements_of(tensor.shape) * size_of(tensor.dtype) != values.size()) {
    bytes.fail("'" + name + "' holds " + std::to_string(values.size()) + " bytes, not what " +
               shape_text(tensor.shape) + " " + name_of(tensor.dtype) + " takes");
  }
  tensor.allocate();
  if (!values.empty()) std::memcpy(tensor.data.data(), values.data(), values.size());
  return tensor;
}

// The values of the member whose entry in the archive's directory stands at `entry`.
std::string_view stored(const Bytes& bytes, std::size_t entry, const std::string& name) {
  const std::uint32_t flags = bytes.number(entry + 8, 2), method = bytes.number(entry + 10, 2);
  const std::uint32_t packed = bytes.number(entry + 20, 4), size = bytes.number(entry + 24, 4);
  const std::uint32_t local = bytes.number(entry + 42, 4);
  if (method != 0 || packed != size || (flags & 1U) != 0) bytes.fail("'" + name + "' is packed or encrypted");
  if (size == kMost32 || local == kMost32) bytes.fail("it is larger than 4 GiB");
  if (bytes.number(local, 4) != kLocalMagic) bytes.fail("'" + name + "' does not stand where the directory says");
  const std::size_t skipped = kLocalBytes + bytes.number(local + 26, 2) + bytes.number(local + 28, 2);
  const std::string_view data = bytes.part(local + skipped, size);
  if (crc32(data.data(), data.size()) != bytes.number(entry + 16, 4))
    bytes.fail("'" + name + "' was changed: its CRC-32 differs");
  return data;
}

// "12/image.npy" as (12, "image").
std::size_t split_key(const Bytes& bytes, std::string_view key, std::string& name) {
  const std::size_t slash = key.find('/');
  constexpr std::string_view kSuffix = ".npy";
  std::size_t index = 0;
  bool is_key = slash != std::string_view::npos && slash > 0 && slash <= 4 && (slash == 1 || key[0] != '0') &&
                key.size() > slash + 1 + kSuffix.size() && key.substr(key.size() - kSuffix.size()) == kSuffix;
  for (std::size_t place = 0; is_key && place < slash; ++place) {
    is_key = key[place] >= '0' && key[place] <= '9';
    index = index * 10 + static_cast<std::size_t>(key[place] - '0');
  }
  if (!is_key || index >= kMostSets) bytes.fail("a key '" + std::string(key.substr(0, 80)) + "', expected INDEX/NAME");
  name = std::string(key.substr(slash + 1, key.size() - slash - 1 - kSuffix.size()));
  return index;
}

void append(std::string& out, std::uint64_t value, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) out += static_cast<char>(value >> (8 * i) & 0xFF);
}

std::string array_header(const Tensor& tensor) {
  std::string text = "{'descr': '";
  for (const Described& each : kDescribed) {
    if (each.dtype == tensor.dtype) text += each.numpy;
  }
  text += "', 'fortran_order': False, 'shape': (";
  for (std::size_t axis = 0; axis < tensor.shape.size(); ++axis) {
    text += (axis > 0 ? " " : "") + std::to_string(tensor.shape[axis]) +
            (axis + 1 < tensor.shape.size() || axis == 0 ? "," : "");
  }
  text += "), }";
  const std::size_t before = kMagic.size() + 4;
  text += std::string(kHeaderStep - (before + text.size() + 1) % kHeaderStep, ' ') + "\n";
  std::string header = std::string(kMagic) + '\x01' + '\0';
  append(header, static_cast<std::uint32_t>(text.size()), 2);
  return header + text;
}

// What local header and directory say alike of a member.
std::string member_facts(std::uint32_t crc, std::uint32_t size, std::size_t name_bytes) {
  std::string facts;
  append(facts, 0x0800, 2);  // names are UTF-8
  append(facts, 0, 2);       // stored
  append(facts, 0, 2);
  append(facts, kEarliestDate, 2);
  append(facts, crc, 4);
  append(facts, size, 4);
  append(facts, size, 4);
  append(facts, static_cast<std::uint32_t>(name_bytes), 2);
  append(facts, 0, 2);
  return facts;
}

}  // namespace

TensorSets parse_npz(const std::vector<std::byte>& file, const std::string& name) {
  const Bytes bytes(std::string_view(reinterpret_cast<const char*>(file.data()), file.size()), name);
  if (bytes.size() < kEndBytes) bytes.fail("it is cut");
  const std::size_t end = bytes.size() - kEndBytes;
  if (bytes.number(end, 4) != kEndMagic) bytes.fail("it is cut, or bytes stand behind its end");
  const std::size_t count = bytes.number(end + 10, 2);
  std::size_t place = bytes.number(end + 16, 4);
  TensorSets sets;
  for (std::size_t member = 0; member < count; ++member) {
    if (bytes.number(place, 4) != kEntryMagic) bytes.fail("its directory is damaged");
    const std::size_t name_bytes = bytes.number(place + 28, 2);
    const std::string_view key = bytes.part(place + kEntryBytes, name_bytes);
    std::string tensor_name;
    const std::size_t index = split_key(bytes, key, tensor_name);
    if (index > sets.size())
      bytes.fail("arrays of index " + std::to_string(index) + " before those of the index before");
    if (index == sets.size()) sets.emplace_back();
    for (const Tensor& known : sets[index]) {
      if (known.name == tensor_name) bytes.fail("'" + std::string(key) + "' stands twice");
    }
    sets[index].push_back(parse_array(stored(bytes, place, std::string(key)), std::string(key), bytes));
    sets[index].back().name = tensor_name;
    place += kEntryBytes + name_bytes + bytes.number(place + 30, 2) + bytes.number(place + 32, 2);
  }
  if (place != end) bytes.fail("its directory does not end where its end says");
  if (sets.empty()) bytes.fail("it holds none");
  return sets;
}

std::string format_npz(const TensorSets& sets) {
  std::string out, directory;
  std::uint32_t count = 0;
  for (std::size_t index = 0; index < sets.size(); ++index) {
    for (const Tensor& tensor : sets[index]) {
      const std::string key = std::to_string(index) + "/" + tensor.name + ".npy";
      std::string member = array_header(tensor);
      member.append(reinterpret_cast<const char*>(tensor.data.data()), tensor.data.size());
      if (out.size() + member.size() > kMost32 / 2 || key.size() > 0xFFFF || ++count > 0xFFFE) {
        throw Failure("the outputs are more than an archive of 2 GiB and 65,534 arrays holds");
      }
      const std::string facts =
          member_facts(crc32(member.data(), member.size()), static_cast<std::uint32_t>(member.size()), key.size());
      append(directory, kEntryMagic, 4);
      append(directory, kVersion, 2);
      append(directory, kVersion, 2);
      directory += facts;
      append(directory, 0, 6);
      append(directory, 0, 4);
      append(directory, static_cast<std::uint32_t>(out.size()), 4);
      directory += key;
      append(out, kLocalMagic, 4);
      append(out, kVersion, 2);
      out += facts + key + member;
    }
  }
  const auto start = static_cast<std::uint32_t>(out.size()), size = static_cast<std::uint32_t>(directory.size());
  out += directory;
  append(out, kEndMagic, 4);
  append(out, 0, 4);
  append(out, count, 2);
  append(out, count, 2);
  append(out, size, 4);
  append(out, start, 4);
  append(out, 0, 2);
  return out;
}

}  // namespace edgevit
