#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/associated_executor.hpp>
#include <boost/asio/async_result.hpp>
#include <boost/asio/awaitable.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/thread_pool.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <functional>
#include <memory>

namespace troupe::http {

/// Runs what blocks on a thread pool, and resumes the coroutine on its own executor with the result.
///
/// Not co_spawn: g++ 12 destroys a lambda with captures twice when it is a temporary of a co_await expression, so the
/// work comes as a named shared function.
template <class Result>
boost::asio::awaitable<Result> offload(boost::asio::thread_pool& pool, std::function<Result()> work) {
  namespace asio = boost::asio;
  auto shared = std::make_shared<std::function<Result()>>(std::move(work));
  auto executor = co_await asio::this_coro::executor;
  auto begin = [](auto handler, asio::thread_pool* where, std::shared_ptr<std::function<Result()>> what,
                  asio::any_io_executor fallback) {
    auto back = asio::get_associated_executor(handler, fallback);
    auto kept = std::make_shared<decltype(handler)>(std::move(handler));
    asio::post(*where, [kept, what, guard = asio::make_work_guard(back)] {
      auto outcome = std::make_shared<Result>((*what)());
      asio::post(guard.get_executor(), [kept, outcome] { std::move (*kept)(std::move(*outcome)); });
    });
  };
  co_return co_await asio::async_initiate<const asio::use_awaitable_t<>, void(Result)>(begin, asio::use_awaitable,
                                                                                       &pool, shared, executor);
}

} // namespace troupe::http
