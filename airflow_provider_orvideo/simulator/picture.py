"""The part of a simulated video that stands still: a landscape, the prompt, and what the video is."""

import colorsys
import hashlib
import math
from dataclasses import dataclass
from functools import lru_cache

from PIL import Image, ImageDraw, ImageFont

Color = tuple[int, int, int]
SMALLEST_TEXT = 8


@dataclass(frozen=True, slots=True)
class Scene:
    """A drawn background and the measures of what moves in front of it.

    Args:
        image: The background.
        horizon: The line below which the sun does not show.
        sun_radius: Half the sun's size.
        bar_height: Lines of the progress bar at the bottom.
    """

    image: Image.Image
    horizon: int
    sun_radius: int
    bar_height: int


@lru_cache(maxsize=32)
def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def draw(job_id: str, index: int, prompt: str, caption: str, width: int, height: int) -> Scene:
    """Draw the background; the same arguments always give the same picture."""
    digest = hashlib.sha256(f"{job_id}/{index}".encode()).digest()
    # From blue over violet and red to orange: skies that exist.
    hue = 0.52 + 0.56 * digest[0] / 255
    horizon = round(height * 0.52)
    image = _sky(width, height, hue)
    pen = ImageDraw.Draw(image)
    for layer in range(3):
        _hills(
            pen,
            width,
            height,
            horizon,
            digest[layer * 4 + 1 : layer * 4 + 5],
            _color(hue + 0.55, 0.45, 0.42 - 0.12 * layer),
            layer,
        )
    _write(pen, job_id, index, prompt, caption, width, height)
    return Scene(image, horizon=horizon, sun_radius=max(3, min(width, height) // 14), bar_height=max(2, height // 60))


def _color(hue: float, saturation: float, value: float) -> Color:
    red, green, blue = colorsys.hsv_to_rgb(hue % 1, saturation, value)
    return round(red * 255), round(green * 255), round(blue * 255)


def _sky(width: int, height: int, hue: float) -> Image.Image:
    """A sky that is dark above and light at the horizon."""
    top, bottom = _color(hue + 0.05, 0.65, 0.35), _color(hue, 0.45, 0.85)
    column = Image.new("RGB", (1, 64))
    for y in range(64):
        share = y / 63
        column.putpixel((0, y), tuple(round(a + (b - a) * share) for a, b in zip(top, bottom, strict=True)))
    return column.resize((width, height), Image.Resampling.BILINEAR)


def _hills(
    pen: ImageDraw.ImageDraw, width: int, height: int, horizon: int, seed: bytes, color: Color, layer: int
) -> None:
    """One range of hills, the nearer the lower."""
    base = horizon + round(height * 0.12 * layer)
    swing = height * 0.07
    step = max(2, width // 80)
    points = [
        (
            x,
            base
            + swing * (1 + math.sin(x / width * (3 + seed[0] % 5) + seed[1])) / 2
            + swing * (1 + math.sin(x / width * (9 + seed[2] % 9) + seed[3])) / 5,
        )
        for x in range(0, width + step, step)
    ]
    pen.polygon([(0, height), *points, (width, height)], fill=color)


def _write(
    pen: ImageDraw.ImageDraw, job_id: str, index: int, prompt: str, caption: str, width: int, height: int
) -> None:
    """The prompt large, and below it what the video is and which job made it."""
    side = min(width, height)
    small, large = max(SMALLEST_TEXT, side // 32), max(SMALLEST_TEXT + 1, side // 15)
    margin = max(3, width // 32)
    room = width - 2 * margin
    output = f"{job_id} / output {index}"
    details = [_clip(line, _font(small), room) for line in (caption, output)]
    y = height - max(2, height // 60) - round(small * 1.35 * len(details)) - margin // 2
    for number, line in enumerate(details):
        pen.text((margin, y + round(small * 1.35) * number), line, font=_font(small), fill=(235, 235, 235))
    lines = _wrap(prompt, _font(large), room, limit=3)
    top = y - round(large * 1.25 * len(lines)) - margin // 3
    for number, line in enumerate(lines):
        at = (margin, top + round(large * 1.25) * number)
        pen.text((at[0] + 1, at[1] + 1), line, font=_font(large), fill=(0, 0, 0))
        pen.text(at, line, font=_font(large), fill=(255, 255, 255))


def _wrap(text: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int, limit: int) -> list[str]:
    """Break a text into lines; what does not fit ends in an ellipsis."""
    lines: list[str] = []
    line = ""
    for word in " ".join(text.split())[:400].split():
        longer = f"{line} {word}".strip()
        if line and font.getlength(longer) > room:
            lines.append(line)
            line = word
        else:
            line = longer
    lines.append(line)
    if len(lines) > limit:
        lines = [*lines[: limit - 1], lines[limit - 1] + "..."]
    return [_clip(line, font, room) for line in lines if line]


def _clip(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, room: int) -> str:
    """Cut a line to the room there is."""
    if font.getlength(line) <= room:
        return line
    fits = next((size for size in range(len(line), 0, -1) if font.getlength(line[:size] + "...") <= room), 0)
    return line[:fits].rstrip(" .") + "..."
