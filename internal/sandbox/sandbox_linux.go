// Package sandbox has the kernel refuse system calls, as the sandboxes and the old kernels do that tests cannot have
// otherwise. It is for tests alone, and for Linux.
//
// It installs a filter for seccomp, which needs no privilege and holds for one thread and what that executes. A filter
// cannot be taken off again. So a test calls Refuse in a goroutine of its own, which keeps its thread and ends with it;
// the command in the folder nobatch is for whole programs, such as all tests of a package.
//
// A call is refused by its number, which is another one on each architecture: Refuse is for programs of the same as its
// own. It looks at no arguments, so a call is refused altogether or not at all.
//
// It is no sandbox for code that is not trusted: what is not refused is allowed.
package sandbox

import (
	"fmt"
	"runtime"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Instructions of a filter, in the language of the Berkeley packet filter. The number of a system call is what it
// begins with.
const (
	load     = unix.BPF_LD | unix.BPF_W | unix.BPF_ABS
	isEqual  = unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K
	decide   = unix.BPF_RET | unix.BPF_K
	allow    = 0x7fff0000
	refuseBy = 0x00050000 // and the error
)

// Refuse makes the kernel answer system calls of this goroutine with an error from now on, for good. The goroutine
// keeps its thread, which ends with it; what it executes in its place inherits the refusal, what other goroutines do is
// as before.
func Refuse(errno unix.Errno, calls ...uint32) error {
	runtime.LockOSThread()
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return fmt.Errorf("give up privileges: %w", err)
	}
	filter := filterOf(errno, calls)
	program := unix.SockFprog{Len: uint16(len(filter)), Filter: &filter[0]}
	err := unix.Prctl(unix.PR_SET_SECCOMP, unix.SECCOMP_MODE_FILTER, uintptr(unsafe.Pointer(&program)), 0, 0)
	if err != nil {
		return fmt.Errorf("set a filter: %w", err)
	}
	return nil
}

// filterOf compares with one call after the other.
func filterOf(errno unix.Errno, calls []uint32) []unix.SockFilter {
	filter := []unix.SockFilter{{Code: load}}
	for _, c := range calls {
		filter = append(filter,
			unix.SockFilter{Code: isEqual, K: c, Jf: 1},
			unix.SockFilter{Code: decide, K: refuseBy | uint32(errno)})
	}
	return append(filter, unix.SockFilter{Code: decide, K: allow})
}
