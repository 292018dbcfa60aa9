#pragma once

// Who may shake hands: a ZAP server (rfc.zeromq.org/spec/27) for the CURVE sockets of one context.

#include <zmq.hpp>

#include <atomic>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>

namespace troupe::link {

/// Answers on a thread of its own until the context is shut down. Made before any socket of the context is bound.
class zap_server {
public:
  using allow_list = std::function<bool(const std::string& public_key)>;

  zap_server(zmq::context_t& context, allow_list allowed);
  /// Shut the context down first: that is what ends the thread.
  ~zap_server();

  std::uint64_t denied() const { return denied_; }

private:
  void serve();
  bool answer_one();

  zmq::socket_t socket_;
  allow_list allowed_;
  std::atomic<std::uint64_t> denied_{0};
  std::thread thread_;
};

} // namespace troupe::link
