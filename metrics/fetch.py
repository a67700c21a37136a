"""Fetches the published weight files of the feature networks, once, and verifies them.

Each is pinned by its size and its SHA-256. It appears under its name only when it is whole and has both.
"""

import contextlib
import hashlib
import http.client
import os
import shutil
import time
import urllib.request
from pathlib import Path

from metrics.weights import WEIGHTS, cache_directory, check_weights, find_weights, size_of
from stylegan_tf.arrays import atomic_file
from stylegan_tf.console import argument_parser, friendly_errors
from stylegan_tf.progress_line import ProgressLine

EXAMPLES = """\
Examples:
  python -m metrics.fetch                          # what there is, and what is here already
  python -m metrics.fetch inception_graph          # for FID, KID and the Inception score
  python -m metrics.fetch vgg16 lpips_vgg          # for perceptual path length; vgg16 also for precision and recall
  python -m metrics.fetch mobilenet_v2 --dir DIR   # then name DIR where metrics are measured
"""
BLOCK = 1 << 18  # bytes
MEGABYTE = 10**6
TIMEOUT = 30  # seconds without a byte
ELSEWHERE = "Try again later; or get the file by other means and put it into {}"


def fetch(key: str, directory: str | os.PathLike | None = None, show=print, show_progress=None) -> Path:
    """Downloads a weight file, unless it is there.

    An interrupted download is begun anew: the largest file takes a minute on a good line.

    Args:
        key: A key of `WEIGHTS`.
        directory: Where to, made if it is not there; `cache_directory()` if None.
        show: Called with what is fetched, from where, how large, under which licence and to where, before it begins.
        show_progress: Called with (bytes so far, seconds so far) after each block, if given.

    Returns:
        Path of the file.

    Raises:
        ValueError: What came is not the file; or another one lies there under its name. Nothing new is left behind.
        OSError: The network, the server or the disk refused; nothing is left behind.
    """
    weights = WEIGHTS[key]
    directory = Path(directory) if directory is not None else cache_directory()
    path = directory / weights.file
    if path.exists():
        check_weights(path, key)
        show(f"{path} is there, and is what it should be.")
        return path
    show(
        f"{weights.file}: {weights.contents}\n  {size_of(weights)}, {weights.licence}\n"
        f"  from {weights.url}\n  to {directory}"
    )
    with _connection(weights.url, directory) as answer:
        directory.mkdir(parents=True, exist_ok=True)
        if shutil.disk_usage(directory).free < weights.size:
            raise OSError(f"{directory}: there is no room for {size_of(weights)}; choose another place with --dir")
        with atomic_file(path) as temporary:
            size, digest = _copy(answer, temporary, weights.size, show_progress)
            if (size, digest) != (weights.size, weights.sha256):
                amount = f"more than {weights.size:,}" if size > weights.size else f"{size:,}"
                raise ValueError(
                    f"{weights.url}: {amount} bytes came, with SHA-256 {digest}; expected are {weights.size:,} with "
                    f"{weights.sha256}. They were not kept. {ELSEWHERE.format(directory)}"
                )
    return path


def _copy(answer, path, limit, show_progress):
    """(size, SHA-256) of what was written, which is little more than `limit` bytes at most."""
    digest, size, start = hashlib.sha256(), 0, time.monotonic()
    with open(path, "wb") as file:
        while size <= limit and (block := _next_block(answer)):
            size += len(block)
            digest.update(block)
            file.write(block)
            if show_progress:
                show_progress(size, time.monotonic() - start)
    return size, digest.hexdigest()


class _ConnectionLost(Exception):
    """What the network did, told from what the disk did."""


def _next_block(answer):
    try:
        return answer.read(BLOCK)
    except (OSError, http.client.HTTPException) as error:
        raise _ConnectionLost(error or type(error).__name__) from error


@contextlib.contextmanager
def _connection(url, directory):
    """The server's answer; what fails there or on the way becomes an OSError that names the address."""
    request = urllib.request.Request(url, headers={"User-Agent": "stylegan-tf"})
    try:
        try:
            answer = urllib.request.urlopen(request, timeout=TIMEOUT)
        except (OSError, http.client.HTTPException) as error:
            raise _ConnectionLost(error or type(error).__name__) from error
        with answer:
            yield answer
    except _ConnectionLost as error:
        raise OSError(f"{url}: {error}. {ELSEWHERE.format(directory)}") from error


def parse_arguments(arguments=None):
    parser = argument_parser(__doc__, EXAMPLES, prog="python -m metrics.fetch")
    parser.add_argument(
        "names", nargs="*", metavar="NAME", help=f"what to fetch: {', '.join(WEIGHTS)}; nothing: show what is here"
    )
    parser.add_argument(
        "--dir", type=Path, metavar="DIR", help="where to (default: $STYLEGAN_TF_CACHE, or else ~/.cache/stylegan_tf)"
    )
    options = parser.parse_args(arguments)
    if unknown := [name for name in options.names if name not in WEIGHTS]:
        parser.error(f"{unknown[0]!r} is no weight file: choose from {', '.join(WEIGHTS)}")
    return options


def overview(directory=None):
    """One paragraph for each weight file: what it is, where it is or can be had."""
    lines = []
    for key, weights in WEIGHTS.items():
        path = find_weights(key, directory)
        lines.append(f"{key}: {weights.contents}")
        lines.append(f"  {weights.file}, {size_of(weights)}, {weights.licence}, SHA-256 {weights.sha256}")
        if weights.package:
            lines.append(f"  in the pip package {weights.package}")
        lines.append(f"  here: {path}" if path else f"  not here; from {weights.url}")
    return "\n".join(lines)


def main(arguments=None):
    options = parse_arguments(arguments)
    with friendly_errors():
        if not options.names:
            print(overview(options.dir))
        for name in options.names:
            line = ProgressLine(WEIGHTS[name].file, WEIGHTS[name].size // MEGABYTE, "MB")
            path = fetch(name, options.dir, show_progress=lambda size, _, line=line: line.show(size // MEGABYTE))
            line.clear()
            print(f"{name}: {path}")


if __name__ == "__main__":
    main()
