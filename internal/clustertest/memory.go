package clustertest

import "runtime"

// LiveMemory is how many bytes live on the heap of this process.
func LiveMemory() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // and what the first took out of pools
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}
