#pragma once

// Workflows, jobs and their events: what the studio documents do not have.

#include "http/bridge/blob_guard.hpp"
#include "http/bridge/head.hpp"
#include "http/endpoint.hpp"
#include "http/workflows/wait_watch.hpp"

namespace troupe::http::workflows {

struct run_body {
  json inputs = json::object();
};

template <class V>
void describe(V& v, run_body& x) {
  v.optional("inputs", x.inputs, "the workflow's inputs; GET /api/workflows/{name} has their schema");
}

struct events_query {
  bool waiting = false;
};
template <class V>
void describe(V& v, events_query& x) {
  v.optional("waiting", x.waiting, "tell also why stages wait, in `waiting` events, which have no id");
}

/// All of the below, declared. `h` and `guard` must outlive them.
std::vector<endpoint> endpoints(const head& h, blob_guard& guard);

asio::awaitable<reply> list(const head& h);
asio::awaitable<reply> describe(const head& h, const request& r);
asio::awaitable<reply> run(const head& h, const request& r, run_body body);
/// Reads the definitions' folder again: all of it, or, on any mistake, none of it.
asio::awaitable<reply> reload(const head& h);

asio::awaitable<reply> job(const head& h, const request& r);
asio::awaitable<reply> cancel(const head& h, const request& r);
/// Checks all files of the job, and has the stages run again whose files are damaged or gone.
asio::awaitable<reply> repair(const head& h, blob_guard& guard, const request& r);
/// Told also why stages wait, where there is a place for it: 429 where not.
asio::awaitable<reply> job_events(const head& h, const watch_places& places, const request& r, events_query query);
asio::awaitable<reply> account_events(const head& h, const request& r);

} // namespace troupe::http::workflows
