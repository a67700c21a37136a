"""How far a run is: stretches of its schedule, and the time that they take."""

from dataclasses import dataclass

from training.schedule import phases


@dataclass(frozen=True)
class Stretch:
    """A part of a run in which a level fades in, or trains.

    Attributes:
        start, end: In kimg.
        level: Level of detail; 0 is the full resolution.
        fades: Whether the level fades in.
    """

    start: float
    end: float
    level: int
    fades: bool


def stretches(schedule, resolution, total_kimg):
    """The whole run as a list of `Stretch`, without empty ones.

    Args:
        schedule: A `ScheduleConfig`.
        resolution: Full resolution of the networks.
        total_kimg: Length of the run.
    """
    parts, start = [], 0.0
    rows = phases(schedule, resolution)
    for index, (_, transition, training) in enumerate(rows):
        for length, fades in ((transition, True), (training, False)):
            end = min(start + length, total_kimg)
            if end > start:
                parts.append(Stretch(start, end, len(rows) - 1 - index, fades))
                start = end
    return parts


def seconds_between(start, end, parts, rates):
    """Seconds from `start` to `end`, in kimg, at the rates measured so far.

    An unseen level takes twice as long for an image as the next coarser one.

    Args:
        parts: What `stretches` returned.
        rates: Seconds per image by level.
    """
    seconds = 0.0
    for part in parts:
        images = max(min(part.end, end) - max(part.start, start), 0) * 1000
        known = min((level for level in rates if level >= part.level), default=max(rates, default=part.level))
        seconds += images * rates.get(known, 0.01) * 2.0 ** (known - part.level)
    return seconds
