# SPDX-License-Identifier: Apache-2.0
"""webdataset reading shards from end to end, undecoded, as its README shows.

    peer_webdataset.py FILE ...     prints: samples bytes seconds samples/s CPU-seconds
"""
import resource
import sys
import time

import webdataset

urls = [("pipe:zstd -dcq " if f.endswith(".zst") else "") + f for f in sys.argv[1:]]


def cpu():
    """Of this process and of the zstd that it starts."""
    u = [resource.getrusage(w) for w in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(x.ru_utime + x.ru_stime for x in u)


spent = cpu()
start = time.monotonic()
samples = size = 0
for sample in webdataset.WebDataset(urls, shardshuffle=False):
    samples += 1
    size += sum(len(v) for k, v in sample.items() if not k.startswith("__"))
took = time.monotonic() - start
print(samples, size, f"{took:.4f}", f"{samples / took:.0f}", f"{cpu() - spent:.4f}")
