package udp

import (
	"errors"
	"fmt"
	"syscall"
)

// maxReadFaults is how many unknown receive errors in a row are taken as passing. Enough for a
// burst of something not listed below, few enough that a broken socket ends the reader at once.
const maxReadFaults = 16

// Windows numbers its socket errors apart from those which package syscall names after POSIX.
const (
	wsaMessageTooLong = syscall.Errno(10040) // the datagram was longer than the buffer
	wsaNetReset       = syscall.Errno(10052)
	wsaConnReset      = syscall.Errno(10054) // a peer's port was closed when we sent to it
)

// passingFaults are receive errors that tell of one datagram sent earlier, or of a moment's
// shortage. The system hands out each once, so that reading on cannot spin.
var passingFaults = []error{
	syscall.ECONNREFUSED, syscall.ECONNRESET, syscall.EHOSTUNREACH, syscall.EHOSTDOWN,
	syscall.ENETUNREACH, syscall.ENETDOWN, syscall.EMSGSIZE, syscall.ENOBUFS, syscall.EINTR,
	wsaConnReset, wsaNetReset,
}

// isTooLong knows the error of a datagram that the way does not take as long as it is.
func isTooLong(err error) bool {
	return errors.Is(err, syscall.EMSGSIZE) || errors.Is(err, wsaMessageTooLong)
}

// readFaults tells receive errors that pass from those that stay. It belongs to the reader.
type readFaults struct {
	unknown int // in a row
}

// clear is called after each datagram received.
func (f *readFaults) clear() { f.unknown = 0 }

// judge returns nil if reading may go on after err.
func (f *readFaults) judge(err error) error {
	for _, p := range passingFaults {
		if errors.Is(err, p) {
			return nil
		}
	}
	if f.unknown++; f.unknown < maxReadFaults {
		return nil
	}
	return fmt.Errorf("receive failed %d times in a row: %w", f.unknown, err)
}
