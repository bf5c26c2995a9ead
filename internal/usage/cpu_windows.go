package usage

import (
	"syscall"
	"time"
)

// cpu is the processor time of this process, its own and what the system did for it.
func cpu() time.Duration {
	self, err := syscall.GetCurrentProcess()
	if err != nil {
		return 0
	}
	var began, ended, system, own syscall.Filetime
	if syscall.GetProcessTimes(self, &began, &ended, &system, &own) != nil {
		return 0
	}
	return length(system) + length(own)
}

// length is a Filetime that is no date: units of 100 ns.
func length(t syscall.Filetime) time.Duration {
	return time.Duration(uint64(t.HighDateTime)<<32|uint64(t.LowDateTime)) * 100
}
