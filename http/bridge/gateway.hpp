#pragma once

// From a coroutine to an actor and back. A gateway actor makes the request; its answer is posted to the coroutine's own
// executor, exactly once: a completion that is dropped on the way becomes `unavailable`.

#include "actors/address_book.hpp"
#include "actors/messages.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <functional>
#include <memory>

namespace troupe::http {

namespace asio = boost::asio;

/// A request, as its gateway sees it.
class under_way {
public:
  under_way() = default;
  under_way(const under_way&) = delete;
  under_way& operator=(const under_way&) = delete;
  virtual ~under_way() = default;
  virtual bool over() const = 0;
  /// No answer came in time.
  virtual void expire() = 0;
};

/// What the gateway runs.
struct gateway_task {
  std::function<std::shared_ptr<under_way>(caf::event_based_actor*)> run;
};
using gateway_task_ptr = std::shared_ptr<gateway_task>;

namespace detail {

template <class Reply, class Handler>
class completion final : public under_way {
public:
  completion(Handler&& handler, const asio::any_io_executor& fallback)
    : handler_(std::move(handler)), work_(asio::get_associated_executor(handler_, fallback)) {}
  ~completion() override {
    if (!done_)
      (*this)(caf::expected<Reply>{refuse(refusal::unavailable, "the server is stopping")});
  }

  void operator()(caf::expected<Reply> answer) {
    if (std::exchange(done_, true))
      return;
    auto to = work_.get_executor();
    asio::post(to, [handler = std::move(handler_), answer = std::move(answer), work = std::move(work_)]() mutable {
      std::move(handler)(std::move(answer));
    });
  }

  bool over() const override { return done_; }
  void expire() override { (*this)(caf::expected<Reply>{caf::make_error(caf::sec::request_timeout)}); }

private:
  using executor = asio::associated_executor_t<Handler, asio::any_io_executor>;
  Handler handler_;
  asio::executor_work_guard<executor> work_;
  bool done_ = false;
};

} // namespace detail

/// The way from HTTP handlers to actors. Thread-safe; must outlive the server's threads. What is not answered in time
/// is answered with a time-out, up to a second later.
///
/// g++ 12 destroys aggregate temporaries of a co_await expression twice: give ask() a named message, moved.
class gateway {
public:
  gateway(caf::actor_system& system, address_book_ptr others,
          std::chrono::milliseconds time_out = std::chrono::seconds(20));
  ~gateway();
  gateway(const gateway&) = delete;
  gateway& operator=(const gateway&) = delete;

  /// Sends a command to the persistent actor that it is for. `fresh`: the actor has never been.
  template <class Command>
  asio::awaitable<caf::expected<typename Command::reply>> ask(Command command, bool fresh = false) {
    return request<typename Command::reply>(others_->directory, routed(std::move(command), fresh));
  }
  /// Asks one of the actors that there is one of.
  template <class Message>
  asio::awaitable<caf::expected<description>> ask_scheduler(Message message) {
    return request<description>(others_->scheduler, std::move(message));
  }
  template <class Message>
  asio::awaitable<caf::expected<description>> ask_cluster(Message message) {
    return request<description>(others_->cluster, std::move(message));
  }
  /// False: the scheduler is sure to take what comes.
  bool may_a_line_be_full() const { return others_->a_line_may_be_full; }
  /// Asks any live actor for its state.
  asio::awaitable<caf::expected<description>> inspect(caf::actor who) {
    return request<description>(std::move(who), inspect_actor{"console"});
  }
  /// Sends without waiting.
  template <class Command>
  void tell(Command command) {
    caf::anon_send(others_->directory, routed(std::move(command)));
  }

private:
  template <class Reply, class Message>
  asio::awaitable<caf::expected<Reply>> request(caf::actor target, Message message) {
    auto executor = co_await asio::this_coro::executor;
    auto begin = [](auto handler, asio::any_io_executor where, caf::actor through, caf::actor to,
                    std::shared_ptr<Message> what) {
      using done_type = detail::completion<Reply, std::decay_t<decltype(handler)>>;
      auto done = std::make_shared<done_type>(std::move(handler), where);
      auto task = std::make_shared<gateway_task>();
      task->run = [done, to, what](caf::event_based_actor* self) {
        self->request(to, caf::infinite, std::move(*what)) // the gateway looks after the time
            .then([done](Reply& answer) { (*done)(caf::expected<Reply>{std::move(answer)}); },
                  [done](caf::error& why) { (*done)(caf::expected<Reply>{std::move(why)}); });
        return done;
      };
      post(through, std::move(task));
    };
    auto shared = std::make_shared<Message>(std::move(message));
    auto through = next();
    co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(caf::expected<Reply>)>(
        begin, asio::use_awaitable, executor, through, target, shared);
  }

  static void post(const caf::actor& through, gateway_task_ptr task);
  const caf::actor& next();

  address_book_ptr others_;
  std::vector<caf::actor> gateways_;
  std::atomic<std::size_t> turn_{0};
};

} // namespace troupe::http
