#include "gpu/engines/scene/scene_plan.hpp"

#include "gpu/engines/scene/vocabulary.hpp"

#include <algorithm>

namespace troupe::engines::scene {
namespace {

/// Throws that depend on the words and the seed alone.
class dice {
public:
  explicit dice(std::uint32_t seed) : state_(seed) {}
  float operator()() { return unit(state_ = hash(state_ + 0x9E3779B9U)); }
  float between(float low, float high) { return mix(low, high, (*this)()); }
  float sign() { return (*this)() < 0.5F ? -1.0F : 1.0F; }

private:
  std::uint32_t state_;
};

std::uint32_t hash_words(const std::string& text, std::uint32_t start) {
  std::uint32_t all = start;
  for (const auto& word : words_of(text)) {
    std::uint32_t one = 2166136261U; // FNV-1a
    for (const char c : word)
      one = (one ^ static_cast<unsigned char>(c)) * 16777619U;
    all = hash(all * 31U + one);
  }
  return all;
}

/// Turns a colour around the grey axis (Rodrigues' formula).
rgb turn_hue(rgb c, float turns) {
  const float s = sine(turns) * 0.57735F, k = cosine(turns);
  const float grey = (c.r + c.g + c.b) / 3.0F * (1.0F - k);
  const rgb made{c.r * k + (c.b - c.g) * s + grey, c.g * k + (c.r - c.b) * s + grey, c.b * k + (c.g - c.r) * s + grey};
  return {larger(0, made.r), larger(0, made.g), larger(0, made.b)};
}

struct palette {
  rgb top, mid, low, light, cloud_lit, cloud_dark, near_ground, far_ground, water;
};

// clang-format off
constexpr palette dawn_colours{{.17F,.28F,.55F}, {.78F,.52F,.56F}, {1.05F,.72F,.46F}, {1.0F,.80F,.52F}, {1.05F,.80F,.70F}, {.50F,.40F,.52F}, {.09F,.12F,.10F}, {.42F,.36F,.48F}, {.05F,.14F,.22F}};
constexpr palette day_colours{{.10F,.31F,.70F}, {.33F,.58F,.90F}, {.76F,.87F,.96F}, {1.0F,.97F,.88F}, {1.05F,1.05F,1.05F}, {.58F,.64F,.74F}, {.13F,.24F,.08F}, {.45F,.56F,.64F}, {.02F,.20F,.32F}};
constexpr palette dusk_colours{{.11F,.11F,.33F}, {.56F,.25F,.43F}, {1.12F,.50F,.20F}, {1.0F,.60F,.28F}, {1.10F,.55F,.38F}, {.30F,.20F,.36F}, {.06F,.06F,.08F}, {.40F,.24F,.36F}, {.06F,.07F,.18F}};
constexpr palette night_colours{{.014F,.026F,.085F}, {.034F,.070F,.180F}, {.095F,.165F,.300F}, {.82F,.88F,1.0F}, {.15F,.18F,.27F}, {.020F,.028F,.055F}, {.010F,.016F,.022F}, {.035F,.060F,.110F}, {.008F,.022F,.050F}};
// clang-format on

/// What is wanted, with questions asked the way the plan asks them.
struct wants {
  feature_scores scores;

  float operator()(feature what) const { return scores[static_cast<std::size_t>(what)]; }
  float some(feature what, float most = 1.5F) const { return saturate((*this)(what) / most); }
  bool any(feature what) const { return (*this)(what) > 0; }
  bool refused(feature what) const { return (*this)(what) < 0; }

