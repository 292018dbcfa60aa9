#include "tests/unit/http/example_endpoint.hpp"

namespace troupe::http {

namespace {

struct new_note {
  std::string text;
  int stars = 3;
  std::vector<std::string> tags;
};

template <class V>
void describe(V& v, new_note& x) {
  v.required("text", x.text, "what to remember", {.length_max = 200, .form = form::not_blank});
  v.optional("stars", x.stars, "how important", {.min = 1, .max = 5});
  v.optional("tags", x.tags, "to find it again", {.length_max = 20, .form = form::identifier, .items_max = 8});
}

struct note_query {
  bool quiet = false;
};

template <class V>
void describe(V& v, note_query& x) {
  v.optional("quiet", x.quiet, "leave the text out of the answer");
}

struct note_reply {
  std::string id;
  std::string text;
};

template <class V>
void describe(V& v, note_reply& x) {
  v.required("id", x.id, "the note");
  v.optional("text", x.text, "what to remember");
}

} // namespace

std::vector<endpoint> note_endpoints(notebook& notes) {
  return {
      declare<new_note, note_query, note_reply>(
          {.method = verb::post,
           .path = "/api/notebooks/{name}/notes",
           .operation = "note_create",
           .summary = "Write a note into a notebook of yours",
           .tags = {"notes"},
           .needs = access::account,
           .rate = rate_class::spend,
           .success = 201},
          [&notes](const request& r, new_note body, note_query query) -> asio::awaitable<reply> {
            auto id = co_await notes.add(r.who->account, r.param("name"), body.text);
            if (!id)
              co_return reply{not_found("Notebook not found")};
            json answer{{"id", *id}};
            if (!query.quiet)
              answer["text"] = body.text;
            co_return reply::of(std::move(answer), 201);
          }),
  };
}

} // namespace troupe::http
