"""The main job: prompts in; an enlarged, narrated, subtitled, joined film out. And its stream of events."""
import array
import hashlib
import pathlib
import random
import re
import subprocess
import sys
import tempfile
import unittest
import wave

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))
from studio import CREDIT, PATIENCE, Head, assert_money_is_right, probe, small_film  # noqa: E402

NARRATION = "Every morning begins in the mountains. By night the city shines in the rain."
SPOKEN = {"every", "morning", "begins", "in", "the", "mountains", "by", "night", "city", "shines", "rain"}
FRAME_RATE = 24
FILM = small_film(shots=3, seconds=0.75, width=160, height=96, upscale=2, narration=NARRATION)
CROSSFADE_S = 0.5


def frames_of(film, at, width, height):
    """The picture at a time, as grey bytes, small enough to compare."""
    out = subprocess.run(["ffmpeg", "-v", "error", "-ss", f"{at:.3f}", "-i", str(film), "-frames:v", "1", "-vf", f"scale={width}:{height}",
                          "-f", "rawvideo", "-pix_fmt", "gray", "-"], capture_output=True, timeout=120 * PATIENCE, check=True)
    assert len(out.stdout) == width * height, f"no picture at {at}"
    return out.stdout


def difference(a, b):
    return sum(abs(x - y) for x, y in zip(a, b)) / len(a)


def cues_of(text):
    """(begin, end, words) of each cue, in seconds."""
    out = []
    for block in re.split(r"\r?\n\r?\n", text.strip()):
        lines = block.splitlines()
        found = re.fullmatch(r"(\d+):(\d\d):(\d\d),(\d{3}) --> (\d+):(\d\d):(\d\d),(\d{3})", lines[1].strip())
        assert found, f"no times in {lines[1]!r}"
        h, m, s, ms, h2, m2, s2, ms2 = map(int, found.groups())
        out.append((h * 3600 + m * 60 + s + ms / 1000, h2 * 3600 + m2 * 60 + s2 + ms2 / 1000, " ".join(lines[2:])))
    return out


