# SPDX-License-Identifier: Apache-2.0
"""The work behind run.sh: makes the images different, serves them, times both programs."""
import argparse, json, os, pathlib, resource, shutil, statistics, subprocess, sys, tempfile, time

PEER = """
import sys, multiprocessing
from img2dataset import download
if __name__ == "__main__":
    download(url_list=sys.argv[1], output_folder=sys.argv[2], input_format="tsv",
             url_col="url", caption_col="caption", output_format="webdataset",
             image_size=256, resize_mode="keep_ratio", encode_quality=95,
             compute_hash="sha256", processes_count=2, thread_count=32,
             number_sample_per_shard=1000, timeout=10)
"""


def spread(photos, folder, copies):
    """Copies that differ in a comment, so that no two have the same digest."""
    names = []
    for source in sorted(p for p in photos.iterdir() if p.is_file()):
        data = source.read_bytes()
        if data[:2] != b"\xff\xd8":
            continue
        for i in range(copies):
            name = f"{source.stem}-{i}.jpg"
            comment = b"\xff\xfe\x00\x0a" + b"%08d" % i
            (folder / name).write_bytes(data[:2] + comment + data[2:])
            names.append(name)
    return names


def timed(command, env):
    """Wall and CPU seconds of a process with all its children."""
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    done = subprocess.run(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    wall, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(done.stdout.decode(errors="replace") + f"\n{command[0]} failed")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return wall, cpu


def count(folder, pattern, key):
    return sum(json.loads(p.read_text())[key] for p in folder.glob(pattern))


def main():
    args = argparse.ArgumentParser()
    args.add_argument("--build", type=pathlib.Path)
    args.add_argument("--photos", type=pathlib.Path)
    args.add_argument("--copies", type=int)
    args.add_argument("--rounds", type=int)
    args.add_argument("--peer")
    args = args.parse_args()
    home = pathlib.Path(tempfile.mkdtemp(prefix="bench-fetch-"))
    (home / "www").mkdir()
    names = spread(args.photos, home / "www", args.copies)
    server = subprocess.Popen([args.build / "tests/server/capivara-test-server", "--root",
                               home / "www", "--port", "0", "--port-file", home / "port",
                               "--die-with-parent"], stdout=subprocess.DEVNULL)
    while not (home / "port").exists() or not (home / "port").read_text().strip():
        time.sleep(0.02)
    base = f"http://127.0.0.1:{(home / 'port').read_text().strip()}/"
    tsv = home / "list.tsv"
    tsv.write_text("url\tcaption\n" + "".join(f"{base}{n}\ta photo\n" for n in names))
    (home / "peer.py").write_text(PEER)
    env = dict(os.environ, NO_ALBUMENTATIONS_UPDATE="1")
    results = {"capivara-fetch": [], "img2dataset": []}
    try:
        for turn in range(args.rounds):
            out = home / f"ours{turn}"
            wall, cpu = timed([args.build / "capivara-fetch", "--corpus", out, "--input", tsv,
                               "--caption-col", "caption", "--rows-per-part", "1000",
                               "--threads", "2", "--connections", "64", "--per-host", "64",
                               "--per-host-rate", "0", "--allow-private", "--quiet"], env)
            assert count(out / "fetch", "*.stats.json", "successes") == len(names)
            results["capivara-fetch"].append((wall, cpu))
            shutil.rmtree(out)
            if args.peer:
                out = home / f"theirs{turn}"
                wall, cpu = timed([args.peer, home / "peer.py", tsv, out], env)
                assert count(out, "*_stats.json", "successes") == len(names)
                results["img2dataset"].append((wall, cpu))
                shutil.rmtree(out)
    finally:
        server.terminate()
        shutil.rmtree(home, ignore_errors=True)
    n = len(names)
    medians = {}
    for who, runs in results.items():
        if not runs:
            continue
        cpu = [c for _, c in runs]
        medians[who] = statistics.median(cpu)
        print(f"{who:15} {n} images, CPU ms/image: median {1e3 * medians[who] / n:.2f} "
              f"(min {1e3 * min(cpu) / n:.2f}, max {1e3 * max(cpu) / n:.2f}); "
              f"wall {statistics.median(w for w, _ in runs):.1f} s")
    if len(medians) == 2:
        print(f"ratio of CPU seconds, ours to theirs: "
              f"{medians['capivara-fetch'] / medians['img2dataset']:.3f}")
    else:
        print("img2dataset not measured: set PEER_PYTHON")


main()
