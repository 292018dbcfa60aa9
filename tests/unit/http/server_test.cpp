#include "http/server/server.hpp"

#include "common/random.hpp"
#include "http/bridge/offload.hpp"
#include "tests/support/http_client.hpp"

#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <gtest/gtest.h>

#include <atomic>
#include <fstream>
#include <random>
#include <thread>

namespace troupe::http {
namespace {

using testing::http_client;
using namespace std::chrono_literals;

constexpr const char* uuid = "0f8fad5b-d9cb-469f-a165-70867728950e";

/// Echoes what it was asked, and a few things by path.
struct echo {
  std::atomic<int> streams_ended{0}, in_pool{0}, out_of_pool{0};
  asio::thread_pool pool{1};
  std::filesystem::path file;
  std::shared_ptr<wakeup> bell;

  asio::awaitable<reply> operator()(request&& r) {
    if (r.raw_path == "/throw")
      throw std::runtime_error("secret /path");
    if (r.raw_path == "/unavailable")
      co_return reply{unavailable("The disk is full")};
    if (r.raw_path == "/slow") {
      asio::steady_timer t{co_await asio::this_coro::executor, 300ms};
      co_await t.async_wait(asio::use_awaitable);
    }
    if (r.raw_path == "/pool") {
      std::function<int()> work = [this] {
        ++in_pool;
        std::this_thread::sleep_for(1500ms);
        return 1;
      };
      co_await offload<int>(pool, std::move(work));
      ++out_of_pool;
    }
    if (r.raw_path == "/file")
      co_return reply::file({file, "video/mp4", "abc", r.query_value("name").value_or("")});
    if (r.raw_path == "/events")
      co_return reply::events([this](event_sink& out) { return stream(out); });
    if (r.raw_path == "/injected")
      co_return reply::of({}).with("x-thing", "a\r\nset-cookie: b");
    if (r.raw_path == "/big")
      co_return reply::bytes(std::string(3'000'000, 'x'), "text/plain");
    json out{
        {"method", to_string(r.method)}, {"target", r.target}, {"bytes", r.body.size()}, {"from", r.remote_address}};
    for (const auto& [k, v] : r.query)
      out["query"][k] = v;
    co_return reply::of(std::move(out));
  }

  asio::awaitable<void> stream(event_sink& out) {
    bell = out.bell();
    struct at_end {
      std::atomic<int>& n;
      ~at_end() { ++n; }
    } guard{streams_ended};
    bool ok = co_await out.send(event{"1", "state", "line one\nline two"});
    for (int n = 2; ok; ++n) {
      ok = co_await out.wait(60s);
      if (ok)
        ok = co_await out.send(event{std::to_string(n), "", "rung"});
    }
  }
};

class a_server : public ::testing::Test {
protected:
  a_server() {
    options.port = 0;
    echo_.file = std::filesystem::temp_directory_path() / ("troupe-http-" + make_ulid());
    std::ofstream(echo_.file) << "0123456789";
  }
  ~a_server() override {
    running.reset();
    std::filesystem::remove(echo_.file);
  }
  std::uint16_t start() {
    auto made = server::start(options, [this](request&& r) { return echo_(std::move(r)); });
    if (!made)
      throw std::runtime_error(made.error().message);
    running = std::move(*made);
    return running->port();
  }
  template <class Condition>
  static bool soon(Condition true_in_time) {
    for (int i = 0; i < 300; ++i, std::this_thread::sleep_for(10ms))
      if (true_in_time())
        return true;
    return false;
  }

