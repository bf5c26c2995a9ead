package main

import "slices"

// bulkSize is just under the 64 MiB that a broach message and a NATS payload may have by default or at all.
const bulkSize = 64<<20 - 1<<10

// A workload is what a number of callers do, each one call at a time.
type workload struct {
	name, title string
	callers     int
	size        int  // bytes that are echoed, at most; 0: two integers are added
	least       int  // bytes that are echoed, at least, where sizes are mixed; 0: all have size
	transfer    int  // bytes that one more caller sends at the same time, again and again
	stream      bool // items of size are streamed to each caller
	lent        bool // what is echoed is not copied where it arrives, by systems that can do without
	lossy       bool
}

// workloads are all that can be measured, in the order of the tables.
var workloads = []workload{
	{name: "add1", title: "add(int, int), 1 caller", callers: 1},
	{name: "add16", title: "add(int, int), 16 callers", callers: 16},
	{name: "add64", title: "add(int, int), 64 callers", callers: 64},
	{name: "add256", title: "add(int, int), 256 callers", callers: 256},
	{name: "echo1k", title: "echo of 1 KiB, 64 callers", callers: 64, size: 1 << 10},
	{name: "echomix", title: "echo of 512 to 1,024 bytes, 64 callers", callers: 64, size: 1 << 10, least: 512},
	{name: "echo64k", title: "echo of 64 KiB, 16 callers", callers: 16, size: 64 << 10},
	{name: "echo1m1", title: "echo of 1 MiB, 1 caller", callers: 1, size: 1 << 20},
	{name: "echo1m", title: "echo of 1 MiB, 4 callers", callers: 4, size: 1 << 20},
	{name: "echo1m16", title: "echo of 1 MiB, 16 callers", callers: 16, size: 1 << 20},
	{name: "echo1k-lent", title: "lent echo of 1 KiB, 64 callers", callers: 64, size: 1 << 10, lent: true},
	{name: "echo64k-lent", title: "lent echo of 64 KiB, 16 callers", callers: 16, size: 64 << 10, lent: true},
	{name: "echo1m-lent", title: "lent echo of 1 MiB, 4 callers", callers: 4, size: 1 << 20, lent: true},
	{name: "stream16", title: "a stream of items of 16 bytes", callers: 1, size: 16, stream: true},
	{name: "stream1k", title: "a stream of items of 1 KiB", callers: 1, size: 1 << 10, stream: true},
	{name: "stream64k", title: "a stream of items of 64 KiB", callers: 1, size: 64 << 10, stream: true},
	{name: "add4", title: "add(int, int), 4 callers, nothing beside them", callers: 4},
	{name: "beside", title: "add(int, int), 4 callers, beside transfers of 64 MiB", callers: 4, transfer: bulkSize},
	{name: "loss", title: "add(int, int), 64 callers, datagrams lost, doubled and reordered", callers: 64, lossy: true},
}

// runsOn says whether the system can do the work.
func (w workload) runsOn(s system) bool {
	fits := s.maxEcho == 0 || max(w.size, w.transfer) <= s.maxEcho
	return w.lossy == s.lossy && fits && (s.streams || !w.stream)
}

// meanSize is how many bytes an echo has in the mean.
func (w workload) meanSize() int {
	if w.least == 0 {
		return w.size
	}
	return (w.least + w.size) / 2
}

// workloadNamed returns the workload of that name.
func workloadNamed(name string) (workload, bool) {
	i := slices.IndexFunc(workloads, func(w workload) bool { return w.name == name })
	if i < 0 {
		return workload{}, false
	}
	return workloads[i], true
}
