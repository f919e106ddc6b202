"""Compile what a cell needs into the cache on the disk: python -m benchmarks.lease.warm CELL"""

import sys
import time

from benchmarks.gpu import Variant, build
from benchmarks.table import Options
from replicate.training import engine

begun = time.perf_counter()
engine.start()
run = build(Variant("warm", "bfloat16", compiled=True, cell=sys.argv[1]), Options(False, 1, None))
run.train_epoch(1)
run.evaluate()
print(f"{sys.argv[1]}: {time.perf_counter() - begun:.1f} s")