  server_options options;
  echo echo_;
  std::unique_ptr<server> running;
};

TEST_F(a_server, answers_and_keeps_the_connection) {
  http_client c{start()};
  for (int i = 0; i < 3; ++i) {
    auto r = c.get("/a?x=1+2%20&y");
    EXPECT_EQ(r.status, 200);
    EXPECT_EQ(json::parse(r.body)["query"], (json{{"x", "1 2 "}, {"y", ""}}));
    EXPECT_EQ(r.header("x-request-id").size(), 36u);
    EXPECT_EQ(r.header("content-type"), "application/json");
  }
  EXPECT_EQ(running->statistics().connections_accepted, 1u);
  EXPECT_EQ(running->statistics().requests, 3u);
}

TEST_F(a_server, that_stops_awaits_what_a_thread_pool_does_for_a_request) {
  http_client c{start()};
  c.request("GET", "/pool");
  ASSERT_TRUE(soon([&] { return echo_.in_pool == 1; }));
  running.reset();
  EXPECT_EQ(echo_.out_of_pool, 1);
  echo_.pool.join();
}

TEST_F(a_server, answers_pipelined_requests_in_their_order) {
  http_client c{start()};
  std::string text;
  for (int i = 0; i < 50; ++i)
    text += "POST /n" + std::to_string(i) + " HTTP/1.1\r\nhost: t\r\ncontent-length: 2\r\n\r\n{}";
  ASSERT_TRUE(c.send(text));
  for (int i = 0; i < 50; ++i)
    EXPECT_EQ(json::parse(c.response().body)["target"], "/n" + std::to_string(i));
}

TEST_F(a_server, answers_head_like_get_without_the_body) {
  http_client c{start()};
  auto full = c.get("/a");
  c.request("HEAD", "/a");
  auto head = c.response(true);
  EXPECT_EQ(head.status, 200);
  EXPECT_EQ(head.header("content-length"), full.header("content-length"));
  EXPECT_EQ(c.get("/b").status, 200);
}

TEST_F(a_server, echoes_a_valid_request_id_and_replaces_any_other) {
  http_client c{start()};
  EXPECT_EQ(c.get("/", {"x-request-id: " + std::string{uuid}}).header("x-request-id"), uuid);
  auto other = c.get("/", {"x-request-id: <script>"}).header("x-request-id");
  EXPECT_EQ(other.size(), 36u);
}

TEST_F(a_server, believes_the_forwarded_address_of_a_trusted_proxy_only) {
  auto seen_from = [&](std::uint16_t port) {
    http_client c{port};
    c.send("GET / HTTP/1.1\r\nhost: t\r\nx-forwarded-for: 1.2.3.4\r\nx-forwarded-for: 203.0.113.7\r\n\r\n");
    return json::parse(c.response().body)["from"].get<std::string>();
  };
  EXPECT_EQ(seen_from(start()), "127.0.0.1");
  running.reset();
  options.trusted_proxies = networks::parse({"127.0.0.0/8"}).value();
  EXPECT_EQ(seen_from(start()), "203.0.113.7");
}

TEST_F(a_server, closes_when_asked_to_and_after_http_1_0) {
  auto port = start();
  http_client a{port}, b{port};
  EXPECT_EQ(a.get("/", {"connection: close"}).header("connection"), "close");
  EXPECT_TRUE(a.closed_by_server());
  b.send("GET / HTTP/1.0\r\n\r\n");
  EXPECT_EQ(b.response().status, 200);
  EXPECT_TRUE(b.closed_by_server());
}

TEST_F(a_server, meets_the_expectation_of_100_continue) {
  http_client c{start()};
  c.send("POST /a HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: 5\r\n\r\n");
  ASSERT_TRUE(c.until("HTTP/1.1 100 Continue\r\n\r\n"));
  c.send("12345");
  EXPECT_EQ(json::parse(c.response().body)["bytes"], 5);
}

TEST_F(a_server, refuses_an_expected_body_that_is_too_large_before_it_is_sent) {
  http_client c{start()};
  c.send("POST /a HTTP/1.1\r\nhost: t\r\nexpect: 100-continue\r\ncontent-length: 99999999\r\n\r\n");
  EXPECT_EQ(c.response().status, 413);
  EXPECT_TRUE(c.closed_by_server());
}

TEST_F(a_server, reads_chunked_bodies_and_bounds_them_while_reading) {
  auto port = start();
  http_client a{port}, b{port};
  a.send("POST /a HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\n\r\n");
  EXPECT_EQ(json::parse(a.response().body)["bytes"], 5);
  b.send("POST /a HTTP/1.1\r\nhost: t\r\ntransfer-encoding: chunked\r\n\r\n");
  for (int i = 0; i < 40 && b.send("10000\r\n" + std::string(65536, 'x') + "\r\n"); ++i) {}
  EXPECT_EQ(b.response().status, 413);
}

TEST_F(a_server, refuses_a_body_a_bit_too_large_and_stays_usable) {
  http_client c{start()};
  c.post("/a", std::string(1'200'000, ' '));
  http_client d{running->port()};
  auto r = d.post("/a", std::string(1'200'000, ' '));
  EXPECT_EQ(r.status, 413);
  EXPECT_NE(json::parse(r.body)["error"].get<std::string>().find("1048576"), std::string::npos);
  EXPECT_EQ(d.get("/after").status, 200);
}

TEST_F(a_server, refuses_a_huge_body_without_reading_it_all_and_the_client_can_read_why) {
  http_client c{start()};
  c.send("POST /a HTTP/1.1\r\nhost: t\r\ncontent-type: video/mp4\r\ncontent-length: 500000000\r\n\r\n");
  c.send(std::string(4'000'000, 'x'));
  auto r = c.response();
  EXPECT_EQ(r.status, 413);
  EXPECT_EQ(r.header("connection"), "close");
}

TEST_F(a_server, has_one_limit_for_json_and_another_for_the_rest) {
  http_client c{start()};
  c.request("POST", "/a", std::string(2'000'000, 'x'), {"content-type: image/png"});
  EXPECT_EQ(c.response().status, 200);
}

TEST_F(a_server, refuses_floods_of_headers_and_long_targets) {
  auto port = start();
  http_client a{port}, b{port}, d{port};
  a.send("GET / HTTP/1.1\r\nhost: t\r\n");
  for (int i = 0; i < 2000 && a.send("x-" + std::to_string(i) + ": " + std::string(50, 'y') + "\r\n"); ++i) {}
  auto r = a.response();
  EXPECT_EQ(r.status, 431);
  EXPECT_TRUE(json::parse(r.body).contains("error"));
  b.send("GET /" + std::string(40'000, 'a') + " HTTP/1.1\r\nhost: t\r\n\r\n");
  EXPECT_EQ(b.response().status, 414);
  EXPECT_EQ(d.get("/" + std::string(9'000, 'a')).status, 414);
  EXPECT_EQ(d.get("/after").status, 200);
}

TEST_F(a_server, tells_who_is_not_speaking_http_in_the_words_of_the_family) {
  auto port = start();
  for (std::string bad :
       {"GARBAGE\r\n\r\n", "GET / HTTP/9.9\r\n\r\n", "GET /\x01 HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nno colon\r\n\r\n",
        "GET / HTTP/1.1\r\n\r\n", "GET / HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ncontent-length: 4\r\n\r\nabc",
        "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n\r\nabc",
        "POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\nzz\r\n", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"}) {
    http_client c{port};
    c.send(bad);
    auto r = c.response();
    EXPECT_EQ(r.status, 400) << bad;
    EXPECT_EQ(r.header("x-request-id").size(), 36u) << bad;
    EXPECT_TRUE(json::accept(r.body) && json::parse(r.body)["error"].is_string()) << bad;
    EXPECT_TRUE(c.closed_by_server()) << bad;
  }
  http_client c{port};
  c.send("GET /v1/models HTTP/1.1\r\nno colon\r\n\r\n");
  EXPECT_EQ(json::parse(c.response().body)["error"]["type"], "invalid_request_error");
}

TEST_F(a_server, refuses_transfer_codings_that_hide_where_a_body_ends) {
  http_client c{start()};
  c.send("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: gzip, chunked\r\n\r\n0\r\n\r\n");
  EXPECT_EQ(c.response().status, 501);
}

TEST_F(a_server, refuses_a_query_that_is_not_utf_8_and_stays_usable) {
  http_client c{start()};
  for (auto target : {"/a?x=%ff", "/a?x=%4", "/a?x=%00", "/a?%zz=1"})
    EXPECT_EQ(c.get(target).status, 400) << target;
  EXPECT_EQ(c.get("/a").status, 200);
}

TEST_F(a_server, closes_on_clients_that_send_slowly) {
  options.header_time = 150ms;
  options.body_time = 150ms;
  options.body_rate_min = 1 << 30;
  auto port = start();
  http_client headers{port}, body{port}, silent{port};
  headers.send("GET / HTTP/1.1\r\n");
  body.send("POST / HTTP/1.1\r\nhost: t\r\ncontent-length: 100\r\n\r\n");
  for (int i = 0; i < 40; ++i, std::this_thread::sleep_for(10ms)) { // a byte now and then must not buy time
    if (i < 25) {
      headers.send("x");
      body.send("x");
    }
  }
  EXPECT_EQ(headers.response().status, 408);
  EXPECT_EQ(body.response().status, 408);
  EXPECT_TRUE(silent.closed_by_server());
  EXPECT_TRUE(headers.closed_by_server());
}

TEST_F(a_server, closes_idle_connections_without_a_word) {
  options.idle_time = 100ms;
  http_client c{start()};
  c.get("/");
  EXPECT_TRUE(c.closed_by_server());
}

TEST_F(a_server, cuts_clients_that_do_not_read) {
  options.write_time = 200ms;
  options.linger_time = 100ms;
  http_client c{start()};
  for (int i = 0; i < 20; ++i)
    c.request("GET", "/big");
  EXPECT_TRUE(soon([&] { return running->statistics().connections_open == 0; }));
}

TEST_F(a_server, says_when_to_come_again_whatever_was_not_available) {
  http_client c{start()};
  auto r = c.get("/unavailable");
  EXPECT_EQ(r.status, 503);
  EXPECT_EQ(r.header("retry-after"), "1");
}

TEST_F(a_server, refuses_more_connections_than_its_limit) {
  options.connections_max = 2;
  auto port = start();
  http_client a{port}, b{port};
  EXPECT_EQ(a.get("/").status + b.get("/").status, 400);
  http_client d{port};
  auto r = d.response();
  EXPECT_EQ(r.status, 503);
  EXPECT_EQ(r.header("retry-after"), "1");
  a.close();
  EXPECT_TRUE(soon([&] { return http_client{port}.get("/").status == 200; }));
}

TEST_F(a_server, refuses_more_connections_from_one_address_than_its_limit) {
  options.connections_per_address_max = 1;
  auto port = start();
  http_client a{port};
  EXPECT_EQ(a.get("/").status, 200);
  EXPECT_EQ(http_client{port}.response().status, 503);
}

TEST_F(a_server, does_not_show_what_a_handler_threw) {
  http_client c{start()};
  auto r = c.get("/throw");
  EXPECT_EQ(r.status, 500);
  EXPECT_EQ(json::parse(r.body), json({{"error", "Internal server error"}}));
  EXPECT_EQ(c.get("/").status, 200);
}

TEST_F(a_server, lets_no_value_break_out_of_its_header) {
  http_client c{start()};
  auto r = c.get("/injected");
  EXPECT_EQ(r.status, 200);
  EXPECT_EQ(r.header("set-cookie"), "");
}

TEST_F(a_server, sends_files_whole_and_in_ranges) {
  http_client c{start()};
  auto whole = c.get("/file");
  EXPECT_EQ(whole.body, "0123456789");
  EXPECT_EQ(whole.header("etag"), "\"abc\"");
  EXPECT_EQ(whole.header("accept-ranges"), "bytes");
  auto part = c.get("/file", {"range: bytes=2-4"});
  EXPECT_EQ(part.status, 206);
  EXPECT_EQ(part.body, "234");
  EXPECT_EQ(part.header("content-range"), "bytes 2-4/10");
  EXPECT_EQ(c.get("/file", {"range: bytes=-3"}).body, "789");
  EXPECT_EQ(c.get("/file", {"range: bytes=8-99"}).body, "89");
  auto beyond = c.get("/file", {"range: bytes=10-"});
  EXPECT_EQ(beyond.status, 416);
  EXPECT_EQ(beyond.header("content-range"), "bytes */10");
  EXPECT_EQ(c.get("/file", {"range: bytes=0-1,3-4"}).status, 200);
  EXPECT_EQ(c.get("/file", {"range: bytes=0-1", "if-range: \"old\""}).status, 200);
  EXPECT_EQ(c.get("/file", {"range: bytes=0-1", "if-range: \"abc\""}).status, 206);
  auto same = c.get("/file", {"if-none-match: W/\"x\", \"abc\""});
  EXPECT_EQ(same.status, 304);
  EXPECT_EQ(same.body, "");
  c.request("HEAD", "/file");
  EXPECT_EQ(c.response(true).header("content-length"), "10");
  EXPECT_EQ(c.get("/file?name=a%22b.mp4").header("content-disposition"),
            "attachment; filename=\"a_b.mp4\"; filename*=UTF-8''a%22b.mp4");
  std::filesystem::remove(echo_.file);
  EXPECT_EQ(c.get("/file").status, 404);
}

TEST_F(a_server, streams_events_and_wakes_for_new_ones) {
  http_client c{start()};
  c.request("GET", "/events");
  auto head = c.until("\r\n\r\n");
  ASSERT_TRUE(head);
  EXPECT_NE(head->find("content-type: text/event-stream"), std::string::npos);
  ASSERT_TRUE(c.until("retry: 1000\n\n"));
  ASSERT_TRUE(c.until("id: 1\nevent: state\ndata: line one\ndata: line two\n\n"));
  echo_.bell->poke();
  ASSERT_TRUE(c.until("id: 2\ndata: rung\n\n"));
}

TEST_F(a_server, keeps_a_silent_stream_warm) {
  options.heartbeat_time = 50ms;
  http_client c{start()};
  c.request("GET", "/events");
  ASSERT_TRUE(c.until(": still here\n\n"));
  ASSERT_TRUE(c.until(": still here\n\n"));
}

TEST_F(a_server, notices_that_the_client_of_an_idle_stream_left) {
  http_client c{start()};
  c.request("GET", "/events");
  ASSERT_TRUE(c.until("line two\n\n"));
  EXPECT_EQ(running->statistics().streams_open, 1u);
  c.close();
  EXPECT_TRUE(soon([&] { return echo_.streams_ended == 1; }));
  EXPECT_TRUE(soon([&] { return running->statistics().connections_open == 0; }));
  echo_.bell->poke(); // whoever rings does not know
}

TEST_F(a_server, drains_requests_streams_and_idle_connections) {
  auto port = start();
  http_client slow{port}, stream{port}, idle{port};
  idle.get("/");
  stream.request("GET", "/events");
  ASSERT_TRUE(stream.until("line two\n\n"));
  slow.request("GET", "/slow");
  ASSERT_TRUE(soon([&] { return running->statistics().requests == 3; }));
  EXPECT_EQ(running->drain(3s), 0u);
  EXPECT_EQ(slow.response().status, 200);
  EXPECT_TRUE(slow.closed_by_server());
  EXPECT_TRUE(idle.closed_by_server());
  auto end = stream.rest();
  EXPECT_NE(end.find("retry: 1000"), std::string::npos);
  EXPECT_TRUE(end.ends_with("0\r\n\r\n"));
  EXPECT_EQ(http_client(port, 200ms).get("/").status, 0);
}

TEST_F(a_server, cuts_what_does_not_end_in_time) {
  http_client slow{start()};
  slow.request("GET", "/slow");
  ASSERT_TRUE(soon([&] { return running->statistics().requests == 1; }));
  EXPECT_EQ(running->drain(10ms), 1u);
}

TEST_F(a_server, says_when_its_address_is_taken) {
  options.port = start();
  auto second = server::start(options, [this](request&& r) { return echo_(std::move(r)); });
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().code, "listen");
}

TEST_F(a_server, outlives_two_thousand_connections_of_random_bytes) {
  // Goal: no input ends the server. Method: seeded bytes, half of them mutations of valid requests.
  options.header_time = 500ms;
  options.body_time = 200ms;
  options.linger_time = 50ms;
  auto port = start();
  std::mt19937 random{42};
  const std::string valid =
      "POST /a?x=1 HTTP/1.1\r\nhost: t\r\ncontent-length: 10\r\nx-request-id: 1\r\n\r\n0123456789";
  for (int i = 0; i < 2000; ++i) {
    std::string text;
    if (i % 2) {
      text = valid;
      for (int n = 0; n < 4; ++n)
        text[random() % text.size()] = static_cast<char>(random());
    } else {
      for (auto n = random() % 600; n > 0; --n)
        text += static_cast<char>(random());
    }
    http_client c{port, 50ms};
    ASSERT_TRUE(c.connected());
    c.send(text);
    if (i % 3 == 0)
      c.stop_sending();
  }
  EXPECT_EQ(http_client{port}.get("/").status, 200);
  EXPECT_TRUE(soon([&] { return running->statistics().connections_open <= 1; }));
}

} // namespace
} // namespace troupe::http
