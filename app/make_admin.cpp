#include "app/make_admin.hpp"

#include "actors/messages.hpp"
#include "common/random.hpp"
#include "http/bridge/passwords.hpp"
#include "http/bridge/views.hpp"

namespace troupe::app {

result<void> make_admin(head_core& core, const std::string& username, const std::string& password) {
  auto name = http::canonical_username(username);
  if (!name)
    return fail("invalid", "a user name has 3 to 32 letters, digits, '.', '_' or '-'");
  if (password.size() < 8)
    return fail("invalid", "the password must have at least 8 characters");
  if (http::find_account(core.database(), *name)) // before the hash, which takes its time
    return fail("exists", "a user of that name exists already");
  create_account create;
  create.account = make_ulid();
  create.username = *name;
  create.password_hash = http::passwords::hash_now(password);
  create.role = "admin";
  create.tier = "enterprise";
  create.at = now_ms();
  create.who.via = "command line";
  caf::scoped_actor self{core.system()};
  result<void> out;
  self->request(core.others()->directory, std::chrono::seconds(20), routed(std::move(create), true))
      .receive([](account_view&) {},
               [&](caf::error& why) {
                 auto refused = read_refusal(why);
                 out = fail(to_string(refused.why), refused.message);
               });
  return out;
}

bool has_accounts(const head_core& core) {
  bool found = false;
  for (auto in : {storage::table::usernames, storage::table::api_keys})
    core.database().scan(in, "", "", false, [&found](std::string_view, std::string_view) {
      found = true;
      return false;
    });
  return found;
}

} // namespace troupe::app
