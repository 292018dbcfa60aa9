#include "tests/simulation/world.hpp"

// What goes wrong, and for how long.

namespace troupe::simulation {

void world::do_fault(const step& what) {
  dice luck(what.seed);
  auto& node = *luck.pick(nodes_);
  auto& line = lines_.behaviour(node.name());
  auto for_a_while = luck.magnitude(100 * millisecond, 45 * second);
  auto then = [&](auto undo) {
    time_.after(for_a_while, [this, undo] {
      if (!calm_)
        undo();
    });
  };
  switch (what.what) {
    case act::head_crash:
      crash(luck.permille(800) ? luck.magnitude(50 * millisecond, 5 * second) : for_a_while);
      return;
    case act::node_crash:
      node.kill();
      time_.after(for_a_while, [&node] { node.start(); });
      return;
    case act::node_freeze:
      node.freeze();
      story_.say("node {} stands still for {} ms", node.name(), for_a_while / millisecond);
      then([&node] { node.thaw(); });
      return;
    case act::line_cut: {
      auto way = luck.below(3);
      line.to_head_cut = way != 1;
      line.to_node_cut = way != 0;
      story_.say("the line of {} is cut: to the head {}, to the node {}, for {} ms", node.name(), line.to_head_cut,
                 line.to_node_cut, for_a_while / millisecond);
      then([this, &node, &line] {
        line.to_head_cut = line.to_node_cut = false;
        lines_.release(node.name());
      });
      return;
    }
    case act::line_slow:
      line.delay_most = luck.magnitude(50 * millisecond, 3 * second);
      then([&line] { line.delay_most = line_behaviour{}.delay_most; });
      return;
    case act::line_noisy:
      line.twice = luck.between(0, 500);
      line.out_of_order = luck.between(0, 300);
      then([&line] { line.twice = line.out_of_order = 0; });
      return;
    case act::disk_full:
    case act::disk_failing:
      disk_does_.answer = what.what == act::disk_full ? storage::commit_status::full : storage::commit_status::failed;
      story_.say("the disk is {} for {} ms", storage::to_string(disk_does_.answer), for_a_while / millisecond);
      then([this] { disk_does_.answer = storage::commit_status::ok; });
      return;
    case act::disk_slow:
      disk_does_.sync_most = luck.magnitude(50 * millisecond, 3 * second);
      then([this] { disk_does_.sync_most = disk_behaviour{}.sync_most; });
      return;
    case act::blob_corrupt:
    case act::blob_lost:
      if (blobs_.files.empty())
        return;
      {
        auto file = blobs_.files.begin();
        std::advance(file, static_cast<std::ptrdiff_t>(luck.below(blobs_.files.size())));
        if (what.what == act::blob_lost)
          blobs_.files.erase(file);
        else
          file->second = blob_shelf::state::corrupt;
      }
      return;
    case act::device_failing: {
      auto& device = luck.pick(node.devices());
      (luck.permille(400)   ? device.faults
       : luck.permille(400) ? device.unknown
       : luck.permille(500) ? device.out_of_memory
                            : device.hangs) = luck.between(100, 1000);
      then([&device] { device.faults = device.unknown = device.out_of_memory = device.hangs = 0; });
      return;
    }
    case act::device_slow: {
      auto& device = luck.pick(node.devices());
      device.slower = luck.between(2, 30);
      then([&device] { device.slower = 1; });
      return;
    }
    case act::clock_jump: {
      auto by = luck.magnitude(second, 48 * 60 * minute) / millisecond;
      time_.wall_offset_ms += luck.permille(500) ? by : -by;
      story_.say("the wall clock jumps; it is off by {} ms", time_.wall_offset_ms);
      return;
    }
    case act::stall: stalled_until_ = time_.now() + luck.magnitude(millisecond, 5 * second); return;
    default: return;
  }
}

} // namespace troupe::simulation
