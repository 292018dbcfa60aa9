#pragma once

// Arithmetic for pixels: the same bits on every machine. Nothing here calls libm (but for sqrt, which IEEE 754 fixes),
// and everything compiles for a device as it stands. Compile with -ffp-contract=off.

#include <cmath>
#include <cstdint>

#ifdef __CUDACC__
#define TROUPE_PIXEL __host__ __device__ inline
#else
#define TROUPE_PIXEL inline
#endif

namespace troupe::engines::scene {

struct rgb {
  float r = 0, g = 0, b = 0;
};

TROUPE_PIXEL rgb operator+(rgb a, rgb b) { return {a.r + b.r, a.g + b.g, a.b + b.b}; }
TROUPE_PIXEL rgb operator-(rgb a, rgb b) { return {a.r - b.r, a.g - b.g, a.b - b.b}; }
TROUPE_PIXEL rgb operator*(rgb a, float k) { return {a.r * k, a.g * k, a.b * k}; }
TROUPE_PIXEL rgb operator*(rgb a, rgb b) { return {a.r * b.r, a.g * b.g, a.b * b.b}; }

TROUPE_PIXEL float clamp(float x, float low, float high) { return x < low ? low : x > high ? high : x; }
TROUPE_PIXEL float saturate(float x) { return clamp(x, 0.0F, 1.0F); }
TROUPE_PIXEL float absolute(float x) { return x < 0 ? -x : x; }
TROUPE_PIXEL float smaller(float a, float b) { return a < b ? a : b; }
TROUPE_PIXEL float larger(float a, float b) { return a > b ? a : b; }
TROUPE_PIXEL float mix(float a, float b, float k) { return a + (b - a) * k; }
TROUPE_PIXEL rgb mix(rgb a, rgb b, float k) { return a + (b - a) * k; }
TROUPE_PIXEL float luma(rgb c) { return c.r * 0.2126F + c.g * 0.7152F + c.b * 0.0722F; }

/// For |x| < 2^30.
TROUPE_PIXEL int floor_int(float x) {
  const int i = static_cast<int>(x);
  return i - (x < static_cast<float>(i) ? 1 : 0);
}
TROUPE_PIXEL float fraction(float x) { return x - static_cast<float>(floor_int(x)); }

/// 0 below a, 1 above b (or the other way round when a > b), smooth between.
TROUPE_PIXEL float smoothstep(float a, float b, float x) {
  const float k = saturate((x - a) / (b - a));
  return k * k * (3.0F - 2.0F * k);
}

TROUPE_PIXEL float length(float x, float y) { return std::sqrt(x * x + y * y); }

/// sin(2 pi x), within 0.001: a parabola, bent once (after N. Capens).
TROUPE_PIXEL float sine(float turns) {
  const float x = fraction(turns) * 2.0F - 1.0F;
  const float y = -4.0F * x * (1.0F - absolute(x));
  return y * (0.775F + 0.225F * absolute(y));
}
TROUPE_PIXEL float cosine(float turns) { return sine(turns + 0.25F); }

/// e^-x for x >= 0, within 0.1 %: (1 - x/32 + …)^32 by its Padé form, 0 beyond 20.
TROUPE_PIXEL float decay(float x) {
  if (x > 20.0F)
    return 0.0F;
  const float s = x * (1.0F / 32.0F);
  float k = (1.0F - 0.5F * s + s * s * (1.0F / 12.0F)) / (1.0F + 0.5F * s + s * s * (1.0F / 12.0F));
  k *= k;
  k *= k;
  k *= k;
  k *= k;
  return k * k;
}

/// The angle of (x, y) in turns, -0.5 … 0.5, within 0.001.
TROUPE_PIXEL float angle(float x, float y) {
  const float ax = absolute(x), ay = absolute(y);
  const float big = larger(ax, ay);
  if (big == 0.0F)
    return 0.0F;
  const float k = smaller(ax, ay) / big;
  float turns = k * (0.25F - (k - 1.0F) * (0.2447F + 0.0663F * k) * 0.31831F) * 0.5F;
  if (ay > ax)
    turns = 0.25F - turns;
  if (x < 0)
    turns = 0.5F - turns;
  return y < 0 ? -turns : turns;
}

/// C. Wellons' lowbias32.
TROUPE_PIXEL std::uint32_t hash(std::uint32_t x) {
  x ^= x >> 16U;
  x *= 0x7feb352dU;
  x ^= x >> 15U;
  x *= 0x846ca68bU;
  return x ^ (x >> 16U);
}
TROUPE_PIXEL float unit(std::uint32_t h) {
  return static_cast<float>(static_cast<int>(h >> 8U)) * (1.0F / 16777216.0F);
}
TROUPE_PIXEL std::uint32_t hash_cell(int x, int y, std::uint32_t seed) {
  return hash(static_cast<std::uint32_t>(x) * 374761393U + static_cast<std::uint32_t>(y) * 668265263U +
              seed * 2246822519U);
}
TROUPE_PIXEL float random_cell(int x, int y, std::uint32_t seed) { return unit(hash_cell(x, y, seed)); }

/// One round of mixing: enough for noise, which blends its neighbours, at half of hash()'s price.
TROUPE_PIXEL float lattice(std::uint32_t k) {
  k ^= k >> 15U;
  k *= 0x2c1b3c6dU;
  k ^= k >> 13U;
  k *= 0x297a2d39U;
  return static_cast<float>(static_cast<int>(k >> 8U)) * (1.0F / 16777216.0F);
}

/// Value noise, 0 … 1.
TROUPE_PIXEL float noise(float x, std::uint32_t seed) {
  const int i = floor_int(x);
  const float u = x - static_cast<float>(i);
  const float k = u * u * (3.0F - 2.0F * u);
  const std::uint32_t at = static_cast<std::uint32_t>(i) * 374761393U + seed * 2246822519U;
  return mix(lattice(at), lattice(at + 374761393U), k);
}
TROUPE_PIXEL float noise(float x, float y, std::uint32_t seed) {
  const int i = floor_int(x), j = floor_int(y);
  const float u = x - static_cast<float>(i), v = y - static_cast<float>(j);
  const float ku = u * u * (3.0F - 2.0F * u), kv = v * v * (3.0F - 2.0F * v);
  const std::uint32_t at =
      static_cast<std::uint32_t>(i) * 374761393U + static_cast<std::uint32_t>(j) * 668265263U + seed * 2246822519U;
  const float a = lattice(at), b = lattice(at + 374761393U);
  const float c = lattice(at + 668265263U), d = lattice(at + 374761393U + 668265263U);
  return mix(mix(a, b, ku), mix(c, d, ku), kv);
}

/// Octaves of noise, each turned against the last so that the grid does not show; 0 … 1, mostly 0.3 … 0.7.
TROUPE_PIXEL float fbm(float x, float y, int octaves, std::uint32_t seed) {
  float sum = 0, weight = 0.5F, whole = 0;
  for (int i = 0; i < octaves; ++i) {
    sum += weight * noise(x, y, seed + static_cast<std::uint32_t>(i));
    whole += weight;
    const float turned = 1.62F * x + 1.21F * y + 17.3F;
    y = -1.21F * x + 1.62F * y + 9.1F;
    x = turned;
    weight *= 0.5F;
  }
  return sum / whole;
}
TROUPE_PIXEL float fbm(float x, int octaves, std::uint32_t seed) {
  float sum = 0, weight = 0.5F, whole = 0;
  for (int i = 0; i < octaves; ++i) {
    sum += weight * noise(x, seed + static_cast<std::uint32_t>(i));
    whole += weight;
    x = x * 2.03F + 17.7F;
    weight *= 0.5F;
  }
  return sum / whole;
}

/// A hue (0 … 1 around the wheel) at full saturation.
TROUPE_PIXEL rgb hue(float h) {
  const auto channel = [](float x) { return saturate(absolute(fraction(x) * 6.0F - 3.0F) - 1.0F); };
  return {channel(h), channel(h + 2.0F / 3.0F), channel(h + 1.0F / 3.0F)};
}

} // namespace troupe::engines::scene
