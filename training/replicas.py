"""How one iteration is shared out: over machines, their devices, and parts that come one after the other.

Row n of a minibatch belongs to worker n mod W, there to part (n div W) mod K, there to replica (n div WK) mod L. So
every share is a strided slice, and the groups of the minibatch stddev, which are strided too, hold the same images
however many shares there are (of at least a group's size): the number of devices changes rounding, not results.
"""

import json
import os
from dataclasses import dataclass

import tensorflow as tf

from stylegan_tf.convolution import fewer_multiplications


@dataclass(frozen=True)
class Share:
    """The rows `first`, `first` + `stride`, ... of a minibatch; `first` may be a tensor."""

    first: int | tf.Tensor = 0
    stride: int = 1

    def of(self, rows):
        """Those rows of a tensor, whose number is a multiple of the stride."""
        if self.stride == 1:
            return rows
        return tf.ensure_shape(rows[self.first :: self.stride], [rows.shape[0] // self.stride, *rows.shape[1:]])


class Replicas:
    """The devices that train together, each with its own copy of the networks, all copies equal at all times.

    Args:
        strategy: A `MirroredStrategy` or `MultiWorkerMirroredStrategy`; None for one device and no strategy at all.

    Attributes:
        count: Devices of all workers.
        num_workers, worker: Machines, and which one this is.
    """

    def __init__(self, strategy=None):
        self.strategy = strategy
        self.count = strategy.num_replicas_in_sync if strategy else 1
        resolver = strategy.cluster_resolver if strategy else None
        self.num_workers = len(resolver.cluster_spec().job_tasks("worker")) if resolver and resolver.task_type else 1
        self.worker = resolver.task_id or 0 if resolver and resolver.task_type else 0
        self.local = self.count // self.num_workers

    @property
    def is_chief(self):
        """Whether this process writes the files of the run."""
        return self.worker == 0

    def scope(self):
        """In this context variables get a copy on each device."""
        return self.strategy.scope() if self.strategy else tf.init_scope()

    def compile(self, function):
        """Compile a function that every device is to run.

        Args:
            function: Takes a `Share`, then tensors; returns a dict of scalars.

        Returns:
            A function (shared, common, part=0, parts=1, **static) of arrays with this worker's rows of this part, of
            which each device receives its own, of tensors that all receive, of the part at hand and how many there
            are, and of plain values by name. It returns the dict, averaged over all devices.
        """

        @tf.function(autograph=False)  # nothing here needs it, and tracing takes a quarter less time without
        def on_all(first, shared, common, stride, **static):
            @fewer_multiplications()  # here, as a strategy calls it in threads of its own
            def on_one(first, shared, common):
                return function(Share(first, stride), *shared, *common, **static)

            if self.strategy is None:
                return on_one(first, shared, common)
            logs = self.strategy.run(on_one, args=(first, shared, common))
            return {key: self.strategy.reduce("MEAN", value, axis=None) for key, value in logs.items()}

        def call(shared, common, part=0, parts=1, **static):
            first = self._each(lambda local: tf.constant(self.worker + self.num_workers * (part + parts * local)))
            shared = [self._each(lambda local, rows=rows: tf.constant(rows[local :: self.local])) for rows in shared]
            return on_all(first, shared, common, stride=self.count * parts, **static)

        return call

    def any_of(self, wish):
        """Whether any worker has the wish; all workers must ask at the same time."""
        if self.num_workers == 1:
            return wish
        values = self._each(lambda _: tf.constant(float(wish)))
        return bool(self.strategy.reduce(tf.distribute.ReduceOp.SUM, values, axis=None) > 0)

    def check_equal(self, number, what):
        """Raise a ValueError unless all workers have the same number; `what` says what it is."""
        if self.num_workers > 1:
            values = self._each(lambda _: tf.constant(float(number), tf.float64))
            mean = self.strategy.reduce(tf.distribute.ReduceOp.MEAN, values, axis=None)
            if mean != number:
                raise ValueError(f"{what}: {number} here, {float(mean)} on average; all workers need the same")

    def __str__(self):
        if self.strategy is None:
            return "one"
        kind = self.strategy.extended.worker_devices[0].rpartition("device:")[2].partition(":")[0]
        machines = f" on {self.num_workers} machines" if self.num_workers > 1 else ""
        return f"{self.count} ({kind}){machines}"

    def _each(self, value_of):
        """A value for each device of this worker, by its number."""
        if self.strategy is None:
            return value_of(0)
        return self.strategy.experimental_distribute_values_from_function(
            lambda context: value_of(context.replica_id_in_sync_group % self.local)
        )


def mean_over_replicas(tensors):
    """Inside of a function that runs on every device: each tensor's mean over all (section 10, steps 2 and 3)."""
    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return tensors
    return context.all_reduce(tf.distribute.ReduceOp.MEAN, tensors)


def assign_here(variable, value):
    """Assign to the copy on this device; the caller sees to it that all devices assign the same."""
    tf.raw_ops.AssignVariableOp(resource=variable.handle, value=value)


def replicas_for(num_gpus):
    """The devices of this machine, and of others if `TF_CONFIG` names them; to be called before TensorFlow is used.

    Args:
        num_gpus: Devices of this machine. Without any GPU, that many replicas share the processor: of no use but to
            try things out.

    Raises:
        ValueError: The machine has fewer GPUs, or `TF_CONFIG` is no JSON.
    """
    try:
        cluster = json.loads(os.environ.get("TF_CONFIG", "{}")).get("cluster", {})
        workers, others = cluster.get("worker", []), cluster.keys() - {"worker"}
    except (ValueError, AttributeError) as error:
        raise ValueError(f"TF_CONFIG is no JSON object ({error}); see docs/distributed.md") from error
    if others:
        raise ValueError(
            f"TF_CONFIG has {', '.join(sorted(others))}; list all machines as worker, the first is the chief"
        )
    gpus = tf.config.list_physical_devices("GPU")
    if gpus and num_gpus > len(gpus):
        raise ValueError(f"--gpus {num_gpus}: this machine has {len(gpus)}; ask for fewer")
    if not gpus and num_gpus > 1:
        processor = tf.config.list_physical_devices("CPU")[0]
        tf.config.set_logical_device_configuration(processor, [tf.config.LogicalDeviceConfiguration()] * num_gpus)
    if gpus:  # else TensorFlow would take the memory of all others too
        tf.config.set_visible_devices(gpus[:num_gpus], "GPU")
    if len(workers) > 1:
        return Replicas(tf.distribute.MultiWorkerMirroredStrategy())
    if num_gpus == 1:
        return Replicas()
    return Replicas(mirrored("GPU" if gpus else "CPU", num_gpus))


def mirrored(kind, count):
    """A `MirroredStrategy` on the first devices of a kind, "GPU" or "CPU"."""
    devices = [f"{kind}:{index}" for index in range(count)]
    ways = None if kind == "GPU" else tf.distribute.ReductionToOneDevice()  # processors have no NCCL
    return tf.distribute.MirroredStrategy(devices, cross_device_ops=ways)
