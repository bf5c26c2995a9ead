"""Does what examples/caller does, through a gateway: python3 python/examples/caller.py testdata/application2.json"""

import collections
import os
import sys
import time
from concurrent.futures import ThreadPoolExecutor

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from broach import BroachApply, BroachError, BroachFramework

BroachFramework.run(sys.argv[1] if len(sys.argv) > 1 else "testdata/application2.json")


@BroachApply.rpcCall()
def work00(*args, **kwargs):
    pass


@BroachApply.rpcCall(name="work01")
def add(*args, **kwargs):
    pass


@BroachApply.rpcCall()
def work05(*args, **kwargs):
    pass


@BroachApply.rpcCall()
def work06(*args, **kwargs):
    pass


@BroachApply.rpcCall()
def work07(*args, **kwargs):
    pass


@BroachApply.rpcCall(name="work05 report")
def report(*args, **kwargs):
    pass


def outcome(fn, *args):
    try:
        return fn(*args)
    except BroachError as e:
        return f"{e.code}: {e.message} (executed: {e.executed})"


print("work00 =", outcome(work00))
print("work01 1 2 =", outcome(add, 1, 2))
print("work06 quick =", outcome(work06, "quick"))
print("work06 =", outcome(work06, ""))
print("work07 a b a =", outcome(work07, "a", "b", "a"))
began = time.monotonic()
with ThreadPoolExecutor(50) as pool:
    results = list(pool.map(lambda i: outcome(work05, i), range(500)))
ends = collections.Counter("done" if r.endswith("done") else r for r in results)
print("500 calls of work05, 3 s each, from 50 threads:", dict(ends))
print("took %d s; afterwards:" % (time.monotonic() - began))
print("work01 3 4 =", outcome(add, 3, 4))
print("work05 report =", outcome(report))
