"""Where stages run when machines differ: by the memory of their devices, and by where the inputs are."""
import pathlib
import sys
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from machines import KIND, Machines  # noqa: E402
from studio import wait_until  # noqa: E402


def engine(vram_mib):
    return [{"name": "fake", "version": "1", "operations": [{"kind": KIND, "vram_mib": vram_mib, "preview": False}],
             "available": True, "reason": "", "needs": ""}]


class Placement(Machines):
    def test_a_gpu_is_filled_up_to_its_memory_and_no_further(self):
        gpu = self.fake("gpu", devices=[{"name": "cuda0", "type": "cuda", "model": "H", "slots": 4, "vram_mib": 11_000}], engines=engine(5_000))
        gpu.wait_welcome()
        jobs = [self.submit(seed=n) for n in range(3)]
        wait_until(lambda: len(gpu.assigned) == 2, 20, "two fit")
        time.sleep(1)
        self.assertEqual(len(gpu.assigned), 2, "there is a slot for a third, and no memory")
        waits = next(job for job in jobs if self.stage(job, 0)["status"] == "ready")
        self.assertEqual(self.stage(waits, 0)["waiting"]["code"], "busy")
        gpu.work = gpu.honest
        for assigned in list(gpu.assigned):
            gpu.honest(assigned)
        self.check(jobs)

    def test_a_stage_too_large_for_every_gpu_runs_on_a_cpu(self):
        cards = [{"name": "cuda0", "type": "cuda", "model": "H", "slots": 4, "vram_mib": 4_000},
                 {"name": "cuda1", "type": "cuda", "model": "H", "slots": 1, "vram_mib": 9_000}]
        gpu = self.fake("gpu", devices=cards, engines=engine(8_000))
        cpu = self.honest("cpu", engines=engine(0))
        gpu.wait_welcome()
        self.admin.ask("PUT", "/api/admin/devices/gpu/cuda1", {"state": "draining"})
        jobs = [self.submit(seed=n) for n in range(3)]
        views = self.check(jobs)
        self.assertEqual({stage["device"] for view in views.values() for stage in view["stages"]}, {"cpu/cpu0"})
        self.assertEqual(gpu.assigned, [])

    def test_what_runs_out_of_memory_goes_to_a_larger_gpu(self):
        def card(vram_mib):
            return [{"name": "cuda0", "type": "cuda", "model": "H", "slots": 1, "vram_mib": vram_mib}]
        small = [self.fake(f"small{n}", devices=card(8_000), engines=engine(5_000)) for n in range(3)]
        large = self.fake("large", devices=card(24_000), engines=engine(5_000))
        for gpu in small + [large]:
            gpu.wait_welcome()
        self.set_state("large", "draining")  # so that a small one has it first
        job = self.submit()
        tried = wait_until(lambda: [gpu for gpu in small if gpu.assigned], 20, "a small one tries")[0]
        self.set_state("large", "enabled")
        for gpu in small + [large]:
            gpu.work = gpu.honest
        tried.send(tried.failed(tried.assigned[0], "out_of_memory", "9 GiB are wanted"))
        views = self.check([job])
        first = views[job]["stages"][0]
        self.assertEqual((first["device"], first["attempts"]), ("large/cuda0", 2), "and not another one of the same size")

    def test_a_stage_runs_where_its_input_was_made(self):
        nodes = [self.honest(name) for name in ("one", "two", "three")]
        jobs = [self.submit(seed=n) for n in range(6)]
        views = self.check(jobs)
        for view in views.values():
            self.assertEqual(len({stage["device"].split("/")[0] for stage in view["stages"]}), 1, view["stages"])
        self.assertTrue(nodes)


if __name__ == "__main__":
    unittest.main(verbosity=2)