  /// The most wanted of some, or `otherwise` when none is.
  template <std::size_t N>
  feature most(const feature (&of)[N], feature otherwise) const {
    feature best = otherwise;
    float score = 0;
    for (const auto one : of)
      if ((*this)(one) > score) {
        score = (*this)(one);
        best = one;
      }
    return best;
  }
};

feature time_of(const wants& want, dice& roll) {
  const float chance = roll();
  feature otherwise = chance < 0.45F   ? feature::day
                      : chance < 0.75F ? feature::dusk
                      : chance < 0.9F  ? feature::dawn
                                       : feature::night;
  if (want.refused(otherwise))
    otherwise = otherwise == feature::day ? feature::dusk : feature::day;
  return want.most({feature::dawn, feature::day, feature::dusk, feature::night}, otherwise);
}

feature place_of(const wants& want, dice& roll) {
  static constexpr feature places[] = {feature::mountains, feature::hills,      feature::desert,   feature::forest,
                                       feature::field,     feature::sea,        feature::lake,     feature::city,
                                       feature::space,     feature::underwater, feature::abstract, feature::village};
  static constexpr feature likely[] = {feature::mountains, feature::hills, feature::forest, feature::field,
                                       feature::sea,       feature::lake,  feature::desert, feature::abstract};
  feature otherwise = likely[static_cast<std::size_t>(roll() * 7.999F)];
  for (std::size_t i = 0; i < std::size(likely) && want.refused(otherwise); ++i)
    otherwise = likely[i];
  return want.most(places, otherwise);
}

void set_colours(scene_plan& plan, const wants& want, feature time, dice& roll) {
  palette p = time == feature::dawn   ? dawn_colours
              : time == feature::day  ? day_colours
              : time == feature::dusk ? dusk_colours
                                      : night_colours;
  const float turn = roll.between(-0.035F, 0.035F);
  for (rgb* c : {&p.top, &p.mid, &p.low, &p.cloud_lit, &p.cloud_dark, &p.far_ground})
    *c = turn_hue(*c, turn);
  const float grey = saturate(0.55F * want.some(feature::storm) + 0.45F * want.some(feature::rain) +
                              0.35F * want.some(feature::snow) + 0.3F * want.some(feature::fog));
  for (rgb* c : {&p.top, &p.mid, &p.low, &p.cloud_lit, &p.cloud_dark}) {
    const float l = luma(*c);
    *c = mix(*c, rgb{l * 0.92F, l * 0.98F, l * 1.08F}, grey * 0.8F);
  }
  if (want.any(feature::storm))
    for (rgb* c : {&p.top, &p.mid, &p.low, &p.cloud_lit, &p.cloud_dark})
      *c = *c * (time == feature::night ? 0.95F : 0.65F);
  static constexpr struct {
    feature what;
    rgb colour;
    float sky; // how far it also colours the sky: a green hill does not make the sky green
  } tints[] = {{feature::red, {1.0F, .18F, .12F}, .35F},
               {feature::orange, {1.0F, .50F, .12F}, .9F},
               {feature::gold, {1.0F, .78F, .25F}, .8F},
               {feature::green, {.25F, .85F, .35F}, .1F},
               {feature::teal, {.12F, .85F, .80F}, .8F},
               {feature::blue, {.15F, .38F, 1.0F}, .8F},
               {feature::purple, {.60F, .22F, 1.0F}, .9F},
               {feature::pink, {1.0F, .45F, .72F}, .9F},
               {feature::white, {1, 1, 1}, .3F}};
  rgb tint{};
  float weight = 0, sky = 0;
  for (const auto& one : tints)
    if (want.any(one.what)) {
      tint = tint + one.colour * want(one.what);
      weight += want(one.what);
      sky = larger(sky, one.sky);
    }
  const float base = roll();
  plan.accent = hue(base);
  plan.accent2 = hue(base + roll.between(0.25F, 0.55F));
  if (weight > 0) {
    tint = tint * (1.0F / weight);
    const float k = 0.4F * saturate(weight);
    const auto tinted = [tint](rgb c, float by) { return mix(c, tint * (luma(c) / larger(0.25F, luma(tint))), by); };
    for (rgb* c : {&p.top, &p.mid, &p.low, &p.cloud_lit, &p.cloud_dark})
      *c = tinted(*c, k * sky);
    for (rgb* c : {&p.near_ground, &p.far_ground, &p.water})
      *c = tinted(*c, k);
    plan.accent = mix(plan.accent, tint, 0.8F);
    plan.accent2 = mix(plan.accent2, tint, 0.35F);
  }
  plan.sky_top = p.top;
  plan.sky_mid = p.mid;
  plan.sky_low = p.low;
  plan.light = p.light;
  plan.cloud_lit = p.cloud_lit;
  plan.cloud_dark = p.cloud_dark;
  plan.near_ground = p.near_ground;
  plan.far_ground = p.far_ground;
  plan.deep_water = p.water;
  plan.night = time == feature::night ? 1.0F : time == feature::dusk ? 0.35F : time == feature::dawn ? 0.15F : 0.0F;
}

void set_light(scene_plan& plan, const wants& want, feature time, dice& roll) {
  const float side = roll.sign();
  plan.light_x = side * roll.between(0.08F, 0.34F) * plan.aspect;
  plan.moon = time == feature::night;
  const bool low = time == feature::dawn || time == feature::dusk;
  const float over = plan.place == world::land && plan.ground == relief::mountains ? 0.75F * plan.relief_height : 0.0F;
  plan.light_y = plan.horizon + (low ? over + roll.between(0.05F, 0.13F) : roll.between(0.30F, 0.42F));
  plan.light_radius = (low ? 0.045F : plan.moon ? 0.042F : 0.032F) * roll.between(0.85F, 1.3F);
  plan.glow = plan.moon ? 0.5F : low ? 1.0F : 0.7F;
  const float hidden = saturate(0.8F * want.some(feature::storm) + 0.7F * want.some(feature::rain) +
                                0.6F * want.some(feature::snow) + (want.refused(feature::sun) ? 1.0F : 0.0F));
  plan.glow *= 1.0F - 0.8F * hidden;
  if (hidden > 0.5F || (plan.moon && !want.any(feature::moon) &&
                        (want.refused(feature::moon) || roll() < (plan.place == world::sea ? 0.15F : 0.5F))))
    plan.light_radius = 0;
}

void set_air(scene_plan& plan, const wants& want, dice& roll) {
  plan.clouds = roll.between(0.25F, 0.6F) + 0.35F * want.some(feature::clouds) + 0.3F * want.some(feature::storm) +
                0.15F * want.some(feature::rain) - 0.6F * want.some(feature::clear);
  if (want.any(feature::stars) || want.any(feature::aurora))
    plan.clouds -= 0.3F;
  if (want.refused(feature::clouds))
    plan.clouds = 0;
  plan.clouds = saturate(plan.clouds);
  plan.stars = want.refused(feature::stars) ? 0 : saturate(plan.night * plan.night * 0.8F + want.some(feature::stars));
  plan.stars *=
      1.0F - 0.95F * saturate(want.some(feature::rain) + want.some(feature::storm) + 0.6F * want.some(feature::snow));
  plan.galaxy = want.some(feature::galaxy);
  plan.aurora = want.some(feature::aurora);
  plan.rain = want.some(feature::rain);
  plan.snow = want.some(feature::snow);
  plan.fog = saturate(want.some(feature::fog) + 0.25F * plan.rain + 0.2F * plan.snow + roll.between(0, 0.12F));
  plan.lightning = want.some(feature::lightning);
  plan.rainbow = want.some(feature::rainbow);
  plan.petals = want.some(feature::petals);
  plan.embers = saturate(want.some(feature::fire));
  plan.wind = saturate(roll.between(0.1F, 0.35F) + 0.6F * want.some(feature::wind) - 0.2F * want.some(feature::calm));
  plan.time_lapse = 1.0F + 6.0F * want.some(feature::time_lapse);
}

void set_ground(scene_plan& plan, const wants& want, feature place, dice& roll) {
  plan.place = place == feature::sea || place == feature::lake ? world::sea
               : place == feature::city                        ? world::city
               : place == feature::space                       ? world::space
               : place == feature::underwater                  ? world::underwater
               : place == feature::abstract                    ? world::abstract
                                                               : world::land;
  plan.ground = place == feature::desert                                      ? relief::dunes
                : place == feature::mountains || want.any(feature::mountains) ? relief::mountains
                                                                              : relief::hills;
  const float height = roll.between(0.85F, 1.15F);
  plan.relief_height = height * (plan.ground == relief::mountains ? 0.40F
                                 : plan.ground == relief::dunes   ? 0.20F
                                                                  : 0.15F);
  plan.horizon = plan.place == world::sea    ? roll.between(-0.10F, 0.0F)
                 : plan.place == world::city ? roll.between(-0.30F, -0.22F)
                                             : roll.between(-0.16F, -0.06F);
  plan.snowcaps = saturate(want.some(feature::snowcaps) +
                           (place == feature::mountains && !want.any(feature::desert) ? roll.between(0, 0.6F) : 0));
  plan.trees = want.refused(feature::forest)
                   ? 0
                   : saturate(want.some(feature::forest) +
                              (place == feature::mountains || place == feature::lake ? roll.between(0.1F, 0.5F) : 0));
  plan.conifers = want.any(feature::autumn) || want.any(feature::petals) ? 0.0F : 1.0F;
  plan.flowers = saturate(want.some(feature::flowers) + (place == feature::field ? 0.35F : 0));
  if (place == feature::field && !want.any(feature::forest))
    plan.trees = roll.between(0, 0.25F);
  plan.village = want.some(feature::village);
  plan.far_land =
      place == feature::lake
          ? 1.0F
          : saturate(want.some(feature::mountains) + want.some(feature::hills) + (roll() < 0.4F ? 0.5F : 0.0F));
  plan.skyline = plan.place != world::city ? want.some(feature::city) : 1.0F;
  plan.waves =
      saturate(0.35F + roll.between(-0.1F, 0.15F) + 0.5F * want.some(feature::storm) + 0.2F * want.some(feature::wind) -
               0.25F * want.some(feature::calm) - (place == feature::lake ? 0.15F : 0));
  plan.neon = want.some(feature::neon);
  plan.fire = want.some(feature::fire);
}

void colour_ground(scene_plan& plan, const wants& want) {
  const float day = 1.0F - 0.85F * plan.night;
  const auto blend = [&](rgb colour, float k) {
    plan.near_ground = mix(plan.near_ground, colour * (0.25F + 0.75F * day), k);
  };
  if (plan.ground == relief::dunes) {
    blend({0.82F, 0.52F, 0.26F}, 0.9F);
    plan.far_ground = mix(plan.far_ground, rgb{0.80F, 0.56F, 0.40F} * (0.2F + 0.8F * day), 0.5F);
  }
  if (want.any(feature::autumn))
    blend({0.62F, 0.26F, 0.06F}, 0.75F);
  if (want.any(feature::petals))
    blend(mix(rgb{0.85F, 0.45F, 0.60F}, plan.accent, 0.2F), 0.6F);
  if (plan.flowers > 0 && plan.ground == relief::hills)
    blend({0.20F, 0.36F, 0.10F}, 0.6F);
  if (plan.snow > 0 || want.some(feature::snowcaps) > 0.6F)
    blend({0.78F, 0.84F, 0.94F}, 0.8F * larger(plan.snow, plan.snowcaps));
}

void set_space(scene_plan& plan, const wants& want, dice& roll) {
  plan.nebula =
      saturate(0.55F + want.some(feature::nebula) + roll.between(-0.2F, 0.2F) - 0.3F * want.some(feature::planet));
  plan.planet = want.refused(feature::planet) ? 0 : want.any(feature::planet) || roll() < 0.55F ? 1.0F : 0.0F;
  plan.ring = plan.planet > 0 && (want.any(feature::ring) || roll() < 0.25F) ? 1.0F : 0.0F;
  plan.planet_radius = want.any(feature::planet) ? roll.between(0.22F, 0.36F) : roll.between(0.08F, 0.2F);
  plan.planet_x = roll.sign() * roll.between(0.12F, 0.32F) * plan.aspect;
  plan.planet_y = roll.between(-0.18F, 0.2F);
  const float base = roll();
  plan.planet_a = mix(rgb{0.5F, 0.5F, 0.5F}, hue(base), 0.55F);
  plan.planet_b = mix(rgb{0.85F, 0.8F, 0.75F}, hue(base + roll.between(0.05F, 0.3F)), 0.35F);
  if (plan.place == world::space)
    plan.stars = 1;
}

subject subject_of(feature what) {
  switch (what) {
    case feature::boat: return subject::boat;
    case feature::birds: return subject::birds;
    case feature::rocket: return subject::rocket;
    case feature::balloon: return subject::balloon;
    case feature::lighthouse: return subject::lighthouse;
    case feature::person: return subject::person;
    case feature::animal: return subject::animal;
    case feature::whale: return subject::whale;
    default: return subject::none;
  }
}

void set_subjects(scene_plan& plan, wants want, const std::string& prompt, dice& roll) {
  static constexpr feature who[] = {feature::boat,       feature::birds,  feature::rocket, feature::balloon,
                                    feature::lighthouse, feature::person, feature::animal, feature::whale};
  const feature first = want.most(who, feature::count);
  plan.who = subject_of(first);
  if (first != feature::count) {
    want.scores[static_cast<std::size_t>(first)] = 0;
    plan.also = subject_of(want.most(who, feature::count));
  } else if (plan.place == world::sea || plan.place == world::land) {
    // An empty landscape has life in it more often than not.
    plan.also = roll() < 0.5F && plan.night < 0.5F && !want.refused(feature::birds) ? subject::birds : subject::none;
  }
  plan.facing = want.any(feature::left) ? -1.0F : want.any(feature::right) ? 1.0F : roll.sign();
  plan.who_x = -plan.facing * roll.between(0.05F, 0.22F) * plan.aspect;
  plan.who_y = roll.between(-0.04F, 0.1F);
  plan.who_size = roll.between(0.85F, 1.15F);
  plan.who_colour = mix(rgb{0.75F, 0.12F, 0.10F}, plan.accent, roll());
  if (const auto* build = animal_in(prompt)) {
    plan.legs = build->legs;
    plan.neck = build->neck;
    plan.tail = build->tail;
    plan.bulk = build->bulk;
    plan.who_colour = {build->r, build->g, build->b};
  }
}

void set_camera(scene_plan& plan, const wants& want, dice& roll) {
  const float speed = (1.0F + want.some(feature::fast) * 1.6F) * (1.0F - 0.5F * want.some(feature::slow));
  const float seconds = plan.duration_s;
  // Sideways at a speed, so that long shots go far; closer by a share of the whole shot, so that they stay in the
  // picture.
  const float reach = speed * seconds * 0.055F;
  const float depth = saturate(0.07F * seconds * speed + 0.06F);
  const float kind = roll();
  const float side = want.any(feature::left) ? -1.0F : want.any(feature::right) ? 1.0F : roll.sign();
  plan.pan_x = side * reach * (kind < 0.6F ? 1.0F : 0.35F);
  plan.zoom_to = 1.0F + depth * (kind < 0.3F ? 0.2F : 0.5F) * 0.7F;
  if (want.any(feature::zoom_in))
    plan.zoom_to = 1.0F + depth;
  if (want.any(feature::zoom_out)) {
    plan.zoom_from = 1.0F + depth;
    plan.zoom_to = 1.0F;
  }
  if (want.any(feature::rise))
    plan.pan_y = smaller(0.05F, 0.02F * seconds * speed);
  if (want.any(feature::orbit)) {
    plan.sway = 0.05F;
    plan.pan_x *= 1.5F;
  }
  if (want.any(feature::left) || want.any(feature::right))
    plan.pan_x = side * reach * 1.8F;
  plan.shake = 0.004F * want.some(feature::handheld);
  if (want.any(feature::still)) {
    plan.pan_x = plan.pan_y = plan.sway = 0;
    plan.zoom_from = plan.zoom_to = 1.0F;
  }
}

void set_grade(scene_plan& plan, const wants& want, dice& roll) {
  plan.saturation = saturate(0.62F + roll.between(-0.06F, 0.08F) + 0.25F * want.some(feature::vivid) -
                             0.28F * want.some(feature::muted)) *
                    1.6F;
  if (want.any(feature::noir))
    plan.saturation = 0;
  plan.contrast = 1.06F + 0.12F * want.some(feature::vivid) - 0.12F * want.some(feature::muted) +
                  (want.any(feature::noir) ? 0.25F : 0);
  plan.exposure = 1.0F + 0.22F * plan.night + 0.3F * want.some(feature::bright) - 0.3F * want.some(feature::dark);
  plan.sepia = want.some(feature::sepia);
  plan.vignette = 0.3F + 0.25F * want.some(feature::dark);
}

} // namespace

scene_plan make_plan(const wish& what) {
  const wants want{score(what.prompt, what.negative_prompt)};
  scene_plan plan;
  plan.seed = hash(hash_words(what.negative_prompt, hash_words(what.prompt, 0x51ED270BU) + 1U) ^ hash(what.seed + 1U));
  plan.aspect = static_cast<float>(what.width) / static_cast<float>(what.height);
  plan.pixel = 1.0F / static_cast<float>(what.height);
  plan.duration_s = larger(0.04F, static_cast<float>(what.duration_s));
  dice roll(plan.seed);
  const feature time = time_of(want, roll);
  set_ground(plan, want, place_of(want, roll), roll);
  set_colours(plan, want, time, roll);
  set_light(plan, want, time, roll);
  set_air(plan, want, roll);
  if (plan.place == world::city && plan.night > 0.5F) {
    // A city lights its own sky.
    const rgb shine = mix(rgb{0.34F, 0.20F, 0.16F}, plan.accent * 0.40F + plan.accent2 * 0.15F, 0.75F * plan.neon);
    plan.sky_low = plan.sky_low * 0.6F + shine;
    plan.sky_mid = plan.sky_mid + shine * 0.30F;
    plan.cloud_lit = plan.cloud_lit + shine * 0.30F;
  }
  plan.lit_windows = saturate(0.04F + plan.night * 0.5F + 0.3F * plan.neon + 0.15F * plan.rain);
  colour_ground(plan, want);
  set_space(plan, want, roll);
  set_subjects(plan, want, what.prompt, roll);
  set_camera(plan, want, roll);
  set_grade(plan, want, roll);
  return plan;
}

} // namespace troupe::engines::scene
