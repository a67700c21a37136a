"""Records made by many machines: the shards of a data set are the elements of an Apache Beam pipeline.

    launcher   knows the pictures and their order; sends the number of each shard to some worker
    workers    open the same pictures, make the records of their shard, and write its files
    launcher   takes the files over, writes labels and manifest, and gives the data set its name

Launcher and workers see the same directories, and nothing but numbers goes through the pipeline. The data set is that
of a local run, byte for byte. A worker may fail or do its work twice: what it writes has a name of its own until the
launcher takes it over, and a shard is taken over as a whole.
"""

import contextlib
import json
import os
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import apache_beam
from apache_beam.options.pipeline_options import PipelineOptions
from apache_beam.runners.runner import PipelineState
from apache_beam.utils.shared import Shared

from dataset_tools.commands import open_source
from dataset_tools.errors import DatasetError
from dataset_tools.making import stamp_of, usable
from dataset_tools.progress import Progress
from dataset_tools.shards import Plan, Shard, make_shard, write_whole
from stylegan_tf.record_partial import JOURNAL

RUNNERS = {"DirectRunner": "FnApiRunner"}  # on this machine; Beam's own choice would fetch a program from the internet
WATCH_SECONDS = 1  # between two looks at what workers have made


class Pipeline:
    """Has records made by a Beam runner; what `make_dataset` takes as `write`.

    Args:
        runner: Name of the runner.
        flags: Its options, as on a command line.
        pictures: (command, arguments, options), see `open_source`.
        workers: Threads for each shard that is being made.
    """

    name = "Apache Beam"

    def __init__(self, runner, flags, pictures, workers=None):
        self.runner, self.pictures, self.workers = runner, pictures, workers or 1
        self.options = PipelineOptions([*flags, f"--runner={RUNNERS.get(runner, runner)}"])

    def __call__(self, writer, encoder, order, skipped, on_error, state):
        """Run the pipeline, and put what it has made into `writer` and `skipped`.

        Raises:
            DatasetError: A picture cannot be used and shall not be left out, or workers see other pictures.
            OSError: The pipeline failed.
        """
        writer.shape = writer.shape or _first_shape(encoder, order, writer, skipped, on_error)
        if writer.shape is None:
            return
        plan = self._plan(writer, on_error, state["identity"])
        made = Made(writer, plan, state)
        *shards, last = _shards(writer.starts, len(order))
        last = made.as_before(last)
        self._make([*shards, last], plan, made)
        missing = writer.expected_images - writer.count
        if missing and made.shards[last.number]["count"] == last.images:  # it has not come to the end of the pictures
            self._make([last._replace(images=last.images + missing)], plan, made)
        writer.partial.clear(keep=[JOURNAL, *writer.files])  # of attempts that failed
        for _, report in sorted(made.shards.items()):
            for index, message in report["skipped"]:
                skipped.add(index, encoder.source.names[index], DatasetError(message))

    def _plan(self, writer, on_error, identity):
        return Plan(
            *self.pictures,
            stamp=identity["stamp"],
            directory=str(writer.partial.path),
            prefix=writer.directory.name,
            run=uuid.uuid4().hex,
            shape=tuple(writer.shape),
            format=writer.format,
            shuffle=bool(identity["shuffle"]),
            on_error=on_error,
            workers=self.workers,
        )

    def _make(self, shards, plan, made):
        """Make those shards that are not there yet."""
        made.wanted |= {shard.number: shard for shard in shards}
        missing = [shard for shard in shards if not made.has(shard)]
        stop = threading.Event()
        try:
            with ThreadPoolExecutor(1) as watcher:
                watching = watcher.submit(made.watch, stop)
                try:
                    self._run(missing, plan)
                finally:
                    stop.set()
                watching.result()
        finally:
            made.take_over()
            made.progress.clear()
        if plan.failure.exists():
            raise DatasetError(json.loads(plan.failure.read_text(encoding="utf-8")))
        for shard in missing:
            if not made.has(shard):
                raise OSError(f"shard {shard.number} was not made; do all workers see {plan.directory}?")

    def _run(self, shards, plan):
        if not shards:
            return
        pipeline = apache_beam.Pipeline(options=self.options)
        elements = pipeline | apache_beam.Create([tuple(shard) for shard in shards], reshuffle=False)
        _ = elements | apache_beam.Reshuffle() | apache_beam.ParDo(MakeShard(plan))
        result = None
        try:
            result = pipeline.run()
            result.wait_until_finish()
        except Exception as error:
            last = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            raise OSError(f"the pipeline failed on {self.runner}: {last[0]}") from error
        except BaseException:
            with contextlib.suppress(Exception):
                result.cancel()
            raise
        if result.state != PipelineState.DONE:
            raise OSError(f"the pipeline ended on {self.runner} as {result.state}")


