#pragma once

#include <chrono>
#include <condition_variable>
#include <filesystem>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace troupe::http {

struct mail {
  std::string to;      // one address
  std::string subject; // ASCII, ours
  std::string text;    // UTF-8
};

struct mail_options {
  std::string smtp_url; // "smtps://mail.example.org"; empty: mails become files in the outbox
  std::string username, password;
  std::string from = "troupe@localhost";
  bool require_tls = true; // with smtp://: STARTTLS or nothing
  std::filesystem::path outbox;
  std::size_t waiting_max = 1'000;
  std::size_t outbox_files_max = 10'000;
};

/// Sends mails on a thread of its own: nobody who asks for one waits for a mail server. Without a server each becomes a
/// file (mode 0600) that the log names. A mail is tried three times, unless the server refuses it for good, and those
/// behind it do not wait for its next try; what waits when the process ends is lost, and its reader asks again. Neither
/// texts nor addresses are logged. Thread-safe.
class mailer {
public:
  explicit mailer(mail_options options);
  ~mailer();
  mailer(const mailer&) = delete;
  mailer& operator=(const mailer&) = delete;

  /// False when too many wait.
  bool send(mail what);

  /// The whole message (RFC 5322) as it goes out.
  static std::string message_of(const mail& what, const std::string& from, const std::string& id);

private:
  using clock = std::chrono::steady_clock;
  struct letter {
    mail what;
    std::size_t tries = 0;
  };
  /// Why a mail did not go.
  struct refused {
    std::string why;
    bool for_good = false;
  };

  void work();
  /// When to try again; nothing: it went, or never will.
  std::optional<clock::time_point> deliver(letter& one);
  void put_into_outbox(const mail& what);
  std::optional<refused> transfer(const mail& what);
  static int still_wanted(void* self, long, long, long, long); // curl_off_t is long here

  const mail_options options_;
  std::mutex mutex_;
  std::condition_variable changed_;
  std::multimap<clock::time_point, letter> waiting_; // by when they are due
  bool stopping_ = false;
  std::thread thread_;
};

} // namespace troupe::http
