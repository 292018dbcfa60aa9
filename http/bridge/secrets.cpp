#include "http/bridge/secrets.hpp"

#include "common/private_file.hpp"

#include <sodium.h>

#include <fstream>
#include <iterator>

namespace troupe::http {

namespace {

std::array<unsigned char, crypto_secretbox_KEYBYTES> key_for(const std::array<unsigned char, 32>& secret,
                                                             std::string_view context) {
  std::array<unsigned char, crypto_secretbox_KEYBYTES> out{};
  auto text = "seal\n" + std::string{context};
  crypto_generichash(out.data(), out.size(), reinterpret_cast<const unsigned char*>(text.data()), text.size(),
                     secret.data(), secret.size());
  return out;
}

} // namespace

result<secrets> secrets::load_or_make(const std::filesystem::path& data_directory, bool in_use) {
  secrets out;
  auto path = data_directory / "secret.key";
  if (!std::filesystem::exists(path)) {
    if (in_use)
      return fail("missing", path.string() + " is gone, but there are accounts: restore it from your backup. With "
                                             "another one no API key, session or mailed token works any more; who has "
                                             "no backup makes one by `openssl rand -hex 32`, and all keys anew");
    randombytes_buf(out.key_.data(), out.key_.size());
    std::string text(out.key_.size() * 2 + 1, '\0');
    sodium_bin2hex(text.data(), text.size(), out.key_.data(), out.key_.size());
    text.back() = '\n';
    if (auto written = write_private_file(path, text); !written)
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

std::string secrets::seal(std::string_view text, std::string_view context) const {
  auto key = key_for(key_, context);
  std::string box(crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES + text.size(), '\0');
  auto* at = reinterpret_cast<unsigned char*>(box.data());
  randombytes_buf(at, crypto_secretbox_NONCEBYTES);
  crypto_secretbox_easy(at + crypto_secretbox_NONCEBYTES, reinterpret_cast<const unsigned char*>(text.data()),
                        text.size(), at, key.data());
  constexpr auto variant = sodium_base64_VARIANT_URLSAFE_NO_PADDING;
  std::string out(sodium_base64_encoded_len(box.size(), variant), '\0');
  sodium_bin2base64(out.data(), out.size(), at, box.size(), variant);
  out.pop_back(); // the terminating zero
  return out;
}

std::optional<std::string> secrets::open(std::string_view sealed, std::string_view context) const {
  std::string box(sealed.size(), '\0');
  auto* at = reinterpret_cast<unsigned char*>(box.data());
  std::size_t length = 0;
  if (sodium_base642bin(at, box.size(), sealed.data(), sealed.size(), nullptr, &length, nullptr,
                        sodium_base64_VARIANT_URLSAFE_NO_PADDING) != 0 ||
      length < crypto_secretbox_NONCEBYTES + crypto_secretbox_MACBYTES)
    return std::nullopt;
  auto key = key_for(key_, context);
  std::string out(length - crypto_secretbox_NONCEBYTES - crypto_secretbox_MACBYTES, '\0');
  if (crypto_secretbox_open_easy(reinterpret_cast<unsigned char*>(out.data()), at + crypto_secretbox_NONCEBYTES,
                                 length - crypto_secretbox_NONCEBYTES, at, key.data()) != 0)
    return std::nullopt;
  return out;
}

} // namespace troupe::http
