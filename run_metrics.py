"""Judges trained networks: FID, KID, precision and recall, Inception score, path lengths, linear separability.

Each number comes with its interval of 95 %. Results are printed, and appended to metric-<name>.txt and metrics.jsonl
in the run directory. Interrupted work goes on when the same command is given again; what is known is not repeated.
"""

import argparse
from pathlib import Path

from stylegan_tf.console import argument_parser, friendly_errors, quiet_tensorflow

EXAMPLES = """\
Examples:
  # the FID of the newest snapshot of a run, against the data that it was trained on
  python run_metrics.py --network runs/00000-ffhq-F-8gpu --metrics fid50k --gpus 8

  # several metrics of several networks
  python run_metrics.py --network a.safetensors b.safetensors --data datasets/ffhq --mirror \\
      --metrics fid50k,kid50k,pr50k3,ppl_wend

  # a small data set without any download: the course of a whole run, as a picture and in numbers
  python run_metrics.py --network runs/00000-portraits-demo --curve --metrics fid50k \\
      --features mobilenet_v2 --num-images 912

  # what there is, what it tells, needs and costs
  python run_metrics.py --list
"""


def parse_arguments(arguments=None):
    """Command line to options; what is wrong with it ends the program with exit status 2."""
    parser = argument_parser(__doc__, EXAMPLES)
    what = parser.add_argument_group("what is judged")
    what.add_argument(
        "--network", nargs="+", metavar="PATH", help="run directories (the newest snapshot of each) or snapshot files"
    )
    what.add_argument("--metrics", default="fid50k", metavar="NAME,...", help="which; see --list (default: fid50k)")
    what.add_argument("--curve", action="store_true", help="every snapshot of a run, as a picture over kimg")
    what.add_argument("--list", action="store_true", help="show the metrics, and what each tells, needs and costs")
    against = parser.add_argument_group("what it is compared with")
    against.add_argument("--data", type=Path, metavar="DIR", help="data set (default: that of the run)")
    against.add_argument("--resolution", type=int, metavar="N", help="of the data set (default: that of the run)")
    against.add_argument(
        "--mirror", action=argparse.BooleanOptionalAction, help="flip real images at random (default: as in the run)"
    )
    how = parser.add_argument_group("how")
    how.add_argument(
        "--features",
        default="inception",
        metavar="NAME",
        help="inception: published metrics; mobilenet_v2: from a pip package, under its name (default: inception)",
    )
    how.add_argument("--num-images", type=int, metavar="N", help="instead of the published number, as for small data")
    how.add_argument("--seed", type=int, default=0, metavar="N", help="decides all that is random (default: 0)")
    how.add_argument("--gpus", type=int, default=1, metavar="N", help="devices that share the work (default: 1)")
    how.add_argument("--batch", type=int, metavar="N", help="images at a time on each (default: as published)")
    how.add_argument("--attributes", type=Path, metavar="FILE", help="classifiers for ls, of train_attributes.py")
    files = parser.add_argument_group("files")
    files.add_argument("--weights", type=Path, metavar="DIR", help="where weight files are looked for first")
    files.add_argument("--fetch", action="store_true", help="get missing weight files; tells size and source first")
    files.add_argument("--cache", type=Path, metavar="DIR", help="for features (default: ~/.cache/stylegan_tf/metrics)")
    files.add_argument("--keep-features", action="store_true", help="keep those of generated images as well")
    files.add_argument("--out", type=Path, metavar="DIR", help="for results (default: the run directory)")
    files.add_argument("--report", type=Path, metavar="DIR", help="also write a page for people, report.html")
    options = parser.parse_args(arguments)
    if options.list:
        return options
    if not options.network:
        parser.error("--network PATH is needed: a run directory or a snapshot; --list shows the metrics")
    for name, value in (("--num-images", options.num_images), ("--gpus", options.gpus), ("--batch", options.batch)):
        if value is not None and value < 1:
            parser.error(f"{name} must be at least 1, not {value}")
    if not 0 <= options.seed < 2**31:
        parser.error(f"--seed must be from 0 to {2**31 - 1}, not {options.seed}")
    if options.report and len(options.network) > 1:
        parser.error("--report DIR makes the page of one network; name one with --network")
    options.metrics = list(dict.fromkeys(filter(None, map(str.strip, options.metrics.split(",")))))
    if not options.metrics:
        parser.error("--metrics NAME,... names no metric; --list shows what there is")
    return options


