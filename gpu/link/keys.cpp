#include "gpu/link/head_link.hpp"

#include "common/check.hpp"
#include "common/private_file.hpp"

#include <zmq.h>

#include <array>
#include <filesystem>
#include <fstream>

namespace troupe::link {

namespace {

constexpr std::size_t z85_length = 40;

// Read back after making, so that of two processes that make it at once both use the pair that won.
result<key_pair> read_key_pair(const std::string& path) {
  std::ifstream in(path);
  key_pair keys;
  if (!(in >> keys.public_key >> keys.secret_key))
    return fail("malformed", "the key file " + path + " holds no key pair; move it away to have a new one made");
  std::array<char, z85_length + 1> derived{};
  bool sized = keys.public_key.size() == z85_length && keys.secret_key.size() == z85_length;
  if (!sized || zmq_curve_public(derived.data(), keys.secret_key.c_str()) != 0 || keys.public_key != derived.data())
    return fail("malformed", "the keys in " + path + " are no pair; move the file away to have a new one made");
  return keys;
}

} // namespace

key_pair make_key_pair() {
  std::array<char, z85_length + 1> public_key{}, secret_key{};
  TROUPE_CHECK(zmq_curve_keypair(public_key.data(), secret_key.data()) == 0);
  return {public_key.data(), secret_key.data()};
}

result<key_pair> load_or_make_key_pair(const std::string& path) {
  std::error_code ignored;
  if (std::filesystem::exists(path, ignored))
    return read_key_pair(path);
  auto keys = make_key_pair();
  auto text = keys.public_key + "\n" + keys.secret_key + "\n";
  if (auto written = write_private_file(path, text, if_there::keep); !written)
    return written.error();
  return read_key_pair(path);
}

} // namespace troupe::link
