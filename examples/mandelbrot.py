"""The engine of python_worker.py: a zoom into the Mandelbrot set, drawn by the program ffmpeg. Put your own model in its place: a
module with these constants, Failure and run() is all that the worker asks for."""
import pathlib
import subprocess
import tempfile

KIND, NAME, VERSION = "scene.video", "mandelbrot", "1"
VRAM_MIB = 1024  # what a run takes of a GPU's memory
STAND_IN = True  # it draws the same for every model that is asked for: its films count as previews


class Failure(Exception):
    """Why there is no film: a fault as the protocol lists them, and a message for the job's owner."""


def run(params):
    """Yields several times a second, as meanwhile the worker does nothing else (what takes longer belongs in a thread or a program):
    what there is to tell, of how far it is as `progress`, of how it looks as `preview`, or nothing. Returns what it made, as the protocol
    describes an artifact, and its bytes. Whoever closes it ends the program."""
    try:
        with tempfile.TemporaryDirectory(prefix="troupe-worker-", ignore_cleanup_errors=True) as folder:
            return (yield from draw(params, pathlib.Path(folder)))
    except OSError as error:  # no ffmpeg, no room for its files
        raise Failure("device", "ffmpeg cannot be run here") from error


def draw(params, folder):
    process = subprocess.Popen(command(params, folder))
    try:
        ended = None
        while ended is None:
            ended = process.poll()  # what there is at the end is told, too
            yield dict(news(params["frames"], folder))
    finally:  # before the folder is removed: a program that still wrote into it would hinder that
        process.kill()
        process.wait()
    if ended:
        raise Failure("unknown", f"ffmpeg ended with {ended}")
    return {"port": "video", "content_type": "video/mp4", "metadata": {"frames": params["frames"]}}, (folder / "film.mp4").read_bytes()


def news(frames, folder):
    progress, preview = folder / "progress", folder / "preview.jpg"
    if progress.exists():
        frame = progress.read_text().rpartition("frame=")[2].partition("\n")[0]
        yield "progress", {"fraction": min(1.0, int(frame or 0) / frames), "step": "drawing"}
    if preview.exists():
        yield "preview", {"jpeg": preview.read_bytes()}


def command(params, folder):
    """Draws film.mp4, and its newest picture, small, as preview.jpg; says which frame it is at in the file progress."""
    frames, size, start_x = str(params["frames"]), f"{params['width']}x{params['height']}", -0.7436 - params["seed"] % 997 * 1e-7
    return ["ffmpeg", "-nostdin", "-loglevel", "error", "-progress", f"{folder}/progress", "-stats_period", "0.2",
            "-f", "lavfi", "-i", f"mandelbrot=size={size}:rate={params['frame_rate']}:start_x={start_x}:end_scale=0.01",
            "-frames:v", frames, "-c:v", "libx264", "-pix_fmt", "yuv420p", f"{folder}/film.mp4",
            "-frames:v", frames, "-vf", "scale=320:320:force_original_aspect_ratio=decrease:force_divisible_by=2",
            "-q:v", "6", "-update", "1", "-atomic_writing", "1", f"{folder}/preview.jpg"]
