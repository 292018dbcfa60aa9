#include "http/bridge/passwords.hpp"

#include "common/check.hpp"
#include "http/bridge/offload.hpp"

#include <sodium.h>

#include <algorithm>
#include <sys/resource.h>
#include <unistd.h>

namespace troupe::http {

namespace asio = boost::asio;

namespace {

/// Nothing is so urgent about a password that the work of others should wait for it.
void give_way() {
  thread_local const bool done = ::setpriority(PRIO_PROCESS, static_cast<id_t>(::gettid()), 5) == 0;
  static_cast<void>(done);
}

std::string ready(const char* text) {
  TROUPE_CHECK(sodium_init() >= 0);
  return passwords::hash_now(text);
}

} // namespace

passwords::passwords(unsigned threads, std::size_t waiting_max)
  : waiting_max_(waiting_max), nobody_(ready("nobody")), pool_(threads) {}

passwords::~passwords() { pool_.join(); }

bool passwords::enter(const std::string& address) {
  std::lock_guard guard(mutex_);
  if (waiting_ >= waiting_max_)
    return false;
  auto& mine = of_address_[address];
  if (mine >= std::max<std::size_t>(1, waiting_max_ / 8))
    return false;
  ++mine;
  ++waiting_;
  return true;
}

void passwords::leave(const std::string& address) {
  std::lock_guard guard(mutex_);
  --waiting_;
  auto mine = of_address_.find(address);
  if (--mine->second == 0)
    of_address_.erase(mine);
}

template <class Result>
asio::awaitable<std::optional<Result>> passwords::on_pool(std::string address, std::function<Result()> work) {
  if (!enter(address))
    co_return std::nullopt;
  auto out = co_await offload<Result>(pool_, std::move(work));
  leave(address);
  co_return std::optional<Result>(std::move(out));
}

asio::awaitable<std::optional<std::string>> passwords::hash(std::string password, std::string address) {
  std::function<std::string()> work = [password = std::move(password)] {
    give_way();
    return hash_now(password);
  };
  co_return co_await on_pool<std::string>(std::move(address), std::move(work));
}

asio::awaitable<std::optional<bool>> passwords::verify(std::string encoded, std::string password, std::string address) {
  auto unknown = encoded.empty();
  auto against = unknown ? nobody_ : std::move(encoded);
  // libsodium compares the hashes in constant time.
  std::function<bool()> work = [unknown, against = std::move(against), password = std::move(password)] {
    give_way();
    auto good = crypto_pwhash_str_verify(against.c_str(), password.data(), password.size()) == 0;
    return good && !unknown;
  };
  co_return co_await on_pool<bool>(std::move(address), std::move(work));
}

std::string passwords::hash_now(const std::string& password) {
  char out[crypto_pwhash_STRBYTES];
  TROUPE_CHECK(crypto_pwhash_str_alg(out, password.data(), password.size(), crypto_pwhash_OPSLIMIT_INTERACTIVE,
                                     crypto_pwhash_MEMLIMIT_INTERACTIVE, crypto_pwhash_ALG_ARGON2ID13) == 0);
  return out;
}

} // namespace troupe::http