def _first_shape(encoder, order, writer, skipped, on_error):
    """Shape of the first usable picture, which all others must have; without one, all are in `skipped`, and None."""
    errors = []
    with contextlib.closing(usable(encoder, order, writer, on_error)) as pictures:
        for encoded in pictures:
            if not encoded.error:
                return encoded.shape
            errors.append(encoded)
    for encoded in errors:
        skipped.add(encoded.index, encoder.source.names[encoded.index], encoded.error)
    return None


def _shards(starts, pictures):
    """All shards; the last one goes on with further pictures, if there are, in place of what is left out."""
    bounds = zip(starts, [*starts[1:-1], pictures], starts[1:], strict=False)
    return [Shard(number, start, stop, end - start) for number, (start, stop, end) in enumerate(bounds)]


class Made:
    """What workers have made, as far as the launcher has taken it over.

    Attributes:
        shards: {number: report}.
        wanted: {number: `Shard`}.
    """

    def __init__(self, writer, plan, state):
        self.writer, self.plan, self.state = writer, plan, state
        before = writer.resume.state["shards"] if writer.resume else {}
        self.shards = {int(number): report for number, report in before.items()}
        self.wanted = {}
        self.progress = Progress(writer.expected_images, writer.count)

    def has(self, shard):
        return shard.number in self.shards and self.shards[shard.number]["shard"] == list(shard)

    def as_before(self, shard):
        """A shard as an interrupted run has made it, with more images than planned, or as it is."""
        return Shard(*self.shards[shard.number]["shard"]) if shard.number in self.shards else shard

    def watch(self, stop):
        """Take over what is made, until told to stop."""
        while not stop.wait(WATCH_SECONDS):
            self.take_over()
            self.progress.show(self.writer.count)

    def take_over(self):
        """Give the files of finished shards their names, and make this the state to go on from."""
        writer, directory = self.writer, Path(self.plan.directory)
        for path in sorted(directory.glob(self.plan.report(0).name.replace("00000", "*"))):
            report = json.loads(path.read_text(encoding="utf-8"))
            number = report["shard"][0]
            path.unlink()
            if report["shard"] != list(self.wanted[number]):
                continue  # of a worker that came late
            for name in report["files"]:
                os.replace(directory / f"{name}.{report['attempt']}", directory / name)
            writer.files = writer.files | {name: tuple(entry) for name, entry in report.pop("files").items()}
            self.shards[number] = report
        writer.count = sum(report["count"] for report in self.shards.values())
        writer.checkpoint(self.state | {"shards": self.shards})


# ---------------------------------------------------------------------------------------------------------------------
# On the workers


class MakeShard(apache_beam.DoFn):
    """Makes the shards that it is given, and writes a report for each."""

    def __init__(self, plan):
        self.plan, self.shared, self.source = plan, Shared(), None

    def process(self, element):
        plan, shard = self.plan, Shard(*element)
        if not Path(plan.directory).is_dir():
            raise OSError(f"{plan.directory} is not there on a worker; launcher and workers must see the same one")
        if plan.failure.exists():
            return
        try:
            self.source = self.source or self.shared.acquire(self._open)  # one in a process, while somebody has it
            report = make_shard(self.source, plan, shard)
        except ValueError as error:  # it would not help to try again
            write_whole(plan.failure, str(error))
        else:
            write_whole(plan.report(shard.number), report)

    def _open(self):
        """The pictures; they must be those of the launcher."""
        source = open_source(self.plan.command, self.plan.arguments, self.plan.options)
        if stamp_of(source) != self.plan.stamp:
            raise DatasetError(
                "a worker sees other pictures than the launcher (other names, sizes, times or labels); copy them so "
                "that these stay, or let all machines read the same directory"
            )
        return source