class MainJob(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.head = Head({"node.slots": 2}).start()
        cls.addClassCleanup(cls.head.destroy)
        cls.head.wait_for_engines()
        cls.user = cls.head.user("maker")
        cls.receipt = cls.user.run("short-film", FILM)
        cls.job = cls.receipt["job_id"]
        cls.view = cls.user.wait_for_job(cls.job, 300)
        cls.files = {}
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix="troupe-film-", dir=cls.head.data))
        for artifact in cls.view["artifacts"]:
            path = cls.folder / artifact["filename"]
            cls.user.download(artifact["url"], path)
            cls.files[artifact["name"]] = path
        cls.film = probe(cls.files["video"])

    def stream_of(self, kind, codec=None):
        found = [s for s in self.film["streams"] if s["codec_type"] == kind]
        self.assertEqual(len(found), 1, f"{kind} streams: {self.film['streams']}")
        if codec:
            self.assertEqual(found[0]["codec_name"], codec)
        return found[0]

    def narration(self):
        with wave.open(str(self.files["narration"])) as sound:
            samples = array.array("h", sound.readframes(sound.getnframes()))
            return sound.getnframes() / sound.getframerate(), samples

    # -- what came out

    def test_every_file_is_what_the_job_says_it_is(self):
        self.assertEqual(set(self.files), {"video", "subtitles", "narration"})
        for artifact in self.view["artifacts"]:
            data = self.files[artifact["name"]].read_bytes()
            self.assertEqual(hashlib.sha256(data).hexdigest(), artifact["sha256"], artifact)
            self.assertEqual(len(data), artifact["bytes"])
        self.assertEqual(self.files["video"].name, f"webgen_{self.job}_00001.mp4")

    def test_the_film_is_h264_with_sound_and_a_subtitle_track(self):
        self.assertIn("mp4", self.film["format"]["format_name"])
        video = self.stream_of("video", "h264")
        self.assertEqual(video["pix_fmt"], "yuv420p")
        self.assertEqual(video["avg_frame_rate"], f"{FRAME_RATE}/1")
        self.stream_of("audio", "aac")
        self.stream_of("subtitle", "mov_text")

    def test_the_film_is_twice_as_large_as_its_shots(self):
        video = self.stream_of("video")
        self.assertEqual((video["width"], video["height"]), (2 * FILM["width"], 2 * FILM["height"]))

    def test_the_film_is_as_long_as_its_shots_or_its_narration(self):
        shots = FILM["shots"]
        pictures = sum(round(shot["duration_s"] * FRAME_RATE) for shot in shots) / FRAME_RATE
        joined = pictures - CROSSFADE_S * (len(shots) - 1)
        spoken, _ = self.narration()
        expected = max(joined, spoken)
        video, audio = self.stream_of("video"), self.stream_of("audio")
        # A cross-fade may be made shorter where a shot is; the narration is never cut.
        self.assertGreaterEqual(float(video["duration"]), expected - 0.2)
        self.assertLessEqual(float(video["duration"]), max(pictures, spoken) + 0.7)
        self.assertGreaterEqual(float(audio["duration"]), spoken - 0.1)
        self.assertEqual(int(video["nb_read_frames"]), round(float(video["duration"]) * FRAME_RATE))

    def test_the_shots_differ_and_move(self):
        duration = float(self.stream_of("video")["duration"])
        joined = sum(s["duration_s"] for s in FILM["shots"]) - CROSSFADE_S * 2
        first, second = (frames_of(self.files["video"], at, 64, 40) for at in (0.0, 0.1))
        last = frames_of(self.files["video"], min(joined, duration) - 0.1, 64, 40)
        self.assertGreater(difference(first, second), 0.05, "the first shot stands still")
        self.assertGreater(difference(first, last), 8, "the first and the last shot look alike")

    def test_the_narration_is_audible(self):
        duration, samples = self.narration()
        self.assertGreater(duration, 2)
        self.assertGreater(max(samples), 3000)
        sound = subprocess.run(["ffmpeg", "-v", "error", "-i", str(self.files["video"]), "-map", "0:a", "-f", "s16le", "-ac", "1", "-"],
                               capture_output=True, timeout=120 * PATIENCE, check=True).stdout
        mixed = array.array("h", sound[:len(sound) // 2 * 2])
        self.assertGreater(max(mixed), 2000, "the film is silent")

    def test_the_subtitles_are_what_was_said_within_the_time_it_was_said(self):
        cues = cues_of(self.files["subtitles"].read_text())
        self.assertTrue(cues)
        duration, _ = self.narration()
        last = 0.0
        for begin, end, words in cues:
            self.assertGreaterEqual(begin, last - 0.001, "cues overlap or go back")
            self.assertGreater(end, begin)
            self.assertLessEqual(end, duration + 0.3)
            self.assertTrue(words.strip())
            last = end
        self.assertGreater(last, duration * 0.6, "the subtitles end long before the narration does")
        heard = set(re.findall(r"[a-z]+", " ".join(words for _, _, words in cues).lower()))
        self.assertGreaterEqual(len(heard & SPOKEN), len(SPOKEN) * 2 // 3, f"heard {sorted(heard)}")

    def test_the_subtitles_are_burnt_in_too(self):
        """Where the text stands, the picture with it differs from a moment that has none, by bright pixels."""
        cues = cues_of(self.files["subtitles"].read_text())
        begin, end, _ = max(cues, key=lambda cue: cue[1] - cue[0])
        width, height = 2 * FILM["width"], 2 * FILM["height"]
        picture = frames_of(self.files["video"], (begin + end) / 2, width, height)
        lower = picture[len(picture) * 3 // 5:]
        self.assertGreater(sum(value > 225 for value in lower), 60, "no bright letters in the lower part")
        self.assertGreater(sum(value < 30 for value in lower), 60, "no dark outline of letters")

    # -- what it cost, and who did it

    def test_the_stage_charges_add_up_to_what_was_held(self):
        self.assertEqual([s["name"] for s in self.view["stages"]], [s["name"] for s in self.receipt["stages"]])
        for planned, stage in zip(self.receipt["stages"], self.view["stages"]):
            self.assertEqual(stage["charge_credits"], planned["price_credits"], stage["name"])
            self.assertEqual((stage["status"], stage["attempts"]), ("succeeded", 1), stage)
            self.assertTrue(stage["device"] and stage["engine"] and stage["started_at"] and stage["finished_at"], stage)
        self.assertEqual(sum(s["charge_credits"] for s in self.view["stages"]), self.view["credits_used"])
        self.assertEqual(self.view["credits_used"], self.receipt["credits_held"])
        self.assertEqual(self.view["credits_held"], 0)
        self.assertIs(self.view["preview"], True)

    def test_the_ledger_has_every_stage_once(self):
        history = [row for row in self.user.history() if row["job_id"] == self.job]
        self.assertEqual(sum(row["type"] == "capture" for row in history), len(self.view["stages"]))
        self.assertEqual([row["type"] for row in history if row["type"] != "capture"], ["hold"])

    def test_all_stages_ran_on_another_process_than_the_head(self):
        nodes = self.head.admin().get("/api/admin/nodes")["nodes"]
        self.assertEqual([n["name"] for n in nodes if n.get("devices")], ["local"])
        self.assertNotEqual(self.head.node_pid(), self.head.process.pid)
        self.assertTrue(all(stage["device"].startswith("local/") for stage in self.view["stages"]))

    # -- its events

    def test_the_stream_tells_the_whole_story_in_order(self):
        events = self.user.all_events(self.job)
        ids = [event_id for event_id, _, _ in events]
        self.assertEqual(ids, sorted(set(ids)), "ids rise strictly")
        names = [name for _, name, _ in events]
        self.assertEqual(names[0], "state")
        self.assertEqual(names[-1], "done")
        self.assertEqual(events[-1][2]["status"], "succeeded")
        self.assertEqual(names.count("done"), 1)
        self.assertEqual(names.count("charge"), len(self.view["stages"]))
        self.assertEqual(names.count("artifact"), 3)
        self.assertEqual([data["status"] for _, name, data in events if name == "state"], ["queued", "running", "succeeded"])
        charged = sum(data["micro_credits"] for _, name, data in events if name == "charge")
        self.assertEqual(charged, round(self.view["credits_used"] * CREDIT))
        for _, name, data in events:
            self.assertEqual(data["job_id"], self.job)
            if name == "preview":
                self.assertTrue(data["jpeg"].startswith("/9j/"))
            if name == "progress":
                self.assertTrue(0 <= data["fraction"] <= 1 and 0 <= data["job_fraction"] <= 1)
        for stage in self.view["stages"]:
            told = [data["status"] for _, name, data in events if name == "stage" and data["stage"] == stage["name"]]
            self.assertEqual(told, ["running", "succeeded"], stage["name"])

    def test_a_stream_resumed_anywhere_goes_on_without_a_gap_or_a_repeat(self):
        events = self.user.all_events(self.job)
        chance = random.Random(3)
        for cut in [0, len(events) - 1] + [chance.randrange(len(events)) for _ in range(10)]:
            rest = list(self.user.stream(f"/api/jobs/{self.job}/events", after=events[cut][0])) if cut < len(events) - 1 else []
            self.assertEqual(rest, events[cut + 1:], f"resumed after event {events[cut][0]}")

    def test_the_accounts_stream_holds_the_jobs_events(self):
        of_job = self.user.all_events(self.job)
        got = []
        for event in self.user.stream("/api/events", after=0):
            if event[2]["job_id"] == self.job:
                got.append(event)
                if event[1] == "done":
                    break
        self.assertEqual(got, of_job)


class AgainAndAgain(unittest.TestCase):
    """The same film twice, the second time read by a client that is cut off all the time, over a restart of the head."""

    def test_a_film_is_the_same_each_time_and_its_stream_survives_cuts_and_a_restart(self):
        head = Head({"node.slots": 2}).start()
        self.addCleanup(head.destroy)
        head.wait_for_engines()
        user = head.user("twice")
        film = small_film(shots=2, seconds=0.5, upscale=2, width=96, height=64)
        first = user.run("short-film", film)["job_id"]
        first_view = user.wait_for_job(first)
        second = user.run("short-film", film)["job_id"]
        chance = random.Random(17)
        read, last, restarted = [], None, False
        while not (read and read[-1][1] == "done"):
            cut_after = chance.randrange(1, 6)
            try:
                for event in user.stream(f"/api/jobs/{second}/events", after=last):
                    read.append(event)
                    last = event[0]
                    cut_after -= 1
                    if event[1] == "done" or cut_after == 0:
                        break
            except (OSError, AssertionError):
                raise
            if not restarted and any(name == "charge" for _, name, _ in read):
                restarted = True
                self.assertEqual(head.stop(), 0)
                head.start()
        self.assertTrue(restarted)
        self.assertEqual(read, user.all_events(second), "what was read in pieces is not what the stream is")
        ids = [event_id for event_id, _, _ in read]
        self.assertEqual(ids, sorted(set(ids)))
        earlier = list(user.stream(f"/api/jobs/{first}/events", after=0, timeout=10))
        self.assertEqual(earlier[-1][1], "done", "the stream of a job ends, though another job's events follow")
        second_view = user.wait_for_job(second)
        sums = [{a["name"]: a["sha256"] for a in view["artifacts"]} for view in (first_view, second_view)]
        self.assertEqual(sums[0], sums[1], "the same seeds made another film")
        assert_money_is_right(self, user, {first: user.job(first), second: second_view}, head.admin())


if __name__ == "__main__":
    unittest.main(verbosity=2)
