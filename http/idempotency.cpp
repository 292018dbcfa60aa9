#include "http/idempotency.hpp"

namespace troupe::http {

problem reused_key(family speaks) {
  problem out;
  out.status = speaks == family::openai ? 422 : 409;
  out.code = "idempotency_key_reused";
  out.message = "This Idempotency-Key came with another request before; use a new key for a new request";
  out.param = "Idempotency-Key";
  return out;
}

} // namespace troupe::http
