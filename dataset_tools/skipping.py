"""Pictures that were left out of a data set: which, and why, in skipped.jsonl beside its records."""

import json
from collections import Counter

import numpy as np

FILE = "skipped.jsonl"


class SkipReport:
    """A line for each picture left out, written as it happens; survives an interruption.

    Args:
        writer: A `RecordWriter` in its `with` block; what it resumes with is taken over.
        pictures: Number of pictures in the source.

    Attributes:
        reasons: Counter {reason: pictures}.
        out: bool [pictures], which ones were left out.
    """

    def __init__(self, writer, pictures):
        self.writer, self.reasons = writer, Counter()
        self.out = np.zeros(pictures, bool)
        if FILE in writer.files:
            with open(writer.partial.path / FILE, encoding="utf-8") as file:
                for entry in map(json.loads, file):
                    self._count(entry["index"], entry["reason"])

    def __len__(self):
        return self.reasons.total()

    def add(self, index, name, error):
        """Picture number `index` of the source, called `name`, cannot be used because of an exception."""
        why = reason(name, error)
        entry = {"index": int(index), "name": name, "reason": why, "message": str(error)}
        self.writer.append(FILE, json.dumps(entry).encode() + b"\n")
        self._count(index, why)

    def table(self, rows=10):
        """The most frequent reasons as lines of text."""
        lines = [f"{count:9,}  {why}" for why, count in self.reasons.most_common(rows)]
        others = self.reasons.total() - sum(count for _, count in self.reasons.most_common(rows))
        return lines + [f"{others:9,}  for other reasons"] * (others > 0)

    def _count(self, index, why):
        self.reasons[why] += 1
        self.out[index] = True


def reason(name, error):
    """What an exception says, without the picture's name and without the remedy: the same for all of its kind."""
    message = str(error)
    for known in (name, name.removesuffix(" (mirrored)")):
        _, found, behind = message.partition(f"{known} ")
        if found:
            message = behind
            break
    return message.partition(";")[0]
