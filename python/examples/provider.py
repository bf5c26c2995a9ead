"""Does what examples/provider does, through a gateway: python3 python/examples/provider.py testdata/application.json"""

import os
import sys
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), ".."))
from broach import BroachApply, BroachFramework

BroachFramework.run(sys.argv[1] if len(sys.argv) > 1 else "testdata/application.json")
ran = gone = 0


@BroachApply.rpcRoute()
def work00():
    return f"process {os.getpid()}"


@BroachApply.rpcRoute(idempotent=True)
def work01(x, y):
    return x + y


@BroachApply.rpcRoute()
def work05(number):
    """Is slow, and stops when nobody waits any more."""
    global ran, gone
    ran += 1
    if BroachApply.current().canceled.wait(3):
        gone += 1
    return f"work05 {number} done"


@BroachApply.rpcRoute()
def work06(text):
    if not text:
        raise ValueError("work06 needs a text")
    return text.upper()


@BroachApply.rpcRoute()
def work07(*words):
    return {w: words.count(w) for w in words}


@BroachApply.rpcRoute(name="work05 report")
def report():
    return [ran, gone]


print("serving:", BroachFramework.wait(30), flush=True)
while True:
    time.sleep(1)
