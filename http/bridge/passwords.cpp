#include "http/bridge/passwords.hpp"

#include "common/check.hpp"
#include "http/bridge/offload.hpp"

#include <sodium.h>

namespace troupe::http {

namespace asio = boost::asio;

passwords::passwords(unsigned threads, std::size_t waiting_max) : pool_(threads), waiting_max_(waiting_max) {
  TROUPE_CHECK(sodium_init() >= 0);
}

passwords::~passwords() { pool_.join(); }

template <class Result>
asio::awaitable<std::optional<Result>> passwords::on_pool(std::function<Result()> work) {
  if (waiting_.fetch_add(1) >= waiting_max_) {
    waiting_.fetch_sub(1);
    co_return std::nullopt;
  }
  auto out = co_await offload<Result>(pool_, std::move(work));
  waiting_.fetch_sub(1);
  co_return std::optional<Result>(std::move(out));
}

asio::awaitable<std::optional<std::string>> passwords::hash(std::string password) {
  std::function<std::string()> work = [password = std::move(password)] { return hash_now(password); };
  co_return co_await on_pool<std::string>(std::move(work));
}

asio::awaitable<std::optional<bool>> passwords::verify(std::string encoded, std::string password) {
  // Made once: what an unknown user's password is compared with, so that both take the same time.
  static const std::string nobody = hash_now("nobody");
  auto unknown = encoded.empty();
  auto against = unknown ? nobody : std::move(encoded);
  std::function<bool()> work = [unknown, against = std::move(against), password = std::move(password)] {
    auto good = crypto_pwhash_str_verify(against.c_str(), password.data(), password.size()) == 0;
    return good && !unknown;
  };
  co_return co_await on_pool<bool>(std::move(work));
}

std::string passwords::hash_now(const std::string& password) {
  char out[crypto_pwhash_STRBYTES];
  TROUPE_CHECK(crypto_pwhash_str_alg(out, password.data(), password.size(), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                                     crypto_pwhash_MEMLIMIT_INTERACTIVE, crypto_pwhash_ALG_ARGON2ID13) == 0);
  return out;
}

} // namespace troupe::http
