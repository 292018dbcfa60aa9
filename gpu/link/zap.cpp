#include "gpu/link/zap.hpp"

#include "common/log.hpp"

#include <array>
#include <vector>

namespace troupe::link {

zap_server::zap_server(zmq::context_t& context, allow_list allowed)
  : socket_(context, zmq::socket_type::rep), allowed_(std::move(allowed)) {
  socket_.set(zmq::sockopt::linger, 0);
  socket_.bind("inproc://zeromq.zap.01");
  thread_ = std::thread([this] { serve(); });
}

zap_server::~zap_server() { thread_.join(); }

void zap_server::serve() {
  for (;;) {
    try {
      if (!answer_one())
        break;
    } catch (const zmq::error_t& e) {
      if (e.num() == ETERM)
        break;
      log::error("the key check of the node socket failed: {}", e.what());
    } catch (const std::exception& e) {
      log::error("the key check of the node socket failed: {}", e.what());
    }
  }
  socket_.close();
}

bool zap_server::answer_one() {
  std::vector<zmq::message_t> request; // version, request id, domain, address, routing id, mechanism, key
  do {
    if (!socket_.recv(request.emplace_back()))
      return true;
  } while (request.back().more());
  std::string key;
  if (request.size() == 7 && request[5].to_string_view() == "CURVE" && request[6].size() == 32) {
    std::array<char, 41> text{};
    zmq_z85_encode(text.data(), request[6].data<std::uint8_t>(), 32);
    key = text.data();
  }
  bool good = false;
  try {
    good = !key.empty() && allowed_ && allowed_(key);
  } catch (const std::exception& e) { // no answer would block all handshakes
    log::error("cannot tell whether the node key {} is allowed, so it is denied: {}", key, e.what());
  }
  if (!good) {
    ++denied_;
    log::debug("denied a node with the unknown key {}; `troupe admin node add` allows one", key);
  }
  const std::array<std::string, 6> reply{"1.0",
                                         request.size() > 1 ? request[1].to_string() : "",
                                         good ? "200" : "400",
                                         good ? "OK" : "unknown key",
                                         good ? key : "",
                                         ""};
  for (std::size_t i = 0; i < reply.size(); ++i)
    socket_.send(zmq::buffer(reply[i]), i + 1 < reply.size() ? zmq::send_flags::sndmore : zmq::send_flags::none);
  return true;
}

} // namespace troupe::link
