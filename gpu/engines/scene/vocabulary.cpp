#include "gpu/engines/scene/vocabulary.hpp"

#include <algorithm>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace troupe::engines::scene {
namespace {

using f = feature;

struct meaning {
  feature what;
  float weight;
};

struct entry {
  std::string_view words; // separated by blanks
  std::vector<meaning> meanings;
};

// clang-format off
const std::vector<entry>& entries() {
  static const std::vector<entry> table = {
    {"sunrise dawn daybreak morning", {{f::dawn, 2}, {f::sun, 1}}},
    {"sunset dusk evening twilight sundown", {{f::dusk, 2}, {f::sun, 1}}},
    {"golden", {{f::dusk, 1}, {f::gold, 1}}},
    {"noon midday day daylight daytime afternoon sunny summer", {{f::day, 1.5F}, {f::sun, 0.6F}}},
    {"night midnight nocturnal nighttime", {{f::night, 2}, {f::stars, 0.4F}}},
    {"sun sunlight sunlit sunbeam", {{f::sun, 1}, {f::day, 0.5F}}},
    {"moon moonlight moonlit lunar", {{f::moon, 1.5F}, {f::night, 1.5F}}},
    {"star starry starlight constellation meteor", {{f::stars, 1.5F}, {f::night, 1.2F}}},
    {"milky", {{f::stars, 1}, {f::night, 1}, {f::galaxy, 0.5F}}},
    {"mountain peak summit alps alpine himalaya ridge cliff canyon rocky everest fjord volcano", {{f::mountains, 2}}},
    {"fjord", {{f::lake, 1.5F}}},
    {"volcano lava eruption magma", {{f::mountains, 1.5F}, {f::fire, 1}, {f::red, 0.7F}, {f::dark, 0.4F}}},
    {"glacier iceberg arctic antarctic polar tundra", {{f::mountains, 1}, {f::snowcaps, 1}, {f::snow, 0.4F}, {f::teal, 0.4F}}},
    {"hill valley countryside rolling tuscany vineyard", {{f::hills, 2}}},
    {"desert dune sand sahara arid camel oasis mars martian", {{f::desert, 2}}},
    {"mars martian", {{f::red, 1}, {f::dusk, 0.6F}}},
    {"forest wood woodland tree pine jungle spruce fir taiga grove rainforest redwood bamboo", {{f::forest, 2}}},
    {"oak maple birch park", {{f::forest, 1.5F}, {f::autumn, 0.2F}}},
    {"autumn leaf leaves october", {{f::autumn, 1.5F}, {f::forest, 1}, {f::petals, 0.6F}}},
    {"field meadow grass grassland prairie pasture wheat farm garden plain savanna steppe", {{f::field, 2}}},
    {"flower bloom blossom rose tulip poppy lavender sunflower daisy spring orchid", {{f::flowers, 1.5F}, {f::field, 1.2F}, {f::day, 0.3F}}},
    {"lavender", {{f::purple, 1}}},
    {"poppy tulip rose", {{f::red, 0.6F}}},
    {"sunflower wheat", {{f::gold, 0.8F}}},
    {"cherry sakura petal", {{f::petals, 1.2F}, {f::pink, 0.8F}, {f::forest, 0.6F}}},
    {"sea ocean wave beach coast coastal shore surf bay harbor harbour seaside island tide lagoon tropical", {{f::sea, 2}}},
    {"lake pond river stream water reflection waterfall", {{f::lake, 1.8F}}},
    {"city town urban skyline skyscraper downtown street building tower metropolis tokyo york london paris cyberpunk manhattan traffic", {{f::city, 2}}},
    {"cyberpunk", {{f::neon, 1.2F}, {f::night, 1.5F}, {f::rain, 0.4F}}},
    {"neon", {{f::neon, 1.5F}, {f::night, 1}, {f::city, 0.8F}}},
    {"village cottage house cabin hut barn castle", {{f::village, 1.5F}, {f::hills, 0.5F}}},
    {"space galaxy nebula cosmos cosmic universe interstellar asteroid astronaut orbit alien starship spaceship spacecraft", {{f::space, 2}}},
    {"galaxy", {{f::galaxy, 1.5F}}},
    {"nebula cosmic cosmos", {{f::nebula, 1}}},
    {"planet jupiter saturn earth exoplanet", {{f::planet, 1.5F}, {f::space, 1.5F}}},
    {"saturn ring", {{f::ring, 1.5F}}},
    {"underwater undersea reef coral fish submarine jellyfish kelp aquarium seabed shark turtle mermaid diver", {{f::underwater, 1.6F}}},
    {"underwater", {{f::underwater, 2}}},
    {"abstract dream dreamy surreal psychedelic pattern fractal fluid ink swirl kaleidoscope liquid geometric", {{f::abstract, 1.6F}}},
    {"clear cloudless", {{f::clear, 1.5F}}},
    {"cloud cloudy overcast", {{f::clouds, 1.5F}}},
    {"storm stormy tempest hurricane thunderstorm typhoon", {{f::storm, 1.5F}, {f::clouds, 1}, {f::rain, 0.7F}, {f::wind, 1}}},
    {"thunder thunderstorm lightning", {{f::lightning, 1.5F}, {f::storm, 1}}},
    {"rain rainy raining drizzle downpour wet monsoon umbrella", {{f::rain, 1.5F}, {f::clouds, 0.8F}}},
    {"snow snowy snowing snowfall winter blizzard frost frozen ice icy snowflake christmas", {{f::snow, 1.5F}, {f::snowcaps, 1}}},
    {"fog foggy mist misty haze hazy smoke smoky", {{f::fog, 1.5F}}},
    {"wind windy breeze gale", {{f::wind, 1.2F}}},
    {"aurora borealis northern", {{f::aurora, 1.5F}, {f::night, 1.5F}, {f::stars, 0.5F}}},
    {"rainbow", {{f::rainbow, 1.5F}, {f::day, 0.8F}}},
    {"fire flame campfire burning bonfire ember inferno blaze torch dragon", {{f::fire, 1.5F}, {f::orange, 0.4F}}},
    {"campfire bonfire", {{f::night, 1}, {f::forest, 0.6F}}},
    {"firefly fireflies lantern magical magic fairy enchanted", {{f::fire, 0.7F}, {f::night, 0.6F}, {f::forest, 0.5F}}},
    {"palm tropical island caribbean hawaii", {{f::palms, 1}, {f::sea, 0.8F}}},
    {"boat ship sail sailing sailboat yacht pirate vessel ferry canoe fisherman", {{f::boat, 1.5F}, {f::sea, 1.2F}}},
    {"bird flock seagull gull crane geese goose swallow eagle hawk raven crow owl butterfly dove", {{f::birds, 1.5F}}},
    {"rocket launch spaceship spacecraft starship shuttle missile", {{f::rocket, 1.5F}, {f::space, 0.6F}}},
    {"balloon zeppelin airship", {{f::balloon, 1.5F}, {f::hills, 0.4F}}},
    {"lighthouse beacon", {{f::lighthouse, 1.5F}, {f::sea, 1}}},
    {"man woman person girl boy child people hiker traveler traveller wanderer astronaut hero knight dancer monk samurai robot figure walker king queen wizard soldier", {{f::person, 1.2F}}},
    {"whale dolphin orca", {{f::whale, 1.5F}, {f::underwater, 1.2F}}},
    {"red crimson scarlet ruby", {{f::red, 1}}}, {"orange amber", {{f::orange, 1}}},
    {"gold yellow honey", {{f::gold, 1}}}, {"green emerald lush", {{f::green, 1}}},
    {"teal turquoise cyan aqua", {{f::teal, 1}}}, {"blue azure sapphire cobalt", {{f::blue, 1}}},
    {"purple violet magenta indigo", {{f::purple, 1}}}, {"pink", {{f::pink, 1}}},
    {"white pale", {{f::white, 1}}}, {"black", {{f::black, 0.8F}, {f::dark, 0.4F}}},
    {"vivid vibrant colorful colourful saturated epic anime", {{f::vivid, 1}}},
    {"muted pastel soft minimal minimalist gentle", {{f::muted, 1}}},
    {"noir monochrome grayscale greyscale", {{f::noir, 1.5F}}},
    {"vintage sepia retro nostalgic", {{f::sepia, 1.2F}}},
    {"dark moody gloomy gothic eerie ominous", {{f::dark, 1}}}, {"bright radiant luminous", {{f::bright, 1}}},
    {"quiet calm peaceful serene still tranquil silent", {{f::calm, 1.2F}, {f::slow, 0.5F}}},
    {"left", {{f::left, 1.5F}}}, {"right", {{f::right, 1.5F}}},
    {"zoom close closeup approaching approach toward towards dolly push", {{f::zoom_in, 1.2F}}},
    {"wide away receding establishing vast panorama panoramic", {{f::zoom_out, 1}}},
    {"aerial drone rising rise ascending crane soaring flying flight over", {{f::rise, 0.8F}}},
    {"orbiting orbital circling rotating", {{f::orbit, 1.2F}}},
    {"static tripod motionless", {{f::still, 1.5F}}}, {"slow slowly", {{f::slow, 1}}},
    {"fast quick racing rushing chase speeding", {{f::fast, 1.2F}}},
    {"handheld shaky documentary", {{f::handheld, 1.2F}}},
    {"timelapse hyperlapse lapse", {{f::time_lapse, 1.5F}}},
  };
  return table;
}

struct named_build {
  std::string_view words;
  animal_build build;
};
const std::vector<named_build>& builds() {
  static const std::vector<named_build> table = {
    {"cat kitten panther", {0.45F, 0.15F, 0.95F, 0.40F, 0.16F, 0.12F, 0.10F}},
    {"dog puppy wolf coyote husky", {0.55F, 0.30F, 0.70F, 0.45F, 0.20F, 0.17F, 0.15F}},
    {"fox", {0.45F, 0.22F, 1.00F, 0.35F, 0.55F, 0.22F, 0.06F}},
    {"horse pony stallion mustang zebra donkey unicorn", {0.95F, 0.75F, 0.70F, 0.60F, 0.20F, 0.11F, 0.06F}},
    {"deer stag elk moose antelope gazelle reindeer", {0.95F, 0.80F, 0.15F, 0.48F, 0.30F, 0.18F, 0.09F}},
    {"lion tiger leopard jaguar cheetah", {0.55F, 0.25F, 0.95F, 0.60F, 0.50F, 0.32F, 0.10F}},
    {"bear panda buffalo bison cow bull ox", {0.45F, 0.15F, 0.20F, 0.95F, 0.16F, 0.11F, 0.08F}},
    {"elephant rhino mammoth hippo", {0.70F, 0.10F, 0.50F, 1.00F, 0.24F, 0.23F, 0.23F}},
    {"giraffe camel llama alpaca dinosaur", {1.00F, 1.00F, 0.60F, 0.55F, 0.45F, 0.31F, 0.14F}},
    {"rabbit bunny hare mouse squirrel hedgehog sheep goat lamb pig animal creature", {0.30F, 0.20F, 0.30F, 0.60F, 0.42F, 0.38F, 0.32F}},
  };
  return table;
}
// clang-format on

template <class Table, class Give>
void index(const Table& table, Give give) {
  for (const auto& one : table) {
    std::string_view rest = one.words;
    while (!rest.empty()) {
      const auto end = rest.find(' ');
      give(std::string(rest.substr(0, end)), one);
      rest = end == std::string_view::npos ? std::string_view() : rest.substr(end + 1);
    }
  }
}

const std::unordered_map<std::string, std::vector<meaning>>& dictionary() {
  static const auto made = [] {
    std::unordered_map<std::string, std::vector<meaning>> all;
    index(entries(), [&all](const std::string& word, const entry& one) {
      auto& meanings = all[word];
      meanings.insert(meanings.end(), one.meanings.begin(), one.meanings.end());
    });
    index(builds(), [&all](const std::string& word, const named_build&) { all[word].push_back({f::animal, 1.4F}); });
    return all;
  }();
  return made;
}

/// The word itself, or without an ending: waves, skies, snowing, clouded.
template <class Map>
auto find_word(const Map& map, const std::string& word) {
  auto at = map.find(word);
  const auto attempt = [&](std::string_view ending, std::string_view instead) {
    if (at == map.end() && word.size() > ending.size() + 2 && word.ends_with(ending))
      at = map.find(word.substr(0, word.size() - ending.size()) + std::string(instead));
  };
  attempt("s", "");
  attempt("es", "");
  attempt("ies", "y");
  attempt("ing", "");
  attempt("ing", "e");
  attempt("ed", "");
  attempt("y", "");
  return at;
}

bool denies(const std::string& word) { return word == "no" || word == "without" || word == "not" || word == "never"; }

} // namespace

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  std::string word;
  for (const char c : text + " ") {
    const auto u = static_cast<unsigned char>(c);
    const bool letter = u >= 0x80 || (u >= 'a' && u <= 'z') || (u >= 'A' && u <= 'Z') || (u >= '0' && u <= '9');
    if (letter)
      word.push_back(u >= 'A' && u <= 'Z' ? static_cast<char>(u + 32) : c);
    else if (!word.empty())
      words.push_back(std::exchange(word, {}));
  }
  return words;
}

feature_scores score(const std::string& prompt, const std::string& negative_prompt) {
  feature_scores scores{};
  const auto add = [&scores](const std::string& word, float sign) {
    const auto at = find_word(dictionary(), word);
    if (at == dictionary().end())
      return;
    for (const auto& one : at->second)
      scores[static_cast<std::size_t>(one.what)] += sign * one.weight;
  };
  int denied = 0; // words left that a "no" reaches
  for (const auto& word : words_of(prompt)) {
    add(word, denied > 0 ? -2.0F : 1.0F);
    denied = denies(word) ? 2 : std::max(0, denied - 1);
  }
  for (const auto& word : words_of(negative_prompt))
    add(word, -3.0F);
  return scores;
}

const animal_build* animal_in(const std::string& prompt) {
  static const auto by_name = [] {
    std::unordered_map<std::string, animal_build> all;
    index(builds(), [&all](const std::string& word, const named_build& one) { all.emplace(word, one.build); });
    return all;
  }();
  for (const auto& word : words_of(prompt))
    if (const auto at = find_word(by_name, word); at != by_name.end())
      return &at->second;
  return nullptr;
}

} // namespace troupe::engines::scene