def snapshots(options):
    """The snapshot files to be judged.

    Raises:
        FileNotFoundError: A path does not exist, or a run has no snapshot yet.
    """
    with quiet_tensorflow():
        from stylegan_tf.snapshot import find_snapshot

    found = []
    for path in options.network:
        newest = find_snapshot(path)
        if options.curve and Path(path).is_dir():
            found += sorted(Path(path).glob("network-snapshot-*.safetensors"))
        else:
            found.append(newest)
    return list(dict.fromkeys(found))


def main(arguments=None):
    """Check everything, load TensorFlow, judge."""
    options = parse_arguments(arguments)
    with friendly_errors():
        if options.list:
            from metrics.results import metrics_table

            print(metrics_table())
            print(
                "\nWith --features mobilenet_v2 results are called fd_mobilenet_v2_50k, kd_..., pr_..., is_..., pl_..."
            )
            return
        from metrics.reals import choose_data
        from metrics.request import (
            Settings,
            check_names,
            check_request,
            check_weights_present,
            fetch_missing_weights,
            networks_for,
        )
        from metrics.results import results_table
        from metrics.table import METRICS

        check_names(options.metrics)
        print("Loading TensorFlow ...", flush=True)
        found = snapshots(options)
        data, mirror = None, False
        if options.report or any(METRICS[name].reals for name in options.metrics):
            data, mirror = choose_data(found, options.data, options.resolution, options.mirror)
        settings = Settings(options.features, options.num_images, mirror, options.seed, options.batch)
        check_request(options.metrics, settings, data, options.attributes is not None)
        networks = networks_for(options.metrics, settings)
        if options.report:
            networks[0].add(settings.features)
        if options.fetch:
            fetch_missing_weights(networks, options.weights)
        check_weights_present(networks, options.weights)
        try:
            results = judge(options, found, data, settings)
        except KeyboardInterrupt:
            print("\nThe same command goes on where this one stopped.")
            raise
        print(results_table(results))


def judge(options, found, data, settings):
    """Load the networks, judge the snapshots, draw the curve, write the report: all `Result`s."""
    with quiet_tensorflow():
        from metrics.classifiers import load_classifiers
        from metrics.devices import out_of_memory_explained
        from metrics.evaluation import Evaluation
        from metrics.features import load_feature_network, load_perceptual_distance
        from metrics.snapshots import draw_curves
        from metrics.snapshots import judge as judge_snapshots
        from metrics.weights import cache_directory
        from training.replicas import replicas_for
    replicas = replicas_for(options.gpus)
    if replicas.num_workers > 1:
        raise ValueError("TF_CONFIG names several machines: metrics are computed on one, unset it")
    evaluation = Evaluation(
        options.metrics,
        settings,
        data,
        cache=options.cache or cache_directory() / "metrics",
        replicas=replicas,
        load_features=lambda name: load_feature_network(name, options.weights),
        load_distance=lambda name: load_perceptual_distance(name, options.weights),
        classifiers=load_classifiers(options.attributes) if options.attributes else None,
        keep_features=options.keep_features,
    )
    with out_of_memory_explained():
        judged = judge_snapshots(found, evaluation, lambda path: directory_of(options, path))
        results = [result for results in judged.values() for result in results]
        if options.curve:
            files = draw_curves(judged, lambda path: directory_of(options, path) or Path("."))
            for file in files or ["none, for that takes two snapshots of a run"]:
                print(f"Curve: {file}")
        if options.report:
            print(f"Report: {write_page(options, found[0], evaluation, results)}")
    return results


def directory_of(options, path):
    """Where the results of a snapshot go: --out, or the run that it belongs to; None if it belongs to none."""
    if options.out:
        return options.out
    return path.parent if (path.parent / "run.json").is_file() else None


def write_page(options, path, evaluation, results):
    """Write the page of --report; returns its file."""
    from metrics.features import missing_weights
    from metrics.report import write_report
    from metrics.snapshots import subject_of

    subject, _ = subject_of(path)
    data, features, gather = evaluation.data, evaluation.settings.features, evaluation.gather
    reals = None if evaluation.settings.mirror else gather.reals(features, min(data.count, 10000), 8)
    distance, lengths = "lpips" if features == "inception" else features, None
    if hasattr(subject.generator, "mapping") and not missing_weights([distance], options.weights):
        gather.take(subject)
        lengths, _ = gather.path_lengths("w", "full", distance, 200, 8)
    file = write_report(
        options.report,
        subject,
        data,
        gather.network(features),
        results=[{**vars(result), "images": result.n} for result in results],
        real_features=reals,
        path_lengths=lengths,
        path_network=distance,
        num_images=min(options.num_images or 1000, 1000),
        batch_size=options.batch or 8,
        seed=options.seed,
    )
    if not options.keep_features:
        gather.forget_fakes()
    return file


if __name__ == "__main__":
    main()
