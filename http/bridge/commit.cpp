#include "http/bridge/commit.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <future>

namespace troupe::http {

namespace asio = boost::asio;

asio::awaitable<storage::commit_status> commit(storage::journal& into, storage::batch what) {
  auto shared = std::make_shared<storage::batch>(std::move(what));
  auto executor = co_await asio::this_coro::executor;
  auto begin = [](auto handler, storage::journal* journal, std::shared_ptr<storage::batch> batch,
                  asio::any_io_executor fallback) {
    auto back = asio::get_associated_executor(handler, fallback);
    auto kept = std::make_shared<decltype(handler)>(std::move(handler));
    auto resume = [kept, guard = asio::make_work_guard(back)](storage::commit_status status) {
      asio::post(guard.get_executor(), [kept, status] { std::move (*kept)(status); });
    };
    journal->commit(std::move(*batch), std::move(resume));
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(storage::commit_status)>(
      begin, asio::use_awaitable, &into, shared, executor);
}

storage::commit_status commit_and_wait(storage::journal& into, storage::batch what) {
  std::promise<storage::commit_status> done;
  into.commit(std::move(what), [&done](storage::commit_status status) { done.set_value(status); });
  return done.get_future().get();
}

} // namespace troupe::http
