#include "http/bridge/secrets.hpp"

#include <sodium.h>

#include <fcntl.h>
#include <fstream>
#include <iterator>
#include <unistd.h>

namespace troupe::http {

namespace {

result<void> write_new(const std::filesystem::path& path, const std::string& text) {
  auto temporary = path;
  temporary += ".part";
  int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (fd < 0)
    return fail("io", "cannot write " + path.string());
  auto good = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size()) && ::fsync(fd) == 0;
  ::close(fd);
  if (!good || ::rename(temporary.c_str(), path.c_str()) != 0)
    return fail("io", "cannot write " + path.string());
  return {};
}

} // namespace

result<secrets> secrets::load_or_make(const std::filesystem::path& data_directory) {
  secrets out;
  auto path = data_directory / "secret.key";
  if (!std::filesystem::exists(path)) {
    randombytes_buf(out.key_.data(), out.key_.size());
    std::string text(out.key_.size() * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), out.key_.data(), out.key_.size());
    text.back() = '\n';
    if (auto written = write_new(path, text); !written)
      return written.error();
    return out;
  }
  std::ifstream in(path);
  std::string text{std::istreambuf_iterator<char>(in), {}};
  std::size_t length = 0;
  if (sodium_hex2bin(out.key_.data(), out.key_.size(), text.data(), text.size(), "\n", &length, nullptr) != 0 ||
      length != out.key_.size())
    return fail("malformed", path.string() + " is not a key of 64 hex digits; restore it: without it no API key works");
  return out;
}

std::string secrets::hash(std::string_view text) const {
  std::array<unsigned char, 32> raw{};
  crypto_generichash(raw.data(), raw.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                     key_.data(), key_.size());
  std::string out(raw.size() * 2 + 1, '\0');
  sodium_bin2hex(out.data(), out.size(), raw.data(), raw.size());
  out.pop_back();
  return out;
}

} // namespace troupe::http
