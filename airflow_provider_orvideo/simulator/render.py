"""Real videos: H.264 in MP4, with sound if ordered, drawn from the job so that a viewer sees what it is looking at.

Everything that stands still is drawn once with Pillow and kept as three planes of yuv420p. Per frame, only the sun and
the progress bar are written into the planes, and x264 encodes almost nothing: that is what makes thousands of videos
affordable in a test.
"""

import math
import os
import tempfile
import threading
from array import array
from collections import OrderedDict
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import av
from av.audio.frame import AudioFrame
from av.audio.stream import AudioStream
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from airflow_provider_orvideo.simulator.picture import Scene, draw

SAMPLE_RATE = 48_000
TONE_PERIOD = 160  # samples: 300 Hz
SAMPLES_PER_FRAME = 1024
BIG_FRAME = 640 * 480
WHITE, BAR, TROUGH = b"\xeb", b"\xd2", b"\x30"


@dataclass(frozen=True, slots=True)
class Shot:
    """What one video shows.

    Args:
        job_id: Decides the colours and the landscape, and is written into the picture.
        index: The output's number within the job.
        prompt: Written into the picture.
        caption: A line of facts below it.
        width: Pixels across, even.
        height: Pixels down, even.
        fps: Frames per second.
        frames: Number of frames.
        audio: Whether there is a sound track.
    """

    job_id: str
    index: int
    prompt: str
    caption: str
    width: int
    height: int
    fps: int
    frames: int
    audio: bool


def fit(width: int, height: int, max_pixels: int | None) -> tuple[int, int]:
    """The size that fits a number of pixels, keeping the shape; even, as yuv420p needs."""
    scale = 1.0 if max_pixels is None else min(1.0, math.sqrt(max_pixels / (width * height)))
    if scale == 1.0:
        return width - width % 2, height - height % 2
    return max(16, int(width * scale / 2) * 2), max(16, int(height * scale / 2) * 2)


def render(shot: Shot) -> bytes:
    """Encode a video; the same shot always gives the same bytes."""
    handle, name = tempfile.mkstemp(suffix=".mp4", prefix="orvideo-simulator-")
    os.close(handle)
    path = Path(name)
    try:
        # The muxer needs a real file to move the index to the front, as the live API's files have it.
        with av.open(name, "w", format="mp4", options={"movflags": "+faststart"}) as container:
            video = container.add_stream("libx264", rate=shot.fps, options={"preset": "ultrafast", "crf": "26"})
            video.width, video.height, video.pix_fmt = shot.width, shot.height, "yuv420p"
            # A fixed number: x264's output depends on it.
            video.codec_context.thread_count = 2 if shot.width * shot.height >= BIG_FRAME else 1
            audio = container.add_stream("aac", rate=SAMPLE_RATE, layout="mono") if shot.audio else None
            if audio is not None:
                audio.codec_context.bit_rate = 64_000
            _encode(container, video, audio, shot)
        return path.read_bytes()
    finally:
        path.unlink(missing_ok=True)


def _encode(container: av.container.OutputContainer, video: VideoStream, audio: AudioStream | None, shot: Shot) -> None:
    for frame in _pictures(shot):
        container.mux(video.encode(frame))
    container.mux(video.encode(None))
    if audio is not None:
        for sound in _sounds(shot.frames * SAMPLE_RATE // shot.fps):
            container.mux(audio.encode(sound))
        container.mux(audio.encode(None))


def _pictures(shot: Shot) -> Iterator[VideoFrame]:
    """The frames; all of them are one object, which x264 copies before it returns."""
    scene = draw(shot.job_id, shot.index, shot.prompt, shot.caption, shot.width, shot.height)
    frame = VideoFrame.from_image(scene.image).reformat(format="yuv420p")  # type: ignore[no-untyped-call]  # PyAV's gap
    plane = frame.planes[0]
    luma, stride = memoryview(plane).cast("B"), plane.line_size
    still = bytes(luma)
    for number in range(shot.frames):
        done = (number + 1) / shot.frames
        rows = list(_disc(scene, number / shot.frames))
        for y, left, right in rows:
            luma[y * stride + left : y * stride + right] = WHITE * (right - left)
        _bar(luma, stride, scene, done)
        frame.pts = number
        yield frame
        for y, left, right in rows:
            luma[y * stride + left : y * stride + right] = still[y * stride + left : y * stride + right]


def _disc(scene: Scene, position: float) -> Iterator[tuple[int, int, int]]:
    """The rows of the sun on its arc across the sky: line, first and last column."""
    width, radius = scene.image.width, scene.sun_radius
    center_x = radius + position * (width - 2 * radius)
    center_y = scene.horizon - (scene.horizon - 2 * radius) * math.sin(math.pi * position) - radius
    for dy in range(-radius, radius + 1):
        half = math.sqrt(radius * radius - dy * dy)
        y, left, right = int(center_y) + dy, max(0, int(center_x - half)), min(width, int(center_x + half))
        if 0 <= y < scene.horizon and left < right:
            yield y, left, right


def _bar(luma: memoryview, stride: int, scene: Scene, done: float) -> None:
    """The progress bar along the bottom."""
    width, height = scene.image.width, scene.image.height
    filled = round(width * done)
    line = BAR * filled + TROUGH * (width - filled)
    for y in range(height - scene.bar_height, height):
        luma[y * stride : y * stride + width] = line


def _sounds(samples: int) -> Iterator[AudioFrame]:
    """A quiet tone of that many samples."""
    period = [0.1 * math.sin(2 * math.pi * step / TONE_PERIOD) for step in range(TONE_PERIOD)]
    wave = array("f", period * (SAMPLES_PER_FRAME // TONE_PERIOD + 2)).tobytes()
    for start in range(0, samples, SAMPLES_PER_FRAME):
        length = min(SAMPLES_PER_FRAME, samples - start)
        frame = AudioFrame(format="fltp", layout="mono", samples=length)
        frame.sample_rate = SAMPLE_RATE
        frame.pts = start
        offset = start % TONE_PERIOD * 4
        frame.planes[0].update(wave[offset : offset + frame.planes[0].buffer_size])
        yield frame


class Studio:
    """Renders in threads, every shot once, and keeps what fits.

    Args:
        workers: Videos rendered at the same time.
        cache_bytes: What is kept; the oldest goes first, and is rendered again when asked for.
    """

    def __init__(self, workers: int, cache_bytes: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="orvideo-render")
        self._cache_bytes = cache_bytes
        self._kept: OrderedDict[Shot, bytes] = OrderedDict()
        self._size = 0
        self._running: dict[Shot, Future[bytes]] = {}
        self._lock = threading.Lock()
        self.rendered = 0

    def order(self, shot: Shot) -> Future[bytes]:
        """The video, now or later; two who ask at the same time get the same rendering."""
        with self._lock:
            if shot in self._kept:
                self._kept.move_to_end(shot)
                ready: Future[bytes] = Future()
                ready.set_result(self._kept[shot])
                return ready
            if shot not in self._running:
                self._running[shot] = self._pool.submit(self._render, shot)
            return self._running[shot]

    def close(self) -> None:
        """Stop; what has not begun is not rendered."""
        self._pool.shutdown(wait=True, cancel_futures=True)

    def _render(self, shot: Shot) -> bytes:
        try:
            video = render(shot)
        finally:
            with self._lock:
                self._running.pop(shot, None)
        with self._lock:
            self.rendered += 1
            self._kept[shot] = video
            self._size += len(video)
            while self._size > self._cache_bytes:
                self._size -= len(self._kept.popitem(last=False)[1])
        return video
