#include "http/bridge/mail.hpp"

#include "common/log.hpp"
#include "common/private_file.hpp"
#include "common/random.hpp"

#include <curl/curl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdio>
#include <ctime>
#include <memory>

namespace troupe::http {

namespace {

constexpr long connect_s = 10, transfer_s = 30;
constexpr std::array<std::chrono::seconds, 2> pauses{std::chrono::seconds(5), std::chrono::seconds(30)};

std::string date_now() {
  auto now = std::time(nullptr);
  std::tm parts{};
  ::gmtime_r(&now, &parts);
  std::array<char, 64> out{};
  std::strftime(out.data(), out.size(), "%a, %d %b %Y %H:%M:%S +0000", &parts);
  return out.data();
}

struct reading {
  const std::string& text;
  std::size_t at = 0;
};

std::size_t read_some(char* to, std::size_t size, std::size_t count, void* from) {
  auto& source = *static_cast<reading*>(from);
  auto n = std::min(size * count, source.text.size() - source.at);
  source.text.copy(to, n, source.at);
  source.at += n;
  return n;
}

} // namespace

mailer::mailer(mail_options options) : options_(std::move(options)) {
  curl_global_init(CURL_GLOBAL_DEFAULT);
  thread_ = std::thread([this] { work(); });
}

mailer::~mailer() {
  {
    std::lock_guard guard(mutex_);
    stopping_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

bool mailer::send(mail what) {
  {
    std::lock_guard guard(mutex_);
    if (waiting_.size() >= options_.waiting_max) {
      log::error("mail: {} mails wait already; another was not taken", waiting_.size());
      return false;
    }
    waiting_.emplace(clock::now(), letter{std::move(what), 0});
  }
  changed_.notify_all();
  return true;
}

void mailer::work() {
  std::unique_lock lock(mutex_);
  while (true) {
    while (!stopping_ && (waiting_.empty() || waiting_.begin()->first > clock::now()))
      if (waiting_.empty())
        changed_.wait(lock);
      else
        changed_.wait_until(lock, clock::time_point{waiting_.begin()->first});
    // What becomes a file is written even now; a server is not waited for any more.
    if (waiting_.empty() || (stopping_ && !options_.smtp_url.empty())) {
      if (!waiting_.empty())
        log::warn("mail: {} mails were not sent: the server stops", waiting_.size());
      return;
    }
    auto next = std::move(waiting_.begin()->second);
    waiting_.erase(waiting_.begin());
    lock.unlock();
    auto again = deliver(next);
    lock.lock();
    if (again)
      waiting_.emplace(*again, std::move(next));
  }
}

std::optional<mailer::clock::time_point> mailer::deliver(letter& one) {
  if (options_.smtp_url.empty()) {
    put_into_outbox(one.what);
    return std::nullopt;
  }
  auto failed = transfer(one.what);
  if (!failed)
    return std::nullopt;
  log::warn("mail: the server did not take '{}': {}", one.what.subject, failed->why);
  if (!failed->for_good && one.tries < pauses.size())
    return clock::now() + pauses[one.tries++];
  log::error("mail: '{}' was not sent, after {} tries; see mail.smtp_url in cluster.conf", one.what.subject,
             one.tries + 1);
  return std::nullopt;
}

std::string mailer::message_of(const mail& what, const std::string& from, const std::string& id) {
  std::string out = "Date: " + date_now() + "\r\nFrom: " + from + "\r\nTo: " + what.to +
                    "\r\nSubject: " + what.subject + "\r\nMessage-ID: <" + id + "@" + from.substr(from.find('@') + 1) +
                    ">\r\nMIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\n"
                    "Content-Transfer-Encoding: 8bit\r\nAuto-Submitted: auto-generated\r\n\r\n";
  for (char c : what.text) {
    if (c == '\n')
      out += '\r';
    out += c;
  }
  return out + "\r\n";
}

void mailer::put_into_outbox(const mail& what) {
  namespace fs = std::filesystem;
  std::error_code failed;
  fs::create_directories(options_.outbox, failed);
  fs::permissions(options_.outbox, fs::perms::owner_all, failed);
  auto files = std::distance(fs::directory_iterator(options_.outbox, failed), fs::directory_iterator());
  if (failed || static_cast<std::size_t>(files) >= options_.outbox_files_max) {
    log::error("mail: '{}' was not written: {} cannot be read or holds {} files already", what.subject,
               options_.outbox.string(), files);
    return;
  }
  auto id = make_ulid();
  auto path = options_.outbox / (id + ".eml");
  auto written = write_private_file(path, message_of(what, options_.from, id));
  if (written)
    log::info("mail: no mail.smtp_url is set; '{}' lies in {}", what.subject, path.string());
  else
    log::error("mail: '{}' is lost: {}", what.subject, written.error().message);
}

int mailer::still_wanted(void* self, long, long, long, long) {
  auto& me = *static_cast<mailer*>(self);
  std::lock_guard guard(me.mutex_);
  return me.stopping_ ? 1 : 0;
}

std::optional<mailer::refused> mailer::transfer(const mail& what) {
  std::unique_ptr<CURL, decltype(&curl_easy_cleanup)> curl(curl_easy_init(), curl_easy_cleanup);
  std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> to(curl_slist_append(nullptr, what.to.c_str()),
                                                                 curl_slist_free_all);
  if (!curl || !to)
    return refused{"no memory", false};
  auto text = message_of(what, options_.from, make_ulid());
  reading source{text};
  auto* c = curl.get();
  curl_easy_setopt(c, CURLOPT_URL, options_.smtp_url.c_str());
  curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "smtp,smtps");
  curl_easy_setopt(c, CURLOPT_USE_SSL, static_cast<long>(options_.require_tls ? CURLUSESSL_ALL : CURLUSESSL_TRY));
  if (!options_.username.empty()) {
    curl_easy_setopt(c, CURLOPT_USERNAME, options_.username.c_str());
    curl_easy_setopt(c, CURLOPT_PASSWORD, options_.password.c_str());
  }
  curl_easy_setopt(c, CURLOPT_MAIL_FROM, options_.from.c_str());
  curl_easy_setopt(c, CURLOPT_MAIL_RCPT, to.get());
  curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
  curl_easy_setopt(c, CURLOPT_READFUNCTION, read_some);
  curl_easy_setopt(c, CURLOPT_READDATA, &source);
  curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT, connect_s);
  curl_easy_setopt(c, CURLOPT_TIMEOUT, transfer_s);
  curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, &mailer::still_wanted);
  curl_easy_setopt(c, CURLOPT_XFERINFODATA, this);
  auto done = curl_easy_perform(c);
  if (done == CURLE_OK)
    return std::nullopt;
  long code = 0; // the server's last answer: 5xx is for good (RFC 5321, 4.2.1)
  curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &code);
  auto why = std::string{curl_easy_strerror(done)} + (code > 0 ? ", answer " + std::to_string(code) : std::string{});
  return refused{std::move(why), code >= 500};
}

} // namespace troupe::http
