#include "http/idempotency.hpp"

#include "common/sha256.hpp"

namespace troupe::http {

std::string fingerprint_of(const request& r) {
  return sha256_hex(std::string{to_string(r.method)} + '\n' + r.target + '\n' + r.body);
}

problem reused_key(family speaks) {
  problem out;
  out.status = speaks == family::openai ? 422 : 409;
  out.code = "idempotency_key_reused";
  out.message = "This Idempotency-Key came with another request before; use a new key for a new request";
  out.param = "Idempotency-Key";
  return out;
}

} // namespace troupe::http
